"""What a person sees of `up`: progress, then a table that updates. Plain lines where there is no terminal.

Nothing here may start a thread: children are bound to the thread that started them (see `process.spawn`).
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from phoenix95.stack.figures import Figures, Summary

PLAIN_EVERY_SECONDS: Final = 10.0


class Screen:
    """Writes to `console`. A terminal that went away must not hinder an orderly stop: it is then silent."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._live: Live | None = None
        self._plain_at = 0.0

    def say(self, text: str, style: str = "") -> None:
        """One line."""
        with self._unhindered():
            self._console.print(escape(text), style=style, highlight=False, soft_wrap=True)

    def begin(self, steps: int) -> None:
        """Show progress over so many steps."""
        with self._unhindered():
            if self._console.is_terminal:
                columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
                self._progress = Progress(*columns, console=self._console, auto_refresh=False, transient=True)
                self._progress.start()
                self._progress.add_task("", total=steps)

    def waiting(self, what: str) -> None:
        """Say what is waited for; call it often, it moves the spinner."""
        with self._unhindered():
            if self._progress is not None:
                width = max(20, self._console.width - 60)
                self._progress.update(self._progress.task_ids[0], description=escape(what[:width]))
                self._progress.refresh()

    def step(self, name: str, seconds: float) -> None:
        """One step is done."""
        self.say(f"  {name:<10} ready in {seconds:.1f} s")
        with self._unhindered():
            if self._progress is not None:
                self._progress.advance(self._progress.task_ids[0])

    def end_progress(self) -> None:
        """Take the progress away."""
        with self._unhindered():
            if self._progress is not None:
                self._progress.stop()
                self._progress = None

    def show(self, figures: Figures, troubles: Mapping[str, str], restarts: int) -> None:
        """Show the figures: redrawn in place on a terminal, else one line now and then."""
        with self._unhindered():
            if self._console.is_terminal:
                if self._live is None:
                    self._live = Live(console=self._console, auto_refresh=False, transient=True)
                    self._live.start()
                self._live.update(_table(figures, troubles, restarts), refresh=True)
            elif time.monotonic() - self._plain_at >= PLAIN_EVERY_SECONDS:
                self._plain_at = time.monotonic()
                self._console.print(_line(figures, restarts), highlight=False, soft_wrap=True)

    def end_live(self) -> None:
        """Take the table away."""
        with self._unhindered():
            if self._live is not None:
                self._live.stop()
                self._live = None

    def summarize(self, summary: Summary) -> None:
        """The last table."""
        with self._unhindered():
            self._console.print(f"after {summary.seconds:.0f} s:", highlight=False)
            self._console.print(_summary_table(summary))

    @contextlib.contextmanager
    def _unhindered(self) -> Iterator[None]:
        with contextlib.suppress(OSError, ValueError):
            yield


def _money(text: str | None) -> str:
    return "-" if text is None else f"{float(text):,.2f}"


def _cells(figures: Figures) -> dict[str, str]:
    ledger = figures.ledger
    return {
        "ticks/s": f"{figures.ticks_per_second:,.1f}",
        "ticks": f"{figures.ticks:,}",
        "analyses": f"{figures.analyses:,}",
        "decisions": f"{ledger.decisions:,}",
        "orders": f"{ledger.orders:,}",
        "open positions": f"{ledger.open_positions:,}",
        "equity": _money(ledger.equity),
        "lag": "-" if figures.lag_ms is None else f"{figures.lag_ms:,} ms",
    }


def _table(figures: Figures, troubles: Mapping[str, str], restarts: int) -> Table:
    cells = _cells(figures)
    caption = [f"{name}: {why}" for name, why in troubles.items()]
    if restarts:
        caption.append(f"restarts: {restarts}")
    caption.append("Ctrl-C stops everything")
    table = Table(caption=escape(" · ".join(caption)), caption_justify="left")
    for name in cells:
        table.add_column(name, justify="right")
    table.add_row(*cells.values())
    return table


def _line(figures: Figures, restarts: int) -> str:
    return " · ".join(f"{name} {text}" for name, text in {**_cells(figures), "restarts": str(restarts)}.items())


def _summary_table(summary: Summary) -> Table:
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    rows = {
        "ticks": f"{sum(summary.ticks.values()):,}",
        "gaps": f"{sum(summary.gaps.values()):,}",
        "analyses": f"{summary.analyses:,}",
        "decisions": f"{summary.decisions:,}",
        "orders": f"{summary.orders:,}",
        "fills": f"{summary.fills:,}",
        "positions": f"{summary.positions:,}",
        "equity": _money(summary.equity),
        "restarts": f"{sum(summary.restarts.values()):,}",
        "memory (PSS)": f"{sum(summary.pss_mb.values()):,.0f} MB",
    }
    for name, text in rows.items():
        table.add_row(name, text)
    return table
