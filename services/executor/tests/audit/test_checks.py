"""The audit finds each kind of violation, and none where there is none."""

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest

from phoenix95.common.bus import connect as connect_redis
from phoenix95.common.bus.append import append_once
from phoenix95.common.bus.reader import LogReader
from phoenix95.common.ids import StreamId
from phoenix95.executor.audit.checks import checks
from phoenix95.executor.audit.run import Line, Report, _line, report_of
from phoenix95.executor.audit.scene import Scene, Unavailable
from phoenix95.executor.audit.show import as_text
from phoenix95.executor.core.candidate import Modes
from phoenix95.executor.core.chain import Head
from phoenix95.executor.core.decide import Decision
from phoenix95.executor.core.group import Fill, with_intent
from phoenix95.executor.core.intents import move
from phoenix95.executor.core.observe import ConditionalReport
from phoenix95.executor.ledger.evidence import FACTS, Evidence
from phoenix95.executor.ledger.migrate import upgrade
from phoenix95.executor.ports import VenuePosition
from phoenix95.executor.venue.records import PlacedAlgo, PlacedOrder

D = Decimal
NOW_MS = 1_721_347_200_000
STREAM = "p95:analysis:{03}:BTCUSDT"
ALL_WELL = {one.name: "ok" for one in checks()}


class Exchange:
    """What the exchange would answer; a test changes it."""

    def __init__(self) -> None:
        self.held: tuple[VenuePosition, ...] = ()
        self.resting: tuple[ConditionalReport, ...] = ()
        self.traded: list[Fill] = []
        self.placed: list[PlacedOrder] = []
        self.algos: list[PlacedAlgo] = []

    def now_ms(self) -> int:
        return NOW_MS + 3_600_000

    async def positions(self) -> tuple[VenuePosition, ...]:
        return self.held

    async def open_conditionals(self, symbol: str | None) -> tuple[ConditionalReport, ...]:
        return self.resting

    async def fills(self, symbol: str, *, since_ms: int, after_id: int | None) -> tuple[Fill, ...]:
        return tuple(one for one in self.traded if one.time_ms >= since_ms)

    async def orders(self, symbol: str, since_ms: int) -> list[PlacedOrder]:
        return self.placed

    async def conditionals(self, symbol: str, since_ms: int) -> list[PlacedAlgo]:
        return self.algos


class Audit:
    """The audit over one ledger: `await audit()` gives the verdict of each check."""

    def __init__(self, scene: Scene, exchange: Exchange, redis: Any) -> None:
        self.scene, self.exchange, self.redis = scene, exchange, redis

    async def report(self, **changes: Any) -> Report:
        scene = msgspec.structs.replace(self.scene, **changes)
        lines = [await _line(scene, one, lambda _title, _done, _of: None) for one in checks()]
        return report_of(lines, {"main": str(await scene.ledger.head())})

    async def only(self, name: str, **changes: Any) -> Line:
        """The one line that is not ok."""
        wrong = [line for line in (await self.report(**changes)).lines if line.verdict != "ok"]
        assert [line.check for line in wrong] == [name], wrong
        return wrong[0]


@pytest.fixture
async def audit(lived: Any, decided: Callable[..., Decision], redis_url: str) -> AsyncIterator[Audit]:
    """Everything agrees: the streams hold the three analyses, the exchange what was sent and filled."""
    redis = connect_redis(redis_url, name="test")
    for number, (at_ms, changes) in enumerate(
        (
            (NOW_MS, {}),
            (NOW_MS + 60_000, {"id": "momentum-BTCUSDT-2.0", "confidence": 0.5}),
            (NOW_MS + 120_000, {"id": "momentum-BTCUSDT-3.0", "action": "HOLD", "side": None}),
        )
    ):
        analysis = decided(**{"ts": at_ms, **changes}).analysis
        await append_once(redis, STREAM, analysis, StreamId(at_ms, (number + 1) * 256))
    exchange = Exchange()
    ledger = Evidence(lived.writer.engine, "main")
    for intent in await ledger.sent(0):
        if intent.conditional:
            exchange.algos.append(
                PlacedAlgo(
                    "BTCUSDT", int(intent.venue_id or 0), intent.client_id, intent.state, NOW_MS, intent.order_id
                )
            )
        else:
            exchange.placed.append(
                PlacedOrder("BTCUSDT", int(intent.order_id or 0), intent.client_id, intent.state, intent.filled, NOW_MS)
            )
    exchange.placed.append(PlacedOrder("BTCUSDT", 83, "made by the target's trigger", "FILLED", D("0.2"), NOW_MS))
    exchange.traded = list(await ledger.fills(0))

    async def at_once() -> None:
        return None

    scene = Scene(
        ledger=ledger, since_ms=0, anchor=None, streams=LogReader(redis, 0), exchange=exchange, without={},
        margin_ms=15_000, pause=at_once, step=lambda _done, _of: None,
    )  # fmt: skip
    yield Audit(scene, exchange, redis)
    await redis.aclose()


