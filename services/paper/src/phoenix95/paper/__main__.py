"""`python -m phoenix95.paper`: the simulated exchange."""

from phoenix95.common.serve import run
from phoenix95.paper.config import PaperSettings
from phoenix95.paper.service import main

if __name__ == "__main__":
    run("paper", PaperSettings, main)
