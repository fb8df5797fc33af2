"""A table in plain text: these commands must also run where nothing but the executor is installed."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from phoenix95.common.money import plain

NONE: Final = "-"
GAP: Final = "   "


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Iterable[str] = ()) -> str:
    """Columns as wide as they need; those in `numbers` are set to the right. Ends with a line break."""
    right = set(numbers)
    texts = [list(columns), *([shown(value) for value in row] for row in rows)]
    widths = [max(len(row[index]) for row in texts) for index in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        set_ = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for cell, width, column in zip(cells, widths, columns, strict=True)
        )
        return f" {GAP.join(set_)}".rstrip()

    rule = " " + "─" * (sum(widths) + len(GAP) * (len(widths) - 1))
    return "\n".join((line(texts[0]), rule, *(line(row) for row in texts[1:]))) + "\n"


def shown(value: object) -> str:
    """A value as a cell. What others wrote cannot move the cursor: control characters are made visible."""
    if value is None or value == "":
        return NONE
    text = plain(value) if isinstance(value, Decimal) else str(value)
    return "".join(one if one.isprintable() else "\ufffd" for one in text)