async def test_where_all_agrees_all_is_well(audit: Audit) -> None:
    report = await audit.report()
    assert {line.check: line.verdict for line in report.lines} == ALL_WELL, report
    assert (report.exit_code, report.anchors["main"]) == (0, str(await audit.scene.ledger.head()))
    assert {line.check: line.checked for line in report.lines} == {
        "chain": (await audit.scene.ledger.head()).n, "facts": 3 + 4 + 2 + 1, "decisions": 3, "positions": 0,
        "stops": 0, "orders": 3, "fills": 2, "results": 1,
    }  # fmt: skip
    shown = as_text(report)
    assert max(map(len, shown.splitlines())) <= 100
    assert shown.count("✓ ok") == len(ALL_WELL)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE ledger.audit SET body = replace(body, '\"quantity\": 0.2', '\"quantity\": 0.3') WHERE n = 7",
         "record 7 (order) was changed"),
        ("DELETE FROM ledger.audit WHERE n = 7", "record 7 is missing"),
        ("DELETE FROM ledger.audit WHERE n = (SELECT max(n) FROM ledger.audit)", "the tail was cut off"),
        ("UPDATE ledger.accounts SET audit_hash = repeat('a', 64)", "is not the one that the account knows"),
    ],
)  # fmt: skip
async def test_a_chain_that_was_tampered_with(audit: Audit, lived: Any, change: str, words: str) -> None:
    await lived.tampering(change)
    lines = {line.check: line for line in (await audit.report()).lines}
    assert words in lines["chain"].differences[0]


async def test_a_tail_cut_off_with_its_head_put_back_is_told_by_the_anchor(audit: Audit, lived: Any) -> None:
    noted = await audit.scene.ledger.head()
    await lived.tampering(
        "DELETE FROM ledger.audit WHERE n > 20",
        "UPDATE ledger.accounts SET audit_n = 20, audit_hash = (SELECT hash FROM ledger.audit WHERE n = 20)",
        "DELETE FROM ledger.signals WHERE analysis_id <> 'momentum-BTCUSDT-1.0'",
    )
    lines = {line.check: line.verdict for line in (await audit.report()).lines}
    assert lines["chain"] == "ok"
    found = next(line for line in (await audit.report(anchor=noted)).lines if line.check == "chain")
    assert found.differences == (f"the tail was cut off: the anchor is record {noted.n}, the chain ends with 20",)


async def test_a_chain_that_was_written_anew_has_another_hash_than_the_anchor(audit: Audit) -> None:
    head = await audit.scene.ledger.head()
    assert (await audit.report(anchor=head)).verdict == "ok"
    found = await audit.only("chain", anchor=Head(5, "a" * 64))
    assert found.differences == ("record 5 has another hash than the anchor: the chain was written anew",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE ledger.fills SET fee = 0 WHERE trade_id = 501", "fee is 0, its record"),
        ("UPDATE ledger.signals SET reason = 'because' WHERE action = 'HOLD'", "reason is \"because\""),
        ("UPDATE ledger.intents SET signed_ms = 1 WHERE role = 'exit'", "signed_ms is 1"),
        ("UPDATE ledger.trades SET stop_loss = 1", "stop_loss is 1"),
        ("DELETE FROM ledger.intents WHERE role = 'exit'", "and it is not there"),
        ("INSERT INTO ledger.control (scope, mode, reason, changed_by) VALUES ('account', 'RUN', 'x', 'y')",
         "control account: it has no record in the chain"),
    ],
)  # fmt: skip
async def test_a_fact_that_was_changed_without_its_record(audit: Audit, lived: Any, change: str, words: str) -> None:
    await lived.tampering(change)
    lines = {line.check: line for line in (await audit.report()).lines}
    assert words in lines["facts"].differences[0]
    assert lines["chain"].verdict == "ok"


async def test_an_analysis_that_was_never_decided(audit: Audit, lived: Any, decided: Callable[..., Decision]) -> None:
    late = decided(id="momentum-BTCUSDT-4.0", ts=NOW_MS + 180_000).analysis
    await append_once(audit.redis, STREAM, late, StreamId(NOW_MS + 180_000, 1024))
    assert (await audit.report()).verdict == "ok"  # behind the offset: it has not been read yet
    await lived.ledger.skip_to(STREAM, f"{NOW_MS + 180_000}-1024")
    found = await audit.only("decisions")
    assert found.differences == (f"{STREAM}: momentum-BTCUSDT-4.0 was never decided",)


