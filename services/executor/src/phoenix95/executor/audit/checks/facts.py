"""The tables against the chain: who changes a fact and not its record, or the other way round, is found."""

from phoenix95.executor.audit.checks import check
from phoenix95.executor.audit.scene import DIFFERENCES_MAX, Outcome, Scene, in_every_look
from phoenix95.executor.ledger.evidence import FACTS


@check("every fact is as its record tells it", rank=20)
async def facts(scene: Scene) -> Outcome:
    async def look() -> Outcome:
        found: list[str] = []
        counted = 0
        for done, kind in enumerate(FACTS):
            counted += await scene.ledger.count(kind)
            found += [
                f"{kind} {key}: {words}" for key, words in await scene.ledger.unlike_records(kind, scene.since_ms)
            ]
            scene.step(done + 1, len(FACTS))
        return Outcome(checked=counted, differences=tuple(found[:DIFFERENCES_MAX]))

    return await in_every_look(scene, look)
