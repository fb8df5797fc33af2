"""Examples of the executor's structs, to be changed by keyword."""

import itertools
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from phoenix95.common.events import Analysis, Quality
from phoenix95.executor.core.candidate import Book, Candidate, candidate
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.market import Market
from phoenix95.executor.core.sizing import Bracket, Rules
from phoenix95.executor.ledger.migrate import upgrade
from tests.kill.nursery import Forks

NOW_MS = 1_721_347_200_000
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def ledger_template(postgres_server: Any) -> Iterator[str]:
    """A migrated database, made once; tests get copies."""
    name = f"ledger_template_{os.getpid()}"
    postgres_server.run_sql(f"CREATE DATABASE {name} TEMPLATE template0")
    upgrade(postgres_server.url(name))
    yield name
    postgres_server.run_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def forks(server_folder: Path) -> Iterator[Forks]:
    """Starts executors and paper exchanges in a moment."""
    made = Forks(server_folder / "nursery.log")
    yield made
    made.close()


@pytest.fixture
def ledger_url(postgres_server: Any, ledger_template: str) -> Iterator[str]:
    """A database of the test's own, with the tables of schema ledger and nothing in them."""
    name = f"ledger_{os.getpid()}_{next(_numbers)}"
    postgres_server.run_sql(f"CREATE DATABASE {name} TEMPLATE {ledger_template}")
    yield postgres_server.url(name)
    postgres_server.run_sql(f"DROP DATABASE {name} WITH (FORCE)")


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
def brackets() -> tuple[Bracket, ...]:
    """The first two of BTCUSDT: 125 times up to a notional of 300,000 with 0.4 %, then 75 times with 0.5 %."""
    return (
        Bracket(leverage=125, floor=Decimal(0), cap=Decimal(300_000), rate=Decimal("0.004"), cum=Decimal(0)),
        Bracket(leverage=75, floor=Decimal(300_000), cap=Decimal(3_000_000), rate=Decimal("0.005"), cum=Decimal(300)),
    )


@pytest.fixture
def market() -> Market:
    """All of it from a moment ago, at the price of `an_analysis`."""
    return Market(
        last=Decimal(1_000), last_ms=NOW_MS,
        bid=Decimal("999.9"), ask=Decimal("1000.1"), book_ms=NOW_MS,
        mark=Decimal(1_000), mark_ms=NOW_MS,
    )  # fmt: skip


@pytest.fixture
def book() -> Book:
    return Book(
        equity=Decimal(10_000), available=Decimal(10_000), wallet=Decimal(10_000), unrealized=Decimal(0),
        maintenance=Decimal(0), told_ms=NOW_MS, peak_equity=Decimal(10_000),
    )  # fmt: skip


@pytest.fixture
def surroundings(rules: Rules, brackets: tuple[Bracket, ...], market: Market, book: Book) -> dict[str, Any]:
    """What `decide` is told beside the analysis, so that a good one passes."""
    return {"rules": rules, "brackets": brackets, "market": market, "book": book, "limits": Limits()}


@pytest.fixture
def surroundings_at(surroundings: dict[str, Any]) -> Callable[[int], dict[str, Any]]:
    """The same, told at another time."""

    def made(ms: int) -> dict[str, Any]:
        market = msgspec.structs.replace(surroundings["market"], last_ms=ms, book_ms=ms, mark_ms=ms)
        return surroundings | {"market": market, "book": msgspec.structs.replace(surroundings["book"], told_ms=ms)}

    return made


@pytest.fixture
def a_candidate(
    an_analysis: Callable[..., Analysis],
    rules: Rules,
    brackets: tuple[Bracket, ...],
    market: Market,
    book: Book,
) -> Callable[..., Candidate]:
    def made(*, now_ms: int = NOW_MS + 10, uncertainty_ms: float | None = 5.0, **changes: Any) -> Candidate:
        return candidate(
            an_analysis(**changes),
            now_ms=now_ms,
            uncertainty_ms=uncertainty_ms,
            rules=rules,
            brackets=brackets,
            market=market,
            book=book,
            limits=Limits(),
        )

    return made
