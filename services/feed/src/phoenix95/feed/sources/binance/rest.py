"""Binance's history over REST, within a share of the request weight that the exchange grants."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import httpx
import msgspec

from phoenix95.common.errors import TransientError, VenueRejected
from phoenix95.feed.core.frames import AggTrade, fault_of_trade, is_positive
from phoenix95.feed.core.history import Candle

PAGE: Final = 1000  # the exchange's own limit for aggTrades
SINCE_WINDOW_MS: Final = 3_600_000  # startTime and endTime may lie an hour apart
WEIGHT_MAX: Final = 1200  # of 2400 a minute and address: orders and other clients need the rest
WEIGHT_WINDOW_S: Final = 60.0
TIMEOUT_S: Final = 5.0
CONCURRENT: Final = 2  # requests at once
RETRY_AFTER_S: Final = 5.0  # when the exchange limits us and does not say for how long
RETRY_AFTER_MAX_S: Final = 300.0
_LIMITED: Final = frozenset({418, 429})
# Codes that come with 4xx and say that the request itself was fine: overload, time-out, too many requests.
_PASSING: Final = frozenset({-1000, -1001, -1003, -1006, -1007, -1008, -1015, -1016})

T = TypeVar("T")


class _Time(msgspec.Struct, rename="camel"):
    server_time: int


class _Listing(msgspec.Struct):
    symbol: str
    status: str


class _Listings(msgspec.Struct):
    symbols: list[_Listing]


class _Refusal(msgspec.Struct):
    code: int
    msg: str = ""


class _Trade(msgspec.Struct, gc=False):
    a: int
    p: str
    q: str
    T: int
    m: bool


class _Kline(msgspec.Struct, array_like=True, gc=False):
    open_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    close_ms: int


class BinanceRest:
    """A client of the public endpoints. `used_weight` is what the exchange last said of this minute."""

    def __init__(self, url: str, *, trust_env: bool) -> None:
        self._url = url
        self._trust_env = trust_env
        self._client: httpx.AsyncClient | None = None
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._wait_until = 0.0
        self.used_weight = 0
        self.requests = 0

    async def exchange_ms(self) -> int:
        """The exchange's own time."""
        return (await self._get("time", {}, _Time)).server_time

    async def listed(self) -> frozenset[str]:
        """Symbols that trade now."""
        answer = await self._get("exchangeInfo", {}, _Listings)
        return frozenset(listing.symbol for listing in answer.symbols if listing.status == "TRADING")

    async def newest(self, symbol: str) -> AggTrade | None:
        """The last aggregate trade, or None."""
        trades = await self._trades({"symbol": symbol, "limit": 1})
        return trades[-1] if trades else None

    async def trades_from(self, symbol: str, first_id: int) -> list[AggTrade]:
        """A page of aggregate trades from `first_id` on."""
        return await self._trades({"symbol": symbol, "fromId": first_id, "limit": PAGE})

    async def trades_since(self, symbol: str, since_ms: int) -> list[AggTrade]:
        """The first page of the hour from `since_ms` on."""
        window = {"startTime": since_ms, "endTime": since_ms + SINCE_WINDOW_MS - 1}
        return await self._trades({"symbol": symbol, **window, "limit": PAGE})

    async def candles(self, symbol: str, until_ms: int, count: int) -> list[Candle]:
        """One-minute bars; those that are not made of positive numbers are left out."""
        asked: dict[str, str | int] = {"symbol": symbol, "interval": "1m", "endTime": until_ms - 1, "limit": count}
        klines = await self._get("klines", asked, list[_Kline])
        return [
            Candle(k.open_ms, k.close_ms, k.open, k.high, k.low, k.close, k.volume)
            for k in klines
            if all(map(is_positive, (k.open, k.high, k.low, k.close)))
        ]

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _trades(self, params: Mapping[str, str | int]) -> list[AggTrade]:
        """Aggregate trades, ascending; those that cannot be believed are left out and so become a gap."""
        symbol = str(params["symbol"])
        found = [
            AggTrade(
                event_ms=one.T,
                symbol=symbol,
                id=one.a,
                price=one.p,
                quantity=one.q,
                time_ms=one.T,
                buyer_is_maker=one.m,
            )
            for one in await self._get("aggTrades", params, list[_Trade])
        ]
        return sorted((trade for trade in found if fault_of_trade(trade) is None), key=lambda trade: trade.id)

    async def _get(self, path: str, params: Mapping[str, str | int], kind: type[T]) -> T:
        url = f"{self._url}/fapi/v1/{path}"
        async with self._slots:
            await asyncio.sleep(max(0.0, self._wait_until - time.monotonic()))
            if self._client is None:
                # Certificates are loaded only where they are used: they take 8 MB.
                secure = self._url.startswith("https:")
                self._client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=self._trust_env, verify=secure)
            self.requests += 1
            try:
                answer = await self._client.get(url, params=dict(params))
            except httpx.HTTPError as error:
                raise TransientError(f"{url}: {error or type(error).__name__}") from error
            self._keep_to_weight(answer)
        if answer.status_code != httpx.codes.OK:
            raise _error_of(url, answer)
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.MsgspecError as error:
            raise TransientError(f"{url}: unreadable answer: {error}") from error

    def _keep_to_weight(self, answer: httpx.Response) -> None:
        """Wait before the next request when our share of this minute is used up, or when we are told to."""
        now = time.monotonic()
        if answer.status_code in _LIMITED:
            wait_s = min(_number(answer.headers.get("Retry-After"), RETRY_AFTER_S), RETRY_AFTER_MAX_S)
            self._wait_until = now + wait_s
            return
        self.used_weight = int(_number(answer.headers.get("X-MBX-USED-WEIGHT-1M"), 0))
        if self.used_weight > WEIGHT_MAX:
            # The exchange counts by the minute of its clock, so the count starts anew within one.
            self._wait_until = now + WEIGHT_WINDOW_S / 12


def _error_of(url: str, answer: httpx.Response) -> Exception:
    """A definite refusal of the exchange, or that it may answer later."""
    try:
        refusal = msgspec.json.decode(answer.content, type=_Refusal)
    except msgspec.MsgspecError:
        return TransientError(f"{url}: HTTP {answer.status_code}")
    if answer.status_code in _LIMITED or answer.status_code >= 500 or refusal.code in _PASSING:
        return TransientError(f"{url}: HTTP {answer.status_code}: {refusal.code} {refusal.msg}")
    return VenueRejected(refusal.code, refusal.msg)


def _number(text: Any, otherwise: float) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return otherwise
