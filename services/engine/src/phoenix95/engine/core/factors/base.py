"""What a factor is, and how they are found."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, NamedTuple

from phoenix95.common.events import Factor
from phoenix95.engine.core.numbers import clamp, ratio, shown

_PACKAGE: Final = "phoenix95.engine.core.factors"
_NOT_FACTORS: Final = frozenset({"base"})

Readings = Mapping[str, float | None]  # indicator values by name, and "close"


class Rule(NamedTuple):
    """One piece of evidence: `value` of what it `reads`, positive for a rise; cut to [-1, 1].

    It is asked only when everything that it reads is known. A mirrored market gives the opposite value.
    """

    name: str
    weight: float
    reads: tuple[str, ...]
    value: Callable[[Mapping[str, float]], float]


@cache
def registered() -> tuple[Rule, ...]:
    """Every factor of this package, by name. Raises TypeError when a file has no `FACTOR`."""
    package = importlib.import_module(_PACKAGE)
    found = []
    for module in pkgutil.iter_modules(package.__path__):
        if module.name in _NOT_FACTORS:
            continue
        rule = getattr(importlib.import_module(f"{_PACKAGE}.{module.name}"), "FACTOR", None)
        if not isinstance(rule, Rule):
            raise TypeError(f"{_PACKAGE}.{module.name} must define FACTOR, a Rule")
        found.append(rule)
    return tuple(sorted(found, key=lambda rule: rule.name))


def weighed(readings: Readings) -> tuple[Factor, ...]:
    """The factors whose inputs are known, by name, as they are published and as they are judged by."""
    factors = []
    for rule in registered():
        inputs = {name: value for name in rule.reads if (value := readings.get(name)) is not None}
        if len(inputs) == len(rule.reads):
            value = ratio(clamp(rule.value(inputs), -1.0, 1.0))
            shown_inputs = {name: shown(inputs[name]) for name in rule.reads}
            factors.append(Factor(name=rule.name, value=value, weight=rule.weight, inputs=shown_inputs))
    return tuple(factors)


def net(factors: tuple[Factor, ...]) -> float | None:
    """The weighted mean of the factors, in [-1, 1]; None when nothing is known."""
    total = sum(factor.weight for factor in factors)
    return sum(factor.weight * factor.value for factor in factors) / total if total > 0 else None