async def test_a_decision_on_nothing_and_one_whose_entry_was_trimmed(
    audit: Audit, lived: Any, decided: Callable[..., Decision]
) -> None:
    forged = decided(id="momentum-BTCUSDT-9.0", ts=NOW_MS + 90_000, cause=f"{NOW_MS + 90_000}-9", confidence=0.1)
    await lived.ledger.decide([forged], None, Modes())
    found = await audit.only("decisions")
    assert found.differences == ("momentum-BTCUSDT-9.0: decided on, and no stream has such an analysis",)
    await audit.redis.execute_command("XTRIM", STREAM, "MINID", NOW_MS + 100_000)
    report = await audit.report()
    assert report.verdict == "ok"
    note = next(line.note for line in report.lines if line.check == "decisions")
    assert note == "3 older than the streams go back: not checkable"


async def test_what_nobody_could_read_counts_as_decided(audit: Audit, lived: Any) -> None:
    await audit.redis.execute_command("XADD", STREAM, f"{NOW_MS + 200_000}-1", "d", "{")
    await lived.ledger.poison(STREAM, f"{NOW_MS + 200_000}-1", {"d": "{"}, "truncated", NOW_MS + 200_010)
    assert (await audit.report()).verdict == "ok"


def held(size: str) -> tuple[VenuePosition, ...]:
    return (
        VenuePosition(
            symbol="ETHUSDT", position_side="LONG", size=D(size), entry_price=D(1), mark_price=D(1), unrealized=D(0)
        ),
    )


async def test_a_position_that_the_ledger_does_not_know(audit: Audit) -> None:
    audit.exchange.held = held("3")
    found = await audit.only("positions")
    assert found.differences == ("ETHUSDT long: the exchange holds 3, the ledger 0",)


async def test_a_difference_that_passes_is_none(audit: Audit) -> None:
    audit.exchange.held = held("3")

    async def gone() -> None:
        audit.exchange.held = ()

    assert (await audit.report(pause=gone)).verdict == "ok"


async def test_a_position_without_its_stop(audit: Audit, lived: Any, decided: Callable[..., Decision]) -> None:
    decision = decided(id="momentum-BTCUSDT-3.1", ts=NOW_MS + 120_000, expires_at=NOW_MS + 130_000)
    assert decision.group is not None
    await lived.ledger.decide([decision], None, Modes())
    analysis = decision.analysis
    await append_once(audit.redis, STREAM, analysis, StreamId(NOW_MS + 120_000, 769))
    await lived.ledger.skip_to(STREAM, f"{NOW_MS + 120_000}-769")
    entry = move(
        decision.group.entry, "SENT", signed_ms=NOW_MS, deadline_ms=NOW_MS + 5_000, updated_ms=NOW_MS + 120_020
    )
    assert await lived.ledger.sign(entry, entry=True)
    before = await lived.ledger.group(analysis.id)
    filled = move(entry, "FILLED", filled=D("0.2"), order_id="91", average_price=D(1_000), updated_ms=NOW_MS + 120_030)
    await lived.ledger.record(before, with_intent(before, filled, NOW_MS + 120_030))
    audit.exchange.placed.append(PlacedOrder("BTCUSDT", 91, entry.client_id, "FILLED", D("0.2"), NOW_MS))
    audit.exchange.held = (
        VenuePosition(
            symbol="BTCUSDT", position_side="LONG", size=D("0.2"), entry_price=D(1), mark_price=D(1), unrealized=D(0)
        ),
    )
    found = await audit.only("stops")
    assert "holds 0.2 BTCUSDT, stops for 0 rest at the exchange" in found.differences[0]
    stop = decision.group.of("stop")[0]
    audit.exchange.resting = (
        ConditionalReport(venue_id="1", client_id=stop.client_id, symbol="BTCUSDT", state="OPEN", quantity=D("0.2")),
    )
    await lived.ledger.mark(analysis.id, D(1_001), D("0.2"), NOW_MS)  # what prices were seen is no fact
    assert (await audit.report()).verdict == "ok"


