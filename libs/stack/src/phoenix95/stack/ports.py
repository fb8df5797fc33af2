"""Which loopback ports the system listens on. A busy one is an error that names it; 0 takes any free one."""

from collections.abc import Mapping
from typing import Final

from phoenix95.common.errors import ConfigError
from phoenix95.common.settings_registry import OPS_PORTS, variable
from phoenix95.stack.address import LOOPBACK, free_port, is_free

GATEWAY_PORT: Final = "P95_GATEWAY_PORT"
PAPER_PORT: Final = "P95_PAPER_PORT"
PAPER_WS_PORT: Final = "P95_PAPER_WS_PORT"
DEFAULTS: Final[Mapping[str, int]] = {
    GATEWAY_PORT: 8103,
    PAPER_PORT: 9500,
    PAPER_WS_PORT: 9501,
    **{variable(service, "http_port"): port for service, port in OPS_PORTS.items()},
}


def choose_ports(env: Mapping[str, str]) -> dict[str, int]:
    """The port of each variable, from the environment or the default. Raises ConfigError for a busy or silly one."""
    chosen: dict[str, int] = {}
    for name, default in DEFAULTS.items():
        port = _read(name, env.get(name, ""), default)
        if port == 0:
            port = free_port()
            while port in chosen.values():
                port = free_port()
        elif port in chosen.values():
            raise ConfigError(f"{name}: port {port} is given twice")
        elif not is_free(port):
            raise ConfigError(f"port {port} on {LOOPBACK} is in use; free it, or set {name} to another one")
        chosen[name] = port
    return chosen


def _read(name: str, text: str, default: int) -> int:
    if not text:
        return default
    if not text.isdecimal() or int(text) > 65535:
        raise ConfigError(f"{name}: {text!r} is not a port")
    return int(text)
