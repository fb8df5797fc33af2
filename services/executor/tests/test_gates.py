from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from phoenix95.common.events import Analysis
from phoenix95.executor.core.candidate import Book, Candidate, Exposure, Limits, Modes, candidate
from phoenix95.executor.core.gates import STAGES, gates, verdicts
from phoenix95.executor.core.sizing import Rules

D = Decimal
NOW_MS = 1_721_347_200_000
Make = Callable[..., Candidate]


def refusals(found: Candidate, book: Book, limits: Limits | None = None) -> set[str]:
    return {one.gate for one in verdicts(found, book, limits or Limits()) if one.reason is not None}


def held(symbol: str, *, size: str = "1", entry: str = "1000", stop: str = "990", side: Any = "LONG") -> Exposure:
    return Exposure(symbol=symbol, position_side=side, size=D(size), entry_price=D(entry), stop_price=D(stop))


def test_a_good_candidate_passes_every_gate(a_candidate: Make, book: Book) -> None:
    assert refusals(a_candidate(), book) == set()


@pytest.mark.parametrize(
    ("changes", "gate"),
    [
        ({"confidence": 0.75}, None),
        ({"confidence": 0.7499}, "confidence"),
        ({"confidence": float("nan")}, "confidence"),
        ({"phoenix95_score": 0.70}, None),
        ({"phoenix95_score": 0.6999}, "score"),
        ({"risk_level": "high"}, None),
        ({"risk_level": "critical"}, "risk_level"),
        ({"position_fraction": 0.02}, None),
        ({"position_fraction": 0.0201}, "size"),
        ({"position_fraction": -0.01}, "size"),
        ({"leverage": 20, "stop_loss": 999.0}, None),
        ({"leverage": 21, "stop_loss": 999.0}, "leverage"),
        ({"leverage": 0}, "leverage"),
        ({"stop_loss": None}, "stop"),
        ({"stop_loss": 1_000.0}, "stop"),
        ({"stop_loss": 1_001.0}, "stop"),
        ({"stop_loss": 960.0}, None),  # exactly twice the position's risk
        ({"stop_loss": 959.9}, "stop"),
        ({"side": "SELL", "stop_loss": 1_010.0, "take_profit": 980.0}, None),
        ({"side": "SELL", "stop_loss": 990.0, "take_profit": 980.0}, "stop"),
        ({"side": "SELL", "stop_loss": 1_010.0, "take_profit": 1_020.0}, "target"),
        ({"take_profit": 999.0}, "target"),
        ({"take_profit": None}, None),
        ({"leverage": 20, "stop_loss": 968.0}, None),  # 4 % to liquidation, 3.2 % and a quarter to the stop
        ({"leverage": 20, "stop_loss": 967.9}, "liquidation"),
        ({"now_ms": NOW_MS + 1_500}, None),
        ({"now_ms": NOW_MS + 1_501}, "fresh"),
        ({"uncertainty_ms": 250.0}, None),
        ({"uncertainty_ms": 250.1}, "fresh"),
        ({"uncertainty_ms": None}, "fresh"),
    ],
)
def test_refuses_only_past_the_limit(a_candidate: Make, book: Book, changes: dict[str, Any], gate: str | None) -> None:
    found = refusals(a_candidate(**changes), book)
    assert (gate in found) if gate else found == set()


@pytest.mark.parametrize(
    ("exposures", "gate"),
    [
        ((held("ETHUSDT", stop="150"),), None),  # 853 + about 2.4 of 10,000 at risk
        ((held("ETHUSDT", size="1.2", stop="150"),), "portfolio_risk"),
        ((held("ETHUSDT", size="9", stop="1200"),), None),  # a stop in profit risks nothing, whatever the size
        ((held("ETHUSDT", size="9", stop="800", side="SHORT"),), None),
        ((held("ETHUSDT", size="9.8", stop="1200"),), None),
        ((held("ETHUSDT", size="9.801", stop="1200"),), "exposure"),
        (tuple(held(f"S{n}USDT", size="0.01") for n in range(9)), None),
        (tuple(held(f"S{n}USDT", size="0.01") for n in range(10)), "active_positions"),
        ((held("BTCUSDT", size="0.01"),), "active_positions"),
    ],
)
def test_the_portfolio_counts_what_is_held(
    a_candidate: Make, book: Book, exposures: tuple[Exposure, ...], gate: str | None
) -> None:
    found = refusals(a_candidate(), msgspec.structs.replace(book, exposures=exposures))
    assert (gate in found) if gate else found == set()


@pytest.mark.parametrize(
    ("modes", "refused"),
    [
        (Modes(), False),
        (Modes(account="REDUCE_ONLY"), True),
        (Modes(account="HALT"), True),
        (Modes(account="FLATTEN"), True),
        (Modes(symbols={"BTCUSDT": "HALT"}), True),
        (Modes(symbols={"ETHUSDT": "HALT"}), False),
    ],
)
def test_a_halt_stops_entries(a_candidate: Make, book: Book, modes: Modes, refused: bool) -> None:
    assert ("control" in refusals(a_candidate(), msgspec.structs.replace(book, modes=modes))) == refused


def test_no_entry_before_the_recovery_has_finished(a_candidate: Make, book: Book) -> None:
    assert refusals(a_candidate(), msgspec.structs.replace(book, not_ready="recovering")) == {"control"}


@pytest.mark.parametrize("available", [None, D(0), D(40)])
def test_the_margin_must_be_there(a_candidate: Make, book: Book, available: Decimal | None) -> None:
    assert "balance" in refusals(a_candidate(), msgspec.structs.replace(book, available=available))


def test_an_unknown_symbol_is_refused(an_analysis: Callable[..., Analysis], book: Book) -> None:
    found = candidate(an_analysis(), now_ms=NOW_MS, uncertainty_ms=1.0, rules=None, book=book, limits=Limits())
    assert {"symbol", "size"} <= refusals(found, book)


# ---------------------------------------------------------------- what holds for every gate, by being one


EXTREMES = (float("nan"), float("inf"), -1.0, 0.0, 1e18)


@pytest.mark.parametrize("name", [one.name for one in gates()])
@pytest.mark.parametrize("number", EXTREMES)
def test_no_gate_fails_on_strange_numbers(
    name: str, number: float, a_candidate: Make, rules: Rules, book: Book
) -> None:
    gate = next(one for one in gates() if one.name == name)
    fields = ("price", "confidence", "phoenix95_score", "position_fraction", "stop_loss", "take_profit")
    for field in fields:
        found = a_candidate(**{field: number})
        for seen in (book, Book(equity=None, available=None), Book(equity=D(0), available=D(0))):
            finding = gate.check(found, seen, Limits())
            assert all(isinstance(value, str) for value in finding.numbers.values())
            assert finding.reason is None or finding.reason


def test_strange_numbers_never_pass_all_gates(a_candidate: Make, book: Book) -> None:
    for field in ("price", "confidence", "phoenix95_score", "position_fraction", "stop_loss"):
        for number in (float("nan"), -1.0, 0.0):
            assert refusals(a_candidate(**{field: number}), book), (field, number)


def test_gates_are_asked_stage_by_stage() -> None:
    order = [STAGES.index(one.stage) for one in gates()]
    assert order == sorted(order)
    assert set(order) == {0, 1, 2}
    assert len({one.name for one in gates()}) == len(order)
