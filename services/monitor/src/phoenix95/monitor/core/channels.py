"""Where people are told: addresses as apprise reads them, made of the settings."""

import re
from typing import Final
from urllib.parse import quote

_BETWEEN: Final = re.compile(r"[\s,]+(?=[a-zA-Z][a-zA-Z0-9+.-]*://)|\s+")
_TOKEN: Final = re.compile(r"\d+:[\w-]+")
_WEBHOOK: Final = "https://hooks.slack.com/"


def addresses_of(*, telegram_token: str, telegram_chat: str, slack_webhook: str, urls: str) -> tuple[str, ...]:
    """All addresses; they are secrets. Raises ValueError that names a setting and never shows one."""
    found = []
    if bool(telegram_token) != bool(telegram_chat):
        raise ValueError("P95_MONITOR_TELEGRAM_BOT_TOKEN and P95_MONITOR_TELEGRAM_CHAT_ID go together: set both")
    if telegram_token:
        if not _TOKEN.fullmatch(telegram_token):
            raise ValueError("P95_MONITOR_TELEGRAM_BOT_TOKEN is not like 123456789:letters")
        found.append(f"tgram://{telegram_token}/{quote(telegram_chat, safe='@-')}/")
    if slack_webhook:
        if not slack_webhook.startswith(_WEBHOOK):
            raise ValueError(f"P95_MONITOR_SLACK_WEBHOOK_URL does not begin with {_WEBHOOK}")
        found.append(slack_webhook)
    for number, url in enumerate(filter(None, _BETWEEN.split(urls.strip())), start=1):
        if "://" not in url:
            raise ValueError(f"P95_MONITOR_NOTIFY_URLS: address {number} is not like scheme://where")
        found.append(url)
    return tuple(found)
