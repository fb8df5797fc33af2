"""One partition's life with this worker: claim, read, fold, commit, let go."""

import asyncio
import time
import uuid
from typing import Final

import msgspec
from structlog.typing import FilteringBoundLogger

from phoenix95.common import keys
from phoenix95.common.bus import Connection
from phoenix95.common.bus.commit import Checkpoint, FencedLog
from phoenix95.common.bus.reader import READ_MAX, LogReader
from phoenix95.common.errors import Fenced, TransientError
from phoenix95.common.health import Health
from phoenix95.common.ids import StreamId
from phoenix95.common.retry import backoff, pause
from phoenix95.engine.core.config import Config
from phoenix95.engine.gauges import Gauges
from phoenix95.engine.holding import Commit, Holding

READ_BLOCK_MS: Final = 200  # so that a stop or a new symbol is noticed within 200 ms
COMMIT_EVERY_S: Final = 1.0
STATE_EVERY_S: Final = 2.0
CHECK_EVERY_S: Final = 5.0  # a stream that went back would be waited for in silence
CLAIM_EVERY_S: Final = 0.25
STOPPING_TRIES: Final = 2  # the drain has a deadline, and whoever comes next folds again
COMMIT_TRIES: Final = 8  # with back-off about ten seconds; then the partition is claimed anew


class Tools(msgspec.Struct, frozen=True):
    """What every partition of this process works with."""

    log: FencedLog
    config: Config
    partitions: int
    lease_ms: int
    instance: str
    gauges: Gauges
    health: Health
    logger: FilteringBoundLogger


class PartitionWorker:
    """Owns one partition until `stop` is set. `symbols` may be replaced at any time.

    `held` says whether the partition is ours just now, and `regressed` names the streams that end before what
    we have committed.
    """

    def __init__(self, partition: int, symbols: tuple[str, ...], connection: Connection, tools: Tools) -> None:
        self.partition = partition
        self.symbols = symbols
        self.stop = asyncio.Event()
        self.held = False
        self.regressed: list[str] = []
        self._connection = connection
        self._reader = LogReader(connection, READ_BLOCK_MS)
        self._tools = tools
        self._logger = tools.logger.bind(partition=partition)

    async def run(self) -> None:
        """Claim and work, again after every loss. Raises InvariantBroken; all else is waited out."""
        waits = backoff()
        try:
            while not self.stop.is_set():
                token = f"{self._tools.instance}:{uuid.uuid4().hex[:12]}"
                try:
                    await self._own(token)
                    waits = backoff()
                except Fenced as refused:
                    self._logger.warning("partition_lost", reason=str(refused))
                    await pause(self.stop, CLAIM_EVERY_S)
                except TransientError as error:
                    self._logger.warning("partition_interrupted", reason=str(error))
                    await pause(self.stop, next(waits))
        finally:
            await self._connection.aclose()

    async def _own(self, token: str) -> None:
        """One ownership, from the claim to the release."""
        try:
            checkpoint = await self._claim(token)
            if checkpoint is None:
                return
            letters = keys.dead_letter_engine(self.partition)
            top = (await self._reader.last_ids([letters]))[letters]
            holding = Holding(
                self.partition,
                checkpoint,
                self._tools.config,
                partitions=self._tools.partitions,
                dead_letters_top=top,
            )
            self._logger.info("partition_claimed", epoch=checkpoint.epoch, symbols=self.symbols)
            self.held = True
            await self._work(holding)
        finally:
            self.held = False
            await self._release(token)

    async def _claim(self, token: str) -> Checkpoint | None:
        """Wait for the lease; None when asked to stop first."""
        while not self.stop.is_set():
            checkpoint = await self._tools.log.claim(self.partition, token, ttl_ms=self._tools.lease_ms)
            if checkpoint is not None:
                return checkpoint
            await pause(self.stop, CLAIM_EVERY_S)
        return None

    async def _release(self, token: str) -> None:
        """Let go even after an error: a token that is dropped locks everybody out until its lease ends."""
        try:
            await self._tools.log.release(self.partition, token)
        except TransientError as error:
            self._logger.info("release_left_to_the_lease", reason=str(error))

    async def _work(self, holding: Holding) -> None:
        """Read, fold, commit, in that order: a crash at any line repeats the batch and never a decision."""
        committed_at = stored_at = time.monotonic()
        checked_at = 0.0
        while not self.stop.is_set():
            now = time.monotonic()
            if now - checked_at >= CHECK_EVERY_S:
                await self._check(holding, first=not checked_at)
                checked_at = now
            read_at = await self._turn(holding)
            now = time.monotonic()
            state_is_due = now - stored_at >= STATE_EVERY_S
            waited_s = now - committed_at
            # With nothing to store a commit still renews the lease, and notices that Redis was rolled back.
            if holding.outputs or waited_s >= (COMMIT_EVERY_S if holding.moved else self._tools.lease_ms / 3000):
                await self._commit(holding, holding.commit(with_states=state_is_due), read_at)
                committed_at = now
                stored_at = now if state_is_due else stored_at
        await self._commit(holding, holding.commit(with_states=True), time.monotonic())

    async def _turn(self, holding: Holding) -> float:
        """Read and fold once; return the monotonic time at which the read came back."""
        symbols = self.symbols
        offsets = holding.offsets(symbols)
        read = await self._reader.read(offsets, READ_MAX)
        read_at, wall_ms = time.monotonic(), time.time_ns() // 1_000_000
        if read:
            taken = holding.take(symbols, read, at_most=max(1, READ_MAX // len(offsets)), wall_ms=wall_ms)
            self._tools.gauges.took(taken, seconds=time.monotonic() - read_at, wall_ms=wall_ms)
            self._tools.health.progress("fold")
        return read_at

    async def _commit(self, holding: Holding, commit: Commit, read_at: float) -> None:
        """Commit, and when the answer is lost ask again for the same commit: it is done at most once."""
        for tried, wait_s in enumerate(backoff(), start=1):
            try:
                await self._tools.log.commit(
                    self.partition,
                    holding.token,
                    commit.n,
                    outputs=commit.outputs,
                    offsets=commit.offsets,
                    states=commit.states,
                    ttl_ms=self._tools.lease_ms,
                )
                break
            except TransientError:
                if tried == (STOPPING_TRIES if self.stop.is_set() else COMMIT_TRIES):
                    raise
                await pause(self.stop, wait_s)
        holding.committed(commit)
        self._tools.gauges.committed(len(commit.outputs), seconds=time.monotonic() - read_at)

    async def _check(self, holding: Holding, *, first: bool) -> None:
        """Drop the partition when a stream went back behind us, and measure how far we are behind.

        A stream that is behind even after the checkpoint was loaded has lost what we had read: it is waited
        for, and /readyz says so.
        """
        offsets = holding.offsets(self.symbols)
        tops = await self._reader.last_ids(offsets)
        lag_ms = 0
        behind = []
        for key, offset in offsets.items():
            at = StreamId.parse(offset)
            if tops[key] < at:
                behind.append(key)
            elif at.ms:
                lag_ms = max(lag_ms, tops[key].ms - at.ms)
        self._tools.gauges.lag(self.partition, lag_ms)
        lost_since = [key for key in behind if key not in self.regressed]
        if lost_since:
            self._logger.warning("streams_went_back", keys=lost_since)
        self.regressed = behind
        if lost_since and not first:
            raise Fenced("REGRESSED", lost_since[0])
