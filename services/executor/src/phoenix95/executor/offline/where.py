"""Where these commands find their settings: the environment, else the system that runs in a data folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from phoenix95.common.errors import ConfigError
from phoenix95.common.settings import load
from phoenix95.executor.config import ExecutorSettings

DATA_DEFAULT: Final = Path(".p95")
_SECRETS: Final = {
    "P95_EXECUTOR_API_KEY": "paper_api_key",
    "P95_EXECUTOR_API_SECRET": "paper_api_secret",
    "P95_POSTGRES_URL": "postgres_url",
    "P95_REDIS_PASSWORD": "redis_executor",
}


class _State(msgspec.Struct):
    ports: dict[str, int] = {}
    redis_url: str = ""


def settings_of(data: Path, env: Mapping[str, str]) -> ExecutorSettings:
    """The executor's settings, as its process has them.

    What the environment does not say is taken from the system in the folder `data`, but only when the environment
    names no exchange and no keys at all: those of one account never go to the exchange of another. Raises ConfigError.
    """
    return load(ExecutorSettings, "executor", {**_of_folder(data, env), **env})


def need_keys(settings: ExecutorSettings) -> None:
    """Raise ConfigError unless there are exchange keys."""
    for name in ("api_key", "api_secret"):
        if not getattr(settings, name):
            upper = f"P95_EXECUTOR_{name.upper()}"
            raise ConfigError(f"{upper} (or {upper}_FILE) is required and not set, and no system runs in --data")


def _of_folder(data: Path, env: Mapping[str, str]) -> dict[str, str]:
    if _names_an_exchange(env):
        return {}
    try:
        state = msgspec.json.decode((data / "state.json").read_bytes(), type=_State)
        port = state.ports["P95_PAPER_PORT"], state.ports["P95_PAPER_WS_PORT"]
    except (OSError, msgspec.MsgspecError, KeyError):
        return {}
    found = {
        "P95_EXCHANGE_REST_URL": f"http://127.0.0.1:{port[0]}",
        "P95_EXCHANGE_WS_URL": f"ws://127.0.0.1:{port[1]}",
    }
    if state.redis_url and not env.get("P95_REDIS_URL"):
        found |= {"P95_REDIS_URL": state.redis_url, "P95_REDIS_USERNAME": "executor"}
    for name, file in _SECRETS.items():
        path = data / "secrets" / file
        if path.is_file() and not env.get(name):
            found[f"{name}_FILE"] = str(path)
    config = data / "config.toml"
    if config.is_file():
        found["P95_CONFIG"] = str(config)
    return found


def _names_an_exchange(env: Mapping[str, str]) -> bool:
    if env.get("P95_MODE", "paper") != "paper" or env.get("P95_CONFIG"):
        return True
    names = ("P95_EXCHANGE_REST_URL", "P95_EXECUTOR_API_KEY", "P95_EXECUTOR_API_KEY_FILE")
    return any(env.get(name) for name in names)
