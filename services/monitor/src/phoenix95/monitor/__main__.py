"""`python -m phoenix95.monitor`."""

from phoenix95.common.serve import run
from phoenix95.monitor.config import MonitorSettings
from phoenix95.monitor.service import main

if __name__ == "__main__":
    run("monitor", MonitorSettings, main)
