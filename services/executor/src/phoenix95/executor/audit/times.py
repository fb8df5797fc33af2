"""Times as people write them, in UTC."""

from datetime import UTC, datetime, timedelta

from phoenix95.common.errors import ConfigError


def ms_of(text: str | None, name: str) -> int:
    """Exchange ms of an ISO date or time (UTC unless it says otherwise), or of ms since 1970; None is 0.

    Raises ConfigError that names the option.
    """
    if text is None:
        return 0
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{name}: {text!r} is no time like 2026-11-22 or 2026-11-22T10:00:00Z") from error
    aware = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def iso(ms: int) -> str:
    """Exchange ms as ISO time in UTC, to the millisecond: 2026-11-22T10:00:00.123Z."""
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
