"""The feed's settings, `P95_FEED_*`."""

from typing import Annotated, Final

import msgspec

from phoenix95.common.settings import Settings

DEFAULT_SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "XRPUSDT")


class FeedSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`symbols` are those of the first start; later commands change them, and `p95:symbols` remembers.

    `seed_bars` one-minute bars are written before a symbol's first trade; 0 means none. `batch_max` trades of
    a symbol go to Redis in one call, `linger_ms` after the first of them came. `line_max` trades of a symbol
    may wait while Redis is away; later ones are fetched again. Of a hole at most the newest `backfill_max`
    trades are fetched, and `backfill_wait_ms` without progress make it a gap.
    """

    source: str = "binance"
    symbols: tuple[str, ...] = DEFAULT_SYMBOLS
    seed_bars: Annotated[int, msgspec.Meta(ge=0, le=1499)] = 1440
    batch_max: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 500
    linger_ms: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 2
    line_max: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    backfill_max: Annotated[int, msgspec.Meta(ge=1)] = 50_000
    backfill_wait_ms: Annotated[int, msgspec.Meta(ge=0)] = 60_000
