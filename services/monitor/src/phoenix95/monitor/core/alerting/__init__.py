"""What a person should know of the machine. A rule is one file in this folder; it is found by being here.

A rule only looks, and answers with a sentence or None. What was said is said again at the earliest ten minutes
later, while it still holds; a rule made with `once` says each sentence once.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, NamedTuple

import msgspec

from phoenix95.common.events import Alert, HostSample, Load, Severity
from phoenix95.monitor.core.load import Limits, load_of

SAME_AGAIN_MS: Final = 600_000  # the same alert at most once in ten minutes
SERVICE: Final = "monitor"


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule is given. `uptime_ms` is how long the monitor runs."""

    sample: HostSample
    load: Load
    limits: Limits
    uptime_ms: int


Check = Callable[[Look], str | None]


class Rule(NamedTuple):
    kind: str
    severity: Severity
    check: Check
    once: bool


class Told(NamedTuple):
    """When (monotonic ms) a rule last said something, and what."""

    at_ms: int
    message: str


def rule(severity: Severity, *, once: bool = False) -> Callable[[Check], Rule]:
    """Make a function a rule, under the function's name."""

    def made(check: Check) -> Rule:
        return Rule(check.__name__, severity, check, once)

    return made


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule of this folder, by name."""
    found: list[Rule] = []
    for module in pkgutil.iter_modules(__path__):
        namespace = vars(importlib.import_module(f"{__name__}.{module.name}"))
        found += [value for value in namespace.values() if isinstance(value, Rule)]
    return tuple(sorted(found))


def look_at(sample: HostSample, limits: Limits, uptime_ms: int) -> Look:
    """A sample as rules get it."""
    return Look(sample=sample, load=load_of(sample), limits=limits, uptime_ms=uptime_ms)


def raised(look: Look, told: Mapping[str, Told], now_ms: int) -> tuple[tuple[Alert, ...], dict[str, Told]]:
    """The alerts of a look, and what was told by then. `now_ms` is monotonic: setting the clock repeats nothing."""
    alerts, told_now = [], dict(told)
    for one in rules():
        message = one.check(look)
        if message is None or not _is_due(one, message, told.get(one.kind), now_ms):
            continue
        told_now[one.kind] = Told(now_ms, message)
        alerts.append(
            Alert(
                ts_wall_ms=look.sample.ts_wall_ms,
                service=SERVICE,
                severity=one.severity,
                kind=one.kind,
                message=message,
            )
        )
    return tuple(alerts), told_now


def _is_due(one: Rule, message: str, last: Told | None, now_ms: int) -> bool:
    if last is None:
        return True
    return message != last.message if one.once else now_ms - last.at_ms >= SAME_AGAIN_MS
