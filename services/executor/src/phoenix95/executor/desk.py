"""One task for each active trade: it makes the trade's moves until the trade is over.

A trade whose moves fail for a reason that nobody foresaw is quarantined: it is tried again, slowly, while the others
go on; its symbol takes no new entries, and what it holds is kept protected.
"""

import asyncio
import time
from collections.abc import Iterator
from typing import Final

import structlog
from structlog.typing import FilteringBoundLogger

from phoenix95.common.errors import Fenced, OutcomeUnknown, TransientError, VenueRejected
from phoenix95.common.retry import backoff
from phoenix95.executor.ports import Ports
from phoenix95.executor.protocol.moves import Pause, advance
from phoenix95.executor.protocol.rescue import rescue

QUARANTINE_MAX_S: Final = 10.0
AGAIN_MAX_S: Final = 2.0  # between failed moves: an open position is watched again within two seconds
DRAIN_S: Final = 5.0  # a stop waits this long for a trade to be protected or closed


class _Driver:
    """`wake` ends the present wait; `sync` asks for the fills too; `settled` is set once nothing is urgent."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.taken_over = True
        self.waits: Iterator[float] | None = None
        self.quarantined = False
        self.wake = asyncio.Event()
        self.sync = False
        self.settled = asyncio.Event()


class Desk:
    """The trades under way, by analysis id."""

    def __init__(self, ports: Ports, tasks: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        self._ports = ports
        self._tasks = tasks
        self._stop = stop
        self._drivers: dict[str, _Driver] = {}

    def start(self, analysis_id: str, symbol: str) -> asyncio.Event:
        """Begin to drive a trade; the event is set once it is protected or over. Starting twice is harmless.

        After the stop nothing begins: the trade is stored, and the next start resumes it.
        """
        driver = self._drivers.get(analysis_id)
        if driver is None:
            driver = _Driver(symbol)
            if self._stop.is_set():
                driver.settled.set()
                return driver.settled
            self._drivers[analysis_id] = driver
            self._tasks.create_task(self._drive(analysis_id, driver), name=f"trade {analysis_id}")
        return driver.settled

    def hint(self, symbol: str) -> None:
        """Something happened in a symbol: look now."""
        for driver in self._drivers.values():
            if driver.symbol == symbol:
                driver.wake.set()

    def hint_all(self) -> None:
        """Something may have happened anywhere: look now."""
        for driver in self._drivers.values():
            driver.wake.set()

    def resync(self, analysis_id: str) -> None:
        """The position is not what we believe: fetch the fills and look."""
        driver = self._drivers.get(analysis_id)
        if driver is not None:
            driver.sync = True
            driver.wake.set()

    async def _drive(self, analysis_id: str, driver: _Driver) -> None:
        log = structlog.get_logger().bind(analysis_id=analysis_id, symbol=driver.symbol)
        stopped_at = None
        try:
            while True:
                if self._stop.is_set():
                    stopped_at = stopped_at or time.monotonic()
                    if driver.settled.is_set() or time.monotonic() - stopped_at > DRAIN_S:
                        return
                step = await self._step(analysis_id, driver, log)
                if step is None:
                    continue
                if step.done:
                    log.info("trade_over")
                    return
                if step.resting:
                    driver.settled.set()
                elif step.ms == 0:
                    driver.settled.clear()
                if step.ms:
                    await self._wait(driver, step.ms / 1000)
        finally:
            driver.settled.set()
            self._drivers.pop(analysis_id, None)

    async def _step(self, analysis_id: str, driver: _Driver, log: FilteringBoundLogger) -> Pause | None:
        """One move. None: it failed, and the wait before the next try is over."""
        sync, driver.sync = driver.sync, False
        driver.wake.clear()
        try:
            step = await advance(self._ports, analysis_id, sync=sync, taken_over=driver.taken_over)
        except Fenced:
            raise  # the account is another executor's by now
        except (TransientError, OutcomeUnknown, VenueRejected) as error:
            if driver.waits is None:
                log.warning("trade_waits", reason=str(error))
                driver.waits = backoff(cap_s=AGAIN_MAX_S)
            driver.settled.clear()
        except Exception as error:
            if not driver.quarantined:
                log.exception("trade_quarantined")
                driver.waits = backoff(cap_s=QUARANTINE_MAX_S)
            await self._quarantine(analysis_id, driver, error, log)
        else:
            driver.taken_over, driver.waits, driver.quarantined = False, None, False
            return step
        driver.sync = driver.sync or sync
        await self._wait(driver, next(driver.waits or backoff()))
        return None

    async def _quarantine(self, analysis_id: str, driver: _Driver, error: Exception, log: FilteringBoundLogger) -> None:
        """Say so once, let the others go on, and keep the exchange holding a stop for what is held."""
        try:
            if not driver.quarantined:
                text = f"trade {analysis_id} cannot be carried on: {type(error).__name__}: {error}"
                await self._ports.ledger.tighten("HALT", "quarantined", text, driver.symbol)
                driver.quarantined = True
        except Fenced:
            raise
        except Exception as failed:  # what is held comes before what is told
            log.error("quarantine_not_told", reason=f"{type(failed).__name__}: {failed}")
        try:
            await rescue(self._ports, analysis_id)
            driver.settled.set()
        except Fenced:
            raise
        except Exception as failed:
            log.error("rescue_failed", reason=f"{type(failed).__name__}: {failed}")

    async def _wait(self, driver: _Driver, seconds: float) -> None:
        """Until the time is over, a hint comes or the process is asked to stop."""
        if self._stop.is_set():
            await asyncio.sleep(min(seconds, 0.05))
            return
        waits = {asyncio.ensure_future(driver.wake.wait()), asyncio.ensure_future(self._stop.wait())}
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
