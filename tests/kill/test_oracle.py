"""The oracle sees what it is there for: planted doubles, gaps in protection, and books that do not tie."""

from decimal import Decimal
from typing import Any

from phoenix95.common.ids import client_order_id
from tests.kill.oracle import (
    Executed,
    Naked,
    Resting,
    entry_violations,
    executed_of,
    ledger_violations,
    naked_stretches,
    resting_of,
)  # fmt: skip

D = Decimal
PLACE = ("BTCUSDT", "LONG")


def test_a_stop_after_the_fill_and_a_stop_that_vanishes_leave_stretches() -> None:
    trades = [Executed(100, PLACE, D(2)), Executed(900, PLACE, D(-2))]
    stops = [Resting(PLACE, D(2), 150, 400), Resting(PLACE, D(2), 500, 900)]
    assert naked_stretches(trades, stops, 1_000) == [Naked(PLACE, 100, 150), Naked(PLACE, 400, 500)]


def test_a_new_stop_before_the_old_one_goes_leaves_none_and_a_smaller_one_does() -> None:
    trades = [Executed(100, PLACE, D(2))]
    moved = [Resting(PLACE, D(2), 100, 300), Resting(PLACE, D(2), 300, None)]
    assert naked_stretches(trades, moved, 1_000) == []
    assert naked_stretches(trades, [Resting(PLACE, D(1), 100, None)], 1_000) == [Naked(PLACE, 100, 1_000)]


def test_another_side_or_symbol_protects_nothing() -> None:
    stops = [Resting(("BTCUSDT", "SHORT"), D(2), 0, None), Resting(("ETHUSDT", "LONG"), D(2), 0, None)]
    assert [one.ms for one in naked_stretches([Executed(100, PLACE, D(2))], stops, 300)] == [200]


def test_a_stretch_belongs_to_a_kill_only_when_nobody_was_there() -> None:
    assert Naked(PLACE, 100, 200).meets([(150, 160)])
    assert not Naked(PLACE, 100, 200).meets([(200, 300), (0, 100)])


def test_the_exchanges_lists_are_read_with_their_signs() -> None:
    def trade(side: str, position_side: str) -> dict[str, Any]:
        return {"time": 5, "symbol": "BTCUSDT", "positionSide": position_side, "side": side, "qty": "1.5"}

    signs = [one.signed for one in executed_of([trade("BUY", "LONG"), trade("SELL", "LONG"), trade("SELL", "SHORT")])]
    assert signs == [D("1.5"), D("-1.5"), D("1.5")]
    algo = {
        "symbol": "BTCUSDT", "positionSide": "LONG", "quantity": "1", "createTime": 1, "updateTime": 9,
        "clientAlgoId": "p95sabc", "algoStatus": "CANCELED",
    }  # fmt: skip
    rejected, target = {**algo, "algoStatus": "REJECTED"}, {**algo, "clientAlgoId": "p95tabc"}
    still_there = {**algo, "algoStatus": "NEW"}
    assert [one.until_ms for one in resting_of([algo, rejected, target, still_there])] == [9, None]


def test_two_entries_and_an_unexplained_one_are_found() -> None:
    def entry(client_id: str, executed: str = "1") -> dict[str, str]:
        return {"clientOrderId": client_id, "executedQty": executed}

    first, second = (client_order_id("main", "one", "e", number) for number in (0, 1))
    assert entry_violations([entry(first), entry(second, "0")], ["one"], "main") == []
    assert entry_violations([entry(first), entry(first)], ["one"], "main") == ["2 entries for one"]
    assert entry_violations([entry(first), entry(second)], ["one"], "main") == ["2 entries for one"]
    assert len(entry_violations([entry("p95estranger")], ["one"], "main")) == 1


def test_books_that_do_not_tie_are_found() -> None:
    trade = {"symbol": "BTCUSDT", "id": 7, "qty": "1", "price": "10", "commission": "0.1"}
    fill = {"symbol": "BTCUSDT", "trade_id": 7, "quantity": D(1), "price": D(10), "fee": D("0.1")}
    intent = {"client_id": "p95e1", "state": "FILLED"}
    assert ledger_violations([trade], [fill], [intent], {"p95e1"}) == []
    assert len(ledger_violations([trade], [], [intent], {"p95e1"})) == 2  # lacking, and different
    assert len(ledger_violations([], [fill], [intent], {"p95e1"})) == 1
    assert len(ledger_violations([trade], [{**fill, "fee": D(0)}], [intent], {"p95e1"})) == 1
    assert len(ledger_violations([], [], [], {"p95e1"})) == 1
    assert len(ledger_violations([], [], [intent], set())) == 1
    assert ledger_violations([], [], [{**intent, "state": "ABSENT"}], set()) == []
