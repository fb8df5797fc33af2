"""What an answer of the exchange makes of an intent."""

from decimal import Decimal
from typing import Final, Literal

import msgspec

from phoenix95.executor.core.intents import TERMINAL, Intent, State, may_become, move

# "no such order" ends an intent only when the exchange can no longer take it. One early answer may count,
# so that there are always two after the deadline.
ABSENT_ANSWERS: Final = 3

# A conditional order that the exchange still calls open but does not list, and that has made no order, protects
# nothing. The list may lag behind for a moment, so that many looks in a row must have missed it.
UNLISTED_LOOKS: Final = 10


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A plain order as the exchange tells it. `average_price` is None while nothing is filled; `updated_ms` is when it
    last changed, by the exchange's clock (None: not told)."""

    order_id: str
    client_id: str
    state: Literal["OPEN", "PARTIAL", "FILLED", "CANCELED", "REJECTED", "EXPIRED"]
    filled: Decimal
    average_price: Decimal | None
    updated_ms: int | None = None


class ConditionalReport(msgspec.Struct, frozen=True, kw_only=True):
    """A conditional order as the exchange tells it. `order` is the plain order that its trigger made, if any."""

    venue_id: str
    client_id: str
    symbol: str
    state: Literal["OPEN", "TRIGGERED", "CANCELED", "REJECTED", "EXPIRED"]
    quantity: Decimal
    order: Report | None = None


def seen_order(intent: Intent, report: Report, now_ms: int) -> Intent:
    """The intent after a report on its plain order.

    A report that is older than what we know, or that does not fit it, changes nothing: the next answer will.
    """
    stale = report.filled < intent.filled or intent.state in TERMINAL or not may_become(intent, report.state)
    same = report.state == intent.state and report.filled == intent.filled and intent.order_id == report.order_id
    if stale or same:
        return intent if intent.not_found == 0 else msgspec.structs.replace(intent, not_found=0)
    return move(
        intent,
        report.state,
        venue_id=intent.venue_id or report.order_id,
        order_id=report.order_id,
        filled=report.filled,
        average_price=report.average_price,
        filled_ms=_filled_ms(intent, report, now_ms),
        not_found=0,
        updated_ms=now_ms,
    )


def seen_conditional(intent: Intent, report: ConditionalReport, now_ms: int, *, listed: bool) -> Intent:
    """The intent after a report on its conditional order; `listed`: it came from the list of open ones."""
    if intent.state in TERMINAL:
        return intent
    if report.state == "TRIGGERED" and report.order is not None:
        named = msgspec.structs.replace(intent, venue_id=report.venue_id, order_id=report.order.order_id)
        return seen_order(named, report.order, now_ms)
    state: State = report.state if report.state != "TRIGGERED" else "OPEN"
    if state == "OPEN" and not listed and intent.state != "OPEN":
        state = "ACCEPTED"
    if state == "OPEN" and listed and report.quantity > 0 and report.quantity != intent.quantity:
        intent = msgspec.structs.replace(intent, quantity=report.quantity)  # somebody changed it: this is what protects
    if state == intent.state or not may_become(intent, state):
        return msgspec.structs.replace(intent, not_found=0)  # only answers in a row count
    return move(intent, state, venue_id=report.venue_id, updated_ms=now_ms, not_found=0)


def not_found(intent: Intent, now_ms: int, margin_ms: int) -> Intent:
    """The intent after an authoritative "no such order". An error while asking is not an answer: do not come here.

    While the exchange may still take the request, the answer proves nothing; behind the deadline (and a margin for
    what is still under way inside the exchange) two such answers end the intent as ABSENT.
    """
    if intent.state == "SENT" and intent.deadline_ms is not None and now_ms <= intent.deadline_ms + margin_ms:
        return msgspec.structs.replace(intent, not_found=1)
    answers = intent.not_found + 1
    if answers < ABSENT_ANSWERS or not intent.live or not may_become(intent, "ABSENT"):
        return msgspec.structs.replace(intent, not_found=answers)
    return move(intent, "ABSENT", not_found=answers, reason="the exchange does not know it", updated_ms=now_ms)


def unlisted(intent: Intent, now_ms: int) -> Intent:
    """The intent after a look at the open list that missed it although, asked for by its id, it is said to be open."""
    looks = intent.not_found + 1
    if looks < UNLISTED_LOOKS:
        return msgspec.structs.replace(intent, not_found=looks)
    return move(intent, "ABSENT", not_found=looks, reason="not in the list of open orders", updated_ms=now_ms)


def _filled_ms(intent: Intent, report: Report, now_ms: int) -> int | None:
    if report.filled == 0 or intent.filled_ms is not None:
        return intent.filled_ms
    return now_ms if report.updated_ms is None else min(report.updated_ms, now_ms)
