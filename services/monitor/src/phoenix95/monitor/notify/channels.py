"""Channels to people, by apprise: Telegram, Slack and everything else that it has an address for.

Apprise takes 20 MB and some tenths of a second to load, so it is loaded only when there is a channel.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from phoenix95.common.errors import ConfigError
from phoenix95.common.events import Severity
from phoenix95.common.logs import STRUCK
from phoenix95.monitor.core.notices import Notice

if TYPE_CHECKING:
    import apprise

DEADLINE_S: Final = 6.0  # for one notice over one channel; well inside a service's drain
APP: Final = "Phoenix 95"
_PART_MIN: Final = 6  # characters of a part of an address that is struck out; shorter ones are words
_TYPES: Final[dict[Severity, str]] = {
    "info": "info",
    "success": "success",
    "warning": "warning",
    "error": "failure",
    "critical": "failure",
}


class Channel(Protocol):
    """Something that tells people."""

    name: str

    async def send(self, notice: Notice, mode: str) -> bool:
        """Tell them. Whether it was taken; never raises for a channel that fails."""


def open_channels(addresses: Sequence[str]) -> tuple[Channel, ...]:
    """One channel for each address. Takes a moment, so call it in a thread.

    Raises ConfigError that says which address is none, without showing it.
    """
    if not addresses:
        return ()
    import apprise

    _keep_quiet(addresses)
    asset = apprise.AppriseAsset(app_id=APP, app_desc=APP, app_url="", image_url_mask="", image_url_logo="")
    channels: list[Channel] = []
    for number, address in enumerate(addresses, start=1):
        plugin = apprise.Apprise.instantiate(address, asset=asset)
        if plugin is None:
            raise ConfigError(f"notifications: apprise does not know the form of address {number} of {len(addresses)}")
        channels.append(_AppriseChannel(plugin))
    return tuple(channels)


class _AppriseChannel:
    """Sends in a thread of its own: apprise blocks, and one that hangs must not keep the process from its end."""

    def __init__(self, plugin: "apprise.NotifyBase") -> None:
        import apprise

        self.name = str(plugin.service_name)
        self._apprise = apprise.Apprise(asset=plugin.asset)
        self._apprise.add(plugin)
        self._format = apprise.NotifyFormat.TEXT
        self._busy = False

    async def send(self, notice: Notice, mode: str) -> bool:
        if self._busy:
            return False  # the one before hangs: no more threads for this channel
        self._busy = True
        loop = asyncio.get_running_loop()
        taken: asyncio.Future[bool] = loop.create_future()

        def tell() -> None:
            found = self._tell(notice, mode)
            with contextlib.suppress(RuntimeError):  # the loop ended meanwhile
                loop.call_soon_threadsafe(answer, found)

        def answer(found: bool) -> None:
            self._busy = False
            if not taken.done():
                taken.set_result(found)

        # A daemon: the executor's threads are waited for at the end, however long they hang.
        threading.Thread(target=tell, name=f"notify-{self.name}", daemon=True).start()
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await taken
        except TimeoutError:
            return False

    def _tell(self, notice: Notice, mode: str) -> bool:
        try:
            # None and False both mean that it was not taken
            return bool(
                self._apprise.notify(
                    body=notice.body,
                    title=f"[{mode.upper()}] {notice.title}",
                    notify_type=_TYPES[notice.severity],
                    body_format=self._format,
                )
            )
        except Exception as error:  # one of a hundred plug-ins, and no reason to end the monitor
            logging.getLogger("apprise").warning("%s failed: %s", self.name, type(error).__name__)
            return False


class _Struck(logging.Filter):
    """Strikes the addresses and their parts out of what apprise writes."""

    def __init__(self, addresses: Sequence[str]) -> None:
        super().__init__()
        parts = {part for address in addresses for part in (address, *address.split("://", 1)[-1].split("/"))}
        self._secrets = sorted((part for part in parts if len(part) >= _PART_MIN), key=len, reverse=True)

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        for secret in self._secrets:
            text = text.replace(secret, STRUCK)
        record.msg, record.args = text, ()
        return True


def _keep_quiet(addresses: Sequence[str]) -> None:
    """At DEBUG apprise writes whole addresses with their passwords: it is heard from WARNING on, without them."""
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.WARNING)
    for old in [one for one in logger.filters if isinstance(one, _Struck)]:
        logger.removeFilter(old)
    logger.addFilter(_Struck(addresses))
