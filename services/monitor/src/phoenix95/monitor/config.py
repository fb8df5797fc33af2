"""The monitor's settings."""

from typing import Annotated

import msgspec

from phoenix95.common.settings import Secret, Settings
from phoenix95.monitor.core.channels import addresses_of
from phoenix95.monitor.core.load import MEGABYTE, Limits
from phoenix95.monitor.core.targets import targets_of

Percent = Annotated[float, msgspec.Meta(gt=0, le=100)]


class MonitorSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`sample_ms` is the time between two looks at the host; `disk_path` lies on the file system to watch.

    `targets` are the services whose figures are kept, as name=address of their operations port; `figures_ms` is
    the time between two rows of a figure. Without `postgres_url` none are kept. `max_memory_mb` is for all our
    processes together. Without a channel (Telegram, Slack, `notify_urls`) nobody is told of anything.
    """

    sample_ms: Annotated[int, msgspec.Meta(ge=100, le=60_000)] = 3_000
    disk_path: str = "."
    targets: tuple[str, ...] = ()
    figures_ms: Annotated[int, msgspec.Meta(ge=1_000, le=3_600_000)] = 60_000
    max_memory_mb: Annotated[int, msgspec.Meta(ge=1)] = 500
    memory_threshold: Percent = 85
    cpu_threshold: Percent = 80
    disk_threshold: Percent = 85
    connections_threshold: Annotated[int, msgspec.Meta(ge=0)] = 100
    enable_notifications: bool = True
    telegram_bot_token: Secret = Secret()
    telegram_chat_id: str = ""
    slack_webhook_url: Secret = Secret()
    notify_urls: Secret = Secret()

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            targets_of(self.targets)
        except ValueError as error:
            raise ValueError(f"P95_MONITOR_TARGETS: {error}") from error
        self.channel_addresses()

    def limits(self) -> Limits:
        """Above what there is an alert."""
        return Limits(
            process_memory=self.max_memory_mb * MEGABYTE,
            memory_percent=self.memory_threshold,
            cpu_percent=self.cpu_threshold,
            disk_percent=self.disk_threshold,
            connections=self.connections_threshold,
        )

    def channel_addresses(self) -> tuple[str, ...]:
        """Where people are told, as apprise reads it; empty when nobody is. Raises ValueError that names a setting."""
        found = addresses_of(
            telegram_token=self.telegram_bot_token.reveal(),
            telegram_chat=self.telegram_chat_id,
            slack_webhook=self.slack_webhook_url.reveal(),
            urls=self.notify_urls.reveal(),
        )
        return found if self.enable_notifications else ()
