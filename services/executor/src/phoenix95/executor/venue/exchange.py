"""ccxt's Binance client with our own reading of errors, and one door for each kind of request."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import ccxt
import msgspec
from ccxt.async_support import binanceusdm

from phoenix95.common.errors import OutcomeUnknown, RateLimited, TransientError, VenueRejected
from phoenix95.executor.venue.budget import Budget, Urgency
from phoenix95.executor.venue.codes import CREDENTIALS, Meaning, meaning

TIMEOUT_MS: Final = 5_000
TLS_CLOSE_MS: Final = 250  # encrypted connections need a moment to close
TOO_MANY_ORDERS: Final = -1015

T = TypeVar("T")


def _unheard(_url: str, _headers: Mapping[str, str]) -> None:
    return None


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
    """ccxt chooses exception classes by host name and message text; here every refusal becomes `Answered`.

    `answered` is told the address and the headers of every answer.
    """

    answered: Callable[[str, Mapping[str, str]], None] = staticmethod(_unheard)

    def handle_errors(
        self, status: int, reason: str, url: str, method: str, headers: Any, body: Any, response: Any, *_sent: Any
    ) -> None:
        heard = headers or {}
        self.answered(url, heard)
        found = response if isinstance(response, dict) else {}
        code = found.get("code")
        number = int(code) if isinstance(code, int) or (isinstance(code, str) and code.lstrip("-").isdigit()) else None
        if status < 400 and (number is None or number >= 0):
            return
        text = str(found.get("msg") or body or reason)[:200]
        after = {str(key).lower(): value for key, value in heard.items()}.get("retry-after")
        wait = float(after) if after is not None and str(after).isdigit() else None
        raise Answered(status, number, text, wait)


class Requests:
    """Sends and reads. A send is made once and never retried here or in ccxt.

    Everything goes to `rest_url` and, where it is given, the account's own endpoints to `account_url`: no key can
    reach any other host. `now_ms` is exchange time. `refused` hears the code of every refusal.
    """

    def __init__(
        self,
        rest_url: str,
        api_key: str,
        api_secret: str,
        *,
        account_url: str | None = None,
        now_ms: Callable[[], int] | None = None,
        timeout_ms: int = TIMEOUT_MS,
    ) -> None:
        self.budget = Budget(now_ms)
        self.refused: list[Callable[[int], None]] = []
        self._account = account_url is not None
        self._exchange = BinanceUsdm(
            {
                "apiKey": api_key,
                "secret": api_secret,
                "timeout": timeout_ms,
                "timeout_on_exit": TLS_CLOSE_MS if rest_url.startswith("https:") else 0,
                "enableRateLimit": False,  # one queue for everything would hold a stop up behind a poll
                "options": {"fetchCurrencies": False, "maxRetriesOnFailure": 0},
            }
        )
        self._exchange.urls["api"] = _addresses(self._exchange.urls["api"], rest_url.rstrip("/"), account_url)
        self._exchange.answered = self._answered

    async def send(self, endpoint: str, params: dict[str, Any], urgency: Urgency = Urgency.PROTECT) -> dict[str, Any]:
        """POST something that must not be done twice. Raises VenueRejected, RateLimited or OutcomeUnknown."""
        self._hold_back(endpoint, urgency)
        if urgency.makes_orders:
            self.budget.sent()
        try:
            answer = await getattr(self._exchange, endpoint)(params)
        except Answered as answered:
            self._refused(endpoint, answered)
            if answered.meaning is Meaning.UNKNOWN:
                raise OutcomeUnknown(f"{endpoint}: {answered}") from answered
            raise VenueRejected(answered.code or -answered.status, answered.message) from answered
        except (TimeoutError, ccxt.BaseError, OSError) as error:
            raise OutcomeUnknown(f"{endpoint}: {_short(error)}") from error
        if not isinstance(answer, dict):
            raise OutcomeUnknown(f"{endpoint}: an answer that is no object")
        return answer

    async def read(self, endpoint: str, params: dict[str, Any], urgency: Urgency = Urgency.LOOK) -> Any:
        """GET. None only when the exchange says that there is no such order; TransientError for all that is no answer.

        Refused credentials are VenueRejected: asking again does not help.
        """
        self._hold_back(endpoint, urgency)
        try:
            answer = await getattr(self._exchange, endpoint)(params)
        except Answered as answered:
            self._refused(endpoint, answered)
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

    async def permissions(self, params: dict[str, Any]) -> Any:
        """What the key may do. Raises as `read`; TransientError also where the exchange has no such endpoint."""
        if not self._account:
            raise TransientError("exchange: there is nobody to ask what the key may do")
        return await self.read("sapiGetAccountApiRestrictions", params, Urgency.ACCOUNT)

    async def close(self) -> None:
        await self._exchange.close()

    def _hold_back(self, endpoint: str, urgency: Urgency) -> None:
        wait_s = self.budget.wait_s(urgency)
        if wait_s > 0 and not (urgency is Urgency.POLL and self.budget.probe()):
            raise RateLimited(f"exchange, {endpoint}: held back for its rate limits, {wait_s:.1f} s more", wait_s)

    def _answered(self, url: str, headers: Mapping[str, str]) -> None:
        if "/sapi/" not in url:  # the account's own endpoints have limits of their own
            self.budget.note(headers)

    def _refused(self, endpoint: str, answered: Answered) -> None:
        if answered.meaning is Meaning.LIMITED:
            orders_only = answered.code == TOO_MANY_ORDERS
            wait_s = self.budget.limited(answered.retry_after_s, orders_only=orders_only)
            raise RateLimited(f"exchange, {endpoint}: {answered}", wait_s) from answered
        if answered.code is not None:
            for hear in self.refused:
                hear(answered.code)


def _addresses(known: Mapping[str, Any], base: str, account_url: str | None) -> dict[str, str]:
    """Every address that ccxt knows, led to ours: none is left that points at another host."""
    account = base if account_url is None else account_url.rstrip("/")
    paths = {name: urlsplit(url).path for name, url in known.items() if isinstance(url, str)}
    return {name: (account if name.startswith("sapi") else base) + path for name, path in paths.items()}


def decoded(kind: type[T], answer: Any, what: str) -> T:
    """Convert an answer. A read that cannot be understood is no answer: TransientError."""
    try:
        return msgspec.convert(answer, kind, strict=False)
    except msgspec.ValidationError as error:
        raise TransientError(f"exchange, {what}: {error}") from error


def _short(error: BaseException) -> str:
    # ccxt puts the whole URL with its signature into the text: only the kind and the last words are told
    return f"{type(error).__name__}: {str(error).split('?')[0][-120:]}"
