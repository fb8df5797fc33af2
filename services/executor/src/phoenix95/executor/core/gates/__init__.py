"""The three-stage risk check. A gate is one file in this folder; it is found by being here.

A gate only looks: it is given the candidate, the book and the limits, and answers with a `Finding`. All gates of
a candidate are asked, so that a person sees every reason and not only the first. Exits never come here.
"""

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple

import msgspec

from phoenix95.common.events import Stage, Verdict
from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.limits import Limits

STAGES: Final[tuple[Stage, ...]] = ("signal", "position", "portfolio")


class Finding(msgspec.Struct, frozen=True):
    """`reason` is None to let the trade pass; `numbers` are what was compared, as text."""

    reason: str | None
    numbers: dict[str, str] = {}


Check = Callable[[Candidate, Book, Limits], Finding]


class Gate(NamedTuple):
    """`asks` says what it asks for, `settings` are the keys of its limits in the executor's settings. `of_opinion`: it
    judges what the engine thinks, and is not asked where a person decided."""

    name: str
    stage: Stage
    check: Check
    settings: tuple[str, ...] = ()
    of_opinion: bool = False
    asks: str = ""


def gate(stage: Stage, *settings: str, of_opinion: bool = False) -> Callable[[Check], Gate]:
    """Make a function a gate of a stage, under the function's name."""

    def made(check: Check) -> Gate:
        return Gate(check.__name__, stage, check, settings, of_opinion)

    return made


@cache
def gates() -> tuple[Gate, ...]:
    """Every gate of this folder, by stage and then by name. What it asks is the first line of its file."""
    found: list[Gate] = []
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        asks = (module.__doc__ or "").partition("\n")[0]
        found += [value._replace(asks=asks) for value in vars(module).values() if isinstance(value, Gate)]
    return tuple(sorted(found, key=lambda one: (STAGES.index(one.stage), one.name)))


def verdicts(candidate: Candidate, book: Book, limits: Limits) -> tuple[Verdict, ...]:
    """What every gate that has to be asked says, in the order of the stages."""
    asked = (one for one in gates() if not (one.of_opinion and candidate.by_hand))
    return tuple(_verdict(one, one.check(candidate, book, limits)) for one in asked)


def _verdict(one: Gate, finding: Finding) -> Verdict:
    return Verdict(gate=one.name, stage=one.stage, reason=finding.reason, numbers=finding.numbers)
