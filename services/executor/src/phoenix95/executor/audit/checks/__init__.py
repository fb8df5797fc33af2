"""The checks of the audit. A check is one file in this folder; it is found by being here.

It is an async function of the scene, with the decorator `check` and a title that says what holds when it is well.
"""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from functools import cache
from typing import NamedTuple

from phoenix95.executor.audit.scene import Outcome, Scene

Look = Callable[[Scene], Awaitable[Outcome]]


class Check(NamedTuple):
    """`rank` orders the table; the cheap and the fundamental come first."""

    name: str
    title: str
    rank: int
    look: Look


def check(title: str, *, rank: int) -> Callable[[Look], Check]:
    """Make a function a check under the function's name."""

    def made(look: Look) -> Check:
        return Check(look.__name__, title, rank, look)

    return made


@cache
def checks() -> tuple[Check, ...]:
    """Every check of this folder, in the order of the table."""
    found: list[Check] = []
    for module in pkgutil.iter_modules(__path__):
        namespace = vars(importlib.import_module(f"{__name__}.{module.name}"))
        found += [value for value in namespace.values() if isinstance(value, Check)]
    return tuple(sorted(found, key=lambda one: (one.rank, one.name)))
