"""The captured log folded again by the engine's own core, cut into batches at random."""

import random
from collections.abc import Sequence

from phoenix95.common import wire
from phoenix95.common.ids import StreamId
from phoenix95.engine.core.answer import answer
from phoenix95.engine.core.config import Config
from phoenix95.engine.core.fold import fold_entries
from phoenix95.engine.core.state import new_state
from tests.e2e.captured import Entry

BATCH_MAX = 400


def fold_again(
    symbol: str, config: Config, ticks: Sequence[Entry], requests: Sequence[Entry], replies: Sequence[Entry], seed: int
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The `d` of every output and of every reply by its id.

    A reply says by its `as_of` after which tick it was given; the batches end there too.
    """
    chance = random.Random(seed)
    place = {tick_id: at + 1 for at, (tick_id, _) in enumerate(ticks)}
    asked = {request_id: wire.request_decoder.decode(fields[b"d"]) for request_id, fields in requests}
    due: dict[int, list[str]] = {}
    for reply_id, fields in replies:
        as_of = wire.engine_output_decoder.decode(fields[b"d"]).as_of
        due.setdefault(place[as_of], []).append(reply_id)
    state, at = new_state(symbol, config), 0
    outputs: dict[str, bytes] = {}
    answers: dict[str, bytes] = {}
    while at < len(ticks):
        end = min(at + chance.randint(1, BATCH_MAX), len(ticks), *(place for place in due if place > at))
        for published in fold_entries(state, ticks[at:end]).published:
            outputs[str(published.id)] = wire.encode(published.event)
        at = end
        for reply_id in due.get(at, ()):
            answers[reply_id] = wire.encode(answer(state, StreamId.parse(reply_id), asked[reply_id]))
    return outputs, answers
