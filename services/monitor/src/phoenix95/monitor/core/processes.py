"""Which processes are ours, and what we call them."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

PACKAGE: Final = "phoenix95"
COMMAND: Final = "phoenix95"


def service_of(command_line: Sequence[str]) -> str | None:
    """Name one of our Python processes by its command line; None for every other process.

    `python -m phoenix95.feed` is `feed`; the command `phoenix95 up` is `up`.
    """
    if not command_line or not PurePath(command_line[0]).name.startswith("python"):
        return None
    arguments = list(command_line[1:])
    while arguments and arguments[0].startswith("-") and arguments[0] != "-m":
        # -X and -W take their value as the next argument; every other flag of the interpreter stands alone
        del arguments[: 2 if arguments[0] in ("-X", "-W") else 1]
    if len(arguments) >= 2 and arguments[0] == "-m":
        return _module_name(arguments[1])
    if arguments and PurePath(arguments[0]).name == COMMAND:
        return next((word for word in arguments[1:] if not word.startswith("-")), COMMAND)
    return None


def _module_name(module: str) -> str | None:
    package, _, rest = module.partition(".")
    if package != PACKAGE:
        return None
    return rest.partition(".")[0] or PACKAGE
