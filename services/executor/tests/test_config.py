from collections.abc import Mapping
from decimal import Decimal

import pytest

from phoenix95.common.errors import ConfigError
from phoenix95.common.settings import load
from phoenix95.executor.config import ExecutorSettings
from phoenix95.executor.core.options import Wishes

KEYS = {"P95_EXECUTOR_API_KEY": "k", "P95_EXECUTOR_API_SECRET": "s"}


def settings(extra: Mapping[str, str]) -> ExecutorSettings:
    return load(ExecutorSettings, "executor", {**KEYS, **extra})


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"P95_EXECUTOR_API_KEY": ""}, "P95_EXECUTOR_API_KEY"),
        ({"P95_EXECUTOR_API_SECRET": ""}, "P95_EXECUTOR_API_SECRET"),
        ({"P95_MODE": "live"}, "P95_EXECUTOR_ALLOW_LIVE"),
        ({"P95_MODE": "demo", "P95_EXECUTOR_API_KEY": "paper-key"}, "P95_EXECUTOR_API_KEY .* P95_MODE is demo"),
        (
            {"P95_MODE": "live", "P95_EXECUTOR_ALLOW_LIVE": "true", "P95_EXECUTOR_API_KEY": "paper-key"},
            "P95_EXECUTOR_API_KEY .* P95_MODE is live",
        ),
    ],
)
def test_what_must_not_run_names_its_setting(extra: Mapping[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        settings(extra).check()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TRAILING_PERCENT", "1.2", "0.001 to 0.2"),  # a share of price, not percent
        ("TRAILING_PERCENT", "0.0005", "0.001 to 0.2"),
        ("TARGETS", "0.5@1,0.6@2", "more than the whole"),
        ("TARGETS", "half", "half"),
    ],
)
def test_options_that_make_no_sense_name_their_settings(name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"P95_EXECUTOR_{name}.*{words}"):
        settings({f"P95_EXECUTOR_{name}": value}).check()


def test_options_reach_the_decision() -> None:
    chosen = settings({"P95_EXECUTOR_BREAKEVEN_R": "1.5", "P95_EXECUTOR_EXIT_ON_OPPOSITE": "false"}).limits()
    assert (chosen.wishes.breakeven_r, chosen.exit_on_opposite) == (Decimal("1.5"), False)
    assert settings({}).limits().wishes == Wishes()
    assert settings({}).limits().exit_on_opposite


def test_real_money_needs_both_switches() -> None:
    settings({"P95_MODE": "live", "P95_EXECUTOR_ALLOW_LIVE": "true"}).check()


def test_demo_trading_needs_no_second_switch_but_the_exchanges_own_bounds() -> None:
    demo = settings({"P95_MODE": "demo", "P95_EXECUTOR_RECV_WINDOW_MS": "60000"})
    demo.check()
    assert (demo.limits().uncertainty_max_ms, demo.bounds().margin_ms >= 10_000) == (250, True)


def test_nothing_is_given_up_on_while_the_exchange_may_still_take_it() -> None:
    bounds = settings({"P95_EXECUTOR_RECV_WINDOW_MS": "50000"}).bounds()
    assert (bounds.naked_ms, bounds.margin_ms) == (50_000, 100_000)


def test_a_small_window_does_not_shorten_the_exchanges_own_time_nor_a_large_one_excuse_a_doubtful_clock() -> None:
    live = {"P95_MODE": "live", "P95_EXECUTOR_ALLOW_LIVE": "true"}
    assert settings({**live, "P95_EXECUTOR_RECV_WINDOW_MS": "1000"}).bounds().margin_ms == 10_000
    assert settings({**live, "P95_EXECUTOR_RECV_WINDOW_MS": "60000"}).limits().uncertainty_max_ms == 250
