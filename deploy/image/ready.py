#!/opt/phoenix95/bin/python
"""The health check of a container: exit 0 when its service is ready, else 1 and what /readyz says against it."""

import http.client
import os
import sys
from typing import Final

from phoenix95.common.settings_registry import OPS_PORTS, variable

TIMEOUT_SECONDS: Final = 2.0


def main() -> int:
    service = os.environ["PHOENIX95_SERVICE"]
    port = int(os.environ.get(variable(service, "http_port")) or OPS_PORTS[service])
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        asked.request("GET", "/readyz")
        answer = asked.getresponse()
        said = answer.read().decode()
    except OSError as error:
        sys.stdout.write(f"{service} does not answer on port {port}: {error}\n")
        return 1
    sys.stdout.write(f"{said}\n")
    return 0 if answer.status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main())
