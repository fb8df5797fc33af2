"""What the database keeps by itself: a record for every fact, in its transaction, that nobody changes afterwards."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import structlog
from sqlalchemy.exc import DBAPIError, ProgrammingError

from phoenix95.common.errors import TransientError
from phoenix95.executor.audit.anchoring import keep_anchoring
from phoenix95.executor.core.candidate import Modes
from phoenix95.executor.core.chain import Break, Head, Record, walk
from phoenix95.executor.core.decide import Decision
from phoenix95.executor.ledger.chained import head, records, start_of
from phoenix95.executor.ledger.control import set_by_person
from phoenix95.executor.ledger.evidence import Evidence

NOW_MS = 1_721_347_200_000


async def whole(kept: Any) -> list[Record]:
    """All records, after a walk that found nothing and ended where the account says."""
    until = await head(kept.writer.engine, "main")
    found = [one async for page in records(kept.writer.engine, "main", 0, until.n) for one in page]
    assert list(walk(found)) == [until]
    return found


def bodies(found: list[Record], kind: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(one.body) for one in found if one.kind == kind]


async def test_every_step_of_a_trade_has_its_record_and_the_chain_holds(lived: Any) -> None:
    found = await whole(lived)
    decision = bodies(found, "decision")[0]
    assert decision["metadata"]["cause"] == f"{NOW_MS}-1"
    assert decision["metadata"]["indicators"] == {"rsi": 55.0, "macd": 0.1}
    assert decision["metadata"]["bar"]["trades"] == 321
    assert decision["metadata"]["config"] == "test"
    assert {one["gate"]: one["numbers"] for one in decision["verdicts"]}["confidence"]
    entry = [one["state"] for one in bodies(found, "order") if one["role"] == "entry"]
    stop = [one["state"] for one in bodies(found, "order") if one["role"] == "stop"]
    assert (entry, stop) == (["PLANNED", "SENT", "FILLED"], ["PLANNED", "SENT", "ACCEPTED", "OPEN", "CANCELED"])
    sent = next(one for one in bodies(found, "order") if one["state"] == "SENT")
    assert (sent["signed_ms"], sent["deadline_ms"] - sent["signed_ms"], sent["quantity"]) == (NOW_MS + 15, 5_000, 0.2)
    assert [one["trade_id"] for one in bodies(found, "fill")] == [501, 502]
    stages = [one["stage"] for one in bodies(found, "trade")]
    assert (stages[0], stages[-1]) == ("ENTERING", "CLOSED")
    assert "PROTECTED" in stages
    assert bodies(found, "trade")[-1]["pnl"] == 3.8
    assert not any("signature" in one.body or "secret" in one.body for one in found)


async def test_a_transaction_that_failed_leaves_neither_fact_nor_record(
    kept: Any, decided: Callable[..., Decision]
) -> None:
    with pytest.raises(TransientError, match="mode changed"):
        await kept.ledger.decide([decided()], None, Modes(account="HALT"))

    async def half() -> None:
        async with kept.writer.write("half") as writing:
            await kept.ledger._store(writing, decided())
            raise RuntimeError("in between")

    with pytest.raises(RuntimeError, match="in between"):
        await half()
    assert await head(kept.writer.engine, "main") == Head()
    assert await kept.rows("SELECT * FROM ledger.signals") == await kept.rows("SELECT * FROM ledger.audit") == []


async def test_what_is_read_twice_is_kept_once(lived: Any, decided: Callable[..., Decision]) -> None:
    before = await head(lived.writer.engine, "main")
    await lived.ledger.decide([decided()], None, Modes())
    group = await lived.ledger.group("momentum-BTCUSDT-1.0")
    await lived.ledger.save_fills("momentum-BTCUSDT-1.0", group.fills)
    assert await head(lived.writer.engine, "main") == before


async def test_a_person_who_halts_and_an_alert_are_kept(kept: Any) -> None:
    await set_by_person(kept.writer.engine, "account", "HALT", "maintenance", "me")
    await kept.ledger.alert("critical", "exit_refused", "no", "BTCUSDT")
    await kept.ledger.tighten("REDUCE_ONLY", "foreign_position", "a stranger", None)
    found = await whole(kept)
    assert [one.kind for one in found] == ["control", "alert", "alert"]
    assert bodies(found, "control")[0]["reason"] == "maintenance"
    assert bodies(found, "alert")[0]["kind"] == "exit_refused"


async def test_a_halt_does_not_wait_for_an_executor_that_hangs(kept: Any) -> None:
    async with kept.writer.write("hangs"):
        await set_by_person(kept.writer.engine, "account", "HALT", "now", "me")
    assert await kept.ledger.modes() == Modes(account="HALT")
    assert await head(kept.writer.engine, "main") == Head()


@pytest.mark.parametrize(
    "change",
    ["UPDATE ledger.audit SET body = '{}'", "DELETE FROM ledger.audit", "TRUNCATE ledger.audit",
     "UPDATE ledger.audit SET body = '' WHERE false"],
)  # fmt: skip
async def test_the_database_refuses_every_change_also_to_its_superuser(kept: Any, change: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"):
        await kept.sql(change)


async def test_the_owner_gave_up_its_own_right_to_change_it(kept: Any) -> None:
    """As in a deployment: the executor's own role makes the tables, and others get what is granted by default."""
    granted = await kept.rows(
        "SELECT string_agg(privilege_type, ',' ORDER BY privilege_type) AS p FROM information_schema.role_table_grants"
        " WHERE table_schema = 'ledger' AND table_name = 'audit' AND grantee = CURRENT_USER"
    )
    assert {"INSERT", "SELECT"} <= set(granted[0]["p"].split(",")) <= {"INSERT", "SELECT", "REFERENCES", "TRIGGER"}


