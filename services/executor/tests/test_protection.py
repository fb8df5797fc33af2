"""What should rest at the exchange: each option, at its edges, on both sides."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from phoenix95.common.events import Analysis
from phoenix95.executor.core.decide import decide
from phoenix95.executor.core.group import Group, Trade
from phoenix95.executor.core.intents import Intent, PositionSide, Role
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.options import Options, Target, Wish, Wishes, options_of, parse_wishes, split
from phoenix95.executor.core.protection import (
    MOVE_PAUSE_MS,
    WOULD_TRIGGER,
    Wanted,
    fits,
    refused_stops,
    resting_stop_price,
    secured,
    superseded,
    wanted,
)
from phoenix95.executor.core.sizing import Rules

D = Decimal
SIDES: tuple[PositionSide, ...] = ("LONG", "SHORT")
STEPS = {"price_tick": D("0.1"), "quantity_step": D("0.001"), "quantity_min": D("0.001")}


def at(side: PositionSide, distance: str) -> Decimal:
    """A price so far in favour of a position from 1000 (against it, when negative)."""
    return D(1_000) + (D(distance) if side == "LONG" else -D(distance))


def intent(role: Role, side: PositionSide, attempt: int = 0, **fields: Any) -> Intent:
    closing = "SELL" if side == "LONG" else "BUY"
    return Intent(
        **{
            "client_id": f"{role}{attempt}", "analysis_id": "a", "symbol": "BTCUSDT", "role": role, "attempt": attempt,
            "side": closing, "position_side": side, "quantity": D(1), "updated_ms": 0, **fields,
        }
    )  # fmt: skip


def make(side: PositionSide, *intents: Intent, entered: str = "1", **trade: Any) -> Group:
    entry = intent("entry", side, state="FILLED", quantity=D(entered), filled=D(entered), average_price=D(1_000))
    made = Trade(
        **{
            "analysis_id": "a", "symbol": "BTCUSDT", "position_side": side, "leverage": 5, "price": D(1_000),
            "stop_price": at(side, "-10"), "target_price": at(side, "20"), "hold_ms": 60_000, "expires_ms": 0,
            **trade,
        }
    )  # fmt: skip
    return Group(trade=made, intents=(entry, *intents))


def stop(side: PositionSide, distance: str, attempt: int = 0, **fields: Any) -> Intent:
    fields = {"state": "OPEN", "venue_id": "v", **fields}
    return intent("stop", side, attempt, trigger_price=at(side, distance), **fields)


def wants(group: Group, now_ms: int = 0) -> dict[tuple[str, int], Wanted]:
    return {(one.role, one.slot): one for one in wanted(group, group.held, now_ms=now_ms, refusals_max=3)}


# ---------------------------------------------------------------- without options


@pytest.mark.parametrize("side", SIDES)
def test_without_options_a_stop_and_a_target_for_all_that_is_held(side: PositionSide) -> None:
    found = wanted(make(side), D(1), now_ms=0, refusals_max=3)
    assert [(one.role, one.quantity, one.trigger_price) for one in found] == [
        ("stop", D(1), at(side, "-10")),
        ("target", D(1), at(side, "20")),
    ]


def test_without_a_target_only_a_stop() -> None:
    assert [one.role for one in wanted(make("LONG", target_price=None), D(1), now_ms=0, refusals_max=3)] == ["stop"]


# ---------------------------------------------------------------- break-even


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("seen", "moved"), [("9.9", False), ("10", True), ("10.1", True), ("-10.1", False)])
def test_the_stop_moves_to_the_entry_when_the_price_has_gone_far_enough(
    side: PositionSide, seen: str, moved: bool
) -> None:
    options = Options(breakeven_r=D(1), **STEPS)
    group = make(side, stop(side, "-10"), options=options, best_price=at(side, seen))
    want = wants(group)["stop", 0]
    assert want.trigger_price == (at(side, "1.0") if moved else at(side, "-10"))  # two taker fees of 0.05 %
    assert want.at_least == want.trigger_price


@pytest.mark.parametrize("side", SIDES)
def test_break_even_is_rounded_to_the_side_that_loses_less(side: PositionSide) -> None:
    options = Options(breakeven_r=D(1), **{**STEPS, "price_tick": D("0.3")})
    want = wants(make(side, stop(side, "-10"), options=options, best_price=at(side, "50")))["stop", 0]
    assert want.trigger_price is not None
    assert want.trigger_price % D("0.3") == 0
    distance = (want.trigger_price - 1_000) * (1 if side == "LONG" else -1)
    assert D(1) <= distance < D("1.3")


@pytest.mark.parametrize("side", SIDES)
def test_a_stop_is_never_moved_to_the_worse_side(side: PositionSide) -> None:
    options = Options(breakeven_r=D(1), **STEPS)
    group = make(side, stop(side, "5"), options=options, best_price=at(side, "50"))
    assert wants(group)["stop", 0].trigger_price == at(side, "5")


@pytest.mark.parametrize("side", SIDES)
def test_a_bigger_stop_hands_its_place_to_its_successor(side: PositionSide) -> None:
    """The quantity follows the position; the place where the moved stop rested is kept."""
    group = make(side, stop(side, "1", quantity=D(2)), entered="1")
    want = wants(group)["stop", 0]
    assert (want.quantity, want.trigger_price, want.at_least) == (D(1), at(side, "1"), at(side, "1"))


@pytest.mark.parametrize("side", SIDES)
def test_a_move_that_would_trigger_leaves_the_old_stop(side: PositionSide) -> None:
    refused = stop(side, "1.0", 1, state="REJECTED", refusal=WOULD_TRIGGER, venue_id=None, updated_ms=1_000)
    options = Options(breakeven_r=D(1), **STEPS)
    group = make(side, stop(side, "-10"), refused, options=options, best_price=at(side, "50"))
    paused, later = wants(group, 1_000 + MOVE_PAUSE_MS - 1), wants(group, 1_000 + MOVE_PAUSE_MS)
    assert paused["stop", 0].trigger_price == at(side, "-10")
    assert fits(stop(side, "-10"), paused["stop", 0], group.trade)
    assert later["stop", 0].trigger_price == at(side, "1.0")


def test_a_stop_is_not_moved_without_end() -> None:
    refused = [stop("LONG", "1.0", n, state="REJECTED", refusal=-4131, venue_id=None) for n in range(1, 6)]
    options = Options(breakeven_r=D(1), **STEPS)
    group = make("LONG", stop("LONG", "-10"), *refused, options=options, best_price=at("LONG", "50"))
    assert wants(group, 10**9)["stop", 0].trigger_price == at("LONG", "-10")


@pytest.mark.parametrize("side", SIDES)
def test_refused_moves_do_not_count_as_refused_stops(side: PositionSide) -> None:
    refused = stop(side, "1.0", 1, state="REJECTED", refusal=WOULD_TRIGGER, venue_id=None)
    group = make(side, stop(side, "-10", quantity=D(2)), refused, options=Options(breakeven_r=D(1), **STEPS))
    assert secured(group, group.held) is None
    assert refused_stops(group, group.held) == ()
    at_home = stop(side, "-10", 2, state="REJECTED", refusal=WOULD_TRIGGER, venue_id=None)
    both = msgspec.structs.replace(group, intents=(*group.intents, at_home))
    assert refused_stops(both, both.held) == (WOULD_TRIGGER,)


def test_the_break_even_stop_that_vanished_is_wanted_where_it_was() -> None:
    vanished = stop("LONG", "1.0", 1, state="EXPIRED", updated_ms=1_000)
    group = make("LONG", stop("LONG", "-10", state="CANCELED"), vanished)
    assert wants(group, 1_001)["stop", 0].at_least == at("LONG", "1.0")


@pytest.mark.parametrize("side", SIDES)
def test_a_stop_that_lies_better_stays_until_one_of_the_right_size_does(side: PositionSide) -> None:
    """Its quantity is that of a moment ago, and its successor was refused: it is the best there is at its price."""
    worse, bigger = stop(side, "-10"), stop(side, "1.0", 1, quantity=D(2))
    refused = stop(side, "1.0", 2, state="REJECTED", refusal=WOULD_TRIGGER, venue_id=None)
    waiting = make(side, worse, bigger, refused)
    assert wants(waiting, 1)["stop", 0].at_least == at(side, "-10")
    assert superseded(waiting, waiting.held) == ()
    moved = make(side, worse, bigger, stop(side, "1.0", 3))
    assert superseded(moved, moved.held) == (worse, bigger)


@pytest.mark.parametrize("side", SIDES)
def test_the_price_of_the_stop_is_the_best_that_rests(side: PositionSide) -> None:
    assert resting_stop_price(make(side)) == at(side, "-10")
    both = make(side, stop(side, "-10"), stop(side, "1", 1))
    assert resting_stop_price(both) == at(side, "1")


# ---------------------------------------------------------------- trailing


@pytest.mark.parametrize("side", SIDES)
def test_a_trailing_stop_rests_beside_the_plain_one(side: PositionSide) -> None:
    want = wants(make(side, options=Options(trailing=D("0.012"), **STEPS)))
    assert want["stop", 0].trigger_price == at(side, "-10")
    trail = want["trail", 0]
    assert (trail.quantity, trail.callback_rate, trail.trigger_price) == (D(1), D("1.2"), None)


def trail(side: PositionSide, attempt: int = 0, **fields: Any) -> Intent:
    return intent("trail", side, attempt, **{"state": "OPEN", "venue_id": "v", "callback_rate": D(1), **fields})


@pytest.mark.parametrize("side", SIDES)
def test_where_a_trailing_stop_was_is_kept_by_the_plain_one_when_it_is_replaced(side: PositionSide) -> None:
    options = Options(trailing=D("0.01"), **STEPS)
    resting = make(side, stop(side, "-10"), trail(side), options=options, best_price=at(side, "50"))
    assert wants(resting)["stop", 0].trigger_price == at(side, "-10")
    smaller = msgspec.structs.replace(resting, intents=(*resting.intents, taken(side, "0.4")))
    assert wants(smaller)["stop", 0].trigger_price == (D("1039.5") if side == "LONG" else D("959.5"))
    assert wants(smaller)["stop", 0].at_least == at(side, "-10")  # any stop will do while there is none of this size
    assert wants(smaller)["trail", 0].quantity == D("0.6")


def taken(side: PositionSide, quantity: str, slot: int = 0, **fields: Any) -> Intent:
    fields = {"state": "FILLED", "quantity": D(quantity), "filled": D(quantity), "slot": slot, **fields}
    return intent("target", side, slot, trigger_price=at(side, "10"), **fields)


def test_a_trailing_stop_that_vanishes_again_and_again_is_given_up() -> None:
    options = Options(trailing=D("0.01"), **STEPS)
    gone = [trail("LONG", n, state="ABSENT") for n in range(5)]
    assert ("trail", 0) in wants(make("LONG", *gone[:4], options=options))
    assert ("trail", 0) not in wants(make("LONG", *gone, options=options))


# ---------------------------------------------------------------- scaled targets


def scaled(side: PositionSide, *shares: str, **steps: Any) -> Options:
    targets = tuple(Target(D(share), at(side, str(10 * (n + 1)))) for n, share in enumerate(shares))
    return Options(targets=targets, **{**STEPS, **steps})


@pytest.mark.parametrize("side", SIDES)
def test_each_target_is_for_its_share_and_the_last_takes_the_rest(side: PositionSide) -> None:
    want = wants(make(side, entered="1.001", options=scaled(side, "0.5", "0.3", "0.2")))
    assert [(want["target", n].quantity, want["target", n].trigger_price) for n in range(3)] == [
        (D("0.5"), at(side, "10")),
        (D("0.3"), at(side, "20")),
        (D("0.201"), at(side, "30")),
    ]
    assert want["stop", 0].quantity == D("1.001")


@pytest.mark.parametrize("side", SIDES)
def test_after_a_target_the_stop_and_the_others_follow(side: PositionSide) -> None:
    group = make(side, taken(side, "0.5"), options=scaled(side, "0.5", "0.5"))
    want = wants(group)
    assert (want["stop", 0].quantity, want["target", 1].quantity) == (D("0.5"), D("0.5"))
    assert ("target", 0) not in want


def test_shares_that_are_not_the_whole_leave_the_rest_to_the_stop() -> None:
    want = wants(make("LONG", options=scaled("LONG", "0.5")))
    assert want["target", 0].quantity == D("0.5")
    assert wants(make("LONG", taken("LONG", "0.5"), options=scaled("LONG", "0.5"))).keys() == {("stop", 0)}


@pytest.mark.parametrize(
    ("total", "shares", "parts"),
    [
        ("1", ["0.5", "0.5"], ["0.5", "0.5"]),
        ("0.003", ["0.5", "0.5"], ["0.001", "0.002"]),
        ("0.001", ["0.5", "0.5"], ["0", "0.001"]),  # too small to be shared
        ("0.010", ["0.96", "0.04"], ["0.009", "0.001"]),
        ("0.010", ["0.04", "0.96"], ["0", "0.010"]),
        ("0.010", ["0.33", "0.33", "0.34"], ["0.003", "0.003", "0.004"]),
        ("0.010", ["0.25", "0.25"], ["0.002", "0.003"]),  # not the whole: what remains, remains
    ],
)
def test_parts_are_what_the_exchange_takes(total: str, shares: list[str], parts: list[str]) -> None:
    assert split(D(total), map(D, shares), Options(**STEPS)) == tuple(map(D, parts))


def test_a_last_part_that_is_too_small_goes_to_the_one_before() -> None:
    coarse = Options(**{**STEPS, "quantity_min": D("0.002")})
    assert split(D("0.010"), (D("0.9"), D("0.1")), coarse) == (D("0.010"), D(0))
    assert split(D("0.001"), (D("0.5"), D("0.5")), coarse) == (D(0), D("0.001"))


def test_when_a_person_took_a_part_the_nearest_targets_come_first() -> None:
    entered = make("LONG", options=scaled("LONG", "0.5", "0.5"))
    want = {one.slot: one.quantity for one in wanted(entered, D("0.6"), now_ms=0, refusals_max=3) if one.role != "stop"}
    assert want == {0: D("0.5"), 1: D("0.1")}
    one = {one.slot: one.quantity for one in wanted(entered, D("0.3"), now_ms=0, refusals_max=3) if one.role != "stop"}
    assert one == {0: D("0.3")}


def test_a_target_that_was_passed_is_taken_at_the_market_once() -> None:
    refused = intent("target", "LONG", trigger_price=D(1_010), state="REJECTED", refusal=WOULD_TRIGGER)
    group = make("LONG", refused, options=scaled("LONG", "0.5", "0.5"))
    assert wants(group)["target", 0].at_market
    sent = intent("target", "LONG", 1, quantity=D("0.5"), state="SENT")
    unknown = wants(msgspec.structs.replace(group, intents=(*group.intents, sent)))
    assert ("target", 0) not in unknown  # it may be filled: another one would take twice
    assert unknown["target", 1].quantity == D("0.5")


def test_what_a_triggered_target_may_still_take_is_nobody_elses() -> None:
    filling = taken("LONG", "0.5", state="PARTIAL", filled=D("0.2"))
    want = wants(make("LONG", filling, options=scaled("LONG", "0.5", "0.5")))
    assert (want["stop", 0].quantity, want["target", 1].quantity) == (D("0.8"), D("0.5"))
    assert ("target", 0) not in want


def test_a_target_that_is_refused_again_and_again_is_left_to_the_others() -> None:
    refused = [intent("target", "LONG", n, trigger_price=D(1_010), state="REJECTED", refusal=-4131) for n in range(3)]
    want = wants(make("LONG", *refused, options=scaled("LONG", "0.5", "0.5")))
    assert ("target", 0) not in want
    assert want["target", 1].quantity == D(1)


# ---------------------------------------------------------------- settings and prices


def test_nothing_is_on_by_default() -> None:
    assert parse_wishes(trailing=0, breakeven_r=0, targets=()) == Wishes()


def test_wishes_are_read() -> None:
    found = parse_wishes(trailing=0.012, breakeven_r=1.5, targets=("0.5@1", " 0.25 @ 2"))
    targets = (Wish(D("0.5"), D(1)), Wish(D("0.25"), D(2)))
    assert found == Wishes(trailing=D("0.012"), breakeven_r=D("1.5"), targets=targets)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trailing": 0.0009}, "0.001 to 0.2"),
        ({"trailing": 0.201}, "0.001 to 0.2"),
        ({"trailing": 0.0015}, "multiple of 0.001"),
        ({"targets": ("0.5",)}, "not a number"),
        ({"targets": ("0@1",)}, "a target is a share"),
        ({"targets": ("0.5@0",)}, "a target is a share"),
        ({"targets": ("0.6@1", "0.5@2")}, "more than the whole"),
        ({"targets": ("0.5@2", "0.5@2")}, "farther than the last"),
        ({"targets": tuple(f"0.1@{n}" for n in range(1, 10))}, "more than 8"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_wishes(**{"trailing": 0, "breakeven_r": 0, "targets": (), **changes})


@pytest.mark.parametrize("side", SIDES)
def test_targets_lie_at_multiples_of_the_initial_risk(side: PositionSide, rules: Rules) -> None:
    wishes = Wishes(targets=(Wish(D("0.5"), D(1)), Wish(D("0.5"), D("2.5"))))
    options = options_of(wishes, price=D(1_000), stop_price=at(side, "-10"), rules=rules)
    assert [target.price for target in options.targets] == [at(side, "10"), at(side, "25")]


def test_a_far_short_target_under_zero_is_left_out(rules: Rules) -> None:
    wishes = Wishes(targets=(Wish(D("0.5"), D(1)), Wish(D("0.5"), D(200))))
    options = options_of(wishes, price=D(1_000), stop_price=D(1_010), rules=rules)
    assert [target.price for target in options.targets] == [D(990)]


def test_a_decision_stores_every_order_of_the_options(
    an_analysis: Callable[..., Analysis], surroundings: dict[str, Any]
) -> None:
    limits = Limits(wishes=parse_wishes(trailing=0.01, breakeven_r=1, targets=("0.5@1", "0.5@2")))
    made = decide(
        an_analysis(), account="main", now_ms=1_721_347_200_000, uncertainty_ms=1.0,
        **surroundings | {"limits": limits},
    ).group  # fmt: skip
    assert made is not None
    assert [(one.role, one.attempt, one.slot) for one in made.intents] == [
        ("entry", 0, 0), ("stop", 0, 0), ("target", 0, 0), ("target", 1, 1), ("trail", 0, 0), ("exit", 0, 0),
    ]  # fmt: skip
    assert len({one.client_id for one in made.intents}) == 6
    assert made.trade.target_price == D("1020.0")
