"""Every kind of difference between exchange and ledger, and that agreement is none."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from phoenix95.common.errors import ConfigError
from phoenix95.common.events import Analysis
from phoenix95.executor.config import ExecutorSettings
from phoenix95.executor.core.adoption import adopted
from phoenix95.executor.core.candidate import Book, Modes
from phoenix95.executor.core.decide import decide
from phoenix95.executor.core.flatten import Held, Resting, work
from phoenix95.executor.core.group import Fill, Group, with_intent
from phoenix95.executor.core.intents import move
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.losses import breaches
from phoenix95.executor.core.plan import Bounds, Plan, next_move
from phoenix95.executor.core.reconcile import (
    AccountMode,
    Booked,
    Config,
    Finding,
    Policy,
    Truth,
    compare,
    compare_income,
    opened_by,
)
from phoenix95.executor.core.sizing import Rules

D = Decimal
NOW_MS = 1_721_347_200_000
POLICY = Policy(symbols={"ETHUSDT": "ignore", "XRPUSDT": "alert"})
Make = Callable[..., Analysis]


@pytest.fixture
def held(an_analysis: Make, surroundings: dict[str, Any]) -> Group:
    """A long of 0.2 BTC whose stop was seen in the open list."""
    decision = decide(
        an_analysis(take_profit=None), account="main", now_ms=NOW_MS, uncertainty_ms=1.0, **surroundings,
    )  # fmt: skip
    assert decision.group is not None
    group = decision.group
    entry = move(group.entry, "SENT", signed_ms=NOW_MS, deadline_ms=NOW_MS + 5_000)
    entry = move(entry, "FILLED", filled=D("0.2"), order_id="71", average_price=D(1_000), quantity=D("0.2"))
    stop = move(move(group.of("stop")[0], "SENT", quantity=D("0.2")), "OPEN", venue_id="9")
    return with_intent(with_intent(group, entry, NOW_MS), stop, NOW_MS)


def position(symbol: str = "BTCUSDT", amount: str = "0.2", side: Any = None) -> Held:
    number = D(amount)
    return Held(
        symbol=symbol, position_side=side or ("LONG" if number > 0 else "SHORT"), amount=number,
        entry_price=D(1_000), mark_price=D(1_000), unrealized=D(0),
    )  # fmt: skip


def order(client_id: str, symbol: str = "BTCUSDT", **changes: Any) -> Resting:
    fields: dict[str, Any] = {
        "symbol": symbol, "venue_id": client_id, "client_id": client_id, "conditional": True, "kind": "STOP_MARKET",
        "side": "SELL", "position_side": "LONG", "quantity": D("0.2"), "price": D(990),
    }  # fmt: skip
    return Resting(**{**fields, **changes})


def agreeing(held: Group, **changes: Any) -> Truth:
    fields: dict[str, Any] = {
        "positions": (position(),),
        "orders": (order(held.of("stop")[0].client_id),),
        "configs": {"BTCUSDT": Config(symbol="BTCUSDT", leverage=5, isolated=True)},
        "hedged": True,
    }
    return Truth(**{**fields, **changes})


def found(truth: Truth, *groups: Group, also: tuple[Group, ...] = ()) -> list[Finding]:
    return list(compare(truth, groups, POLICY, AccountMode(), also=also))


def test_agreement_is_no_finding(held: Group) -> None:
    assert found(agreeing(held), held) == []


def test_a_size_that_differs_is_looked_into_and_waited_for_while_something_is_under_way(held: Group) -> None:
    for positions, exchange in (((position(amount="0.3"),), "0.3"), ((), "0")):
        (one,) = found(agreeing(held, positions=positions), held)
        assert (one.kind, one.action, one.ledger, one.exchange) == ("size", "look", "0.2", exchange)
    leaving = move(held.of("exit")[0], "SENT", signed_ms=NOW_MS, deadline_ms=NOW_MS + 5_000)
    (one,) = found(agreeing(held, positions=()), with_intent(held, leaving, NOW_MS))
    assert (one.kind, one.action) == ("size", "wait")


def test_a_stop_that_is_not_in_the_list_is_found(held: Group) -> None:
    (one,) = found(agreeing(held, orders=()), held)
    assert (one.kind, one.action, one.client_id) == ("unprotected", "look", held.of("stop")[0].client_id)


def test_strangers_by_the_symbols_policy(held: Group) -> None:
    strangers = (position(), position(amount="-1"), position("ETHUSDT", "2"), position("XRPUSDT", "-3"))
    one, two = found(agreeing(held, positions=strangers), held)
    assert (one.symbol, one.position_side, one.action, one.exchange) == ("BTCUSDT", "SHORT", "adopt", "1 at 1000")
    assert (two.kind, two.symbol, two.action) == ("foreign_position", "XRPUSDT", "stop_entries")
    assert found(Truth(positions=(position(),), orders=()), also=(held,)) == []  # ours a moment ago
    orders = (order("web_1"), order("web_2", "ETHUSDT"), order("p95s0", "ETHUSDT"), order("p95e0", conditional=False))
    told = [(one.kind, one.client_id, one.action) for one in found(Truth(positions=(), orders=orders))]
    assert told == [
        ("foreign_order", "web_1", "tell"), ("leftover_order", "p95s0", "cancel"), ("leftover_order", "p95e0", "cancel")
    ]  # fmt: skip


def test_our_own_leftover_stays_while_it_may_be_all_that_protects_a_position(held: Group) -> None:
    """The ledger was lost: the positions are strangers, and the stops of their former trades are leftovers."""

    def told(truth: Truth, *groups: Group) -> list[str]:
        return [one.action for one in found(truth, *groups) if one.kind == "leftover_order"]

    stops = (order("p95s0", "XRPUSDT", side="BUY", position_side="SHORT"), order("p95s1", "ETHUSDT"))
    bare = Truth(positions=(position("XRPUSDT", "-3"), position("ETHUSDT", "2")), orders=stops)
    assert told(bare) == ["tell", "tell"]  # by their policies, nobody else protects the one or the other
    one_way = order("p95s0", side="SELL", position_side="BOTH", reduces=True)
    assert told(Truth(positions=(position(),), orders=(one_way,))) == ["tell"]
    assert told(Truth(positions=(position(),), orders=(msgspec.structs.replace(one_way, reduces=False),))) == ["cancel"]
    assert told(Truth(positions=(position(amount="-1"),), orders=(order("p95s0"),))) == ["cancel"]  # of the other side
    extra = (order(held.of("stop")[0].client_id), order("p95s9"))
    assert told(agreeing(held, orders=extra), held) == ["cancel"]  # another stop covers it
    naked = with_intent(held, move(held.of("stop")[0], "CANCELED"), NOW_MS)
    assert told(agreeing(held, orders=(order("p95s9"),)), naked) == ["tell"]  # until its new one is seen


def test_settings_that_a_person_changed(held: Group) -> None:
    changed = {"BTCUSDT": Config(symbol="BTCUSDT", leverage=20, isolated=False)}
    kinds = [(one.kind, one.ledger, one.exchange) for one in found(agreeing(held, configs=changed, hedged=False), held)]
    assert kinds == [
        ("position_mode", "hedge mode", "one-way mode"),
        ("leverage", "5x", "20x"),
        ("margin_mode", "isolated margin", "cross margin"),
    ]
    assert found(agreeing(held, configs=None, hedged=None), held) == []
    trade = msgspec.structs.replace(held.trade, analysis_id="adopted-BTCUSDT-LONG-1", leverage=20)
    adopted_one = msgspec.structs.replace(held, trade=trade)
    assert found(agreeing(held, configs=changed), adopted_one) == []  # its margin mode is its maker's choice


def test_income_is_compared_by_trade_and_what_is_nobodys_is_told() -> None:
    same = Booked(
        analysis_id="a", symbol="BTCUSDT", fills_realised=D(5), income_realised=D("5.0000004"),
        fills_commission=D(-1), income_commission=D(-1),
    )  # fmt: skip
    off = msgspec.structs.replace(same, analysis_id="b", income_realised=D(4), income_commission=D(0))
    told = compare_income((same, off), {"FUNDING_FEE USDT": D("-0.5"), "COMMISSION USDT": D(0)})
    assert [(one.kind, one.analysis_id, one.ledger, one.exchange) for one in told] == [
        ("realised", "b", "5", "4"),
        ("commission", "b", "-1", "0"),
        ("income_of_nobody", None, "no trade for it", "FUNDING_FEE USDT -0.5"),
    ]


def fill(trade_id: int, side: Any, quantity: str, price: int = 1_000, order_id: str = "") -> Fill:
    return Fill(
        trade_id=trade_id, order_id=order_id or f"o{trade_id}", symbol="BTCUSDT", side=side, position_side="LONG",
        price=D(price), quantity=D(quantity), fee=D("0.1"), fee_asset="USDT", realized_pnl=D(0), time_ms=NOW_MS,
    )  # fmt: skip


def test_the_fills_since_a_position_was_flat() -> None:
    fills = [fill(1, "BUY", "1"), fill(2, "SELL", "1"), fill(3, "BUY", "2"), fill(4, "SELL", "1"), fill(5, "BUY", "1")]
    run = opened_by(fills, D(2), "LONG")
    assert run is not None
    assert [one.trade_id for one in run] == [3, 4, 5]
    assert opened_by(fills[3:], D(2), "LONG") is None


def test_a_position_that_was_turned_over_is_adopted_at_its_size(rules: Rules) -> None:
    """One-way mode: a person sold 3 while 2 were held. The fills of both sides cannot be told apart."""
    fills = [msgspec.structs.replace(one, position_side="BOTH") for one in (fill(1, "BUY", "2"), fill(2, "SELL", "3"))]
    group = adopted(
        position(amount="-1"), fills, account="main", now_ms=NOW_MS, leverage=5, rules=rules, stop_share=D("0.02"),
        recv_window_ms=5_000,
    )  # fmt: skip
    assert (group.trade.position_side, group.held, group.fills_complete) == ("SHORT", D(1), True)


@pytest.mark.parametrize("known", [True, False])
def test_an_adopted_position_is_a_trade_whose_next_move_is_its_stop(known: bool, rules: Rules) -> None:
    fills = [fill(7, "BUY", "0.3", 900, "o"), fill(8, "BUY", "0.1", 940, "o"), fill(9, "SELL", "0.2", 950)]
    stranger = msgspec.structs.replace(position(), mark_price=D(800))
    group = adopted(
        stranger, fills if known else (), account="main", now_ms=NOW_MS, leverage=3, rules=rules,
        stop_share=D("0.01"), recv_window_ms=5_000,
    )  # fmt: skip
    assert group.held == D("0.2")
    assert group.fills_complete
    assert group.trade.stop_price == D(792)  # of the mark: it is not closed for having lost already
    assert group.entry.average_price == (D(910) if known else D(1_000))
    assert all(one.trade_id > 0 for one in group.fills) == known
    chosen = next_move(group, now_ms=NOW_MS + 10, modes=Modes(), bounds=Bounds())
    assert isinstance(chosen, Plan)
    assert chosen.role == "stop"


def test_flattening_cancels_what_can_open_and_keeps_the_stops_until_flat() -> None:
    entry = order("a", conditional=False, side="BUY")
    stop = order("b")
    one_way = order("c", position_side="BOTH", side="BUY")
    reducing = order("d", position_side="BOTH", reduces=True)
    first = work((position(),), (entry, stop, one_way, reducing))
    assert ([one.client_id for one in first.cancel], len(first.close)) == (["a", "c"], 1)
    assert [one.client_id for one in work((), (stop, reducing)).cancel] == ["b", "d"]
    assert position(amount="-1").closing_side == "BUY"
    assert position(amount="1").closing_side == "SELL"


def test_the_policy_names_what_is_wrong() -> None:
    settings = ExecutorSettings(foreign="alert", foreign_symbols=("ethusdt=ignore", "BTCUSDT = adopt"))
    assert [settings.policy().of(one) for one in ("ETHUSDT", "BTCUSDT", "XRPUSDT")] == ["ignore", "adopt", "alert"]
    with pytest.raises(ConfigError, match="P95_EXECUTOR_FOREIGN_SYMBOLS"):
        ExecutorSettings(foreign_symbols=("ETHUSDT",)).policy()


def test_losses_beyond_their_limits_are_told_with_their_numbers() -> None:
    limits = Limits(daily_loss_max=D("0.05"), drawdown_max=D("0.20"))

    def causes(**changes: Any) -> list[str]:
        fields: dict[str, Any] = {"equity": D(9_500), "available": D(0), "unrealized": D(-300), "peak_equity": D(9_500)}
        return [cause for cause, _ in breaches(Book(**{**fields, **changes}), limits)]

    assert causes(day_realized=D(-200)) == []  # 500 of 10,000: not more than the limit
    assert causes(day_realized=D("-200.01")) == ["daily_loss"]
    assert causes(day_realized=D(-400), day_unrealized_before=D(-300)) == []  # unrealised yesterday already
    assert causes(peak_equity=D(11_875)) == []
    assert causes(peak_equity=D(11_876)) == ["drawdown"]
    assert causes(equity=None) == []
