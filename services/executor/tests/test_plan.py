"""What the protocol makes of odd answers: fills in any order, reports that do not fit, limits, the exchange's own."""

import itertools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from phoenix95.common.events import Analysis
from phoenix95.executor.core.candidate import Modes
from phoenix95.executor.core.decide import attempt, decide
from phoenix95.executor.core.group import Fill, Group, with_fills, with_intent
from phoenix95.executor.core.intents import LIMITED, Intent, move
from phoenix95.executor.core.observe import ConditionalReport, Report, not_found, seen_conditional, seen_order
from phoenix95.executor.core.plan import (
    BeginClose,
    Bounds,
    Cancel,
    Finish,
    Look,
    MarkProtected,
    Move,
    Name,
    Plan,
    Send,
    next_move,
)  # fmt: skip
from phoenix95.executor.core.protection import Wanted

D = Decimal
NOW_MS = 1_721_347_200_000
BOUNDS = Bounds()


@pytest.fixture
def planned(an_analysis: Callable[..., Analysis], surroundings: dict[str, Any]) -> Group:
    decision = decide(
        an_analysis(),
        account="test",
        now_ms=NOW_MS,
        uncertainty_ms=1.0,
        **surroundings,
    )
    assert decision.group is not None
    return decision.group


def signed(intent: Intent) -> Intent:
    return move(intent, "SENT", signed_ms=NOW_MS, deadline_ms=NOW_MS + 5_000, updated_ms=NOW_MS)


def report(state: str, filled: str, order_id: str = "7", updated_ms: int | None = None) -> Report:
    return Report(
        order_id=order_id, client_id="c", state=state, filled=D(filled),  # type: ignore[arg-type]
        average_price=D(1_000), updated_ms=updated_ms,
    )  # fmt: skip


def entered(group: Group, filled: str = "0.2", state: str = "FILLED", at_ms: int = NOW_MS + 50) -> Group:
    entry = seen_order(signed(group.entry), report(state, filled, updated_ms=at_ms), NOW_MS + 400)
    return with_intent(group, entry, NOW_MS + 400)


def stopped(group: Group, quantity: str | None = None) -> Group:
    """With a verified stop, of all that is held unless said otherwise."""
    stop = msgspec.structs.replace(signed(group.of("stop")[0]), quantity=D(quantity) if quantity else group.held)
    listed = ConditionalReport(
        venue_id="9", client_id=stop.client_id, symbol=stop.symbol, state="OPEN", quantity=stop.quantity
    )
    return with_intent(group, seen_conditional(stop, listed, NOW_MS + 500, listed=True), NOW_MS + 500)


def fill(trade_id: int, quantity: str, order_id: str = "7", **changes: Any) -> Fill:
    fields: dict[str, Any] = {
        "trade_id": trade_id, "order_id": order_id, "symbol": "BTCUSDT", "side": "BUY", "position_side": "LONG",
        "price": D(1_000), "quantity": D(quantity), "fee": D("0.1"), "fee_asset": "USDT", "realized_pnl": D(0),
        "time_ms": NOW_MS + 60,
    }  # fmt: skip
    return Fill(**{**fields, **changes})


def asked(group: Group, now_ms: int = NOW_MS + 600, modes: Modes | None = None) -> Move:
    return next_move(group, now_ms=now_ms, modes=modes or Modes(), bounds=BOUNDS)


def another_stop(group: Group) -> Plan:
    place = group.trade.stop_price
    return Plan("stop", wanted=Wanted(role="stop", quantity=group.held, trigger_price=place, at_least=place))


def in_stage(group: Group, stage: Any, **changes: Any) -> Group:
    return msgspec.structs.replace(group, trade=msgspec.structs.replace(group.trade, stage=stage, **changes))


# ---------------------------------------------------------------- fills


def test_fills_count_once_in_any_order(planned: Group) -> None:
    group = entered(planned)
    parts = [fill(11, "0.05"), fill(12, "0.1"), fill(9, "0.05")]
    for order in itertools.permutations([*parts, parts[0]]):
        told = group
        for one in order:
            told = with_fills(told, [one], NOW_MS + 900)
        assert [one.trade_id for one in told.fills] == [9, 11, 12]
        assert (told.fills_complete, told.held) == (True, D("0.2"))


