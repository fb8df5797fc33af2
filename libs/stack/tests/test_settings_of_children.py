"""Ports, profiles and the environment that a child gets."""

import socket
from pathlib import Path

import pytest

from phoenix95.common.errors import ConfigError
from phoenix95.common.settings_registry import SETTINGS
from phoenix95.stack.environment import MANAGED, Environment, check_environment
from phoenix95.stack.folder import DataFolder
from phoenix95.stack.options import Source
from phoenix95.stack.ports import DEFAULTS, GATEWAY_PORT, choose_ports
from phoenix95.stack.profile import parse_profile, read_profile

ANY_FREE = dict.fromkeys(DEFAULTS, "0")


def an_environment(tmp_path: Path, outer: dict[str, str], *, speed: float = 1.0, profile: str = "") -> Environment:
    folder = DataFolder(tmp_path)
    folder.prepare()
    return Environment(
        folder,
        outer,
        ports=choose_ports(ANY_FREE),
        source=Source(kind="synthetic", seed=3),
        speed=speed,
        profile=parse_profile("test", profile),
        redis_url="unix:///r",
        postgres_url="postgresql://p",
    )


def test_every_variable_that_is_set_is_a_known_setting(tmp_path: Path) -> None:
    environment = an_environment(tmp_path, {})
    for service in ("feed", "engine", "executor", "monitor", "gateway", "paper"):
        for name in environment.of(service):
            if name.startswith("P95_"):
                assert name in SETTINGS or SETTINGS[name.removesuffix("_FILE")].secret, name
    assert set(DEFAULTS) <= set(SETTINGS)
    assert set(MANAGED) <= set(SETTINGS)


def test_a_child_sees_settings_and_nothing_else(tmp_path: Path) -> None:
    outer = {"P95_ENGINE_LEASE_MS": "4000", "AWS_SECRET_ACCESS_KEY": "x", "P95_API_KEY": "k", "P95_TEST_DATA": "/d"}
    env = an_environment(tmp_path, outer).of("engine")
    assert env["P95_ENGINE_LEASE_MS"] == "4000"
    assert not {"AWS_SECRET_ACCESS_KEY", "P95_API_KEY", "P95_TEST_DATA"} & set(env)
    assert not any("postgresql" in text for text in env.values())


def test_secrets_go_by_file_and_only_to_who_needs_them(tmp_path: Path) -> None:
    environment = an_environment(tmp_path, {})
    assert Path(environment.of("executor")["P95_POSTGRES_URL_FILE"]).read_text() == "postgresql://p\n"
    assert "P95_POSTGRES_URL_FILE" not in environment.of("feed")
    assert "P95_EXECUTOR_API_KEY_FILE" not in environment.of("gateway")
    assert "P95_REDIS_URL" not in environment.of("paper")


def test_bounds_on_latency_count_in_market_time(tmp_path: Path) -> None:
    env = an_environment(tmp_path, {"P95_EXECUTOR_RECV_WINDOW_MS": "2000"}, speed=10).of("engine")
    assert (env["P95_ENGINE_SIGNAL_TTL_MS"], env["P95_EXECUTOR_RECV_WINDOW_MS"]) == ("15000", "20000")
    env = an_environment(tmp_path, {}, speed=2, profile="[engine]\nsignal_ttl_ms = 500").of("engine")
    assert env["P95_ENGINE_SIGNAL_TTL_MS"] == "1000"


def test_the_symbols_of_a_recording_are_the_feeds_unless_somebody_chose(tmp_path: Path) -> None:
    environment = an_environment(tmp_path, {})
    environment.symbols = ("A", "B")
    assert environment.of("feed")["P95_FEED_SYMBOLS"] == "A,B"
    environment = an_environment(tmp_path, {"P95_FEED_SYMBOLS": "A"})
    environment.symbols = ("A", "B")
    assert environment.of("feed")["P95_FEED_SYMBOLS"] == "A"


@pytest.mark.parametrize("name", ["P95_REDIS_URL", "P95_POSTGRES_URL_FILE", "P95_CONFIG"])
def test_settings_of_another_deployment_are_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        check_environment({name: "x"})


def test_live_is_refused() -> None:
    check_environment({"P95_MODE": "paper"})
    with pytest.raises(ConfigError, match="P95_MODE"):
        check_environment({"P95_MODE": "live"})


def test_a_busy_port_is_named_with_the_setting_that_moves_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} .*{GATEWAY_PORT}"):
            choose_ports(ANY_FREE | {GATEWAY_PORT: str(port)})


def test_a_port_given_twice_or_none_at_all_is_named(free_port: int) -> None:
    with pytest.raises(ConfigError, match="twice"):
        choose_ports(ANY_FREE | {GATEWAY_PORT: str(free_port), "P95_PAPER_PORT": str(free_port)})
    with pytest.raises(ConfigError, match="'http'"):
        choose_ports({GATEWAY_PORT: "http"})


def test_no_default_port_is_that_of_redis_or_postgres() -> None:
    assert not {6379, 5432} & set(DEFAULTS.values())


def test_profiles_by_name_and_by_file(tmp_path: Path) -> None:
    assert parse_profile("fast", read_profile("fast"))["engine"]["bar_ms"] == [5000]
    own = tmp_path / "own.toml"
    own.write_text("[feed]\nseed_bars = 3\n")
    assert parse_profile("own", read_profile(str(own)))["feed"]["seed_bars"] == 3


@pytest.mark.parametrize("text", ["x = 1", "no toml ["])
def test_a_profile_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    own = tmp_path / "own.toml"
    own.write_text(text)
    with pytest.raises(ConfigError, match=r"own\.toml"):
        read_profile(str(own))
    with pytest.raises(ConfigError, match="default, fast"):
        read_profile("none")
