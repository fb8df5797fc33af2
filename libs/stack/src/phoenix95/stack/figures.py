"""The figures that a person watches and the summary that a program reads."""

import re
from typing import Final

import msgspec

from phoenix95.stack.census import SymbolCount

_QUANTILE: Final = re.compile(
    r'^p95_hop_latency_ms_quantile\{hop="([^"]+)",quantile="([0-9.]+)"\} (\S+)$', re.MULTILINE
)
_REPORTED: Final = {"0.5": "p50", "0.99": "p99"}


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway counts in Postgres. `equity` in quote currency, None before the first reconciliation."""

    decisions: int = 0
    orders: int = 0
    fills: int = 0
    positions: int = 0
    open_positions: int = 0
    equity: str | None = None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the live table. `lag_ms` is exchange time, the worst symbol's; None while nothing is known."""

    ticks: int
    ticks_per_second: float
    analyses: int
    ledger: Ledger
    lag_ms: int | None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to. `analyses` counts the analyses at bar closes and the replies to requests.

    Memory is the highest seen, in MB, of our Python processes. `complete` is False when a figure could not
    be asked for at the end, `settled` when the end of a recording was waited for in vain (None: not asked).
    """

    source: str
    speed: float
    seconds: float
    ticks: dict[str, int]
    gaps: dict[str, int]
    analyses: int
    decisions: int
    orders: int
    fills: int
    positions: int
    restarts: dict[str, int]
    pss_mb: dict[str, float]
    rss_mb: dict[str, float]
    latency_ms: dict[str, dict[str, float]]
    equity: str | None
    complete: bool
    settled: bool | None
    given_up: str | None


def analyses_of(counts: dict[str, SymbolCount]) -> int:
    """Analyses and replies of all symbols: each of them gets a decision."""
    return sum(count.analyses + count.replies for count in counts.values())


def worst_lag_ms(counts: dict[str, SymbolCount]) -> int | None:
    """The largest known lag."""
    return max((count.lag_ms for count in counts.values() if count.lag_ms is not None), default=None)


def latencies(metrics_text: str) -> dict[str, dict[str, float]]:
    """p50 and p99 in ms by hop, from the Prometheus text of a service."""
    found: dict[str, dict[str, float]] = {}
    for hop, q, value in _QUANTILE.findall(metrics_text):
        if q in _REPORTED:
            found.setdefault(hop, {})[_REPORTED[q]] = round(float(value), 3)
    return found


class _Info(msgspec.Struct):
    counts: dict[str, int] = {}
    equity: str | float | None = None


class _Portfolio(msgspec.Struct):
    count: int = 0


def ledger_of(info: bytes, portfolio: bytes) -> Ledger:
    """Read the gateway's /api/info and /api/portfolio. Raises msgspec.DecodeError."""
    told = msgspec.json.decode(info, type=_Info)
    counts = told.counts
    return Ledger(
        decisions=counts.get("decisions", 0),
        orders=counts.get("orders", 0),
        fills=counts.get("fills", 0),
        positions=counts.get("positions", 0),
        open_positions=msgspec.json.decode(portfolio, type=_Portfolio).count,
        equity=None if told.equity is None else str(told.equity),
    )
