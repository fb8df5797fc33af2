"""Intents against orders, both ways: what we sent is there, and what is there was sent by us."""

from phoenix95.executor.audit.checks import check
from phoenix95.executor.audit.scene import DIFFERENCES_MAX, Exchange, Outcome, Scene, in_every_look
from phoenix95.executor.core.intents import TERMINAL, Intent

OURS = "p95"
DIRECT = "p95d"  # of `flatten --direct`, which works without the ledger
FORGOTTEN_MS = 3 * 86_400_000  # the exchange forgets orders without a fill after three days
ADOPTED = "adopted-"  # a position that somebody else entered: its entry was never sent by us
NEVER_THERE = frozenset({"ABSENT", "REJECTED"})


@check("orders and intents agree, both ways", rank=50)
async def orders(scene: Scene) -> Outcome:
    exchange = scene.need_exchange()

    async def look() -> Outcome:
        signed = await scene.ledger.sent(scene.since_ms)
        sent = [one for one in signed if one.role != "entry" or not one.analysis_id.startswith(ADOPTED)]
        known = {one.client_id: one for one in await scene.ledger.sent(0)}
        symbols = sorted({one.symbol for one in known.values()})
        there: dict[str, str] = {}
        for done, symbol in enumerate(symbols):
            since_ms = min(one.signed_ms or 0 for one in known.values() if one.symbol == symbol)
            there |= await _placed(exchange, symbol, max(scene.since_ms, since_ms - scene.margin_ms))
            scene.step(done + 1, len(symbols))
        now_ms = exchange.now_ms()
        found = [words for one in sent if (words := _judged(one, there.get(one.client_id), now_ms, scene.margin_ms))]
        ours = [name for name in there if name.startswith(OURS) and not name.startswith(DIRECT)]
        found += [f"order {name}: at the exchange, and the ledger never sent it" for name in ours if name not in known]
        direct = sum(name.startswith(DIRECT) for name in there)
        others = len(there) - len(ours) - direct
        notes = [f"{direct} by flatten --direct"] if direct else []
        notes += [f"{others} that are not ours"] if others else []
        return Outcome(checked=len(sent), differences=tuple(found[:DIFFERENCES_MAX]), note=", ".join(notes))

    return await in_every_look(scene, look)


async def _placed(exchange: Exchange, symbol: str, since_ms: int) -> dict[str, str]:
    """Client id to status, of plain and conditional orders. What a trigger made belongs to its conditional order."""
    conditional = await exchange.conditionals(symbol, since_ms)
    triggered = {str(one.actual_order_id) for one in conditional if one.actual_order_id}
    placed = await exchange.orders(symbol, since_ms)
    return {one.client_order_id: one.status for one in placed if str(one.order_id) not in triggered} | {
        one.client_algo_id: one.algo_status for one in conditional
    }


def _judged(intent: Intent, status: str | None, now_ms: int, margin_ms: int) -> str | None:
    """What is wrong with one intent, given what the exchange says of it (None: it does not know it)."""
    name = f"{intent.role} {intent.client_id} of {intent.analysis_id}"
    late = intent.deadline_ms is not None and now_ms > intent.deadline_ms + margin_ms
    if intent.state == "SENT":
        return f"{name}: its outcome is still unknown long after its deadline" if late else None
    if intent.state in NEVER_THERE:
        wrong = status is not None and status not in ("REJECTED", "EXPIRED")
        return f"{name}: {intent.state} in the ledger, {status} at the exchange" if wrong else None
    if status is None:
        forgotten = intent.state in TERMINAL and intent.filled == 0 and now_ms - intent.updated_ms > FORGOTTEN_MS
        return None if forgotten else f"{name}: {intent.state} in the ledger, and the exchange does not know it"
    return None
