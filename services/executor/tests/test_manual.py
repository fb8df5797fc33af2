"""A person's trade: its own size and stop, judged by every gate that does not judge an opinion."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from phoenix95.common.errors import BadMessage
from phoenix95.common.events import PlaceTrade
from phoenix95.executor.core.candidate import Book, Exposure, Modes
from phoenix95.executor.core.decide import Decision, decide
from phoenix95.executor.core.gates import gates
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.manual import HOLD_MS_MAX, as_analysis
from phoenix95.executor.core.market import Market
from phoenix95.executor.core.sizing import Bracket, Rules

D = Decimal
NOW_MS = 1_721_347_200_000
PRICE = D(1_000)


def a_trade(**changes: Any) -> PlaceTrade:
    fields: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "requested_at": NOW_MS,
        "expires_at": NOW_MS + 5_000,
        "leverage": 5,
        "amount": "0.15",
    }
    return PlaceTrade(**{**fields, **changes})


MARKET = Market(last=PRICE, last_ms=NOW_MS, bid=PRICE, ask=PRICE, book_ms=NOW_MS, mark=PRICE, mark_ms=NOW_MS)
BRACKETS = (Bracket(leverage=125, floor=D(0), cap=D(300_000), rate=D("0.004"), cum=D(0)),)


def decided(
    book: Book, rules: Rules | None, *, price: Decimal | None = PRICE, now_ms: int = NOW_MS, **changes: Any
) -> Decision:
    analysis, quantity = as_analysis(a_trade(**changes), "7-0", price=price, equity=book.equity, stop_share=D("0.01"))
    return decide(
        analysis, account="main", now_ms=now_ms, uncertainty_ms=5.0, rules=rules, book=book, limits=Limits(),
        brackets=BRACKETS, market=msgspec.structs.replace(MARKET, last=price), by_hand=True, quantity=quantity,
    )  # fmt: skip


def test_it_is_entered_as_it_was_said_with_a_stop_at_the_default_distance(book: Book, rules: Rules) -> None:
    made = decided(book, rules)
    assert made.group is not None, made.decided.reason
    trade = made.group.trade
    assert (made.decided.request, trade.analysis_id) == ("7-0", "manual-BTCUSDT-c7-0")
    assert (made.group.entry.quantity, made.group.entry.side, trade.leverage) == (D("0.15"), "BUY", 5)
    assert (trade.stop_price, trade.target_price, trade.hold_ms) == (D("990.0"), None, HOLD_MS_MAX)
    assert {intent.role for intent in made.group.intents} == {"entry", "stop", "exit"}


def test_the_gates_of_opinion_are_not_asked_and_all_others_are(book: Book, rules: Rules) -> None:
    asked = {verdict.gate for verdict in decided(book, rules).decided.verdicts}
    opinions = {"confidence", "score", "risk_level", "quality"}
    assert asked == {one.name for one in gates()} - opinions


def test_a_short_has_its_default_stop_above(book: Book, rules: Rules) -> None:
    made = decided(book, rules, side="SELL", take_profit="950")
    assert made.group is not None
    assert (made.group.trade.stop_price, made.group.trade.target_price) == (D("1010.0"), D(950))


def test_a_share_of_equity_is_the_notional_over_equity(book: Book, rules: Rules) -> None:
    made = decided(book, rules, amount=None, equity_fraction="0.0199")
    assert made.group is not None
    assert made.group.entry.quantity == D("0.199")


@pytest.mark.parametrize(
    ("changes", "gate"),
    [
        ({"amount": "0.2"}, None),  # exactly 2 % of equity
        ({"amount": "0.2009"}, "size"),  # the step would hide it
        ({"amount": "0.201"}, "size"),
        ({"amount": "0.0001"}, "filters"),  # less than the exchange takes, and not raised: the person said how much
        ({"amount": "121"}, "size"),
        ({"amount": None, "equity_fraction": "0.0201"}, "size"),
        ({"leverage": 21, "stop_loss": "999"}, "leverage"),
        ({"leverage": 20, "stop_loss": "960"}, "liquidation"),
        ({"stop_loss": "959"}, "stop_distance"),
        ({"stop_loss": "1001"}, "stop"),
        ({"take_profit": "999"}, "target"),
        ({"now_ms": NOW_MS + 5_000}, None),
        ({"now_ms": NOW_MS + 5_001}, "fresh"),
        ({"price": None}, "price"),
    ],
)
def test_each_limit_is_named_and_one_step_inside_passes(
    book: Book, rules: Rules, changes: dict[str, Any], gate: str | None
) -> None:
    made = decided(book, rules, **changes)
    assert made.decided.accepted == (gate is None), made.decided.reason
    if gate is not None:
        assert f"{gate}: " in made.decided.reason


def test_a_halt_an_unknown_symbol_and_a_held_one_refuse_it(book: Book, rules: Rules) -> None:
    halted = msgspec.structs.replace(book, modes=Modes(account="HALT"))
    assert "control: the account is in HALT" in decided(halted, rules).decided.reason
    assert "symbol: BTCUSDT is not known to the exchange" in decided(book, None).decided.reason
    held = Exposure(symbol="BTCUSDT", position_side="SHORT", size=D(1), entry_price=D(10), stop_price=D(11))
    doubled = msgspec.structs.replace(book, exposures=(held,))
    assert "BTCUSDT is already held" in decided(doubled, rules).decided.reason
    unknown = msgspec.structs.replace(book, equity=None, available=None)
    assert not decided(unknown, rules).decided.accepted


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": None},
        {"equity_fraction": "0.01"},
        {"amount": "-1"},
        {"amount": "0"},
        {"amount": "NaN"},
        {"amount": "much"},
        {"stop_loss": "inf"},
        {"take_profit": ""},
    ],
)
def test_what_is_no_trade_at_all_is_bad(changes: dict[str, Any]) -> None:
    with pytest.raises(BadMessage):
        as_analysis(a_trade(**changes), "7-0", price=PRICE, equity=D(10_000), stop_share=D("0.01"))
