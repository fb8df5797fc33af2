"""Settings: which source wins, and a clear message for every mistake."""

import pickle
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from phoenix95.common.errors import ConfigError
from phoenix95.common.settings import Common, Secret, Settings, load, require
from phoenix95.common.settings_registry import OPS_PORTS, SECTIONS, SETTINGS, env_example, variable

ROOT = Path(__file__).parents[3]


class ToySettings(Settings, frozen=True, kw_only=True):
    """A service of its own, so that these tests do not follow the real ones."""

    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")
    bar_ms: tuple[int, ...] = (60_000,)
    risk: Decimal = Decimal("0.02")
    speed: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    hedge: bool = True
    side: Literal["long", "short"] | None = None
    api_secret: Secret = Secret()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.risk <= 0:
            raise ValueError("risk must be above 0")


def toy(**env: str) -> ToySettings:
    return load(ToySettings, "toy", env)


def refusal(**env: str) -> str:
    with pytest.raises(ConfigError) as caught:
        toy(**env)
    return str(caught.value)


def test_nothing_set_gives_the_defaults() -> None:
    assert toy() == ToySettings()


def test_an_own_field_is_named_after_the_service_and_a_shared_one_is_not() -> None:
    settings = toy(P95_TOY_SPEED="10", P95_PARTITIONS="4", P95_TOY_HTTP_PORT="7000", PATH="/bin")
    assert (settings.speed, settings.partitions, settings.http_port) == (10.0, 4, 7000)


def test_environment_wins_over_file_and_file_over_default(tmp_path: Path) -> None:
    file = tmp_path / "p95.toml"
    file.write_text('[common]\npartitions = 8\nlog_level = "debug"\n[toy]\nspeed = 3\nsymbols = ["A", "B"]\n')
    settings = toy(P95_CONFIG=str(file), P95_PARTITIONS="4")
    assert (settings.partitions, settings.log_level, settings.speed) == (4, "debug", 3.0)
    assert settings.symbols == ("A", "B")
    assert settings.risk == Decimal("0.02")


@pytest.mark.parametrize(
    ("text", "symbols"),
    [("BTCUSDT", ("BTCUSDT",)), (" BTCUSDT , ETHUSDT,", ("BTCUSDT", "ETHUSDT")), (",", ())],
)
def test_a_tuple_is_a_comma_list(text: str, symbols: tuple[str, ...]) -> None:
    assert toy(P95_TOY_SYMBOLS=text).symbols == symbols


def test_values_become_the_types_of_their_fields() -> None:
    settings = toy(P95_TOY_BAR_MS="5000,60000", P95_TOY_RISK="0.1", P95_TOY_HEDGE="false", P95_TOY_SIDE="short")
    assert settings.bar_ms == (5000, 60000)
    assert settings.risk == Decimal("0.1")
    assert settings.hedge is False
    assert settings.side == "short"


def test_a_number_of_a_file_becomes_an_exact_decimal(tmp_path: Path) -> None:
    file = tmp_path / "p95.toml"
    file.write_text("[toy]\nrisk = 0.1\n")
    assert toy(P95_CONFIG=str(file)).risk == Decimal("0.1")


def test_an_empty_variable_counts_as_not_set() -> None:
    assert toy(P95_TOY_SPEED="", P95_CONFIG="", P95_TOY_SIDE="") == ToySettings()


def test_a_typo_is_refused_with_a_suggestion() -> None:
    assert refusal(P95_TOY_SPED="1") == "unknown setting P95_TOY_SPED; did you mean P95_TOY_SPEED?"
    assert refusal(P95_REDIS_ULR="x") == "unknown setting P95_REDIS_ULR; did you mean P95_REDIS_URL?"


def test_settings_of_other_services_and_of_tests_are_known() -> None:
    assert toy(P95_FEED_HTTP_PORT="1", P95_TEST_DATA="/x", P95_TEST_WHATEVER="1") == ToySettings()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("P95_TOY_SPEED", "fast", "P95_TOY_SPEED: expected float, got str (got 'fast')"),
        ("P95_TOY_SPEED", "0", "P95_TOY_SPEED: expected float > 0.0 (got '0')"),
        ("P95_TOY_HTTP_PORT", "65536", "P95_TOY_HTTP_PORT: expected int <= 65535 (got '65536')"),
        ("P95_PARTITIONS", "0", "P95_PARTITIONS: expected int >= 1 (got '0')"),
        ("P95_LOG_LEVEL", "loud", "P95_LOG_LEVEL: invalid enum value 'loud' (got 'loud')"),
        ("P95_TOY_BAR_MS", "1,x", "P95_TOY_BAR_MS: expected int, got str - at $[1] (got ('1', 'x'))"),
        ("P95_TOY_HEDGE", "perhaps", "P95_TOY_HEDGE: expected bool, got str (got 'perhaps')"),
        ("P95_TOY_RISK", "-1", "settings of toy: risk must be above 0"),
    ],
)
def test_a_bad_value_is_named_with_its_variable(name: str, text: str, says: str) -> None:
    assert refusal(**{name: text}) == says


def test_a_field_without_a_default_is_required() -> None:
    class Strict(Settings, frozen=True, kw_only=True):
        name: str

    with pytest.raises(ConfigError, match="P95_TOY_NAME is required and not set"):
        load(Strict, "toy", {})


