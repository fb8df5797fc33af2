"""Analyses and replies against decisions: one for each, and none of nothing."""

import msgspec

from phoenix95.common.events import Marker
from phoenix95.common.ids import MANUAL, StreamId
from phoenix95.common.wire import engine_output_decoder
from phoenix95.executor.audit.checks import check
from phoenix95.executor.audit.scene import DIFFERENCES_MAX, Outcome, Scene, Streams
from phoenix95.executor.ledger.evidence import Decided

PAGE = 1_000


class _Read(msgspec.Struct):
    """What one stream still holds up to the offset: the ids that must be decided, and where it begins."""

    ids: set[str]
    first: StreamId | None


@check("one decision for each analysis", rank=30)
async def decisions(scene: Scene) -> Outcome:
    streams = scene.need_streams()
    # the offset first: what lies behind it was stored in the same transaction
    offsets = {key: to for key, to in (await scene.ledger.offsets()).items() if key.startswith(_STREAMS)}
    decided = await scene.ledger.decided()
    found: list[str] = []
    read: dict[tuple[str, str], _Read] = {}
    undecided = 0
    for done, (key, offset) in enumerate(sorted(offsets.items())):
        held = await _ids(streams, key, offset)
        read[_kind(key), key.rsplit(":", 1)[-1]] = held
        missing = sorted(held.ids - decided.keys())
        undecided += len(missing)
        found += [f"{key}: {analysis} was never decided" for analysis in missing[:DIFFERENCES_MAX]]
        scene.step(done + 1, len(offsets))
    trimmed = 0
    every = set().union(*(one.ids for one in read.values())) if read else set()
    for one in decided.values():
        if one.analysis_id in every or one.decided_ms < scene.since_ms or one.analysis_id.startswith(f"{MANUAL}-"):
            continue
        if _is_trimmed(one, read):
            trimmed += 1
        else:
            found.append(f"{one.analysis_id}: decided on, and no stream has such an analysis")
    note = f"{trimmed} older than the streams go back: not checkable" if trimmed else ""
    return Outcome(checked=len(every), differences=tuple(found[:DIFFERENCES_MAX]), note=note)


_STREAMS = ("p95:analysis:", "p95:reply:")


def _kind(key: str) -> str:
    return "reply" if key.startswith("p95:reply:") else "analysis"


async def _ids(streams: Streams, key: str, offset: str) -> _Read:
    held = _Read(set(), None)
    start = "-"
    while True:
        page = await streams.range(key, start, offset, PAGE)
        for entry_id, fields in page:
            held.first = held.first or StreamId.parse(entry_id)
            try:
                event = engine_output_decoder.decode(fields.get(b"d", b""))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                held.ids.add(f"poison-{key}-{entry_id}")
                continue
            if not isinstance(event, Marker):
                held.ids.add(event.id)
        if len(page) < PAGE:
            return held
        start = f"({page[-1][0]}"


def _is_trimmed(one: Decided, read: dict[tuple[str, str], _Read]) -> bool:
    """Whether its entry lies before what its stream still holds; of a poison that is in its name."""
    if one.analysis_id.startswith("poison-"):
        stream, _, entry = one.analysis_id.removeprefix("poison-").partition(f":{one.symbol}-")
        kind, at = _kind(stream), entry
    else:
        kind, at = ("reply", one.request) if one.request is not None else ("analysis", one.cause)
    held = read.get((kind, one.symbol))
    try:
        ms = StreamId.parse(at or "").ms
    except ValueError:
        return True
    return held is None or held.first is None or ms < held.first.ms
