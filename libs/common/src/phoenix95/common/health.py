"""What /livez and /readyz say: named checks with a reason each, and marks of progress."""

import time
from collections.abc import Callable
from typing import Final

import msgspec

Check = Callable[[], str | None]
STARTING: Final = "starting"


class Health:
    """Named reasons why a service is not ready. It is not ready before the first check was given."""

    def __init__(self, service: str = "", mode: str = "") -> None:
        self.service = service
        self.mode = mode
        self.stopping = False
        self._checks: dict[str, Check] = {}
        self._progress: dict[str, float] = {}
        self._progress_wall_ms = _wall_ms()

    def check(self, name: str, fn: Check) -> None:
        """Ask `fn` at each /readyz: it returns why `name` is not ready, or None. It must not block."""
        self._checks[name] = fn

    def set(self, name: str, reason: str | None) -> None:
        """Say once why `name` is not ready, or None that it is; holds until the next `set` or `check`."""
        self._checks[name] = lambda: reason

    def progress(self, name: str) -> None:
        """Mark that `name` got something done just now."""
        self._progress[name] = time.monotonic()
        self._progress_wall_ms = _wall_ms()

    def progress_age_s(self, name: str) -> float | None:
        """Seconds since the last progress of `name`; None when there was none."""
        at = self._progress.get(name)
        return None if at is None else time.monotonic() - at

    def progress_wall_ms(self) -> int:
        """Wall-clock ms of the last progress of anything (of the start when there was none); for heartbeats."""
        return self._progress_wall_ms

    def reasons(self) -> dict[str, str | None]:
        """Every check's answer. A check that raises is not ready, and its error is the reason."""
        found = {name: _asked(fn) for name, fn in self._checks.items()} or {STARTING: STARTING}
        return {**found, "stopping": "asked to stop"} if self.stopping else found

    @property
    def ready(self) -> bool:
        """Whether nothing speaks against it."""
        return all(reason is None for reason in self.reasons().values())

    def as_json(self) -> tuple[bool, bytes]:
        """(ready, the JSON of /readyz: each check with `ok` or its reason, progress in seconds ago)."""
        reasons = self.reasons()
        ready = all(reason is None for reason in reasons.values())
        now = time.monotonic()
        body = {
            "service": self.service,
            "mode": self.mode,
            "ready": ready,
            "checks": {name: reason or "ok" for name, reason in reasons.items()},
            "progress_s_ago": {name: round(now - at, 3) for name, at in self._progress.items()},
        }
        return ready, msgspec.json.encode(body)


def _asked(fn: Check) -> str | None:
    try:
        return fn()
    except Exception as error:  # a broken check must not take /readyz down with it
        return f"check failed: {type(error).__name__}: {error}"


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
