"""`python -m phoenix95.gateway`."""

from phoenix95.common.serve import run
from phoenix95.gateway.config import GatewaySettings
from phoenix95.gateway.service import main

if __name__ == "__main__":
    run("gateway", GatewaySettings, main)
