"""What each child may see of the environment: its own settings, and nothing that happens to lie around."""

import os
from collections.abc import Mapping
from typing import Any, Final

from phoenix95.common.errors import ConfigError
from phoenix95.common.settings import EXEMPT_PREFIX, PREFIX
from phoenix95.common.settings_registry import SERVICES, SETTINGS, variable
from phoenix95.stack.address import LOOPBACK
from phoenix95.stack.folder import DataFolder
from phoenix95.stack.options import Source, scaled_ms
from phoenix95.stack.ports import PAPER_PORT, PAPER_WS_PORT

# What `up` decides itself: a value from outside would be for another deployment.
MANAGED: Final = frozenset(
    {
        "P95_CONFIG",
        "P95_EXCHANGE_REST_URL",
        "P95_EXCHANGE_WS_URL",
        "P95_HTTP_HOST",
        "P95_MONITOR_TARGETS",
        "P95_POSTGRES_URL",
        "P95_REDIS_PASSWORD",
        "P95_REDIS_URL",
        "P95_REDIS_USERNAME",
        "P95_PAPER_SOURCE",
        "P95_PAPER_SPEED",
        "P95_PAPER_STATE",
    }
)
_PASSED_ON: Final = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONDONTWRITEBYTECODE")
_RECV_WINDOW_MS_MAX: Final = 60_000  # the exchange refuses a longer recvWindow
_SCALED: Final[Mapping[str, int | None]] = {
    "P95_ENGINE_SIGNAL_TTL_MS": None,
    "P95_EXECUTOR_RECV_WINDOW_MS": _RECV_WINDOW_MS_MAX,
    "P95_EXECUTOR_MAX_SIGNAL_AGE_MS": None,
    "P95_EXECUTOR_MAX_MARKET_AGE_MS": None,
    "P95_EXECUTOR_MAX_ACCOUNT_AGE_MS": None,
    "P95_EXECUTOR_MAX_CLOCK_UNCERTAINTY_MS": None,
    "P95_GATEWAY_TRADE_TTL_MS": None,
}  # bounds on latency in exchange ms, with what they may at most become


def check_environment(env: Mapping[str, str]) -> None:
    """Refuse what `up` would have to ignore. Raises ConfigError that names the variable."""
    for name in sorted(env):
        if env[name] and (name in MANAGED or name.removesuffix("_FILE") in MANAGED):
            raise ConfigError(f"{name} is set, but `up` runs its own servers and exchange; unset it")
    if env.get("P95_MODE", "paper") != "paper":
        raise ConfigError(f"P95_MODE is {env['P95_MODE']!r}, but `up` trades on the paper exchange only; unset it")


class Environment:
    """Makes the environment of each child. `symbols` are those of a recorded market, else empty."""

    def __init__(
        self,
        folder: DataFolder,
        outer: Mapping[str, str],
        *,
        ports: Mapping[str, int],
        source: Source,
        speed: float,
        profile: Mapping[str, Mapping[str, Any]],
        redis_url: str,
        postgres_url: str,
    ) -> None:
        self._folder = folder
        self._outer = outer
        self._ports = ports
        self._source = source
        self._speed = speed
        self._profile = profile
        self._redis_url = redis_url
        self._postgres_url = postgres_url
        self.symbols: tuple[str, ...] = ()

    def of(self, service: str) -> dict[str, str]:
        """All variables of one service."""
        env = {name: self._outer[name] for name in _PASSED_ON if name in self._outer}
        env |= {
            "PATH": env.get("PATH", os.defpath),
            "HOME": str(self._folder.path),
            "TMPDIR": str(self._folder.tmp),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONUNBUFFERED": "1",
        }
        env |= self._chosen_by_user()
        env |= self._shared(service)
        if service == "paper":
            env |= self._of_paper()
        if service == "feed" and self.symbols:
            env.setdefault("P95_FEED_SYMBOLS", ",".join(self.symbols))
        return env

    def _chosen_by_user(self) -> dict[str, str]:
        """The P95_ variables of our own environment. Unknown ones too: the service then says what is wrong."""
        known_to_services = {name for name, row in SETTINGS.items() if row.section in {"common", *SERVICES}}
        return {
            name: text
            for name, text in self._outer.items()
            if name.startswith(PREFIX)
            and not name.startswith(EXEMPT_PREFIX)
            and (name not in SETTINGS or name in known_to_services)
        }

    def _shared(self, service: str) -> dict[str, str]:
        secret = self._folder.secret
        env = {name: str(port) for name, port in self._ports.items()}
        env |= {
            "P95_CONFIG": str(self._folder.config),
            "P95_MODE": "paper",
            "P95_LOG_FORMAT": "json",
            "P95_HTTP_HOST": LOOPBACK,
            "P95_EXCHANGE_REST_URL": f"http://{LOOPBACK}:{self._ports[PAPER_PORT]}",
            "P95_EXCHANGE_WS_URL": f"ws://{LOOPBACK}:{self._ports[PAPER_WS_PORT]}",
            **scaled_ms({name: (self._base(name), limit) for name, limit in _SCALED.items()}, self._speed),
        }
        if service == "paper":
            return env
        env |= {
            "P95_REDIS_URL": self._redis_url,
            "P95_REDIS_USERNAME": service,
            "P95_REDIS_PASSWORD_FILE": str(secret(f"redis_{service}")),
        }
        if service in {"executor", "monitor", "gateway"}:
            env["P95_POSTGRES_URL_FILE"] = str(secret("postgres_url", self._postgres_url))
        if service == "monitor":
            env["P95_MONITOR_TARGETS"] = ",".join(
                f"{name}=http://{LOOPBACK}:{self._ports[variable(name, 'http_port')]}"
                for name in SERVICES
                if name != service
            )
        if service == "executor":
            env["P95_EXECUTOR_API_KEY_FILE"] = str(secret("paper_api_key"))
            env["P95_EXECUTOR_API_SECRET_FILE"] = str(secret("paper_api_secret"))
        if service == "gateway":
            env["P95_GATEWAY_API_KEY_FILE"] = str(secret("api_key"))
        return env

    def _of_paper(self) -> dict[str, str]:
        secret = self._folder.secret
        return {
            "P95_PAPER_SOURCE": str(self._source),
            "P95_PAPER_SPEED": f"{self._speed:g}",
            "P95_PAPER_STATE": str(self._folder.path / "paper" / "state.sqlite"),
            "P95_PAPER_API_KEY_FILE": str(secret("paper_api_key")),
            "P95_PAPER_API_SECRET_FILE": str(secret("paper_api_secret")),
        }

    def _base(self, name: str) -> int:
        """The bound at normal speed: from the environment, else the profile, else the default."""
        row = SETTINGS[name]
        key = name.removeprefix(variable(row.section, "")).lower()
        given = self._outer.get(name) or self._profile.get(row.section, {}).get(key, row.default)
        try:
            return int(given)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{name}: {given!r} is not a number of ms") from error
