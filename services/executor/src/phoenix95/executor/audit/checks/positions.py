"""What is held and what protects it: the ledger against the exchange, as they are now."""

from decimal import Decimal

from phoenix95.common.money import ZERO, plain
from phoenix95.executor.audit.checks import check
from phoenix95.executor.audit.scene import Outcome, Scene, in_every_look

Place = tuple[str, str]


@check("the exchange holds what the ledger says", rank=40)
async def positions(scene: Scene) -> Outcome:
    exchange = scene.need_exchange()

    async def look() -> Outcome:
        held: dict[Place, Decimal] = {}
        for group in await scene.ledger.active():
            place: Place = (group.trade.symbol, group.trade.position_side)
            held[place] = held.get(place, ZERO) + group.held
        there: dict[Place, Decimal] = {(one.symbol, one.position_side): one.size for one in await exchange.positions()}
        found = [
            f"{symbol} {side.lower()}: the exchange holds {plain(there.get((symbol, side), ZERO))}, "
            f"the ledger {plain(held.get((symbol, side), ZERO))}"
            for symbol, side in sorted({*held, *there})
            if held.get((symbol, side), ZERO) != there.get((symbol, side), ZERO)
        ]
        return Outcome(checked=len({*held, *there}), differences=tuple(found))

    return await in_every_look(scene, look)


@check("every position has its stop at the exchange", rank=41)
async def stops(scene: Scene) -> Outcome:
    exchange = scene.need_exchange()

    async def look() -> Outcome:
        groups = [group for group in await scene.ledger.active() if group.held > 0]
        resting = {one.client_id: one.quantity for one in await exchange.open_conditionals(None)}
        found = []
        for group in groups:
            covered = sum((resting.get(stop.client_id, ZERO) for stop in group.of("stop")), ZERO)
            if covered < group.held:
                found.append(
                    f"{group.trade.analysis_id}: holds {plain(group.held)} {group.trade.symbol}, "
                    f"stops for {plain(covered)} rest at the exchange"
                )
        return Outcome(checked=len(groups), differences=tuple(found))

    return await in_every_look(scene, look)