async def test_a_role_that_may_write_facts_cannot_write_the_chain(kept: Any, decided: Callable[..., Decision]) -> None:
    await kept.ledger.decide([decided()], None, Modes())
    role = f"clerk_{kept.url.rsplit('/', 1)[-1].split('?')[0]}"
    await kept.sql(
        f"CREATE ROLE {role}",
        f"GRANT USAGE ON SCHEMA ledger TO {role}",
        f"GRANT SELECT, INSERT, UPDATE ON ledger.control TO {role}",
    )
    try:
        await kept.sql(
            f"SET LOCAL ROLE {role}",
            "INSERT INTO ledger.control (scope, mode, reason, changed_by) VALUES ('account', 'HALT', 'x', 'clerk')",
        )
        assert (await whole(kept))[-1].kind == "control"
        for change in ("INSERT INTO ledger.audit SELECT * FROM ledger.audit", "DELETE FROM ledger.audit"):
            with pytest.raises(ProgrammingError, match="permission denied"):
                await kept.sql(f"SET LOCAL ROLE {role}", change)
    finally:
        await kept.sql(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


SWAP = "UPDATE ledger.audit SET n = n - 15 WHERE n IN (7, 8); UPDATE ledger.audit SET n = -n WHERE n < 0"


@pytest.mark.parametrize(
    ("change", "kind", "at"),
    [
        ("UPDATE ledger.audit SET body = replace(body, '0.2', '0.3') WHERE n = 7", "content", 7),
        ("DELETE FROM ledger.audit WHERE n = 7", "missing", 7),
        (SWAP, "link", 7),
    ],
)
async def test_who_gets_around_the_refusal_is_found(lived: Any, change: str, kind: str, at: int) -> None:
    await lived.tampering(*change.split(";"))
    until = await head(lived.writer.engine, "main")
    found = [one async for page in records(lived.writer.engine, "main", 0, until.n) for one in page]
    broken = [one for one in walk(found) if isinstance(one, Break)]
    assert (broken[0].n, broken[0].kind) == (at, kind)


async def test_a_walk_may_begin_at_a_time(lived: Any) -> None:
    engine = lived.writer.engine
    until = await head(engine, "main")
    start = await start_of(engine, "main", NOW_MS + 60_000)
    assert 0 < start.n < until.n
    found = [one async for page in records(engine, "main", start.n, until.n) for one in page]
    assert list(walk(found, start)) == [until]


async def test_the_head_is_logged_at_the_start_each_hour_and_at_the_end(lived: Any) -> None:
    stop = asyncio.Event()
    ledger = Evidence(lived.writer.engine, "main")
    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(keep_anchoring(ledger, stop, every_s=0.05))
        await asyncio.sleep(0.3)
        stop.set()
        await task
    assert {(one["event"], one["anchor"]) for one in logs} == {("audit_anchor", str(await ledger.head()))}
    assert len(logs) >= 2
    stopped = asyncio.Event()
    stopped.set()
    with structlog.testing.capture_logs() as logs:
        await keep_anchoring(ledger, stopped)
    assert len(logs) == 1
