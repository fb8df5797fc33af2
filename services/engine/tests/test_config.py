"""What can be set, and what is said when it is set wrongly."""

import os
import subprocess
import sys

import pytest

from phoenix95.common.errors import ConfigError
from phoenix95.common.settings import load
from phoenix95.engine.config import EngineSettings, core_config
from phoenix95.engine.core.config import Config


def test_the_defaults_are_those_of_the_core() -> None:
    assert core_config(load(EngineSettings, "engine", {})) == Config()


def test_bar_lengths_come_from_a_list_and_are_sorted() -> None:
    settings = load(EngineSettings, "engine", {"P95_ENGINE_BAR_MS": "300000, 5000"})
    assert core_config(settings).bar_ms == (5_000, 300_000)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("P95_ENGINE_STRATEGY", "momentun", "no strategy 'momentun'; there are momentum"),
        ("P95_ENGINE_BAR_MS", "60000,5", "P95_ENGINE_BAR_MS: 5 is not in"),
        ("P95_ENGINE_SIGNAL_TTL_MS", "0", "P95_ENGINE_SIGNAL_TTL_MS"),
        ("P95_ENGINE_LEASE_MS", "999", "P95_ENGINE_LEASE_MS"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(EngineSettings, "engine", {name: value})


def test_a_wrong_setting_ends_the_process_in_one_line() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("P95_")}
    environment |= {"P95_REDIS_URL": "unix:///nowhere", "P95_ENGINE_STRATEGY": "momentun"}
    ended = subprocess.run(
        [sys.executable, "-m", "phoenix95.engine"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("phoenix95 engine: P95_ENGINE_STRATEGY: no strategy")
    assert len(ended.stderr.splitlines()) == 1


def test_the_name_of_a_config_depends_on_every_number() -> None:
    names = {Config().name, Config(hold_bars=31).name, Config(bar_ms=(5_000,)).name, Config(model=2).name}
    assert len(names) == 4
    assert Config().name == Config().name
