"""`phoenix95 metrics`: how much comes in, how far behind the engine is, what the machine does."""

from typing import Any

import msgspec
from rich.table import Table

from phoenix95.cli.gateway import DATA_DEFAULT, find_gateway
from phoenix95.cli.options import AsJson, Data, Url
from phoenix95.cli.show import add_row, facts, make_console, megabytes, print_json, table
from phoenix95.common.events import HostSample, ProcessSample


class Pipeline(msgspec.Struct):
    """All symbols together; `lag_ms` is the worst of them, None while it cannot be said."""

    ticks: int
    ticks_per_s: float
    analyses: int
    analyses_per_min: float
    replies: int
    lag_ms: int | None


class SymbolFigures(msgspec.Struct):
    """One symbol; the lag is how far the engine is behind the stored ticks."""

    ticks: int
    ticks_per_s: float
    analyses: int
    replies: int
    lag_ticks: int | None
    lag_ms: int | None


class Metrics(msgspec.Struct):
    """The pipeline's figures and the machine's; `host` is None when the monitor does not write."""

    pipeline: Pipeline
    symbols: dict[str, SymbolFigures]
    counts: dict[str, int]
    host: HostSample | None
    services: tuple[dict[str, Any], ...] = ()


def metrics(*, url: Url = None, data: Data = DATA_DEFAULT, as_json: AsJson = False) -> None:
    """Show the pipeline's figures by symbol, what was done so far, and what the machine and each process take."""
    found = find_gateway(url, data).get("/api/metrics", Metrics)
    if as_json:
        print_json(found)
        return
    console = make_console()
    console.print(facts(_together(found), "pipeline"))
    console.print(symbols_table(found))
    if found.host is None:
        console.print("the monitor has not written of late: nothing is known of the machine")
        return
    console.print(facts(host_facts(found.host), "machine"))
    console.print(processes_table(found.host.processes))


def _together(found: Metrics) -> list[tuple[str, object]]:
    pipeline = found.pipeline
    lag = None if pipeline.lag_ms is None else f"{pipeline.lag_ms} ms"
    done = [(name.replace("_", " "), f"{count:,}") for name, count in found.counts.items() if name != "analyses"]
    return [
        ("ticks", f"{pipeline.ticks:,}, {pipeline.ticks_per_s} a second"),
        ("analyses", f"{pipeline.analyses:,}, {pipeline.analyses_per_min} a minute"),
        ("lag", lag),
        *done,
    ]


def symbols_table(found: Metrics) -> Table:
    """A row for each symbol."""
    columns = ("symbol", "ticks", "ticks/s", "analyses", "replies", "lag")
    rows = table(*columns, numbers=columns[1:])
    for name, each in found.symbols.items():
        lag = None if each.lag_ms is None else f"{each.lag_ms} ms"
        add_row(rows, (name, f"{each.ticks:,}", each.ticks_per_s, each.analyses, each.replies, lag))
    return rows


def host_facts(host: HostSample) -> list[tuple[str, object]]:
    """The machine in a few lines."""
    return [
        ("cpu", f"{host.cpu_percent:.0f} % of {host.cpu_count}"),
        ("memory", f"{host.memory_percent:.0f} % of {megabytes(host.memory_total)}"),
        ("disk", f"{host.disk_percent:.0f} %, {megabytes(host.disk_free)} free"),
        ("ours", f"{megabytes(sum(taken(process) for process in host.processes))}"),
    ]


def taken(process: ProcessSample) -> int:
    """Bytes that a process takes: its share of what is shared, where the kernel says."""
    return process.rss if process.pss is None else process.pss


def processes_table(processes: tuple[ProcessSample, ...]) -> Table:
    """A row for each of our processes, the largest first."""
    columns = ("process", "pid", "cpu", "memory", "threads")
    rows = table(*columns, numbers=columns[1:])
    for each in sorted(processes, key=taken, reverse=True):
        add_row(rows, (each.name, each.pid, f"{each.cpu_percent:.0f} %", megabytes(taken(each)), each.threads))
    return rows
