"""What the exchange itself says happened, held against the promises and against the ledger.

Everything here is computed after the run from the exchange's lists of orders, conditional orders and trades: the
executor's own word is only ever compared with them.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any, Final, NamedTuple

from phoenix95.common.ids import client_order_id

ATTEMPTS_MAX: Final = 8
STOP_PREFIX: Final = "p95s"
ENTRY_PREFIX: Final = "p95e"


class Executed(NamedTuple):
    """One trade of the exchange; `signed` is positive when it adds to the position of its side."""

    ms: int
    place: tuple[str, str]
    signed: Decimal


class Resting(NamedTuple):
    """A stop while it is in the exchange's open list; `until_ms` None: still there."""

    place: tuple[str, str]
    quantity: Decimal
    from_ms: int
    until_ms: int | None


class Naked(NamedTuple):
    """A stretch of exchange time in which a position was larger than the stops that rested for it."""

    place: tuple[str, str]
    from_ms: int
    until_ms: int

    @property
    def ms(self) -> int:
        return self.until_ms - self.from_ms

    def meets(self, downs: Iterable[tuple[int, int]]) -> bool:
        """Whether no executor was there for a part of it."""
        return any(begin < self.until_ms and self.from_ms < end for begin, end in downs)


def naked_stretches(trades: Sequence[Executed], stops: Sequence[Resting], end_ms: int) -> list[Naked]:
    """Every stretch without enough stop, by place. One that lasts to the end of the run ends at `end_ms`."""
    found: list[Naked] = []
    places = {one.place for one in trades}
    for place in sorted(places):
        steps = [(one.ms, one.signed, Decimal(0)) for one in trades if one.place == place]
        for stop in (one for one in stops if one.place == place):
            steps.append((stop.from_ms, Decimal(0), stop.quantity))
            if stop.until_ms is not None:
                steps.append((stop.until_ms, Decimal(0), -stop.quantity))
        held = covered = Decimal(0)
        since: int | None = None
        for ms, at_once in groupby(sorted(steps, key=lambda step: step[0]), key=lambda step: step[0]):
            for _, traded, cover in at_once:
                held, covered = held + traded, covered + cover
            if held > covered and since is None:
                since = ms
            elif held <= covered and since is not None:
                found.append(Naked(place, since, ms))
                since = None
        if since is not None:
            found.append(Naked(place, since, end_ms))
    return found


def executed_of(trades: Iterable[Mapping[str, Any]]) -> list[Executed]:
    """From `GET /fapi/v1/userTrades` in hedge mode."""
    return [
        Executed(
            int(one["time"]),
            (one["symbol"], one["positionSide"]),
            Decimal(one["qty"]) * (1 if (one["side"] == "BUY") == (one["positionSide"] == "LONG") else -1),
        )
        for one in trades
    ]


def resting_of(algos: Iterable[Mapping[str, Any]]) -> list[Resting]:
    """From `GET /fapi/v1/allAlgoOrders` in hedge mode: the stops among them."""
    return [
        Resting(
            (one["symbol"], one["positionSide"]),
            Decimal(one["quantity"]),
            int(one["createTime"]),
            None if one["algoStatus"] == "NEW" else int(one["updateTime"]),
        )
        for one in algos
        if one["clientAlgoId"].startswith(STOP_PREFIX) and one["algoStatus"] != "REJECTED"
    ]


def entry_violations(orders: Iterable[Mapping[str, Any]], said: Sequence[str], account: str) -> list[str]:
    """Entries on the exchange that no analysis explains, and analyses with more than one that was executed."""
    cause = {client_order_id(account, one, "e", number): one for one in said for number in range(ATTEMPTS_MAX)}
    filled: dict[str, int] = {}
    problems = []
    for order in orders:
        client_id = order["clientOrderId"]
        if not client_id.startswith(ENTRY_PREFIX):
            continue
        if client_id not in cause:
            problems.append(f"an entry that no analysis explains: {client_id}")
        elif Decimal(order["executedQty"]) > 0:
            filled[cause[client_id]] = filled.get(cause[client_id], 0) + 1
    return problems + [f"{count} entries for {one}" for one, count in filled.items() if count > 1]


def ledger_violations(
    trades: Sequence[Mapping[str, Any]],
    fills: Sequence[Mapping[str, Any]],
    intents: Sequence[Mapping[str, Any]],
    client_ids: set[str],
) -> list[str]:
    """Exchange and ledger must tell the same: fills in number, price and fee; orders and intents both ways."""
    theirs = {
        (one["symbol"], int(one["id"])): tuple(Decimal(one[name]) for name in ("qty", "price", "commission"))
        for one in trades
    }  # fmt: skip
    ours = {(one["symbol"], one["trade_id"]): (one["quantity"], one["price"], one["fee"]) for one in fills}
    problems = [f"the ledger lacks fill {key}" for key in theirs.keys() - ours.keys()]
    problems += [f"the exchange knows no fill {key}" for key in ours.keys() - theirs.keys()]
    problems += [
        f"fill {key}: {theirs[key]} there, {ours.get(key)} here" for key in theirs if theirs[key] != ours.get(key)
    ]
    stored = {one["client_id"]: one["state"] for one in intents}
    problems += [f"order {one} has no intent" for one in client_ids - stored.keys()]
    absent = {"ABSENT", "REJECTED", "EXPIRED", "CANCELED"}
    problems += [f"intent {one} ({state}) is no order" for one, state in stored.items()
                 if one not in client_ids and state not in absent]  # fmt: skip
    return problems
