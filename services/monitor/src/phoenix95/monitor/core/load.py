"""A sample in short, the average of several, and what is unhealthy about one."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from phoenix95.common.events import HostSample, Load, ProcessSample

AVERAGED_MAX: Final = 20  # samples in the average
MEMORY_LIMIT_FACTOR: Final = 1.2  # of the limit, at which our processes are unhealthy: the alert comes at the limit
UNHEALTHY_PERCENT: Final = 90.0  # of CPU or memory of the host
MEGABYTE: Final = 1_000_000


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What is still right; an alert comes above. `process_memory` in bytes is for all our processes together."""

    process_memory: int
    memory_percent: float
    cpu_percent: float
    disk_percent: float
    connections: int


def load_of(sample: HostSample) -> Load:
    """The sample in short."""
    return Load(
        cpu_percent=sample.cpu_percent,
        memory_percent=sample.memory_percent,
        disk_percent=sample.disk_percent,
        process_memory=sum(memory_of(process) for process in sample.processes),
        process_cpu_percent=round(sum(process.cpu_percent for process in sample.processes), 1),
        threads=sum(process.threads for process in sample.processes),
        connections=sum(process.connections or 0 for process in sample.processes),
    )


def memory_of(process: ProcessSample) -> int:
    """What a process takes: its proportional share, or all that is resident where the kernel does not say."""
    return process.rss if process.pss is None else process.pss


def average(loads: Sequence[Load]) -> Load:
    """The mean of the last ones, at most AVERAGED_MAX. Raises ValueError when there is none."""
    last = loads[-AVERAGED_MAX:]
    if not last:
        raise ValueError("an average of nothing")

    def mean(figure: Callable[[Load], float]) -> float:
        return round(sum(map(figure, last)) / len(last), 1)

    return Load(
        cpu_percent=mean(lambda load: load.cpu_percent),
        memory_percent=mean(lambda load: load.memory_percent),
        disk_percent=mean(lambda load: load.disk_percent),
        process_memory=int(mean(lambda load: load.process_memory)),
        process_cpu_percent=mean(lambda load: load.process_cpu_percent),
        threads=mean(lambda load: load.threads),
        connections=mean(lambda load: load.connections),
    )


def unhealthy(load: Load, limits: Limits) -> tuple[str, ...]:
    """Why the machine is not healthy; empty when it is."""
    most = MEMORY_LIMIT_FACTOR * limits.process_memory
    reasons = []
    if load.process_memory >= most:
        reasons.append(f"our processes take {load.process_memory / MEGABYTE:.0f} MB, {most / MEGABYTE:.0f} is too much")
    if load.cpu_percent >= UNHEALTHY_PERCENT:
        reasons.append(f"CPU at {load.cpu_percent:.1f} %, {UNHEALTHY_PERCENT:.0f} is too much")
    if load.memory_percent >= UNHEALTHY_PERCENT:
        reasons.append(f"memory at {load.memory_percent:.1f} %, {UNHEALTHY_PERCENT:.0f} is too much")
    return tuple(reasons)
