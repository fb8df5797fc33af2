"""Keys of one kind of exchange never reach another kind."""

import pytest

from phoenix95.common.errors import ConfigError
from phoenix95.common.settings import Settings, load


def settings(**env: str) -> Settings:
    return load(Settings, "gateway", env)


@pytest.mark.parametrize(
    ("mode", "rest", "websocket"),
    [
        ("paper", "http://127.0.0.1:9500", "ws://127.0.0.1:9501"),
        ("demo", "https://demo-fapi.binance.com", "wss://fstream.binancefuture.com"),
        ("live", "https://fapi.binance.com", "wss://fstream.binance.com"),
    ],
)
def test_each_mode_has_its_exchange(mode: str, rest: str, websocket: str) -> None:
    found = settings(P95_MODE=mode)
    assert (found.exchange_rest_url, found.exchange_ws_url) == (rest, websocket)
    given = settings(P95_MODE=mode, P95_EXCHANGE_REST_URL=f"{rest}/", P95_EXCHANGE_WS_URL=f"{websocket}/")
    assert given == found


def test_paper_is_what_nobody_chose() -> None:
    assert settings().mode == "paper"


@pytest.mark.parametrize("key", ["P95_EXCHANGE_REST_URL", "P95_EXCHANGE_WS_URL"])
@pytest.mark.parametrize(
    ("mode", "host"),
    [
        ("paper", "fapi.binance.com"),
        ("paper", "FAPI.Binance.com."),
        ("paper", "demo-fapi.binance.com"),
        ("paper", "fstream.binancefuture.com:443"),
        ("paper", "binance.com"),
        ("live", "127.0.0.1:9500"),
        ("live", "localhost"),
        ("live", "[::1]:9500"),
        ("live", "10.1.2.3"),
        ("live", "paper"),
        ("live", "paper.internal"),
        ("live", "demo-fapi.binance.com"),
        ("live", "testnet.binancefuture.com"),
        ("demo", "fapi.binance.com"),
        ("demo", "fstream.binance.com"),
        ("demo", "127.0.0.1"),
    ],
)
def test_an_address_that_contradicts_the_mode_names_both_settings(key: str, mode: str, host: str) -> None:
    scheme = "https" if "REST" in key else "wss"
    with pytest.raises(ConfigError, match=f"P95_MODE is {mode}, but {key} is"):
        settings(P95_MODE=mode, **{key: f"{scheme}://{host}"})


@pytest.mark.parametrize("mode", ["demo", "live"])
def test_real_keys_are_not_sent_in_the_clear(mode: str) -> None:
    with pytest.raises(ConfigError, match="not encrypted"):
        settings(P95_MODE=mode, P95_EXCHANGE_REST_URL="http://proxy.example.org")


def test_a_proxy_of_ones_own_may_stand_before_the_exchange() -> None:
    url = "https://binance.com.example.org"
    assert settings(P95_MODE="live", P95_EXCHANGE_REST_URL=url).exchange_rest_url == url
    assert settings(P95_EXCHANGE_REST_URL="http://paper:9500").exchange_rest_url == "http://paper:9500"