def test_require_names_the_shared_field_that_is_missing() -> None:
    require(Common(redis_url="unix:///r"), "redis_url")
    with pytest.raises(ConfigError, match="P95_POSTGRES_URL is required and not set"):
        require(Common(redis_url="unix:///r"), "redis_url", "postgres_url")


# ---------------------------------------------------------------- secrets


def test_a_secret_never_prints() -> None:
    settings = toy(P95_TOY_API_SECRET="hunter2", P95_POSTGRES_URL="postgresql://u:hunter2@h/d")
    assert settings.api_secret.reveal() == "hunter2"
    assert "hunter2" not in f"{settings} {settings!r} {settings.api_secret} {[settings.postgres_url]}"
    with pytest.raises(TypeError):
        pickle.dumps(settings.api_secret)
    with pytest.raises(TypeError):
        msgspec.json.encode(settings)


def test_an_absent_secret_is_falsy_and_equal_ones_are_equal() -> None:
    assert not toy().api_secret
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1


def test_a_secret_is_read_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hunter2\n")
    assert toy(P95_TOY_API_SECRET_FILE=str(file)).api_secret == Secret("hunter2")
    assert toy(P95_REDIS_PASSWORD_FILE=str(file)).redis_password == Secret("hunter2")


def test_mistakes_with_secret_files_are_named(tmp_path: Path) -> None:
    away = str(tmp_path / "away")
    assert refusal(P95_TOY_API_SECRET_FILE=away).startswith(f"P95_TOY_API_SECRET_FILE: cannot read {away}: No such")
    assert "only a secret can be read from a file; set P95_TOY_SPEED" in refusal(P95_TOY_SPEED_FILE=away)
    assert "both set" in refusal(P95_TOY_API_SECRET_FILE=away, P95_TOY_API_SECRET="x")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    assert refusal(P95_TOY_API_SECRET_FILE=str(binary)) == f"P95_TOY_API_SECRET_FILE: {binary} is not text"


def test_a_bad_secret_is_not_in_the_message(tmp_path: Path) -> None:
    file = tmp_path / "p95.toml"
    file.write_text("[toy]\napi_secret = 4711\n")
    message = refusal(P95_CONFIG=str(file))
    assert "[toy] api_secret" in message
    assert "4711" not in message


# ---------------------------------------------------------------- the file


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[toy]\nsped = 1\n", "unknown key 'sped' in [toy]; did you mean speed?"),
        ("[common]\nspeed = 1\n", "unknown key 'speed' in [common]"),
        ("[common]\ntoy_speed = 1\n", "unknown key 'toy_speed' in [common]"),
        ("[common]\nfeed_http_port = 1\n", "unknown key 'feed_http_port' in [common]"),
        ("[common]\nconfig = 'x'\n", "unknown key 'config' in [common]"),
        ("[toy]\npartitions = 1\n", "unknown key 'partitions' in [toy]"),
        ("[tyo]\nspeed = 1\n", "unknown table or key 'tyo'; did you mean toy?"),
        ("speed = 1\n", "unknown table or key 'speed'"),
        ("[feed]\nhttp_prt = 1\n", "unknown key 'http_prt' in [feed]; did you mean http_port?"),
        ("[toy]\nspeed = 'x'\n", "[toy] speed: expected float, got str (got 'x')"),
        ("[toy\n", "is not TOML"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "p95.toml"
    file.write_text(text)
    message = refusal(P95_CONFIG=str(file))
    assert str(file) in message
    assert says in message


def test_tables_of_other_services_are_skipped(tmp_path: Path) -> None:
    file = tmp_path / "p95.toml"
    file.write_text("[feed]\nhttp_port = 1\n")
    assert toy(P95_CONFIG=str(file)) == ToySettings()


def test_a_missing_file_is_named() -> None:
    assert (
        refusal(P95_CONFIG="/nowhere/p95.toml")
        == "P95_CONFIG: cannot read /nowhere/p95.toml: No such file or directory"
    )


# ---------------------------------------------------------------- defaults that depend


def test_the_exchange_is_that_of_the_mode_unless_it_is_given() -> None:
    assert toy().exchange_rest_url == "http://127.0.0.1:9500"
    assert toy(P95_MODE="live").exchange_ws_url == "wss://fstream.binance.com"
    assert toy(P95_EXCHANGE_REST_URL="http://x:1/").exchange_rest_url == "http://x:1"


@pytest.mark.parametrize(("service", "port"), list(OPS_PORTS.items()))
def test_each_service_has_its_own_operations_port(service: str, port: int) -> None:
    assert load(Settings, service, {}).http_port == port


# ---------------------------------------------------------------- the registry


def test_every_name_belongs_to_a_section_and_says_what_it_is() -> None:
    for name, setting in SETTINGS.items():
        assert setting.section in SECTIONS
        assert setting.doc
        assert name.startswith("P95_")
        if setting.section != "paper":  # no money hangs on the keys of the simulated exchange
            assert not (setting.secret and setting.default), f"{name} is a secret with a default"


def test_the_shared_settings_are_the_fields_of_common() -> None:
    registered = {name for name, setting in SETTINGS.items() if setting.section == "common"}
    assert registered == {variable("common", field) for field in Common.__struct_fields__} | {"P95_CONFIG"}


def test_env_example_is_the_registry() -> None:
    written = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert written == env_example(), "run: python -m phoenix95.common.settings_registry > .env.example"
