"""ccxt's Binance client with our own reading of errors, and one door for each kind of request."""

import time
from typing import Any, Final, TypeVar

import ccxt
import msgspec
from ccxt.async_support import binanceusdm

from phoenix95.common.errors import OutcomeUnknown, TransientError, VenueRejected
from phoenix95.executor.venue.codes import CREDENTIALS, Meaning, meaning

TIMEOUT_MS: Final = 5_000
LIMITED_S: Final = 5.0  # without a Retry-After

T = TypeVar("T")


class Answered(Exception):
    """The exchange answered with something else than success."""

    def __init__(self, status: int, code: int | None, message: str, retry_after_s: float | None) -> None:
        super().__init__(f"HTTP {status}, {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s

    @property
    def meaning(self) -> Meaning:
        return meaning(self.status, self.code, self.message)


class BinanceUsdm(binanceusdm):  # type: ignore[misc]
    """ccxt chooses exception classes by host name and message text; here every refusal becomes `Answered`."""

    def handle_errors(
        self, status: int, reason: str, url: str, method: str, headers: Any, body: Any, response: Any, *_sent: Any
    ) -> None:
        found = response if isinstance(response, dict) else {}
        code = found.get("code")
        number = int(code) if isinstance(code, int) or (isinstance(code, str) and code.lstrip("-").isdigit()) else None
        if status < 400 and (number is None or number >= 0):
            return
        text = str(found.get("msg") or body or reason)[:200]
        after = {str(key).lower(): value for key, value in (headers or {}).items()}.get("retry-after")
        wait = float(after) if after is not None and str(after).isdigit() else None
        raise Answered(status, number, text, wait)


class Requests:
    """Sends and reads. A send is made once and never retried here or in ccxt."""

    def __init__(self, rest_url: str, api_key: str, api_secret: str) -> None:
        base = rest_url.rstrip("/")
        self._exchange = BinanceUsdm(
            {
                "apiKey": api_key,
                "secret": api_secret,
                "timeout": TIMEOUT_MS,
                "enableRateLimit": False,  # one queue for everything would hold a stop up behind a poll
                "options": {"fetchCurrencies": False, "maxRetriesOnFailure": 0},
                "urls": {
                    "api": {
                        "fapiPublic": f"{base}/fapi/v1",
                        "fapiPrivate": f"{base}/fapi/v1",
                        "fapiPrivateV2": f"{base}/fapi/v2",
                        "fapiPrivateV3": f"{base}/fapi/v3",
                    }
                },
            }
        )
        self._limited_until_s = 0.0

    async def send(self, endpoint: str, params: dict[str, Any]) -> dict[str, Any]:
        """POST something that must not be done twice. Raises VenueRejected or OutcomeUnknown."""
        try:
            answer = await getattr(self._exchange, endpoint)(params)
        except Answered as answered:
            self._note_limit(answered)
            if answered.meaning is Meaning.UNKNOWN:
                raise OutcomeUnknown(f"{endpoint}: {answered}") from answered
            raise VenueRejected(answered.code or -answered.status, answered.message) from answered
        except (TimeoutError, ccxt.BaseError, OSError) as error:
            raise OutcomeUnknown(f"{endpoint}: {_short(error)}") from error
        if not isinstance(answer, dict):
            raise OutcomeUnknown(f"{endpoint}: an answer that is no object")
        return answer

    async def read(self, endpoint: str, params: dict[str, Any]) -> Any:
        """GET. None only when the exchange says that there is no such order; TransientError for all that is no answer.

        Refused credentials are VenueRejected: asking again does not help.
        """
        if time.monotonic() < self._limited_until_s:
            raise TransientError(f"exchange, {endpoint}: waiting out its rate limit")
        try:
            answer = await getattr(self._exchange, endpoint)(params)
        except Answered as answered:
            self._note_limit(answered)
            if answered.meaning is Meaning.UNKNOWN_ORDER:
                return None
            if answered.code in CREDENTIALS:
                raise VenueRejected(answered.code, answered.message) from answered
            raise TransientError(f"exchange, {endpoint}: {answered}") from answered
        except (TimeoutError, ccxt.BaseError, OSError) as error:
            raise TransientError(f"exchange, {endpoint}: {_short(error)}") from error
        if answer is None or isinstance(answer, str):
            raise TransientError(f"exchange, {endpoint}: an answer that is no JSON")
        return answer

    async def close(self) -> None:
        await self._exchange.close()

    def _note_limit(self, answered: Answered) -> None:
        if answered.meaning is Meaning.LIMITED:
            self._limited_until_s = time.monotonic() + (answered.retry_after_s or LIMITED_S)


def decoded(kind: type[T], answer: Any, what: str) -> T:
    """Convert an answer. A read that cannot be understood is no answer: TransientError."""
    try:
        return msgspec.convert(answer, kind, strict=False)
    except msgspec.ValidationError as error:
        raise TransientError(f"exchange, {what}: {error}") from error


def _short(error: BaseException) -> str:
    # ccxt puts the whole URL with its signature into the text: only the kind and the last words are told
    return f"{type(error).__name__}: {str(error).split('?')[0][-120:]}"
