"""The control modes: read from their tables, changed by one function of the database, the only thing of the ledger
that the gateway may do there."""

from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, column, select, table, text

from phoenix95.gateway.core.control import Mode
from phoenix95.gateway.reads.rows import as_row

HISTORY_MAX: Final = 20
_SET: Final = text("SELECT * FROM ledger.set_control(:scope, :mode, :reason, :who, 'command', :loosen)")


class ControlRow(msgspec.Struct, frozen=True, kw_only=True):
    """The mode of the account or of a symbol that ever had one of its own."""

    scope: str
    mode: str
    reason: str
    changed_by: str
    changed: datetime


class ControlChange(msgspec.Struct, frozen=True, kw_only=True):
    """One change, or one demand that changed nothing. `applied` is when an executor had seen it; None: none has."""

    id: int
    scope: str
    previous: str
    mode: str
    asked: str
    reason: str
    changed_by: str
    cause: str
    changed: datetime
    applied: datetime | None


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """The modes in force, the account's first, and the last changes, newest first."""

    modes: tuple[ControlRow, ...]
    history: tuple[ControlChange, ...]


_MODES: Final = table("control", *(column(name) for name in ControlRow.__struct_fields__), schema="ledger")
_HISTORY: Final = table("control_history", *(column(name) for name in ControlChange.__struct_fields__), schema="ledger")


def control(connection: Connection) -> Control:
    """What is in force and how it came to be."""
    modes = connection.execute(select(_MODES).order_by(_MODES.c.scope != "account", _MODES.c.scope)).mappings()
    changes = connection.execute(select(_HISTORY).order_by(_HISTORY.c.id.desc()).limit(HISTORY_MAX)).mappings()
    return Control(
        modes=tuple(as_row(ControlRow, row) for row in modes),
        history=tuple(as_row(ControlChange, row) for row in changes),
    )


def set_control(connection: Connection, *, scope: str, mode: Mode, reason: str, who: str, loosen: bool) -> int:
    """Demand a mode and return the id of the change. Without `loosen` what is stricter already stays."""
    values = {"scope": scope, "mode": mode, "reason": reason, "who": who, "loosen": loosen}
    return int(connection.execute(_SET, values).mappings().one()["id"])


def change(connection: Connection, change_id: int) -> ControlChange:
    """One change by its id."""
    row = connection.execute(select(_HISTORY).where(_HISTORY.c.id == change_id)).mappings().one()
    return as_row(ControlChange, row)
