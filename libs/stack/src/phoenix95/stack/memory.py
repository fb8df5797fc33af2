"""How much memory our processes take: PSS shares the common pages fairly, so that a sum means something."""

from collections.abc import Mapping
from typing import Final

import psutil

_MB: Final = 1_000_000


class MemoryPeaks:
    """The highest PSS and RSS seen of each process, in MB."""

    def __init__(self) -> None:
        self.pss_mb: dict[str, float] = {}
        self.rss_mb: dict[str, float] = {}

    def sample(self, pids: Mapping[str, int]) -> None:
        """Look at each process once; one that has ended is left out."""
        for name, pid in pids.items():
            try:
                seen = psutil.Process(pid).memory_full_info()
            except psutil.Error:
                continue
            self.pss_mb[name] = max(self.pss_mb.get(name, 0.0), round(seen.pss / _MB, 1))
            self.rss_mb[name] = max(self.rss_mb.get(name, 0.0), round(seen.rss / _MB, 1))