def test_the_list_of_trades_is_stronger_than_a_report(planned: Group) -> None:
    """An order that ended with less than its trades show would else never be complete: the trade hung for ever."""
    group = entered(planned, "0.1", "CANCELED")
    told = with_fills(group, [fill(1, "0.1"), fill(2, "0.1", price=D(1_010))], NOW_MS + 900)
    assert (told.entry.filled, told.entry.average_price, told.entry.state) == (D("0.2"), D(1_005), "CANCELED")
    assert (told.held, told.fills_complete) == (D("0.2"), True)


def test_a_name_once_learned_stays(planned: Group) -> None:
    named = fill(3, "0.2", "66", side="SELL", client_id="autoclose-1")
    told = with_fills(with_fills(entered(planned), [named], NOW_MS), [fill(3, "0.2", "66", side="SELL")], NOW_MS)
    assert told.fills[0].client_id == "autoclose-1"


# ---------------------------------------------------------------- reports


@pytest.mark.parametrize("state", ["OPEN", "REJECTED"])
def test_a_report_that_does_not_fit_is_passed_over(planned: Group, state: str) -> None:
    entry = seen_order(signed(planned.entry), report("PARTIAL", "0.1"), NOW_MS)
    assert seen_order(entry, report(state, "0.1"), NOW_MS + 1) == entry


def test_a_partly_filled_order_never_becomes_absent(planned: Group) -> None:
    entry = seen_order(signed(planned.entry), report("PARTIAL", "0.1"), NOW_MS)
    for _ in range(10):
        entry = not_found(entry, NOW_MS + 100_000, 0)
    assert entry.state == "PARTIAL"


def test_a_listed_stop_after_its_partial_trigger_changes_nothing(planned: Group) -> None:
    stop = move(signed(planned.of("stop")[0]), "PARTIAL", filled=D("0.1"))
    listed = ConditionalReport(venue_id="9", client_id=stop.client_id, symbol="X", state="OPEN", quantity=D("0.2"))
    assert seen_conditional(stop, listed, NOW_MS, listed=True) == stop


def test_found_again_counts_from_nothing(planned: Group) -> None:
    entry = seen_order(signed(planned.entry), report("OPEN", "0"), NOW_MS)
    for _ in range(6):
        entry = not_found(entry, NOW_MS + 100_000, 0)
        entry = seen_order(entry, report("OPEN", "0"), NOW_MS)
    assert (entry.state, entry.not_found) == ("OPEN", 0)


# ---------------------------------------------------------------- sizes


def test_the_stop_follows_what_is_held(planned: Group) -> None:
    part = stopped(entered(planned, "0.1", "PARTIAL"))
    assert part.protected
    whole = with_intent(part, seen_order(part.entry, report("FILLED", "0.2"), NOW_MS + 700), NOW_MS + 700)
    assert not whole.protected
    assert asked(whole) == another_stop(whole)
    more = with_intent(
        whole, attempt(whole, "stop", number=1, account="test", now_ms=NOW_MS, quantity=whole.held), NOW_MS
    )
    assert asked(more) == Send(more.of("stop")[1].client_id, D("0.2"))


def test_a_stop_that_triggered_in_part_leaves_the_rest_to_protect(planned: Group) -> None:
    group = stopped(entered(planned))
    stop = group.of("stop")[0]
    made = ConditionalReport(
        venue_id="9", client_id=stop.client_id, symbol="X", state="TRIGGERED", quantity=D("0.2"),
        order=report("PARTIAL", "0.15", "70"),
    )  # fmt: skip
    after = with_intent(group, seen_conditional(stop, made, NOW_MS + 600, listed=False), NOW_MS + 600)
    assert (after.held, after.of("stop")[0].state, after.protected) == (D("0.05"), "PARTIAL", False)
    assert asked(after) == another_stop(after)


