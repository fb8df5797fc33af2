"""Fills against the exchange's own list of trades, each with its price, quantity and fee."""

from phoenix95.common.money import plain
from phoenix95.executor.audit.checks import check
from phoenix95.executor.audit.scene import DIFFERENCES_MAX, Outcome, Scene, in_every_look
from phoenix95.executor.core.group import Fill


@check("fills and the exchange's trades agree", rank=60)
async def fills(scene: Scene) -> Outcome:
    exchange = scene.need_exchange()

    async def look() -> Outcome:
        booked = await scene.ledger.fills(scene.since_ms)
        # an adopted position's opening that the exchange no longer tells has a number of our own, below 1
        kept = {(one.symbol, one.trade_id): one for one in booked if one.trade_id > 0}
        intents = await scene.ledger.sent(0)
        ours = {one.order_id for one in intents if one.order_id is not None}
        symbols = sorted({one.symbol for one in intents})
        there: dict[tuple[str, int], Fill] = {}
        for done, symbol in enumerate(symbols):
            first = min(one.signed_ms or 0 for one in intents if one.symbol == symbol) - scene.margin_ms
            found = await exchange.fills(symbol, since_ms=max(scene.since_ms, first), after_id=None)
            there |= {(one.symbol, one.trade_id): one for one in found}
            scene.step(done + 1, len(symbols))
        wrong = [words for place, one in sorted(kept.items()) if (words := _judged(one, there.get(place)))]
        unknown = [one for place, one in sorted(there.items()) if place not in kept]
        wrong += [
            f"fill {one.trade_id} of {one.symbol}: of our order {one.order_id}, and not in the ledger"
            for one in unknown
            if one.order_id in ours
        ]
        others = sum(one.order_id not in ours for one in unknown)
        note = f"{others} of others' orders" if others else ""
        return Outcome(checked=len(kept), differences=tuple(wrong[:DIFFERENCES_MAX]), note=note)

    return await in_every_look(scene, look)


def _judged(kept: Fill, there: Fill | None) -> str | None:
    name = f"fill {kept.trade_id} of {kept.symbol}"
    if there is None:
        return f"{name}: in the ledger, and the exchange does not know it"
    for what in ("quantity", "price", "fee", "side", "order_id"):
        ours, theirs = getattr(kept, what), getattr(there, what)
        if ours != theirs:
            shown = [str(one) if isinstance(one, str) else plain(one) for one in (ours, theirs)]
            return f"{name}: {what} {shown[0]} in the ledger, {shown[1]} at the exchange"
    return None
