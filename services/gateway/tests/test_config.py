"""The gateway's settings: what may be served to whom."""

import pytest

from phoenix95.common.errors import ConfigError
from phoenix95.common.settings import load
from phoenix95.gateway.config import GatewaySettings, is_loopback

ELSEWHERE = ["0.0.0.0", "::", "192.168.1.2", "example.com", "127.0.0.1.example.com", "localhost."]  # noqa: S104


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1", "[::1]"])
def test_loopback_is_served_without_a_key(host):
    assert is_loopback(host)
    assert load(GatewaySettings, "gateway", {"P95_GATEWAY_HOST": host}).host == host


@pytest.mark.parametrize("host", ELSEWHERE)
def test_anything_else_needs_a_key(host):
    with pytest.raises(ConfigError, match="P95_GATEWAY_API_KEY"):
        load(GatewaySettings, "gateway", {"P95_GATEWAY_HOST": host})
    env = {"P95_GATEWAY_HOST": host, "P95_GATEWAY_API_KEY": "k" * 16}
    assert load(GatewaySettings, "gateway", env).host == host


def test_a_short_key_is_refused_and_not_shown():
    with pytest.raises(ConfigError, match="P95_GATEWAY_API_KEY is shorter") as caught:
        load(GatewaySettings, "gateway", {"P95_GATEWAY_API_KEY": "fifteen-letters"})
    assert "fifteen" not in str(caught.value)


def test_the_key_may_come_from_a_file(tmp_path):
    file = tmp_path / "api_key"
    file.write_text("k" * 32 + "\n")
    settings = load(GatewaySettings, "gateway", {"P95_GATEWAY_API_KEY_FILE": str(file)})
    assert settings.api_key.reveal() == "k" * 32
    assert "k" * 32 not in repr(settings)