def test_an_exit_filled_in_part_is_followed_by_another(planned: Group) -> None:
    group = stopped(entered(planned))
    group = in_stage(group, "CLOSING", close_reason="manual")
    done = move(signed(group.of("exit")[0]), "EXPIRED", filled=D("0.15"), order_id="71")
    after = with_intent(group, done, NOW_MS + 600)
    assert (after.held, asked(after)) == (D("0.05"), Plan("exit"))


def test_an_exit_that_is_too_large_for_one_order_becomes_several(planned: Group) -> None:
    """What a person opened may be more than the exchange takes at once: it must not be held for ever."""
    group, now_ms, sent = in_stage(entered(planned), "CLOSING", close_reason="manual"), NOW_MS, list[Decimal]()
    for number in range(20):
        now_ms += 10_000
        if number > 0:
            assert isinstance(asked(group, now_ms), Plan)
            new = attempt(group, "exit", number=number, account="test", now_ms=now_ms, quantity=group.held)
            group = with_intent(group, new, now_ms)
        sending = asked(group, now_ms)
        assert isinstance(sending, Send)
        sent.append(sending.quantity)
        one = move(signed(group.of("exit")[-1]), "SENT", quantity=sending.quantity)
        if sending.quantity > D("0.06"):
            one = move(one, "REJECTED", refusal=-4005, updated_ms=now_ms)
        else:
            one = move(one, "FILLED", filled=sending.quantity, order_id=f"x{number}", updated_ms=now_ms)
        group = with_intent(group, one, now_ms)
        if group.held == 0:
            break
    assert sent == [D("0.2"), D("0.1"), D("0.05"), D("0.05"), D("0.05"), D("0.05")]


def test_a_target_filled_in_part_shrinks_the_stop(planned: Group) -> None:
    group = stopped(entered(planned))
    target = move(signed(group.of("target")[0]), "PARTIAL", filled=D("0.05"), order_id="72")
    after = with_intent(group, target, NOW_MS + 600)
    assert (after.held, asked(after)) == (D("0.15"), another_stop(after))


def test_a_stop_whose_quantity_somebody_changed_is_no_full_stop(planned: Group) -> None:
    group = stopped(entered(planned))
    stop = group.of("stop")[0]
    listed = ConditionalReport(venue_id="9", client_id=stop.client_id, symbol="X", state="OPEN", quantity=D("0.1"))
    after = with_intent(group, seen_conditional(stop, listed, NOW_MS + 900, listed=True), NOW_MS + 900)
    assert (after.protected, after.trade.naked_since_ms, asked(after)) == (False, NOW_MS + 900, another_stop(after))


# ---------------------------------------------------------------- naked time


def test_a_position_is_open_and_naked_from_its_fill_on(planned: Group) -> None:
    group = entered(planned, at_ms=NOW_MS + 50)
    assert (group.trade.opened_ms, group.trade.naked_since_ms, group.trade.stage) == (
        NOW_MS + 50, NOW_MS + 50, "PROTECTING",
    )  # fmt: skip


def test_an_old_fill_gets_its_stop_before_it_is_given_up(planned: Group) -> None:
    """Seen only after a crash: the first thing is the stop, and closing comes when that did not help."""
    group = entered(planned)
    late_ms = NOW_MS + 50 + BOUNDS.naked_ms + 1
    assert asked(group, late_ms) == Send(group.of("stop")[0].client_id, group.held)
    tried = with_intent(group, signed(group.of("stop")[0]), late_ms)
    assert isinstance(asked(tried, late_ms), BeginClose)


@pytest.mark.parametrize("gone", ["CANCELED", "EXPIRED", "ABSENT"])
def test_protected_goes_back_to_protecting_when_the_stop_is_gone(planned: Group, gone: Any) -> None:
    group = in_stage(stopped(entered(planned)), "PROTECTED")
    stop = move(group.of("stop")[0], gone)
    after = with_intent(group, stop, NOW_MS + 9_000)
    assert (after.trade.stage, after.trade.naked_since_ms) == ("PROTECTING", NOW_MS + 9_000)
    assert asked(after) == another_stop(after)


