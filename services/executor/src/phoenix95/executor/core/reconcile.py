"""Exchange truth against the ledger: what differs, and what is to be done about it. Pure: the shell does it."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final, Literal

import msgspec

from phoenix95.common.money import ZERO, plain
from phoenix95.executor.core.flatten import Held, Resting
from phoenix95.executor.core.group import Fill, Group
from phoenix95.executor.core.intents import TERMINAL, PositionSide

OUR_PREFIX: Final = "p95"  # of every client id that we give
ADOPTED_PREFIX: Final = "adopted-"  # of the trades that we made of other people's positions
CENT: Final = Decimal("0.000001")  # the exchange rounds each row to eight digits

Foreign = Literal["adopt", "ignore", "alert"]
Kind = Literal[
    "size", "unprotected", "foreign_position", "foreign_order", "leftover_order", "leverage", "margin_mode",
    "position_mode", "realised", "commission", "income_of_nobody",
]  # fmt: skip
Places = Mapping[tuple[str, str], Held]
Action = Literal["wait", "look", "adopt", "stop_entries", "cancel", "tell"]
WORDS: Final[dict[Action, tuple[str, str]]] = {
    "wait": ("wait", "an answer of the exchange is under way"),
    "look": ("look again", "fetch its fills and look; after three looks no new entries in the account"),
    "adopt": ("adopt", "protect it with a stop, follow it to its end; no new entries of the symbol until resumed"),
    "stop_entries": ("stop entries", "no new entries of the symbol until resumed; the position is left alone"),
    "cancel": ("cancel", "it is of our making and belongs to no trade"),
    "tell": ("tell", "an alert to people; nothing is changed"),
}


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of what we did not make: for every symbol, and for some their own."""

    default: Foreign = "adopt"
    symbols: dict[str, Foreign] = {}

    def of(self, symbol: str) -> Foreign:
        return self.symbols.get(symbol, self.default)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol's settings at the exchange."""

    symbol: str
    leverage: int
    isolated: bool


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What the exchange says. Positions name LONG or SHORT also in one-way mode, their `amount` is signed.

    `configs` and `hedged` are None where they were not asked for this time.
    """

    positions: tuple[Held, ...]
    orders: tuple[Resting, ...]
    configs: Mapping[str, Config] | None = None
    hedged: bool | None = None


class AccountMode(msgspec.Struct, frozen=True, kw_only=True):
    """How the account's settings should be."""

    hedged: bool = True
    isolated: bool = True


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One difference. `ledger` and `exchange` are what each of them says; `analysis_id` is the trade, if any."""

    kind: Kind
    symbol: str
    ledger: str
    exchange: str
    action: Action
    position_side: PositionSide | None = None
    analysis_id: str | None = None
    client_id: str | None = None

    @property
    def text(self) -> str:
        name = f"{self.symbol} {self.position_side.lower()}" if self.position_side is not None else self.symbol
        return f"{name or 'account'}: {self.kind.replace('_', ' ')}: the exchange has {self.exchange}, we {self.ledger}"


def compare(
    truth: Truth, groups: Iterable[Group], policy: Policy, wanted: AccountMode, *, also: Iterable[Group] = ()
) -> tuple[Finding, ...]:
    """Everything that differs. `also` are trades that were active a moment ago: they explain things, no more."""
    active = tuple(groups)
    places: dict[tuple[str, str], Held] = {(one.symbol, one.position_side): one for one in truth.positions}
    listed = {one.client_id for one in truth.orders if one.conditional}
    found = [finding for group in active for finding in _of_trade(group, places, listed)]
    known = (*active, *also)
    explained = {(one.trade.symbol, one.trade.position_side) for one in known}
    found += [
        _stranger(one, policy.of(one.symbol))
        for place, one in sorted(places.items())
        if place not in explained and policy.of(one.symbol) != "ignore"
    ]
    covered = {(one.trade.symbol, one.trade.position_side) for one in active if one.protected}
    found += _of_orders(truth.orders, known, policy, bare=places.keys() - covered)
    found += _of_settings(truth, active, wanted)
    return tuple(found)


def _of_trade(group: Group, places: Places, listed: set[str]) -> Iterable[Finding]:
    trade = group.trade
    if group.entry.filled == 0:
        return
    position = places.get((trade.symbol, trade.position_side))
    size = ZERO if position is None else abs(position.amount)
    if size != group.held:
        waiting = any(one.live and one.state != "OPEN" for one in group.intents)
        yield Finding(
            kind="size", symbol=trade.symbol, position_side=trade.position_side, analysis_id=trade.analysis_id,
            ledger=plain(group.held), exchange=plain(size), action="wait" if waiting else "look",
        )  # fmt: skip
        return
    stops = [one for one in group.of("stop") if one.state == "OPEN"]
    missing = [one for one in stops if one.client_id not in listed]
    if size > 0 and missing:
        yield Finding(
            kind="unprotected", symbol=trade.symbol, position_side=trade.position_side, analysis_id=trade.analysis_id,
            client_id=missing[0].client_id, ledger=f"stop {missing[0].client_id}", exchange="no such open order",
            action="look",
        )  # fmt: skip


def _stranger(position: Held, policy: Foreign) -> Finding:
    return Finding(
        kind="foreign_position",
        symbol=position.symbol,
        position_side="LONG" if position.amount > 0 else "SHORT",
        ledger="nothing",
        exchange=f"{plain(abs(position.amount))} at {plain(position.entry_price)}",
        action="adopt" if policy == "adopt" else "stop_entries",
    )


def _of_orders(
    orders: Iterable[Resting], known: tuple[Group, ...], policy: Policy, *, bare: set[tuple[str, str]]
) -> list[Finding]:
    """`bare` are the places that are held and that no stop of an active trade covers. What of ours reduces there may
    be all that protects them (the ledger is a new one, or an adoption has not come to its stop yet): it stays."""
    intents = [one for group in known for one in group.intents]
    wanted = {one.client_id for one in intents if one.state not in TERMINAL}
    made = {one.order_id for one in intents}  # the plain order that a trigger made has an id of its own
    found: list[Finding] = []
    for order in orders:
        if order.client_id in wanted or (not order.conditional and order.venue_id in made):
            continue
        ours = order.client_id.startswith(OUR_PREFIX)
        if not ours and policy.of(order.symbol) == "ignore":
            continue
        kind: Kind = "leftover_order" if ours else "foreign_order"
        words = f"{order.kind} {order.side} {plain(order.quantity)} {order.client_id}"
        guards = not order.can_open and (order.symbol, "LONG" if order.side == "SELL" else "SHORT") in bare
        action: Action = "cancel" if ours and not guards else "tell"
        found.append(
            Finding(
                kind=kind, symbol=order.symbol, client_id=order.client_id, ledger="nothing", exchange=words,
                action=action,
            )
        )  # fmt: skip
    return found


def _of_settings(truth: Truth, active: tuple[Group, ...], wanted: AccountMode) -> list[Finding]:
    found: list[Finding] = []
    if truth.hedged is not None and truth.hedged != wanted.hedged:
        mode = {True: "hedge mode", False: "one-way mode"}
        found.append(
            Finding(
                kind="position_mode", symbol="", ledger=mode[wanted.hedged], exchange=mode[truth.hedged], action="tell"
            )
        )
    for group in active if truth.configs is not None else ():
        config = (truth.configs or {}).get(group.trade.symbol)
        if config is None or group.held <= 0:
            continue
        side, name = group.trade.position_side, group.trade.analysis_id
        if config.leverage != group.trade.leverage:
            found.append(
                Finding(
                    kind="leverage", symbol=config.symbol, position_side=side, analysis_id=name,
                    ledger=f"{group.trade.leverage}x", exchange=f"{config.leverage}x", action="tell",
                )
            )  # fmt: skip
        # who opened a position that we adopted chose its margin mode
        if config.isolated != wanted.isolated and not name.startswith(ADOPTED_PREFIX):
            margin = {True: "isolated margin", False: "cross margin"}
            found.append(
                Finding(
                    kind="margin_mode", symbol=config.symbol, position_side=side, analysis_id=name,
                    ledger=margin[wanted.isolated], exchange=margin[config.isolated], action="tell",
                )
            )  # fmt: skip
    return found


class Booked(msgspec.Struct, frozen=True, kw_only=True):
    """A trade's figures twice: by its fills, and by the exchange's income history. A commission is negative."""

    analysis_id: str
    symbol: str
    fills_realised: Decimal
    income_realised: Decimal
    fills_commission: Decimal
    income_commission: Decimal


def compare_income(booked: Iterable[Booked], nobodys: Mapping[str, Decimal]) -> tuple[Finding, ...]:
    """`nobodys` are sums of income that belongs to no trade of ours, by type and asset; transfers are none of these."""
    rows = tuple(booked)
    found = [finding for one in rows for finding in _of_income(one)]
    found += [
        Finding(kind="income_of_nobody", symbol="", ledger="no trade for it", exchange=f"{name} {plain(amount)}",
                action="tell")
        for name, amount in sorted(nobodys.items())
        if abs(amount) > CENT
    ]  # fmt: skip
    return tuple(found)


def _of_income(one: Booked) -> Iterable[Finding]:
    pairs: tuple[tuple[Kind, Decimal, Decimal], ...] = (
        ("realised", one.fills_realised, one.income_realised),
        ("commission", one.fills_commission, one.income_commission),
    )
    for kind, ours, theirs in pairs:
        if abs(ours - theirs) > CENT:
            yield Finding(
                kind=kind, symbol=one.symbol, analysis_id=one.analysis_id, ledger=plain(ours), exchange=plain(theirs),
                action="tell",
            )  # fmt: skip


def opened_by(fills: Iterable[Fill], size: Decimal, side: PositionSide) -> tuple[Fill, ...] | None:
    """The fills since the position was last flat, that together make `size`. None: the list does not reach back, or
    one fill turned the position over (one-way mode): part of it belongs to what was held before.

    Backwards from the newest: where what came after adds up to the whole size, nothing was held before.
    """
    opening = "BUY" if side == "LONG" else "SELL"
    need, run = size, list[Fill]()
    for fill in sorted(fills, key=lambda one: one.trade_id, reverse=True):
        run.append(fill)
        need += -fill.quantity if fill.side == opening else fill.quantity
        if need <= 0:
            return tuple(reversed(run)) if need == 0 else None
    return None
