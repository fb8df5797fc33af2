"""A partition in our hands: its states, how far they read, and what waits to be committed. No I/O."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from phoenix95.common import keys
from phoenix95.common.bus.commit import Checkpoint, Output
from phoenix95.common.bus.reader import Entry
from phoenix95.common.events import Analysis, DeadLetter, Trade
from phoenix95.common.ids import STREAM_START, StreamId
from phoenix95.common.wire import encode, request_decoder, tick_decoder
from phoenix95.engine.core.config import MODEL, Config
from phoenix95.engine.core.fold import Published, fold_entries
from phoenix95.engine.core.recall import Recall
from phoenix95.engine.core.state import SymbolState, adopt, decode_state, encode_state, new_state

REQUESTS: Final = "req:"  # prefix of a request stream's offset in the checkpoint
_stamp: Final = msgspec.json.Encoder().encode

POSTPONE_MAX: Final = 20  # turns that a request waits for a backlog of ticks, so that it is answered at all


class Commit(NamedTuple):
    """What one fenced commit stores; kept as it is until its outcome is known."""

    n: int
    outputs: list[Output]
    offsets: dict[str, str]
    states: dict[str, bytes]


class Stamps(msgspec.Struct, frozen=True):
    """The field `s` of an analysis or a reply, which nothing compares. Times are wall-clock ms.

    `received` is when its cause arrived: a tick at the feed, a request in Redis. `folded` is when the engine had read
    it. `cache_hit` says that a reply was recalled; an analysis at a bar's close never is.
    """

    received: int
    folded: int
    cache_hit: bool = False


class Taken(msgspec.Struct):
    """What one read came to: new outputs by kind, and when the ticks that caused them came to the feed."""

    ticks: int = 0
    replies: int = 0
    recalled: int = 0  # of the replies
    unreadable: int = 0
    published: dict[str, int] = msgspec.field(default_factory=dict)
    received: list[int] = msgspec.field(default_factory=list)


class Holding:
    """The memory of one ownership. It ends with the ownership: whoever claims next loads the checkpoint.

    `dead_letters_top` is the last id of the partition's dead-letter stream, which only its owner writes.
    """

    def __init__(
        self, partition: int, checkpoint: Checkpoint, config: Config, *, partitions: int, dead_letters_top: StreamId
    ) -> None:
        self.partition = partition
        self.token = checkpoint.token
        self.states: dict[str, SymbolState] = {}
        self.outputs: list[Output] = []
        self._n = checkpoint.n
        self._config = config
        self._partitions = partitions
        self._offsets = dict(checkpoint.offsets)  # as committed
        self._moved: dict[str, str] = {}  # since then
        self._changed: set[str] = set()  # symbols whose state is newer than the stored one
        self._state_due: set[str] = set()  # symbols whose state must be in the next commit
        self._behind: set[str] = set()  # symbols that are folded again under their old config up to the offset
        self._postponed: dict[str, int] = {}
        self._recalls: dict[str, Recall] = {}
        self._dead_letters_top = dead_letters_top
        for symbol, stored in checkpoint.states.items():
            self._load(symbol, decode_state(stored))

    def _load(self, symbol: str, state: SymbolState) -> None:
        self.states[symbol] = state
        if state.config != self._config:
            self._behind.add(symbol)
            self._adopt_when_caught_up(symbol)

    def _adopt_when_caught_up(self, symbol: str) -> None:
        """What is already published was made under the old config; the new one governs what comes behind it.

        The state with the new config is stored together with the first outputs made under it, or a restart
        would make them again under the old one.
        """
        state = self.states[symbol]
        if state.at >= self._committed(symbol):
            adopt(state, self._config)
            self._behind.discard(symbol)
            self._changed.add(symbol)
            self._state_due.add(symbol)

    def _committed(self, suffix: str) -> StreamId:
        return StreamId.parse(self._offsets[suffix]) if suffix in self._offsets else STREAM_START

    def offsets(self, symbols: Collection[str]) -> dict[str, str]:
        """Where to read on, by key: the tick and the request stream of each symbol."""
        found = {}
        for symbol in symbols:
            if symbol not in self.states:
                self.states[symbol] = new_state(symbol, self._config)
                self._state_due.add(symbol)
            found[keys.tick(symbol, self._partitions)] = str(self.states[symbol].at)
            asked = REQUESTS + symbol
            found[keys.request(symbol, self._partitions)] = self._moved.get(asked) or str(self._committed(asked))
        return found

    def take(
        self, symbols: Collection[str], read: Sequence[tuple[str, list[Entry]]], *, at_most: int, wall_ms: int
    ) -> Taken:
        """Fold what was read, ticks before requests, and keep what has to be committed.

        `at_most` is how many entries a stream could give: one that gave as many has more, and a request waits
        until its ticks are read, so that the answer is of now. `wall_ms` goes into the stamps alone.
        """
        entries, taken = dict(read), Taken()
        for symbol in symbols:
            ticks = entries.get(keys.tick(symbol, self._partitions), [])
            if ticks:
                self._fold(symbol, ticks, taken, wall_ms)
            requests = entries.get(keys.request(symbol, self._partitions), [])
            if requests and not self._must_wait(symbol, len(ticks) >= at_most):
                self._answer(symbol, requests, taken, wall_ms)
        return taken

    def _fold(self, symbol: str, ticks: list[Entry], taken: Taken, wall_ms: int) -> None:
        state, committed = self.states[symbol], self._committed(symbol)
        compare = True
        if symbol in self._behind:
            ticks = [entry for entry in ticks if StreamId.parse(entry[0]) <= committed]
            compare = state.config.model == MODEL  # other formulae cannot give the same again
        folded = fold_entries(state, ticks)
        if folded.published and compare:
            self._publish(symbol, folded.published, dict(ticks), taken, wall_ms)
        source = keys.tick(symbol, self._partitions)
        for lost in folded.unreadable:
            if StreamId.parse(lost.entry_id) > committed:  # else the letter was written with that offset
                self._bury(source, lost.entry_id, lost.fields, lost.reason)
                taken.unreadable += 1
        taken.ticks += len(ticks)
        if ticks:
            self._changed.add(symbol)
        if state.at > committed:
            self._moved[symbol] = str(state.at)
        if symbol in self._behind:
            self._adopt_when_caught_up(symbol)

    def _publish(
        self, symbol: str, published: list[Published], ticks: Mapping[str, Mapping[bytes, bytes]], taken: Taken,
        wall_ms: int,
    ) -> None:  # fmt: skip
        key, committed = keys.analysis(symbol, self._partitions), self._committed(symbol)
        for output in published:
            tick = tick_decoder.decode(ticks[str(output.cause)][b"d"])
            received = tick.received_ms if isinstance(tick, Trade) else wall_ms
            stamps = _stamp(Stamps(received, wall_ms))
            self.outputs.append(Output(key, output.id, encode(output.event), stamps))
            if output.cause > committed:  # else it is stored already, and only compared
                kind = output.event.action if isinstance(output.event, Analysis) else output.event.kind
                taken.published[kind] = taken.published.get(kind, 0) + 1
                taken.received.append(received)

    def _must_wait(self, symbol: str, backlog: bool) -> bool:
        waited = self._postponed.get(symbol, 0)
        if (backlog and waited < POSTPONE_MAX) or symbol in self._behind:
            self._postponed[symbol] = waited + 1
            return True
        self._postponed.pop(symbol, None)
        return False

    def _answer(self, symbol: str, requests: list[Entry], taken: Taken, wall_ms: int) -> None:
        recall = self._recalls.setdefault(symbol, Recall())
        for entry_id, fields in requests:
            try:
                request = request_decoder.decode(fields[b"d"])
                if request.symbol != symbol:
                    raise ValueError(f"asks about {request.symbol!r}")
            except (KeyError, ValueError, msgspec.MsgspecError) as error:
                reason = "no field d" if isinstance(error, KeyError) else str(error)
                self._bury(keys.request(symbol, self._partitions), entry_id, fields, reason)
                taken.unreadable += 1
            else:
                request_id = StreamId.parse(entry_id)
                reply, recalled = recall.answer(self.states[symbol], request_id, request)
                stamps = _stamp(Stamps(request_id.ms, wall_ms, cache_hit=recalled))
                self.outputs.append(Output(keys.reply(symbol, self._partitions), request_id, encode(reply), stamps))
                taken.replies += 1
                taken.recalled += recalled
            self._moved[REQUESTS + symbol] = entry_id

    def _bury(self, source: str, entry_id: str, fields: Mapping[bytes, bytes], reason: str) -> None:
        """Keep an entry nobody can read, in the commit that skips it."""
        at, top = StreamId.parse(entry_id), self._dead_letters_top
        self._dead_letters_top = StreamId(at.ms, 0) if at.ms > top.ms else StreamId(top.ms, top.seq + 1)
        letter = DeadLetter(source=source, entry_id=entry_id, error=reason, fields=_as_text(fields), attempts=1)
        self.outputs.append(Output(keys.dead_letter_engine(self.partition), self._dead_letters_top, encode(letter)))

    @property
    def moved(self) -> bool:
        """Whether there is something to commit."""
        return bool(self.outputs or self._moved or self._state_due)

    def commit(self, *, with_states: bool) -> Commit:
        """What to commit now. The next one must wait until `committed` says that this one is stored."""
        symbols = self._changed | self._state_due if with_states else self._state_due
        return Commit(
            self._n,
            list(self.outputs),
            dict(self._moved),
            {symbol: encode_state(self.states[symbol]) for symbol in sorted(symbols)},
        )

    def committed(self, commit: Commit) -> None:
        """Note that a commit is stored."""
        self._n = commit.n + 1
        self._offsets |= commit.offsets
        self._moved.clear()
        self.outputs.clear()
        self._changed -= commit.states.keys()
        self._state_due -= commit.states.keys()


def _as_text(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    return {
        name.decode(errors="backslashreplace"): value.decode(errors="backslashreplace")
        for name, value in fields.items()
    }