def test_protection_is_looked_at_every_ten_seconds_whatever_the_settings(planned: Group) -> None:
    group = msgspec.structs.replace(planned, trade=msgspec.structs.replace(planned.trade, target_price=None))
    group = in_stage(stopped(entered(group)), "PROTECTED", hold_ms=10**9)
    slow = Bounds(poll_ms=600_000)
    assert next_move(group, now_ms=NOW_MS + 900, modes=Modes(), bounds=slow) == Look(10_000)


def test_a_stop_that_was_not_found_is_asked_for_again_soon(planned: Group) -> None:
    group = msgspec.structs.replace(planned, trade=msgspec.structs.replace(planned.trade, target_price=None))
    group = in_stage(stopped(entered(group)), "PROTECTED", hold_ms=10**9)
    group = with_intent(group, not_found(group.of("stop")[0], NOW_MS + 900, 0), NOW_MS + 900)
    assert asked(group, NOW_MS + 900) == Look(BOUNDS.look_ms)


# ---------------------------------------------------------------- rate limits


def refused(group: Group, number: int, code: int) -> Group:
    stop = attempt(group, "stop", number=number, account="test", now_ms=NOW_MS, quantity=group.held)
    return with_intent(group, move(signed(stop), "REJECTED", refusal=code, updated_ms=NOW_MS + 500), NOW_MS + 500)


def test_a_rate_limit_is_no_refusal_of_the_stop(planned: Group) -> None:
    group = entered(planned)
    for number in range(4):
        group = refused(group, number, LIMITED)
    assert asked(group, NOW_MS + 600) == Look(BOUNDS.look_ms)  # held off
    assert asked(group, NOW_MS + 2_000) == another_stop(group)
    for number in range(4):
        group = refused(group, number, -4045)
    assert isinstance(asked(group, NOW_MS + 2_000), BeginClose)


# ---------------------------------------------------------------- who closed it


@pytest.mark.parametrize(
    ("client_id", "reason"),
    [
        ("autoclose-123", "liquidation"),
        ("adl_autoclose", "adl"),
        ("settlement_autoclose-1", "settlement"),
        ("web_abc", "external"),
        ("", "external"),
    ],
)
def test_who_closed_it_is_told_by_the_foreign_order(planned: Group, client_id: str, reason: str) -> None:
    group = with_fills(stopped(entered(planned)), [fill(1, "0.2"), fill(2, "0.2", "66", side="SELL")], NOW_MS)
    group = with_intent(group, move(group.of("stop")[0], "CANCELED"), NOW_MS)
    assert asked(group) == Name(("66",))
    named = with_fills(group, [fill(2, "0.2", "66", side="SELL", client_id=client_id)], NOW_MS)
    assert asked(named) == Finish(reason)  # type: ignore[arg-type]


# ---------------------------------------------------------------- without the ledger


def remembered(group: Group) -> Group:
    return msgspec.structs.replace(group, remembered=True)


def test_from_memory_only_what_was_stored_with_the_entry_is_sent(planned: Group) -> None:
    group = remembered(entered(planned))
    assert asked(group) == Send(group.of("stop")[0].client_id, group.held)
    safe = stopped(group)
    assert isinstance(asked(stopped(entered(planned))), Send)  # the target
    assert isinstance(asked(safe), Look)
    closing = in_stage(safe, "CLOSING", close_reason="unprotected")
    assert asked(closing) == Send(group.of("exit")[0].client_id, group.held)


def test_from_memory_nothing_new_is_planned_marked_cancelled_or_finished(planned: Group) -> None:
    bare = msgspec.structs.replace(planned, trade=msgspec.structs.replace(planned.trade, target_price=None))
    safe = stopped(entered(bare))
    gone = with_intent(safe, move(safe.of("stop")[0], "CANCELED"), NOW_MS + 500)
    flat = with_fills(safe, [fill(1, "0.2"), fill(2, "0.2", "66", side="SELL", client_id="web")], NOW_MS)
    for group, usual in ((safe, MarkProtected), (gone, Plan), (flat, Cancel)):
        assert isinstance(asked(group), usual)
        assert isinstance(asked(remembered(group)), Look)
    assert isinstance(asked(remembered(gone), NOW_MS + 60_000), BeginClose)
