"""Ids are functions of their cause, so that a repeat is harmless."""

import base64
from hashlib import blake2b
from typing import Final, NamedTuple

PARTITIONS_DEFAULT: Final = 16
MANUAL: Final = "manual"  # the strategy of trades that a person decided on
OUTPUTS_PER_TICK: Final = 256  # an output id is <T>-<a*256+k>; k is the index of the output of one tick


class StreamId(NamedTuple):
    """A Redis stream id. For ticks `ms` is the trade's T and `seq` the aggregate trade id (0 opens a stretch)."""

    ms: int
    seq: int

    @classmethod
    def parse(cls, text: str | bytes) -> "StreamId":
        """Read `<ms>-<seq>`. Raises ValueError on anything else."""
        ms, _, seq = (text.decode() if isinstance(text, bytes) else text).partition("-")
        return cls(int(ms), int(seq))

    def __str__(self) -> str:
        return f"{self.ms}-{self.seq}"


STREAM_START: Final = StreamId(0, 0)


def partition_of(symbol: str, partitions: int = PARTITIONS_DEFAULT) -> int:
    """The partition of a symbol: blake2b over its name, 8 bytes, big-endian, modulo `partitions`."""
    return int.from_bytes(blake2b(symbol.encode(), digest_size=8).digest(), "big") % partitions


def output_id(tick: StreamId, k: int) -> StreamId:
    """The id of the k-th output that a tick causes. Raises ValueError unless 0 <= k < 256."""
    if not 0 <= k < OUTPUTS_PER_TICK:
        raise ValueError(f"output index {k} is not in [0, {OUTPUTS_PER_TICK})")
    return StreamId(tick.ms, tick.seq * OUTPUTS_PER_TICK + k)


def analysis_id(strategy: str, symbol: str, agg_trade_id: int, k: int) -> str:
    """One id from tick to fill: strategy, symbol, aggregate trade, index of the output."""
    return f"{strategy}-{symbol}-{agg_trade_id}.{k}"


def reply_id(strategy: str, symbol: str, request_id: str) -> str:
    """The id of the analysis that answers a request from outside."""
    return f"{strategy}-{symbol}-r{request_id}"


def command_analysis_id(symbol: str, command_id: str) -> str:
    """The id that stands for an analysis where a person's command trades: a function of the command alone."""
    return f"{MANUAL}-{symbol}-c{command_id}"


def client_order_id(account: str, analysis: str, role: str, attempt: int) -> str:
    """The order id that the exchange sees, at most 36 characters of `[a-z0-9]`.

    `role` is one letter: e entry, s stop, t target, r trailing stop, x exit. The same cause always gives the same id,
    which makes an unknown outcome findable after a crash.
    """
    cause = f"{account}|{analysis}|{role}|{attempt}".encode()
    digest = base64.b32encode(blake2b(cause, digest_size=16).digest()).decode().lower().rstrip("=")
    return f"p95{role}{digest[:20]}"
