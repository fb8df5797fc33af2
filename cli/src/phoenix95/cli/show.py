"""How what we print looks: plain tables that fit a narrow terminal, and stay whole in a pipe."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec
import typer
from rich import box
from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

PIPE_WIDTH: Final = 160  # nobody reads a pipe at 80 columns, and cut cells cannot be searched
NONE: Final = "-"
GOOD: Final = "green"
BAD: Final = "red"
QUIET: Final = "dim"
_SEVERITIES: Final = {"critical": "bold red", "error": "red", "warning": "yellow", "success": "green", "info": "cyan"}


def make_console(*, to_stderr: bool = False) -> Console:
    """The terminal as wide as it is; a pipe as wide as `COLUMNS` says, else 160."""
    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH
    return Console(stderr=to_stderr, width=width, highlight=False, soft_wrap=False)


def print_json(answer: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(msgspec.json.format(msgspec.json.encode(answer)).decode())


def cell(value: object, style: str = "") -> Text:
    """Anything as text that is never read as markup: what we show was written by others."""
    return Text(NONE if value is None or value == "" else str(value), style=style)


def table(*columns: str, title: str | None = None, numbers: Iterable[str] = ()) -> Table:
    """An empty table; columns in `numbers` are set to the right."""
    made = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", header_style="bold")
    right = set(numbers)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def add_row(to: Table, values: Sequence[object], style: str = "") -> None:
    """A row of plain values; what is Text already keeps its own style."""
    to.add_row(*(value if isinstance(value, Text) else cell(value) for value in values), style=style)


def facts(pairs: Iterable[tuple[str, object]], title: str, style: str = "") -> Panel:
    """Names and values, one below the other, in a panel."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=QUIET, no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(name, value if isinstance(value, Text) else cell(value))
    return framed(grid, title, style)


def framed(content: RenderableType, title: str, style: str = "") -> Panel:
    """A panel with its title to the left."""
    return Panel(content, title=Text(title, style="bold"), title_align="left", border_style=style or QUIET)


@contextmanager
def waiting(words: str) -> Iterator[None]:
    """A spinner on a terminal's stderr while something is waited for; nothing elsewhere."""
    with make_console(to_stderr=True).status(Text(words), spinner="dots"):
        yield


def severity(name: str) -> Text:
    """How bad something is, in its colour."""
    return cell(name, _SEVERITIES.get(name, ""))


def side(name: str | None) -> Text:
    """A side in its colour."""
    return cell(name, GOOD if name in ("BUY", "long", "buy") else BAD if name else "")


def amount(value: str | float | None, places: int = 2) -> Text:
    """Money with its thousands marked, red below zero."""
    if value is None:
        return cell(None)
    try:
        number = Decimal(str(value))
        return cell(f"{number:,.{places}f}", BAD if number < 0 else "")
    except (InvalidOperation, ValueError):
        return cell(value)


def percent(share: float | None, places: int = 1) -> str:
    """A share as percent."""
    return NONE if share is None else f"{100 * share:.{places}f} %"


def megabytes(count: float | None) -> str:
    """Bytes as MB."""
    return NONE if count is None else f"{count / 2**20:,.0f} MB"


def clock(ms: int | None) -> str:
    """A time in ms since 1970 as the time of day, UTC."""
    try:
        return NONE if ms is None else f"{datetime.fromtimestamp(ms / 1000, UTC):%H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return str(ms)


def age(ms: int | None) -> str:
    """How long ago, in the largest unit that says enough."""
    if ms is None:
        return NONE
    if ms < 10_000:
        return f"{ms / 1000:.1f} s"
    return f"{ms // 1000} s" if ms < 120_000 else f"{ms // 60_000} min"