async def test_intents_and_orders_that_lack_each_other(audit: Audit) -> None:
    stray = PlacedOrder("BTCUSDT", 99, "p95eunknown", "FILLED", D(1), NOW_MS)
    strangers = [PlacedOrder("BTCUSDT", 98, "web_1", "FILLED", D(1), NOW_MS)]
    strangers.append(PlacedOrder("BTCUSDT", 97, "p95dabc", "FILLED", D(1), NOW_MS))
    audit.exchange.placed += [stray, *strangers]
    found = await audit.only("orders")
    assert found.differences == ("order p95eunknown: at the exchange, and the ledger never sent it",)
    assert found.note == "1 by flatten --direct, 1 that are not ours"
    audit.exchange.placed = [one for one in audit.exchange.placed if one.order_id not in (71, 99)]
    lost = await audit.only("orders")
    assert lost.differences[0].startswith("entry p95e")
    assert lost.differences[0].endswith("FILLED in the ledger, and the exchange does not know it")


async def test_fills_that_the_exchange_tells_otherwise(audit: Audit) -> None:
    whole = audit.exchange.traded
    audit.exchange.traded = whole[:1]
    found = await audit.only("fills")
    assert found.differences == ("fill 502 of BTCUSDT: in the ledger, and the exchange does not know it",)
    audit.exchange.traded = [msgspec.structs.replace(whole[0], fee=D("0.7")), whole[1]]
    found = await audit.only("fills")
    assert found.differences == ("fill 501 of BTCUSDT: fee 0.1 in the ledger, 0.7 at the exchange",)
    audit.exchange.traded = [*whole, msgspec.structs.replace(whole[0], trade_id=777)]
    found = await audit.only("fills")
    assert found.differences == ("fill 777 of BTCUSDT: of our order 71, and not in the ledger",)


async def test_a_result_that_its_fills_do_not_make(audit: Audit, lived: Any) -> None:
    await lived.sql("UPDATE ledger.trades SET pnl = 400")  # by hand, and so with a record
    found = await audit.only("results")
    assert found.differences == ("momentum-BTCUSDT-1.0: result 400 is booked, fills and fees make 3.8",)
    await lived.sql("UPDATE ledger.trades SET pnl = 3.8", "UPDATE ledger.positions SET fees = 0")
    assert "position's fees 0" in (await audit.only("results")).differences[0]


async def test_what_cannot_be_asked_is_told_and_is_no_violation(audit: Audit) -> None:
    without = {"exchange": Unavailable("no exchange keys are given", chosen=True), "streams": Unavailable("away")}
    report = await audit.report(exchange=None, streams=None, without=without)
    told = {line.check: (line.verdict, line.note) for line in report.lines if line.verdict != "ok"}
    assert told["decisions"] == ("not checked", "away")
    assert told["orders"] == ("skipped", "no exchange keys are given")
    assert report.exit_code == 2
    only_keys = await audit.report(exchange=None, without=without)
    assert only_keys.exit_code == 0
    assert "– skipped" in as_text(only_keys)


async def test_only_a_later_part(audit: Audit, lived: Any) -> None:
    await lived.tampering("UPDATE ledger.fills SET fee = 0", "UPDATE ledger.audit SET body = '{}' WHERE n = 3")
    assert (await audit.report()).verdict == "violation"
    later = {line.check: line.verdict for line in (await audit.report(since_ms=NOW_MS + 60_000)).lines}
    assert (later["chain"], later["results"], later["fills"]) == ("ok", "ok", "ok")


def test_an_older_ledger_gets_its_records_when_it_is_brought_up_to_date(postgres_url: str) -> None:
    upgrade(postgres_url, "0001")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("INSERT INTO ledger.accounts (name, token) VALUES ('main', 'x')")
        connection.execute(
            "INSERT INTO ledger.signals (analysis_id, symbol, action, accepted, reason, ts_ms, decided_ms, created)"
            " VALUES ('a', 'BTCUSDT', 'HOLD', false, 'no', 1, 2, now())"
        )
    upgrade(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        kept = connection.execute("SELECT n, kind, analysis_id, ts_ms FROM ledger.audit").fetchall()
    assert kept == [(1, "decision", "a", 2)]


async def test_what_is_compared_is_what_the_database_keeps(kept: Any) -> None:
    """The columns that the triggers pass over are those that the comparison passes over."""
    found = await kept.rows(
        "SELECT relname AS name, encode(tgargs, 'escape') AS args"
        " FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE tgname = 'kept'"
    )
    passed_over = {row["name"]: row["args"].split("\\000") for row in found}
    for table, _, _, ignored in FACTS.values():
        wanted = [name for name in ignored.split(",") if name]
        args = passed_over[table] if table in ("trades", "control") else passed_over[table][2:]
        assert sorted(name for name in args if name) == sorted(wanted), table
