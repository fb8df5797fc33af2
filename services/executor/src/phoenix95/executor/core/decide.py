"""One analysis in, one decision out: refused with its reasons, or the trade with every order it needs."""

from decimal import Decimal

import msgspec

from phoenix95.common.events import Ack, Analysis, Decided, Side, Verdict
from phoenix95.common.ids import client_order_id
from phoenix95.executor.core.candidate import Book, Candidate, candidate
from phoenix95.executor.core.exits import Closing
from phoenix95.executor.core.gates import verdicts
from phoenix95.executor.core.group import Group, Trade
from phoenix95.executor.core.intents import ROLE_LETTERS, Intent, Role
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.market import Market
from phoenix95.executor.core.options import Wishes, options_of
from phoenix95.executor.core.protection import Wanted, wanted
from phoenix95.executor.core.sizing import Bracket, Rules


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """`group` is None unless the analysis was accepted; then it holds the entry, stop, target and exit, PLANNED.
    `closing` are the trades that the analysis ends, whatever the gates say of it.

    `ack` is the answer to the command that it came of, None for an analysis. `cache_hit` and `processing_time_ms` are
    what the engine's stamps tell: whether the answer was recalled, and the wall-clock ms from the arrival of its cause
    (a tick at the feed, a request in Redis) until the engine had read it. None: they tell nothing.
    """

    analysis: Analysis
    decided: Decided
    candidate: Candidate | None
    group: Group | None
    closing: tuple[Closing, ...] = ()
    ack: Ack | None = None
    cache_hit: bool | None = None
    processing_time_ms: float | None = None


def decide(
    analysis: Analysis,
    *,
    account: str,
    now_ms: int,
    uncertainty_ms: float | None,
    rules: Rules | None,
    brackets: tuple[Bracket, ...],
    market: Market,
    book: Book,
    limits: Limits,
    by_hand: bool = False,
    quantity: Decimal | None = None,
) -> Decision:
    """Ask the gates. Only an analysis that says EXECUTE and may be traded comes before them, and then before all.

    `by_hand` and `quantity` are those of a person's trade, see `candidate`.
    """
    not_asked = _not_asked(analysis)
    if not_asked is not None:
        return Decision(
            analysis=analysis, decided=_decided(analysis, now_ms, False, not_asked), candidate=None, group=None
        )
    found = candidate(
        analysis,
        now_ms=now_ms,
        uncertainty_ms=uncertainty_ms,
        rules=rules,
        brackets=brackets,
        market=market,
        book=book,
        limits=limits,
        by_hand=by_hand,
        quantity=quantity,
    )
    said = verdicts(found, book, limits)
    refused = [f"{verdict.gate}: {verdict.reason}" for verdict in said if verdict.reason is not None]
    if refused:
        decided = _decided(analysis, now_ms, False, "; ".join(refused), said)
        return Decision(analysis=analysis, decided=decided, candidate=found, group=None)
    decided = _decided(analysis, now_ms, True, "all gates passed", said)
    group = planned(found, account, limits.wishes)
    return Decision(analysis=analysis, decided=decided, candidate=found, group=group)


def planned(accepted: Candidate, account: str, wishes: Wishes) -> Group:
    """The trade and its orders: what protects it and what ends it are stored before it is entered."""
    analysis, stop_price = accepted.analysis, accepted.stop_price
    if stop_price is None or analysis.side is None:
        raise ValueError(f"{analysis.id} has no stop or no side")
    options = options_of(
        wishes,
        price=accepted.price,
        stop_price=stop_price,
        rules=accepted.rules,
    )
    trade = Trade(
        analysis_id=analysis.id,
        symbol=analysis.symbol,
        position_side=accepted.position_side,
        leverage=analysis.leverage,
        price=accepted.price,
        stop_price=stop_price,
        target_price=options.targets[-1].price if options.targets else accepted.target_price,
        hold_ms=analysis.hold_ms,
        expires_ms=analysis.expires_at,
        request=analysis.request,
        quote=Trade.quote if accepted.rules is None else accepted.rules.quote,
        strategy=analysis.strategy,
        decided_ms=accepted.now_ms,
        options=options,
    )
    quantity, now_ms = accepted.sized.quantity, accepted.now_ms

    def joined(group: Group, role: Role, quantity: Decimal, wanted: Wanted | None = None) -> Group:
        one = attempt(
            group, role, number=len(group.of(role)), account=account, now_ms=now_ms, quantity=quantity, wanted=wanted
        )
        return msgspec.structs.replace(group, intents=(*group.intents, one))

    group = joined(Group(trade=trade, intents=()), "entry", quantity)
    for want in wanted(group, quantity, now_ms=now_ms, refusals_max=1):
        group = joined(group, want.role, want.quantity, want)
    return joined(group, "exit", quantity)


def attempt(
    group: Group,
    role: Role,
    *,
    number: int,
    account: str,
    now_ms: int,
    quantity: Decimal,
    wanted: Wanted | None = None,
) -> Intent:
    """The `number`-th attempt of a role, PLANNED. Its client id is a function of its cause.

    `wanted` says what a protective order is to be like, None: as the trade has it from its analysis.
    """
    trade = group.trade
    prices = {"stop": trade.stop_price, "target": trade.target_price}
    opening: Side = "BUY" if trade.position_side == "LONG" else "SELL"
    return Intent(
        client_id=client_order_id(account, trade.analysis_id, ROLE_LETTERS[role], number),
        analysis_id=trade.analysis_id,
        symbol=trade.symbol,
        role=role,
        attempt=number,
        side=opening if role == "entry" else group.closing_side,
        position_side=trade.position_side,
        quantity=quantity,
        trigger_price=prices.get(role) if wanted is None else wanted.trigger_price,
        slot=0 if wanted is None else wanted.slot,
        callback_rate=None if wanted is None else wanted.callback_rate,
        updated_ms=now_ms,
    )


def ending(decision: Decision, closing: tuple[Closing, ...]) -> Decision:
    """The decision with the trades that its analysis ends, and told so."""
    if not closing:
        return decision
    told = ", ".join(f"{one.analysis_id} ({one.reason})" for one in closing)
    decided = msgspec.structs.replace(decision.decided, reason=f"{decision.decided.reason}; closes {told}")
    return msgspec.structs.replace(decision, closing=closing, decided=decided)


def asks_to_trade(analysis: Analysis) -> bool:
    """Whether the gates are asked; then each verdict is stored, whatever the others say."""
    return _not_asked(analysis) is None


def _not_asked(analysis: Analysis) -> str | None:
    if analysis.action != "EXECUTE":
        return "; ".join((f"the engine says {analysis.action}", *analysis.reasoning))
    return None if analysis.trade else "only an analysis was asked for"


def _decided(analysis: Analysis, now_ms: int, accepted: bool, reason: str, said: tuple[Verdict, ...] = ()) -> Decided:
    return Decided(
        analysis_id=analysis.id,
        symbol=analysis.symbol,
        ts=now_ms,
        action=analysis.action,
        side=analysis.side,
        accepted=accepted,
        reason=reason,
        verdicts=said,
        request=analysis.request,
    )
