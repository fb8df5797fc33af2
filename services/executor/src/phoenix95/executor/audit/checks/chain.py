"""The chain itself: every number there, every hash right, and the end where it should be."""

from phoenix95.executor.audit.checks import check
from phoenix95.executor.audit.scene import DIFFERENCES_MAX, Outcome, Scene
from phoenix95.executor.core.chain import Break, Head, walk


@check("the chain is intact", rank=10)
async def chain(scene: Scene) -> Outcome:
    until = await scene.ledger.head()
    start = await scene.ledger.start_of(scene.since_ms) if scene.since_ms else Head()
    reached, counted = start, 0
    found: list[str] = []
    anchor, anchored = scene.anchor, None
    async for page in scene.ledger.records(start.n, until.n):
        for step in walk(page, reached):
            if isinstance(step, Break):
                found.append(step.words)
            else:
                reached = step
        if anchor is not None:
            anchored = next((one.hash for one in page if one.n == anchor.n), anchored)
        counted += len(page)
        scene.step(counted, max(1, until.n - start.n))
    if reached.n != until.n:
        found.append(f"the tail was cut off: the account's last record is {until.n}, the table ends with {reached.n}")
    elif reached.hash != until.hash:
        found.append(f"record {reached.n} is not the one that the account knows as its last")
    if anchor is not None:
        found += _against(anchor, anchored, reached, start)
    return Outcome(checked=counted, differences=tuple(found[:DIFFERENCES_MAX]), note=f"anchor {until}")


def _against(anchor: Head, hash_there: str | None, reached: Head, start: Head) -> list[str]:
    if anchor.n > reached.n:
        return [f"the tail was cut off: the anchor is record {anchor.n}, the chain ends with {reached.n}"]
    if start.n < anchor.n and hash_there != anchor.hash:
        return [f"record {anchor.n} has another hash than the anchor: the chain was written anew"]
    return []
