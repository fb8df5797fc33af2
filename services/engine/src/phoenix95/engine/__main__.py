"""`python -m phoenix95.engine`: reads the settings and runs the engine."""

from phoenix95.common.serve import run
from phoenix95.engine.config import EngineSettings
from phoenix95.engine.service import main

if __name__ == "__main__":
    run("engine", EngineSettings, main)
