"""One look at the machine and at its Python processes, by psutil."""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec
import psutil

from phoenix95.common.events import HostSample, ProcessSample
from phoenix95.monitor.core.load import memory_of
from phoenix95.monitor.core.processes import python_of, service_of

OTHERS_MAX: Final = 20  # of the other Python processes, the largest

_Gone = (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied)


class _Seen(NamedTuple):
    """A Python process: its name, and whether it is ours. The name is None for every other process."""

    name: str | None
    ours: bool
    process: psutil.Process


class HostProbe:
    """Samples the host. Never sleeps: CPU shares are since the sample before, so the first one reads 0.

    `sample` reads /proc for some milliseconds; call it in a thread. Not safe to call from two at once.
    """

    def __init__(self, disk_path: str) -> None:
        """`disk_path`: the file system to watch. Raises OSError when nothing is there."""
        psutil.disk_usage(disk_path)
        self._disk_path = disk_path
        self._seen: dict[int, _Seen] = {}
        self._supervisor = _supervisor()
        psutil.cpu_percent(interval=None)  # opens the first interval; its answer means nothing

    def sample(self, wall_ms: int) -> HostSample:
        """Look once. `wall_ms`: the wall-clock time to write into the sample."""
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(self._disk_path)
        network = psutil.net_io_counters()  # None on a machine without a device
        connections = _connections()
        self._follow()
        return HostSample(
            ts_wall_ms=wall_ms,
            cpu_percent=psutil.cpu_percent(interval=None),
            cpu_count=psutil.cpu_count() or 1,
            memory_total=memory.total,
            memory_available=memory.available,
            memory_used=memory.used,
            memory_percent=memory.percent,
            disk_total=disk.total,
            disk_free=disk.free,
            disk_used=disk.used,
            disk_percent=disk.percent,
            bytes_sent=network.bytes_sent if network else 0,
            bytes_received=network.bytes_recv if network else 0,
            packets_sent=network.packets_sent if network else 0,
            packets_received=network.packets_recv if network else 0,
            processes=tuple(self._measured(connections, ours=True)),
            other_python=tuple(
                sorted(self._measured(connections, ours=False), key=memory_of, reverse=True)[:OTHERS_MAX]
            ),
        )

    def _measured(self, connections: Counter[int] | None, *, ours: bool) -> Iterator[ProcessSample]:
        for pid, seen in sorted(self._seen.items()):
            if seen.name is None or seen.ours != ours:
                continue
            try:
                found = _measured(pid, seen.name, seen.process, connections)
                # The proportional share takes the kernel milliseconds a process: only ours are worth that.
                yield msgspec.structs.replace(found, pss=_pss(pid)) if ours else found
            except _Gone:
                # It ended between the list and the look: the next list forgets it.
                continue

    def _follow(self) -> None:
        """Keep one psutil object for each process: a CPU share is since its own last reading."""
        seen: dict[int, _Seen] = {}
        for process in psutil.process_iter():
            known = self._seen.get(process.pid)
            if known is not None and known.process == process:  # equal means same pid and same start time
                seen[process.pid] = known
                continue
            try:
                command_line = process.cmdline()
                service = service_of(command_line)
                ours = service is not None and self._is_with_us(process)
            except _Gone:
                continue
            name = service or python_of(command_line)
            if name is not None:
                process.cpu_percent(interval=None)
            seen[process.pid] = _Seen(name, ours, process)
        self._seen = seen

    def _is_with_us(self, process: psutil.Process) -> bool:
        """Two systems may run on one machine: under a supervisor only it and its children are ours."""
        return self._supervisor is None or self._supervisor in (process.pid, process.ppid())


def _supervisor() -> int | None:
    """The process id of our parent, when it is one of ours; else None: then all of the machine count."""
    parent = os.getppid()
    try:
        return parent if service_of(psutil.Process(parent).cmdline()) is not None else None
    except _Gone:
        return None


def _measured(pid: int, name: str, process: psutil.Process, connections: Counter[int] | None) -> ProcessSample:
    with process.oneshot():
        return ProcessSample(
            pid=pid,
            name=name,
            cpu_percent=process.cpu_percent(interval=None),
            rss=process.memory_info().rss,
            pss=None,
            threads=process.num_threads(),
            connections=None if connections is None else connections[pid],
        )


def _connections() -> Counter[int] | None:
    """Open internet sockets by process, without those that listen; None where the kernel does not say.

    All at once: asking for each process reads the machine's whole table each time.
    """
    try:
        found = psutil.net_connections(kind="inet")
    except psutil.AccessDenied:
        return None
    return Counter(one.pid for one in found if one.pid is not None and one.status != psutil.CONN_LISTEN)


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
