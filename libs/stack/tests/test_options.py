"""The command line's words: what is understood, and which message names what is wrong."""

from pathlib import Path

import pytest

from phoenix95.common.errors import ConfigError
from phoenix95.stack.options import Source, parse_duration, parse_source, read_options, resolve_source, scaled_ms

RECORDED = Source(kind="recorded", files=("/a",))
SYNTHETIC = Source(kind="synthetic", seed=7)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1m30s", 90), ("0.5s", 0.5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-5", "5x", "m", "1s1m"])
def test_what_is_no_duration_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="--for"):
        parse_duration(text)


def test_sources(tmp_path: Path) -> None:
    file = tmp_path / "a.gz"
    file.touch()
    assert parse_source("synthetic") == Source(kind="synthetic", seed=95)
    assert parse_source("synthetic:7") == SYNTHETIC
    assert parse_source(f"recorded:{file},{file}").files == (str(file), str(file))


@pytest.mark.parametrize("text", ["synthetic:x", "recorded:", "recorded", "recorded:/no/such", "live", ""])
def test_what_is_no_source_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="--source"):
        parse_source(text)


def test_a_second_start_takes_up_the_stored_source() -> None:
    assert resolve_source(None, RECORDED, until_end=True) == RECORDED
    assert resolve_source(RECORDED, RECORDED, until_end=False) == RECORDED
    assert resolve_source(None, None, until_end=False).kind == "synthetic"


def test_another_market_in_the_same_folder_is_refused() -> None:
    with pytest.raises(ConfigError, match="--fresh"):
        resolve_source(SYNTHETIC, RECORDED, until_end=False)


@pytest.mark.parametrize(("asked", "stored"), [(SYNTHETIC, None), (None, SYNTHETIC), (None, None)])
def test_the_end_of_a_synthetic_market_is_not_waited_for(asked: Source | None, stored: Source | None) -> None:
    with pytest.raises(ConfigError, match="--until-end"):
        resolve_source(asked, stored, until_end=True)


@pytest.mark.parametrize(
    ("words", "named"), [({"speed": 0}, "--speed"), ({"speed": 1001}, "--speed"), ({"until_end": True}, "--until-end")]
)
def test_options_that_cannot_be(words: dict[str, object], named: str) -> None:
    whole: dict[str, object] = {
        "data": Path("x"), "source": None, "speed": 1.0, "run_for": "5s", "until_end": False,
        "profile": "default", "fresh": False, "as_json": False,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=named):
        read_options(**(whole | words))  # type: ignore[arg-type]


def test_latency_bounds_grow_with_the_speed_up_to_their_limit() -> None:
    bounds = {"A": (1500, None), "B": (5000, 60_000)}
    assert scaled_ms(bounds, 1) == {"A": "1500", "B": "5000"}
    assert scaled_ms(bounds, 10) == {"A": "15000", "B": "50000"}
    assert scaled_ms(bounds, 20) == {"A": "30000", "B": "60000"}
    assert scaled_ms(bounds, 0.5) == {"A": "1500", "B": "5000"}
