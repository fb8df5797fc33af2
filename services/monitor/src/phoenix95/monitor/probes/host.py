"""One look at the machine and at our own processes, by psutil."""

import os
from collections.abc import Iterator

import psutil

from phoenix95.common.events import HostSample, ProcessSample
from phoenix95.monitor.core.processes import service_of


class HostProbe:
    """Samples the host. Never sleeps: CPU shares are since the sample before, so the first one reads 0.

    `sample` reads /proc for some milliseconds; call it in a thread. Not safe to call from two at once.
    """

    def __init__(self, disk_path: str) -> None:
        """`disk_path`: the file system to watch. Raises OSError when nothing is there."""
        psutil.disk_usage(disk_path)
        self._disk_path = disk_path
        self._ours: dict[int, tuple[str, psutil.Process]] = {}
        psutil.cpu_percent(interval=None)  # opens the first interval; its answer means nothing

    def sample(self, wall_ms: int) -> HostSample:
        """Look once. `wall_ms`: the wall-clock time to write into the sample."""
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(self._disk_path)
        return HostSample(
            ts_wall_ms=wall_ms,
            cpu_percent=psutil.cpu_percent(interval=None),
            cpu_count=psutil.cpu_count() or 1,
            memory_total=memory.total,
            memory_available=memory.available,
            memory_percent=memory.percent,
            disk_total=disk.total,
            disk_free=disk.free,
            disk_percent=disk.percent,
            processes=tuple(self._processes()),
        )

    def _processes(self) -> Iterator[ProcessSample]:
        self._follow()
        for pid, (name, process) in sorted(self._ours.items()):
            try:
                yield _measured(pid, name, process)
            except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
                # It ended between the list and the look: the next list forgets it.
                continue

    def _follow(self) -> None:
        """Keep one psutil object for each of our processes: its CPU share is since its own last reading."""
        seen: dict[int, tuple[str, psutil.Process]] = {}
        for process in psutil.process_iter():
            known = self._ours.get(process.pid)
            if known is not None and known[1] == process:  # equal means same pid and same start time
                seen[process.pid] = known
                continue
            try:
                name = service_of(process.cmdline())
            except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
                continue
            if name is not None:
                process.cpu_percent(interval=None)
                seen[process.pid] = (name, process)
        self._ours = seen


def _measured(pid: int, name: str, process: psutil.Process) -> ProcessSample:
    with process.oneshot():
        return ProcessSample(
            pid=pid,
            name=name,
            cpu_percent=process.cpu_percent(interval=None),
            rss=process.memory_info().rss,
            pss=_pss(pid),
            threads=process.num_threads(),
        )


def _pss(pid: int) -> int | None:
    """Proportional set size in bytes; None where the kernel does not say (another user's process, no Linux)."""
    try:
        with open(os.path.join("/proc", str(pid), "smaps_rollup"), "rb") as rollup:
            for line in rollup:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None
