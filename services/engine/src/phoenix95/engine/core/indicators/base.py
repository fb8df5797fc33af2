"""What an indicator is, and how they are found."""

import importlib
import pkgutil
from functools import cache
from typing import ClassVar, Final

import msgspec

from phoenix95.common.events import Bar

_PACKAGE: Final = "phoenix95.engine.core.indicators"
_NOT_INDICATORS: Final = frozenset({"base"})


class Indicator(msgspec.Struct):
    """A running value over closed bars. Its fields are its whole state: plain numbers and lists of them.

    `outputs` names what `values` gives, in that order; `warm_after` is the number of bars after which none
    of them is None. Each update costs a bounded time.
    """

    name: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]]
    warm_after: ClassVar[int]

    def update(self, bar: Bar) -> None:
        """Take in the next closed bar."""
        raise NotImplementedError

    def values(self) -> tuple[float | None, ...]:
        """The values after the last bar, one for each of `outputs`; None while there are too few bars."""
        raise NotImplementedError


@cache
def registered() -> tuple[type[Indicator], ...]:
    """Every indicator of this package, by name. Raises TypeError when a file does not hold exactly one."""
    package = importlib.import_module(_PACKAGE)
    found = []
    for module in pkgutil.iter_modules(package.__path__):
        if module.name in _NOT_INDICATORS:
            continue
        loaded = importlib.import_module(f"{_PACKAGE}.{module.name}")
        kinds = [
            kind
            for kind in vars(loaded).values()
            if isinstance(kind, type) and issubclass(kind, Indicator) and kind.__module__ == loaded.__name__
        ]
        if len(kinds) != 1:
            raise TypeError(f"{loaded.__name__} must define exactly one indicator, not {len(kinds)}")
        found.append(kinds[0])
    return tuple(sorted(found, key=lambda kind: kind.name))


@cache
def warm_after() -> int:
    """Bars until every registered indicator is known."""
    return max(kind.warm_after for kind in registered())
