"""Everything that the ledger holds of one analysis, found by any of its names."""

from difflib import get_close_matches
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text

from phoenix95.gateway.core.story import Decision, Fill, Kept, Order, Story, Trade, adopted, tell

NEAR: Final = 5
NAMES_READ: Final = 2_000  # the newest names that a mistyped one is compared with
LOOSE: Final = 0.5
PREFIX_MIN: Final = 4
_NAMED: Final = (
    "SELECT analysis_id FROM ledger.signals WHERE analysis_id = :name",
    "SELECT analysis_id FROM ledger.signals WHERE request = :name",
    "SELECT analysis_id FROM ledger.signals WHERE symbol || ':' || request = :name",
    "SELECT analysis_id FROM ledger.intents WHERE :name IN (client_id, order_id, venue_id)",
    "SELECT analysis_id FROM ledger.fills WHERE trade_id::text = :name",
)
_BEGINS: Final = """
SELECT DISTINCT analysis_id FROM (
    SELECT analysis_id FROM ledger.signals WHERE starts_with(analysis_id, :name) OR starts_with(request, :name)
    UNION ALL SELECT analysis_id FROM ledger.intents
    WHERE starts_with(client_id, :name) OR starts_with(order_id, :name) OR starts_with(venue_id, :name)
    UNION ALL SELECT analysis_id FROM ledger.fills WHERE starts_with(trade_id::text, :name)
) AS found WHERE analysis_id IS NOT NULL ORDER BY 1 DESC LIMIT :limit
"""
_NEWEST: Final = """
(SELECT analysis_id AS name FROM ledger.signals ORDER BY id DESC LIMIT :limit)
UNION ALL (SELECT request FROM ledger.signals WHERE request IS NOT NULL ORDER BY id DESC LIMIT :limit)
UNION ALL (SELECT client_id FROM ledger.intents ORDER BY updated_ms DESC LIMIT :limit)
"""
_ROWS: Final = "SELECT to_jsonb(one)::text FROM ledger.{table} AS one WHERE analysis_id = :id"


class NoSuch(msgspec.Struct, frozen=True):
    """Nothing has this name, or several have. `near` are names that were perhaps meant."""

    words: str
    near: tuple[str, ...]


def why(connection: Connection, name: str) -> Story | NoSuch:
    """The story behind an analysis id, a request id, a client order id, an order id or a trade id, or its beginning."""
    found = _resolved(connection, name)
    return found if isinstance(found, NoSuch) else _story(connection, found)


def _resolved(connection: Connection, name: str) -> str | NoSuch:
    for query in _NAMED:
        exact = connection.execute(text(query), {"name": name}).scalars().all()
        if len(set(exact)) == 1:
            return str(exact[0])
    begins: list[str] = []
    if len(name) >= PREFIX_MIN:
        begins = list(connection.execute(text(_BEGINS), {"name": name, "limit": NEAR + 1}).scalars())
    if len(begins) == 1:
        return begins[0]
    if begins:
        more = " and others" if len(begins) > NEAR else ""
        return NoSuch(f"several begin with {name!r}{more}", tuple(begins[:NEAR]))
    names = [one for one in connection.execute(text(_NEWEST), {"limit": NAMES_READ}).scalars() if one]
    near = get_close_matches(name, dict.fromkeys(names), n=NEAR, cutoff=LOOSE)
    return NoSuch(f"nothing is known as {name!r}", tuple(near))


def _story(connection: Connection, analysis_id: str) -> Story | NoSuch:
    decisions = _rows(connection, "signals", analysis_id, Decision)
    trades = _rows(connection, "trades", analysis_id, Trade)
    found = connection.execute(
        text("SELECT n, ts_ms, kind, body, hash FROM ledger.audit WHERE analysis_id = :id ORDER BY account, n"),
        {"id": analysis_id},
    ).mappings()
    kept = [Kept(**row) for row in found]
    if not decisions and not trades:
        return NoSuch(f"{analysis_id} was neither decided on nor traded", ())
    return tell(
        decisions[0] if decisions else adopted(analysis_id, trades[0], kept),
        trades[0] if trades else None,
        _rows(connection, "intents", analysis_id, Order),
        _rows(connection, "fills", analysis_id, Fill),
        kept,
    )


def _rows(connection: Connection, table: str, analysis_id: str, kind: type[Any]) -> list[Any]:
    """Rows with their exact numbers: as the text of JSON, not as floats."""
    found = connection.execute(text(_ROWS.format(table=table)), {"id": analysis_id}).scalars()
    return [msgspec.json.decode(row, type=kind) for row in found]
