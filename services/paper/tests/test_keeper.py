"""What the exchange does unasked: funding, liquidation, deleveraging, margin calls, countdowns; and its books."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.funding import FUNDING_MS
from phoenix95.paper.core.margin import liquidation_price, maintenance
from phoenix95.paper.core.position import Position
from phoenix95.paper.core.specs import brackets_of
from phoenix95.paper.exchange import Exchange

D = Decimal
RATE = D("0.0001")


def income(floor: Any, kind: str = "") -> list[Any]:
    return list(floor.exchange.records.income("", kind, 0, 1 << 60, limit=1000))


def to_funding(floor: Any) -> int:
    floor.exchange.mark(floor.ms)
    floor.ms = (floor.ms // FUNDING_MS + 1) * FUNDING_MS
    floor.exchange.mark(floor.ms - 1)
    assert income(floor, "FUNDING_FEE") == []
    floor.exchange.mark(floor.ms)
    return int(floor.ms)


@pytest.mark.parametrize(("side", "sign"), [("BUY", -1), ("SELL", 1)])
def test_funding_is_paid_at_its_time_once(floor: Any, side: str, sign: int) -> None:
    floor.order(side, "2")
    wallet = floor.exchange.account.wallet
    ms = to_funding(floor)
    floor.exchange.mark(ms + 1000)
    paid = sign * 2 * D("100.05") * RATE
    assert floor.exchange.account.wallet == wallet + paid
    (row,) = income(floor, "FUNDING_FEE")
    assert (row.symbol, D(row.income), row.time, row.trade_id) == ("BTCUSDT", paid, ms, "")
    event = floor.told("ACCOUNT_UPDATE")[-1]["a"]
    assert (event["m"], event["P"], D(event["B"][0]["bc"])) == ("FUNDING_FEE", [], paid)
    (told,) = floor.exchange.records.funding("BTCUSDT", None, 1 << 60, 9)
    assert told == {"symbol": "BTCUSDT", "fundingTime": ms, "fundingRate": "0.00010000", "markPrice": "100.05000000"}
    restarted = Exchange({"BTCUSDT": floor.exchange.markets["BTCUSDT"].spec}, floor.store, None, lambda: ms)
    restarted.mark(ms + 2000)
    assert len(income(floor, "FUNDING_FEE")) == 1


def test_isolated_funding_comes_out_of_the_positions_own_margin(floor: Any) -> None:
    floor.exchange.set_isolated("BTCUSDT", True)
    floor.exchange.keeper.set_rate("BTCUSDT", D("-0.001"))
    floor.order("BUY", "2")
    before = next(floor.exchange.account.held()).isolated
    to_funding(floor)
    assert next(floor.exchange.account.held()).isolated == before + D("0.20010")
    assert floor.told("ACCOUNT_UPDATE")[-1]["a"]["P"][0]["iw"] == f"{before + D('0.20010'):.8f}"


@given(
    st.sampled_from(["BTCUSDT", "ADAUSDT"]),
    st.integers(1, 40_000),
    st.sampled_from([-1, 1]),
    st.integers(2, 75),
    st.sampled_from([D("0.95"), D(100), D(96000)]),
)
def test_at_the_liquidation_price_the_margin_is_just_the_maintenance(
    symbol: str, size: int, sign: int, leverage: int, entry: Decimal
) -> None:
    position = Position(symbol=symbol, side="BOTH", amount=D(sign * size) / 10, entry=entry)
    collateral = abs(position.amount) * entry / leverage
    price = liquidation_price([position], collateral)
    if price:
        kept = maintenance(symbol, abs(position.amount) * price)
        assert abs(collateral + position.profit_at(price) - kept) < D("0.00001") * max(1, kept)


def test_maintenance_has_no_jump_from_one_tier_to_the_next() -> None:
    for symbol in ("BTCUSDT", "ADAUSDT"):
        for lower, upper in zip(brackets_of(symbol), brackets_of(symbol)[1:], strict=False):
            assert lower.cap * lower.rate - lower.cum == upper.floor * upper.rate - upper.cum
    assert [tier.cum for tier in brackets_of("BTCUSDT")][:5] == [0, 50, 950, 11450, 131450]  # as published


def test_a_crossed_position_counts_the_others_profit_and_maintenance(floor: Any) -> None:
    floor.quote("100.00", "100.10", "ETHUSDT")
    floor.order("BUY", "99")
    alone = floor.exchange.account.liquidation(next(floor.exchange.account.held()), floor.exchange.mark_of)
    floor.order("SELL", "99", symbol="ETHUSDT")
    floor.quote("90.00", "90.10", "ETHUSDT")
    first = next(floor.exchange.account.held("BTCUSDT"))
    shared = floor.exchange.account.liquidation(first, floor.exchange.mark_of)
    assert alone == 0  # the wallet pays for the whole position
    floor.quote("190.00", "190.10", "ETHUSDT")
    worse = floor.exchange.account.liquidation(first, floor.exchange.mark_of)
    assert shared == 0
    assert 0 < worse < 100


def test_liquidation_ends_open_orders_tells_its_shapes_and_takes_its_fee(floor: Any) -> None:
    floor.exchange.set_isolated("BTCUSDT", True)
    floor.exchange.set_leverage("BTCUSDT", 10)
    floor.order("BUY", "10")
    target = floor.limit("SELL", "10", "104.00", reduceOnly="true")
    wallet, margin = floor.exchange.account.wallet, next(floor.exchange.account.held()).isolated
    floor.quote("90.40", "90.50")
    floor.exchange.mark(floor.ms)
    assert not list(floor.exchange.account.held())
    assert floor.store.order("BTCUSDT", target.order_id, None).status == "EXPIRED"
    new, done = [e["o"] for e in floor.told("ORDER_TRADE_UPDATE") if e["o"]["c"].startswith("autoclose-")]
    assert (new["x"], new["X"], new["o"], new["f"]) == ("NEW", "NEW", "LIMIT", "IOC")
    assert (done["x"], done["X"], done["l"], done["L"], done["R"]) == ("CALCULATED", "FILLED", "10.000", "90.40", True)
    fee = D(10) * D("90.40") * D("0.0125")
    loss = D(10) * (D("90.40") - D("100.10"))
    commission = D(10) * D("90.40") * D("0.0005")
    rest = margin + loss - commission
    assert [D(row.income) for row in income(floor, "INSURANCE_CLEAR")] == [-min(fee, rest)]
    assert floor.exchange.account.wallet == wallet + loss - commission - min(fee, rest)


@pytest.mark.parametrize("isolated", [True, False])
def test_a_jump_past_bankruptcy_costs_the_margin_and_no_more(floor: Any, isolated: bool) -> None:
    if isolated:
        floor.exchange.set_isolated("BTCUSDT", True)
    floor.exchange.set_leverage("BTCUSDT", 75)
    for _ in range(1 if isolated else 70):
        floor.order("BUY", "90")
    wallet = floor.exchange.account.wallet
    margin = next(floor.exchange.account.held()).isolated if isolated else wallet
    floor.quote("50.00", "50.10")
    floor.exchange.mark(floor.ms)
    assert not list(floor.exchange.account.held())
    assert floor.exchange.account.wallet == wallet - margin
    if isolated:
        assert floor.exchange.records.all_fills()[-1].price == "98.8"  # 100.10 less its seventy-fifth part


def test_a_margin_call_is_told_once_before(floor: Any) -> None:
    floor.exchange.set_isolated("BTCUSDT", True)
    floor.exchange.set_leverage("BTCUSDT", 10)
    floor.order("BUY", "10")
    for bid in ("91.00", "90.50", "90.52", "90.50"):
        floor.quote(bid, bid)
        floor.exchange.mark(floor.ms)
    (call,) = floor.told("MARGIN_CALL")
    assert (call["p"][0]["s"], call["p"][0]["mt"]) == ("BTCUSDT", "ISOLATED")


def test_deleveraging_takes_a_part_at_the_mark(floor: Any) -> None:
    floor.order("BUY", "4")
    order = floor.exchange.keeper.deleverage("BTCUSDT", "BOTH", D(1), floor.ms)
    assert (order.client_order_id, order.status, order.executed_qty) == ("adl_autoclose", "FILLED", "1.000")
    assert floor.told("ORDER_TRADE_UPDATE")[-1]["o"]["x"] == "CALCULATED"
    floor.exchange.keeper.deleverage("BTCUSDT", "BOTH", None, floor.ms)
    assert not list(floor.exchange.account.held())
    with pytest.raises(RefusedError):
        floor.exchange.keeper.deleverage("BTCUSDT", "BOTH", None, floor.ms)


def test_a_countdown_cancels_unless_it_is_wound_up_again(floor: Any) -> None:
    floor.limit("BUY", "2", "99.00")
    keeper = floor.exchange.keeper
    keeper.count_down("BTCUSDT", 5000, floor.ms)
    keeper.count_down("BTCUSDT", 5000, floor.ms + 4000)
    floor.exchange.mark(floor.ms + 8999)
    assert floor.exchange.account.orders
    restarted = Exchange({"BTCUSDT": floor.exchange.markets["BTCUSDT"].spec}, floor.store, None, lambda: floor.ms)
    restarted.mark(floor.ms + 9000)
    assert not restarted.account.orders
    keeper.count_down("BTCUSDT", 0, floor.ms)
    floor.exchange.mark(floor.ms + 99_000)
    assert floor.exchange.account.orders  # this one was told to stop


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["market", "limit", "trade", "quote", "cancel", "fund", "mark"]),
        st.sampled_from(["BUY", "SELL"]),
        st.integers(2, 60),
        st.integers(960, 1040),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.booleans())
def test_whatever_happens_the_books_agree(make_floor: Any, steps: list[Any], isolated: bool) -> None:
    floor = make_floor()
    floor.quote("100.00", "100.10")
    floor.exchange.set_isolated("BTCUSDT", isolated) if isolated else None
    for what, side, size, tenths in steps:
        price = f"{tenths / 10:.2f}"
        try:
            _step(floor, what, side, str(size), price)
        except RefusedError:
            continue
    account, fills = floor.exchange.account, floor.exchange.records.all_fills()
    assert sum((D(row.income) for row in income(floor)), D(0)) == account.wallet
    signed = sum((D(fill.qty) * (1 if fill.side == "BUY" else -1) for fill in fills), D(0))
    assert sum((position.amount for position in account.held()), D(0)) == signed
    for order in floor.exchange.records.all_orders():
        own = [fill for fill in fills if fill.order_id == order.order_id]
        assert sum((D(fill.qty) for fill in own), D(0)) == D(order.executed_qty)
        assert (order.status in ("NEW", "PARTIALLY_FILLED")) == (order.order_id in account.orders)
    again = Exchange({"BTCUSDT": floor.exchange.markets["BTCUSDT"].spec}, floor.store, None, lambda: floor.ms)
    assert again.account.wallet == account.wallet
    assert again.account.orders == account.orders
    assert {p.side: p for p in again.account.held()} == {p.side: p for p in account.held()}


def _step(floor: Any, what: str, side: str, size: str, price: str) -> None:
    if what == "market":
        floor.order(side, size)
    elif what == "limit":
        floor.limit(side, size, price)
    elif what == "trade":
        floor.trade(price, quantity=size, maker=side == "BUY")
    elif what == "quote":
        floor.quote(price, f"{float(price) + 0.1:.2f}", size=size)
    elif what == "cancel":
        for order in floor.exchange.account.resting()[:1]:
            floor.exchange.cancel(order)
    elif what == "fund":
        floor.exchange.charge_funding()
    else:
        floor.exchange.mark(floor.ms)
