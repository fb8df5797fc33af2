"""deploy/exchange.yml: demo trading and real money from the same file of containers."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from phoenix95.common.errors import ConfigError
from phoenix95.common.modes import EXCHANGE_URLS, Mode
from phoenix95.common.settings import load
from phoenix95.executor.config import ExecutorSettings

ROOT = Path(__file__).parents[2]
BASE = YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"]
OVER = YAML(typ="safe").load(ROOT / "deploy/exchange.yml")
KINDS = {"feed": "FeedSettings", "engine": "EngineSettings", "monitor": "MonitorSettings", "gateway": "GatewaySettings"}


def environment(service: str, mode: str, folder: Path, **extra: str) -> dict[str, str]:
    """As the container gets it, with its secrets in `folder`."""
    merged = {**BASE[service]["environment"], **OVER["services"][service]["environment"], **extra}
    given = {name: value or "" for name, value in merged.items()}
    for name in [name for name, value in given.items() if value.startswith("/run/secrets/")]:
        secret = folder / given[name].rsplit("/", 1)[1]
        secret.write_text("a secret of a good length", encoding="utf-8")
        given[name] = str(secret)
    return {**given, "P95_MODE": mode}


@pytest.mark.parametrize("mode", ["demo", "live"])
@pytest.mark.parametrize("service", [*KINDS, "executor"])
def test_every_service_goes_to_the_exchange_of_the_mode(service: str, mode: Mode, tmp_path: Path) -> None:
    kind: Any = ExecutorSettings
    if service in KINDS:
        kind = getattr(importlib.import_module(f"phoenix95.{service}.config"), KINDS[service])
    settings = load(kind, service, environment(service, mode, tmp_path))
    assert (settings.exchange_rest_url, settings.exchange_ws_url) == EXCHANGE_URLS[mode]


def test_the_second_switch_is_not_in_the_file_and_the_keys_are_not_those_of_paper(tmp_path: Path) -> None:
    given = environment("executor", "live", tmp_path)
    with pytest.raises(ConfigError, match="P95_EXECUTOR_ALLOW_LIVE"):
        load(ExecutorSettings, "executor", given).check()
    load(ExecutorSettings, "executor", {**given, "P95_EXECUTOR_ALLOW_LIVE": "true"}).check()
    assert {"exchange_api_key", "exchange_api_secret"} == set(OVER["services"]["executor"]["secrets"])
    assert given["P95_EXECUTOR_API_KEY_FILE"].endswith("/exchange_api_key")


def test_who_asks_the_exchange_has_a_way_out_and_the_mode_must_be_chosen() -> None:
    ways_out = {
        name
        for name in KINDS | {"executor": ""}
        if "edge" in OVER["services"][name].get("networks", BASE[name].get("networks", []))
    }
    assert ways_out >= {"feed", "executor", "gateway"}
    assert all(":?" in row["environment"]["P95_MODE"] for row in OVER["services"].values())
    assert not any("ports" in row for row in OVER["services"].values())
