"""A table in plain text: these commands must also run where nothing but the executor is installed."""

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import zip_longest
from textwrap import wrap
from typing import Final

from phoenix95.common.money import plain

NONE: Final = "-"
GAP: Final = "  "
PIPE_WIDTH: Final = 10_000
FOLD_MIN: Final = 12  # narrower columns are worse than lines that the terminal breaks


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Iterable[str] = ()) -> str:
    """Columns as wide as they need; those in `numbers` are set to the right. Ends with a line break.

    On a terminal too narrow for it the widest columns are folded; a pipe gets every row as one line.
    """
    right = set(numbers)
    texts = [list(columns), *([shown(value) for value in row] for row in rows)]
    widths = [max(len(row[index]) for row in texts) for index in range(len(columns))]
    room = _width() - 1 - len(GAP) * (len(widths) - 1)
    while sum(widths) > room and max(widths) > FOLD_MIN:
        widths[widths.index(max(widths))] -= 1

    def lines(cells: Sequence[str]) -> Iterator[str]:
        folded = [wrap(cell, width) or [""] for cell, width in zip(cells, widths, strict=True)]
        for parts in zip_longest(*folded, fillvalue=""):
            set_ = (
                part.rjust(width) if column in right else part.ljust(width)
                for part, width, column in zip(parts, widths, columns, strict=True)
            )
            yield f" {GAP.join(set_)}".rstrip()

    rule = " " + "─" * (sum(widths) + len(GAP) * (len(widths) - 1))
    return "\n".join((*lines(texts[0]), rule, *(line for row in texts[1:] for line in lines(row)))) + "\n"


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPE_WIDTH


def shown(value: object) -> str:
    """A value as a cell. What others wrote cannot move the cursor: control characters are made visible."""
    if value is None or value == "":
        return NONE
    text = plain(value) if isinstance(value, Decimal) else str(value)
    return "".join(one if one.isprintable() else "\ufffd" for one in text)
