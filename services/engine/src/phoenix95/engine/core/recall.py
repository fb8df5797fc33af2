"""The result cache: what was answered to the same question about the same moment is recalled, not computed again."""

from typing import Final

import msgspec

from phoenix95.common.events import Analysis, Request
from phoenix95.common.ids import StreamId, reply_id
from phoenix95.engine.core.answer import answer
from phoenix95.engine.core.config import Config
from phoenix95.engine.core.state import SymbolState

REMEMBERED: Final = 64  # answers for each symbol; the oldest goes first


class Recall:
    """The answers about one symbol as of the last entry folded. They are forgotten as soon as the state has moved.

    Of an answer only its names and times depend on when it was asked for, as long as the asking was not stale: a
    stale question is computed each time, for its reasons tell its age. So a recalled answer has the bytes of
    a computed one.
    """

    def __init__(self) -> None:
        self._as_of: tuple[StreamId, Config] | None = None
        self._answers: dict[str, Analysis] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def answer(self, state: SymbolState, request_id: StreamId, request: Request) -> tuple[Analysis, bool]:
        """The reply to a request, and whether it was recalled. `state` is of the same symbol at every call."""
        as_of = (state.at, state.config)
        if as_of != self._as_of:
            self._as_of = as_of
            self._answers.clear()
        if abs(request.requested_at - state.price_ms) > state.config.stale_ms:
            return answer(state, request_id, request), False
        question = repr(msgspec.structs.replace(request, requested_at=0))  # unlike ==, tells 0.0 from -0.0
        known = self._answers.get(question)
        if known is not None:
            return _renamed(known, state, request_id, request), True
        found = answer(state, request_id, request)
        if len(self._answers) >= REMEMBERED:
            del self._answers[next(iter(self._answers))]
        self._answers[question] = found
        return found, False


def _renamed(known: Analysis, state: SymbolState, request_id: StreamId, request: Request) -> Analysis:
    return msgspec.structs.replace(
        known,
        id=reply_id(state.config.strategy, state.symbol, str(request_id)),
        request=str(request_id),
        ts=request.requested_at,
        expires_at=request.requested_at + state.config.signal_ttl_ms,
    )
