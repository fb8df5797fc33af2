"""What a strategy is, and how it is found."""

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple

from phoenix95.common.errors import ConfigError
from phoenix95.common.events import Factor, Side
from phoenix95.engine.core.config import Config

_PACKAGE: Final = "phoenix95.engine.core.strategies"
_NOT_STRATEGIES: Final = frozenset({"base"})


class Opinion(NamedTuple):
    """`side` is None when the strategy would not trade. `confidence` in [0, 1] is for the side it leans to."""

    side: Side | None
    confidence: float


class Strategy(NamedTuple):
    """Turns weighed factors into an opinion. It is asked only when every indicator is warm."""

    name: str
    opinion: Callable[[tuple[Factor, ...], Config], Opinion]


@cache
def registered() -> dict[str, Strategy]:
    """Every strategy of this package, by name. Raises TypeError when a file has no `STRATEGY`."""
    package = importlib.import_module(_PACKAGE)
    found = {}
    for module in pkgutil.iter_modules(package.__path__):
        if module.name in _NOT_STRATEGIES:
            continue
        strategy = getattr(importlib.import_module(f"{_PACKAGE}.{module.name}"), "STRATEGY", None)
        if not isinstance(strategy, Strategy):
            raise TypeError(f"{_PACKAGE}.{module.name} must define STRATEGY, a Strategy")
        found[strategy.name] = strategy
    return found


def strategy_named(name: str) -> Strategy:
    """The strategy of that name. Raises ConfigError that lists those that exist."""
    strategies = registered()
    if name not in strategies:
        raise ConfigError(f"P95_ENGINE_STRATEGY: no strategy {name!r}; there are {', '.join(sorted(strategies))}")
    return strategies[name]
