"""Examples of the executor's structs, to be changed by keyword."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from phoenix95.common.events import Analysis, Quality
from phoenix95.executor.core.candidate import Book, Candidate, Limits, candidate
from phoenix95.executor.core.sizing import Rules

NOW_MS = 1_721_347_200_000


@pytest.fixture
def rules() -> Rules:
    return Rules(
        symbol="BTCUSDT",
        trading=True,
        price_tick=Decimal("0.1"),
        quantity_step=Decimal("0.001"),
        quantity_min=Decimal("0.001"),
        quantity_max=Decimal(120),
        notional_min=Decimal(5),
    )


@pytest.fixture
def an_analysis() -> Callable[..., Analysis]:
    def made(**changes: Any) -> Analysis:
        fields: dict[str, Any] = {
            "id": "momentum-BTCUSDT-1.0",
            "strategy": "momentum",
            "symbol": "BTCUSDT",
            "action": "EXECUTE",
            "side": "BUY",
            "cause": f"{NOW_MS}-1",
            "ts": NOW_MS,
            "expires_at": NOW_MS + 1_500,
            "price": 1_000.0,
            "confidence": 0.9,
            "phoenix95_score": 0.8,
            "risk_level": "low",
            "win_probability": 0.6,
            "win_samples": 100,
            "brier": 0.2,
            "position_fraction": 0.02,
            "leverage": 5,
            "stop_loss": 990.0,
            "take_profit": 1_020.0,
            "hold_ms": 60_000,
            "bar": None,
            "indicators": {"rsi": 55.0, "macd": 0.1},
            "factors": (),
            "quality": Quality(warm=True, bars=100, degraded_bars=0, spread_bps=1.0),
            "reasoning": ("trend",),
            "config": "test",
        }
        return Analysis(**{**fields, **changes})

    return made


@pytest.fixture
def book() -> Book:
    return Book(equity=Decimal(10_000), available=Decimal(10_000))


@pytest.fixture
def a_candidate(an_analysis: Callable[..., Analysis], rules: Rules, book: Book) -> Callable[..., Candidate]:
    def made(*, now_ms: int = NOW_MS + 10, uncertainty_ms: float | None = 5.0, **changes: Any) -> Candidate:
        return candidate(
            an_analysis(**changes),
            now_ms=now_ms,
            uncertainty_ms=uncertainty_ms,
            rules=changes.pop("rules", rules),
            book=book,
            limits=Limits(),
        )

    return made
