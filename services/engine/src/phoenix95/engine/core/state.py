"""What the engine remembers of a symbol, and how that is stored.

The state says by itself up to which entry the log is folded into it and under which config, so that it may be
older than the committed offset: folding again from there gives the same.
"""

from typing import Final

import msgspec

from phoenix95.common.errors import InvariantBroken
from phoenix95.common.ids import StreamId
from phoenix95.engine.core.config import Config
from phoenix95.engine.core.indicators.base import registered
from phoenix95.engine.core.lane import Lane
from phoenix95.engine.core.outcomes import Tally

VERSION: Final = 1  # of the stored form
_LEARNED_ON: Final = ("strategy", "entry_confidence", "stop_atr", "target_atr", "hold_bars", "model")


class SymbolState(msgspec.Struct, kw_only=True):
    """`ms` and `seq` are the id of the last entry folded; `seq` 0 means that the next trade opens a stretch.

    `price` 0 means that no trade was seen. `bid` and `ask` are of `quote_ms`. `marker` names the kind of the
    change that the next trade has to announce; empty when there is none. `careful` says that the next trade is
    special: it opens a stretch, follows a gap, or has to announce something.
    """

    version: int = VERSION
    symbol: str
    config: Config
    ms: int = 0
    seq: int = 0
    price: float = 0.0
    price_ms: int = 0
    bid: float | None = None
    ask: float | None = None
    quote_ms: int = 0
    mark: float | None = None
    funding: float | None = None
    marker: str = ""
    careful: bool = True
    lanes: list[Lane]

    @property
    def at(self) -> StreamId:
        """The id of the last entry folded."""
        return StreamId(self.ms, self.seq)


class _Versioned(msgspec.Struct):
    version: int


_encoder: Final = msgspec.json.Encoder(order="deterministic")
_decoder: Final = msgspec.json.Decoder(SymbolState)
_version_decoder: Final = msgspec.json.Decoder(_Versioned)


def new_state(symbol: str, config: Config) -> SymbolState:
    """The state before the first entry of a log."""
    return SymbolState(symbol=symbol, config=config, lanes=[Lane(length_ms=length) for length in config.bar_ms])


def adopt(state: SymbolState, config: Config) -> bool:
    """Let `config` govern from the next trade on; return whether that is a change.

    Bar lengths that stay keep their history, new ones start cold. Outcomes are forgotten when what they were
    learned on (strategy, barriers, formulae) is no longer what will be traded.
    """
    if state.config == config:
        return False
    kept = {lane.length_ms: lane for lane in state.lanes}
    if any(getattr(state.config, name) != getattr(config, name) for name in _LEARNED_ON):
        for lane in state.lanes:
            lane.long, lane.short = Tally(), Tally()
    state.lanes = [kept.get(length) or Lane(length_ms=length) for length in config.bar_ms]
    state.config = config
    state.marker = "config"
    state.careful = True
    return True


def encode_state(state: SymbolState) -> bytes:
    """The stored form: JSON that a person can read; floats come back exactly."""
    return _encoder.encode(state)


def decode_state(stored: bytes) -> SymbolState:
    """Read a stored state. Raises InvariantBroken when it is none, or was written by a newer version."""
    try:
        version = _version_decoder.decode(stored).version
        if version != VERSION:
            raise InvariantBroken(f"a stored state has version {version}; this engine reads {VERSION}")
        state = _decoder.decode(stored)
        for lane in state.lanes:
            lane.indicators = {
                kind.name: msgspec.convert(lane.indicators[kind.name], kind) if kind.name in lane.indicators else kind()
                for kind in registered()
            }
    except msgspec.MsgspecError as error:
        raise InvariantBroken(f"a stored state cannot be read: {error}") from error
    return state
