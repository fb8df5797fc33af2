"""The latest sample as Prometheus gauges."""

from phoenix95.common.events import HostSample
from phoenix95.common.metrics import Metrics


class Gauges:
    """Registered once for a process."""

    def __init__(self, metrics: Metrics) -> None:
        self._cpu = metrics.gauge("p95_host_cpu_percent", "CPU share of the host since the last sample")
        self._memory = metrics.gauge("p95_host_memory_percent", "Memory of the host in use")
        self._disk = metrics.gauge("p95_host_disk_percent", "Disk in use where the data lies")
        self._pss = metrics.gauge("p95_process_pss_bytes", "Proportional set size of our processes", ["name"])
        self._rss = metrics.gauge("p95_process_rss_bytes", "Resident set size of our processes", ["name"])

    def show(self, sample: HostSample) -> None:
        """Replace what is shown. Processes of one name are added up; those that ended disappear."""
        self._cpu.set(sample.cpu_percent)
        self._memory.set(sample.memory_percent)
        self._disk.set(sample.disk_percent)
        self._pss.clear()
        self._rss.clear()
        for process in sample.processes:
            self._rss.labels(process.name).inc(process.rss)
            if process.pss is not None:
                self._pss.labels(process.name).inc(process.pss)
