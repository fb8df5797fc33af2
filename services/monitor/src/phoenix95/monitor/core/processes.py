"""Which processes are ours, and what we call them."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

PACKAGE: Final = "phoenix95"
COMMAND: Final = "phoenix95"
UNNAMED: Final = "python"  # code on the command line, standard input, a prompt


def service_of(command_line: Sequence[str]) -> str | None:
    """Name one of our Python processes by its command line; None for every other process.

    `python -m phoenix95.feed` is `feed`; the command `phoenix95 up` is `up`.
    """
    if not command_line or not PurePath(command_line[0]).name.startswith("python"):
        return None
    arguments = _behind_flags(command_line)
    if len(arguments) >= 2 and arguments[0] == "-m":
        return _module_name(arguments[1])
    if arguments and PurePath(arguments[0]).name == COMMAND:
        return next((word for word in arguments[1:] if not word.startswith("-")), COMMAND)
    return None


def python_of(command_line: Sequence[str]) -> str | None:
    """Name any Python process by its module or script, never by its arguments: these may be secret. Else None."""
    if not command_line or not PurePath(command_line[0]).name.startswith("python"):
        return None
    arguments = _behind_flags(command_line)
    if len(arguments) >= 2 and arguments[0] == "-m":
        return arguments[1]
    if not arguments or arguments[0].startswith("-"):
        return UNNAMED
    return PurePath(arguments[0]).name or UNNAMED


def _behind_flags(command_line: Sequence[str]) -> list[str]:
    """What stands behind the interpreter's own flags: `-m` and a module, `-c` and code, or a script."""
    arguments = list(command_line[1:])
    while arguments and arguments[0].startswith("-") and arguments[0] not in ("-m", "-c", "-"):
        # -X and -W take their value as the next argument; every other flag of the interpreter stands alone
        del arguments[: 2 if arguments[0] in ("-X", "-W") else 1]
    return arguments


def _module_name(module: str) -> str | None:
    package, _, rest = module.partition(".")
    if package != PACKAGE:
        return None
    return rest.partition(".")[0] or PACKAGE
