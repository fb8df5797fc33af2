"""Which signals end which trades."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from phoenix95.common.events import Analysis
from phoenix95.executor.core.candidate import Limits
from phoenix95.executor.core.exits import Closing, closings
from phoenix95.executor.core.group import Group, Trade

D = Decimal
NOW_MS = 1_721_347_200_000
Make = Callable[..., Analysis]
LIMITS = Limits(confidence_min=D("0.75"), score_min=D("0.70"))


def trade(**changes: Any) -> Trade:
    fields: dict[str, Any] = {
        "analysis_id": "held", "symbol": "BTCUSDT", "position_side": "LONG", "leverage": 5, "price": D(1_000),
        "stop_price": D(990), "target_price": None, "hold_ms": 60_000, "expires_ms": NOW_MS, "stage": "PROTECTED",
        "strategy": "momentum", "decided_ms": NOW_MS - 5_000,
    }  # fmt: skip
    return Trade(**{**fields, **changes})


def ended(analysis: Analysis, *trades: Trade, now_ms: int = NOW_MS, **limits: Any) -> tuple[Closing, ...]:
    groups = [Group(trade=one, intents=()) for one in trades or (trade(),)]
    return closings(analysis, groups, now_ms=now_ms, limits=msgspec.structs.replace(LIMITS, **limits))


# ---------------------------------------------------------------- by strategy


def test_an_exit_ends_the_trade_of_its_strategy(an_analysis: Make) -> None:
    assert ended(an_analysis(action="EXIT", side=None)) == (Closing("held", "strategy"),)


def test_neither_age_nor_weakness_nor_the_settings_stop_an_exit(an_analysis: Make) -> None:
    weak = an_analysis(action="EXIT", confidence=0.0, phoenix95_score=0.0, expires_at=NOW_MS)
    assert ended(weak, now_ms=NOW_MS + 3_600_000, exit_on_opposite=False) == (Closing("held", "strategy"),)


@pytest.mark.parametrize(
    "changes",
    [
        {"strategy": "other"},
        {"symbol": "ETHUSDT"},
        {"strategy": "manual"},
        {"strategy": ""},  # a position that was adopted
        {"close_reason": "manual"},
        {"stage": "CLOSED"},
        {"decided_ms": NOW_MS + 1},  # it began after the signal: a late or repeated one is not about it
    ],
)
def test_an_exit_ends_no_other_trade(an_analysis: Make, changes: dict[str, Any]) -> None:
    assert ended(an_analysis(action="EXIT"), trade(**changes)) == ()


def test_an_exit_that_was_only_asked_for_ends_nothing(an_analysis: Make) -> None:
    assert ended(an_analysis(action="EXIT", trade=False)) == ()


@pytest.mark.parametrize("action", ["HOLD", "ERROR"])
def test_other_conclusions_end_nothing(an_analysis: Make, action: str) -> None:
    assert ended(an_analysis(action=action, side="SELL")) == ()


# ---------------------------------------------------------------- by the opposite signal


@pytest.mark.parametrize(("held", "side"), [("LONG", "SELL"), ("SHORT", "BUY")])
def test_an_entry_for_the_other_side_ends_the_trade(an_analysis: Make, held: Any, side: Any) -> None:
    opposite = an_analysis(side=side, strategy="another")
    assert ended(opposite, trade(position_side=held)) == (Closing("held", "opposite_signal"),)
    assert ended(an_analysis(side="BUY" if side == "SELL" else "SELL"), trade(position_side=held)) == ()


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        ({"confidence": 0.75}, True),
        ({"confidence": 0.7499}, False),
        ({"phoenix95_score": 0.70}, True),
        ({"phoenix95_score": 0.6999}, False),
        ({"expires_at": NOW_MS}, True),
        ({"expires_at": NOW_MS - 1}, False),
        ({"trade": False}, False),
    ],
)
def test_what_could_not_be_entered_upon_ends_nothing(an_analysis: Make, changes: dict[str, Any], ends: bool) -> None:
    assert bool(ended(an_analysis(side="SELL", **changes))) is ends


def test_the_opposite_signal_can_be_switched_off(an_analysis: Make) -> None:
    assert ended(an_analysis(side="SELL"), exit_on_opposite=False) == ()


def test_what_a_person_decided_a_person_ends(an_analysis: Make) -> None:
    assert ended(an_analysis(side="SELL"), trade(strategy="manual")) == ()


def test_two_signals_of_one_moment_do_not_fight(an_analysis: Make) -> None:
    assert ended(an_analysis(side="SELL"), trade(decided_ms=NOW_MS + 20)) == ()
