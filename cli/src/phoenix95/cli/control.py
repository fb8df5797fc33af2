"""`phoenix95 halt`, `resume`, `flatten`: what the executor may do. Kept with name, time and reason."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import typer

from phoenix95.cli.gateway import DATA_DEFAULT, Gateway, find_gateway
from phoenix95.cli.options import AsJson, Data, Url
from phoenix95.cli.show import BAD, GOOD, cell, facts, make_console, print_json, waiting
from phoenix95.cli.trade import confirm
from phoenix95.common.errors import ConfigError, TransientError

DIRECT: Final = "phoenix95.direct"  # entry points: what a command does with --direct, by its name
EXIT_NOT_DONE: Final = 1
ACCOUNT: Final = "account"
_ALONE: Final = "`phoenix95 flatten --direct` needs only the exchange's keys"
_STYLES: Final = {"RUN": GOOD, "REDUCE_ONLY": "yellow", "HALT": BAD, "FLATTEN": f"bold {BAD}"}

Symbol = Annotated[str | None, typer.Option(help="only this symbol; default: the whole account")]
Reason = Annotated[str, typer.Option(help="why; it is kept with your key's name", prompt="Why")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask, even where it is real money")]
Allowed = Literal["RUN", "REDUCE_ONLY", "HALT"]


class _Change(msgspec.Struct):
    scope: str
    previous: str
    mode: str
    asked: str
    reason: str
    changed_by: str


class _Controlled(msgspec.Struct):
    change: _Change
    confirmed: bool


def halt(
    *,
    symbol: Symbol = None,
    reason: Reason,
    yes: Yes = False,
    url: Url = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Allow no new entries; what is held stays protected. Works while Redis is down. Never asks: stopping is safe."""
    _demand(find_gateway(url, data), "halt", {"symbol": symbol, "reason": reason}, as_json)


def resume(
    *,
    symbol: Symbol = None,
    reason: Reason,
    mode: Annotated[Allowed, typer.Option(help="what is allowed again")] = "RUN",
    yes: Yes = False,
    url: Url = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Allow entries again, after a halt by a person or by a trigger. A symbol's own halt is resumed by itself."""
    gateway = find_gateway(url, data)
    if not yes:
        confirm(gateway, f"resume {symbol or 'the account'}")
    _demand(gateway, "resume", {"symbol": symbol, "reason": reason, "mode": mode}, as_json)


def flatten(
    *,
    symbol: Symbol = None,
    reason: Annotated[str | None, typer.Option(help="why; kept with your key's name. --direct needs none")] = None,
    direct: Annotated[
        bool, typer.Option("--direct", help="at the exchange itself, with its keys alone: for when nothing else runs")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="with --direct: only show what there is")] = False,
    seconds: Annotated[float, typer.Option("--for", min=1, help="with --direct: seconds to go on trying")] = 60.0,
    yes: Yes = False,
    url: Url = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Close everything at the market and allow no new entries until resumed. With --direct: exit 0 only if flat."""
    if direct:
        raise typer.Exit(_directly("flatten", symbol=symbol, yes=yes, dry_run=dry_run, seconds=seconds, data=data))
    if dry_run:
        raise ConfigError("--dry-run goes with --direct; `phoenix95 status` shows what is held")
    try:
        gateway = find_gateway(url, data)
    except ConfigError as error:
        raise ConfigError(f"{error}; {_ALONE}") from error
    if not yes:
        confirm(gateway, f"Close {symbol or 'everything'} at the market")
    reason = reason if reason is not None else typer.prompt("Why", err=True)
    try:
        _demand(gateway, "flatten", {"symbol": symbol, "reason": reason}, as_json)
    except TransientError as error:
        raise TransientError(f"{error}; {_ALONE}") from error


def _directly(name: str, *, data: Path, **given: Any) -> int:
    found = entry_points(group=DIRECT, name=name)
    if not found:
        raise ConfigError(f"`{name} --direct` belongs to phoenix95-executor, which is not installed here")
    code: int = next(iter(found)).load()(data=data, **given)
    return code


def _demand(gateway: Gateway, what: str, body: dict[str, object], as_json: bool) -> None:
    with waiting(f"{what}: waiting for the executor to confirm"):
        done = gateway.act("POST", f"/api/control/{what}", _Controlled, body)
    if as_json:
        print_json(done)
    else:
        _print(done)
    if done.change.mode != done.change.asked:
        raise typer.Exit(EXIT_NOT_DONE)


def _print(done: _Controlled) -> None:
    change = done.change
    style = _STYLES.get(change.mode, "")
    told: list[tuple[str, object]] = [
        ("was", change.previous),
        ("is", cell(change.mode, style)),
        ("by", change.changed_by),
        ("why", change.reason),
    ]
    if change.mode != change.asked:
        told.append(("note", cell(f"{change.asked} would allow more than {change.mode}: use resume", "yellow")))
    words = "obeyed by the executor" if done.confirmed else "stored; not confirmed yet, it binds the next executor too"
    told.append(("state", cell(words, GOOD if done.confirmed else "yellow")))
    make_console().print(facts(told, "account" if change.scope == ACCOUNT else change.scope, style))
