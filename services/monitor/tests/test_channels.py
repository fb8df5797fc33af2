"""Channels on a receiver of our own: what arrives, what fails, and that no secret is ever shown."""

import asyncio
import io
import logging
import subprocess
import sys
import time

import apprise
import pytest
import structlog
from apprise.plugins.slack import NotifySlack
from apprise.plugins.telegram import NotifyTelegram

from phoenix95.common.errors import ConfigError
from phoenix95.common.logs import configure
from phoenix95.common.settings import load
from phoenix95.monitor.config import MonitorSettings
from phoenix95.monitor.core.notices import notice_of_message
from phoenix95.monitor.notify import channels
from phoenix95.monitor.notify.channels import open_channels

TOKEN = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
WEBHOOK = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
NOTICE = notice_of_message("a <b> & c_d", "critical")


def settings(**env):
    return load(MonitorSettings, "monitor", {f"P95_MONITOR_{name.upper()}": text for name, text in env.items()})


async def test_what_arrives(receiver):
    (channel,) = open_channels((receiver.json_url,))
    assert channel.name == "JSON"
    assert await channel.send(NOTICE, "paper")
    (told,) = receiver.told
    assert (told["title"], told["message"], told["type"]) == ("[PAPER] Critical: message", "a <b> & c_d", "failure")


async def test_telegram_gets_the_message_in_its_own_form(receiver, monkeypatch):
    monkeypatch.setattr(NotifyTelegram, "notify_url", f"http://{receiver.address}/bot")
    (channel,) = open_channels(settings(telegram_bot_token=TOKEN, telegram_chat_id="-1001234").channel_addresses())
    assert channel.name == "Telegram"
    receiver.told.clear()
    await channel.send(NOTICE, "live")
    sent = receiver.told[receiver.paths.index(f"/bot{TOKEN}/sendMessage")]
    assert str(sent["chat_id"]) == "-1001234"
    assert "[LIVE] Critical: message" in sent["text"]
    assert "a &lt;b&gt; &amp; c_d" in sent["text"]


async def test_slack_gets_the_message_in_its_own_form(receiver, monkeypatch):
    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://{receiver.address}/services")
    (channel,) = open_channels(settings(slack_webhook_url=WEBHOOK).channel_addresses())
    assert channel.name == "Slack"
    assert await channel.send(NOTICE, "paper")
    assert receiver.paths == ["/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"]
    assert "[PAPER] Critical: message" in str(receiver.told[0])
    assert "github" not in str(receiver.told[0])  # no picture of somebody else's


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
async def test_an_answer_that_is_no_success_is_a_failure(receiver, status):
    receiver.status = status
    (channel,) = open_channels((receiver.json_url,))
    assert not await channel.send(NOTICE, "paper")


async def test_nobody_there_is_a_failure(free_port):
    (channel,) = open_channels((f"json://127.0.0.1:{free_port}/",))
    assert not await channel.send(NOTICE, "paper")


async def test_one_that_hangs_is_given_up_and_not_asked_again_meanwhile(receiver, monkeypatch):
    monkeypatch.setattr(channels, "DEADLINE_S", 0.2)
    receiver.delay_s = 1.0
    (channel,) = open_channels((receiver.json_url,))
    began = time.monotonic()
    assert not await channel.send(NOTICE, "paper")
    assert not await channel.send(NOTICE, "paper")
    assert time.monotonic() - began < 0.9
    assert len(receiver.told) == 1
    await asyncio.sleep(1.2)
    receiver.delay_s = 0.0
    assert await channel.send(NOTICE, "paper")


# ---------------------------------------------------------------- secrets


@pytest.fixture
def written():
    """Everything that is logged, as a service logs it; what was set before is set again after the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    configure("monitor", level="debug", fmt="json", stream=out)
    yield out
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


async def test_no_secret_is_ever_written(receiver, monkeypatch, written):
    monkeypatch.setattr(NotifyTelegram, "notify_url", f"http://{receiver.address}/bot")
    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://{receiver.address}/services")
    receiver.status = 401
    found = settings(
        telegram_bot_token=TOKEN, telegram_chat_id="-1001234", slack_webhook_url=WEBHOOK, notify_urls=receiver.json_url
    )
    for channel in open_channels(found.channel_addresses()):
        assert not await channel.send(NOTICE, "paper")
        logging.getLogger("apprise").warning("of %s", found.channel_addresses())
    assert logging.getLogger("apprise").level == logging.WARNING
    text = written.getvalue()
    assert "apprise" in text
    for secret in (TOKEN, TOKEN.split(":")[1], "TIiajkdnlazkcOXrIdevi7FQ", "hidden-word"):
        assert secret not in text
        assert secret not in repr(found)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"telegram_bot_token": TOKEN}, "P95_MONITOR_TELEGRAM_BOT_TOKEN and P95_MONITOR_TELEGRAM_CHAT_ID go together"),
        ({"telegram_chat_id": "5"}, "go together"),
        ({"telegram_bot_token": "nonsense", "telegram_chat_id": "5"}, "is not like 123456789:letters"),
        ({"slack_webhook_url": "http://example.org/x"}, "does not begin with https://hooks.slack.com/"),
        ({"notify_urls": "json://a nonsense"}, "P95_MONITOR_NOTIFY_URLS: address 2 is not like scheme://where"),
        ({"max_memory_mb": "0"}, "P95_MONITOR_MAX_MEMORY_MB"),
        ({"cpu_threshold": "101"}, "P95_MONITOR_CPU_THRESHOLD"),
    ],
)
def test_a_wrong_setting_is_named_and_no_secret_shown(env, message):
    with pytest.raises(ConfigError, match=message) as caught:
        settings(**env)
    assert "nonsense" not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_an_address_of_no_form_that_apprise_knows_is_counted_and_not_shown():
    with pytest.raises(ConfigError, match="does not know the form of address 2 of 2") as caught:
        open_channels(("json://127.0.0.1/", "hunter2://hunter2"))
    assert "hunter2" not in str(caught.value)


def test_addresses_stand_on_lines_or_between_blanks():
    assert settings(notify_urls="json://a,b\nxml://c, slack://d  tgram://e ").channel_addresses() == (
        "json://a,b", "xml://c", "slack://d", "tgram://e",
    )  # fmt: skip


def test_notifications_can_be_switched_off():
    assert settings(notify_urls="json://a", enable_notifications="false").channel_addresses() == ()
    assert settings().channel_addresses() == ()


def test_without_a_channel_nothing_is_loaded():
    assert open_channels(()) == ()
    code = "import sys, phoenix95.monitor.service; sys.exit('apprise' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_apprise_knows_the_words_for_a_severity():
    known = {kind.value for kind in apprise.NotifyType}
    assert set(channels._TYPES.values()) <= known
