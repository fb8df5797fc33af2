"""The ledger on a real Postgres: what is stored, what is fenced, what a repeat does."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from phoenix95.common import keys
from phoenix95.common.clock import ManualClock
from phoenix95.common.errors import ConfigError, Fenced, InvariantBroken, TransientError
from phoenix95.common.events import Analysis, Decided, PositionChanged
from phoenix95.common.ids import StreamId
from phoenix95.common.retry import StopRequested
from phoenix95.common.wire import alert_decoder, order_decoder
from phoenix95.executor.control import watch_clock
from phoenix95.executor.core.book import exposures
from phoenix95.executor.core.candidate import Modes
from phoenix95.executor.core.decide import Decision, attempt, decide, ending
from phoenix95.executor.core.exits import Closing
from phoenix95.executor.core.figures import Figures
from phoenix95.executor.core.flatten import Resting
from phoenix95.executor.core.group import Fill, Group, with_intent
from phoenix95.executor.core.intents import move
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.options import parse_wishes
from phoenix95.executor.core.protection import Wanted
from phoenix95.executor.core.reconcile import AccountMode, Policy
from phoenix95.executor.ledger import connect as connecting
from phoenix95.executor.ledger import history, ownership
from phoenix95.executor.ledger.connect import connect
from phoenix95.executor.ledger.control import set_by_person
from phoenix95.executor.ledger.income import Row, booked, since_ms, store_income
from phoenix95.executor.ledger.migrate import upgrade
from phoenix95.executor.ledger.outbox import Outbox
from phoenix95.executor.ledger.ownership import Ownership, take
from phoenix95.executor.ledger.reports import store_portfolio
from phoenix95.executor.ledger.store import PostgresLedger
from phoenix95.executor.ledger.writing import Writer
from phoenix95.executor.ports import VenueAccount, VenuePosition
from phoenix95.executor.reconcile import Means, Reconciler

D = Decimal
NOW_MS = 1_721_347_200_000
STREAM = "p95:analysis:{03}:BTCUSDT"


class Opened(msgspec.Struct):
    ownership: Ownership
    writer: Writer
    ledger: PostgresLedger
    outbox: Outbox


@pytest.fixture
async def opened(ledger_url: str) -> AsyncIterator[Opened]:
    engine = connect(ledger_url)
    ownership = await take(engine, "main", stop=asyncio.Event())
    writer = Writer(engine, "main", ownership.token, lambda: None)
    yield Opened(ownership, writer, PostgresLedger(writer), Outbox(engine, "main"))
    await ownership.release()
    await engine.dispose()


@pytest.fixture
def decision(an_analysis: Callable[..., Analysis], surroundings: dict[str, Any]) -> Callable[..., Decision]:
    def made(limits: Limits | None = None, **changes: object) -> Decision:
        return decide(
            an_analysis(**changes), account="main", now_ms=NOW_MS, uncertainty_ms=1.0,
            **surroundings | ({} if limits is None else {"limits": limits}),
        )  # fmt: skip

    return made


Make = Callable[..., Decision]


async def rows(opened: Opened, sql: str) -> list[dict[str, object]]:
    async with opened.writer.engine.connect() as connection:
        return [dict(row._mapping) for row in await connection.execute(text(sql))]


async def entered(opened: Opened, decision: Decision) -> Group:
    """Store a decision, sign its entry, and record that it was filled."""
    assert decision.group is not None
    await opened.ledger.decide([decision], None, Modes())
    entry = move(decision.group.entry, "SENT", signed_ms=NOW_MS + 5, deadline_ms=NOW_MS + 5_005, updated_ms=NOW_MS + 5)
    assert await opened.ledger.sign(entry, entry=True)
    before = await opened.ledger.group(decision.analysis.id)
    filled = move(entry, "FILLED", filled=D("0.2"), order_id="71", average_price=D(1_000), updated_ms=NOW_MS + 9)
    await opened.ledger.record(before, with_intent(before, filled, NOW_MS + 9))
    return await opened.ledger.group(decision.analysis.id)


def fill(trade_id: int, side: str, price: str, order_id: str) -> Fill:
    return msgspec.convert(
        {
            "trade_id": trade_id, "order_id": order_id, "symbol": "BTCUSDT", "side": side, "position_side": "LONG",
            "price": price, "quantity": "0.2", "fee": "0.1", "fee_asset": "USDT", "realized_pnl": "0",
            "time_ms": NOW_MS + 9,
        },
        Fill,
    )  # fmt: skip


async def test_the_migrations_make_exactly_the_models(ledger_url: str) -> None:
    engine = connect(ledger_url)
    async with engine.connect() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(
                MigrationContext.configure(
                    sync,
                    opts={
                        "include_schemas": True,
                        "include_name": lambda name, kind, _parents: kind != "schema" or name == "ledger",
                        "version_table_schema": "ledger",
                    },
                ),
                history.PositionRow.metadata,
            )
        )
    await engine.dispose()
    assert differences == []


def test_migrating_twice_changes_nothing(ledger_url: str) -> None:
    upgrade(ledger_url)


def test_a_wrong_address_does_not_show_its_password() -> None:
    with pytest.raises(ConfigError, match="P95_POSTGRES_URL") as raised:
        connect("mysql://user:hunter2@host/db")
    assert "hunter2" not in str(raised.value)


async def test_without_tables_the_message_says_what_to_run(postgres_url: str) -> None:
    engine = connect(postgres_url)
    with pytest.raises(ConfigError, match="migrate"):
        await take(engine, "main", stop=asyncio.Event())
    await engine.dispose()


async def test_every_decision_is_one_row_with_its_offset(opened: Opened, decision: Make) -> None:
    hold = decision(id="a.0", action="HOLD")
    await opened.ledger.decide([hold, decision(id="a.1", confidence=0.1)], (STREAM, "7-1"), Modes())
    await opened.ledger.decide([hold], (STREAM, "7-2"), Modes())  # read again
    found = await rows(opened, "select analysis_id, action, accepted, reason, verdicts from ledger.signals order by id")
    assert [(row["analysis_id"], row["accepted"]) for row in found] == [("a.0", False), ("a.1", False)]
    assert "confidence 0.1" in str(found[1]["reason"])
    assert len(found[1]["verdicts"]) > 10  # type: ignore[arg-type]  every gate was asked
    assert await opened.ledger.offsets() == {STREAM: "7-2"}


async def test_an_accepted_decision_stores_all_its_orders_before_any_is_sent(opened: Opened, decision: Make) -> None:
    made = decision()
    (begun,) = await opened.ledger.decide([made], (STREAM, "7-1"), Modes())
    stored = await opened.ledger.group(made.analysis.id)
    assert (begun.trade, set(begun.intents)) == (stored.trade, set(stored.intents))
    assert await opened.ledger.decide([made], (STREAM, "7-1"), Modes()) == ()  # it was begun already
    group = await opened.ledger.group(made.analysis.id)
    assert {intent.role: intent.state for intent in group.intents} == dict.fromkeys(
        ("entry", "stop", "target", "exit"), "PLANNED"
    )
    assert group == msgspec.structs.replace(group, trade=made.group.trade)  # type: ignore[union-attr]
    assert {one.client_id for one in group.intents} == {one.client_id for one in made.group.intents}  # type: ignore[union-attr]


async def test_a_halt_between_gates_and_commit_is_noticed(opened: Opened, decision: Make) -> None:
    await set_by_person(opened.writer.engine, "account", "HALT", "test", "me")
    with pytest.raises(TransientError, match="control mode changed"):
        await opened.ledger.decide([decision()], (STREAM, "7-1"), Modes())
    assert await rows(opened, "select 1 from ledger.signals") == []
    assert await opened.ledger.offsets() == {}


async def test_a_halt_before_signing_keeps_the_entry_back_but_no_exit(opened: Opened, decision: Make) -> None:
    made = decision()
    await opened.ledger.decide([made], None, Modes())
    await set_by_person(opened.writer.engine, "BTCUSDT", "HALT", "test", "me")
    group = await opened.ledger.group(made.analysis.id)
    entry = move(group.entry, "SENT", signed_ms=1, deadline_ms=2)
    assert not await opened.ledger.sign(entry, entry=True)
    assert await opened.ledger.sign(move(group.of("stop")[0], "SENT", signed_ms=1, deadline_ms=2), entry=False)


async def test_an_intent_is_signed_once(opened: Opened, decision: Make) -> None:
    made = decision()
    await opened.ledger.decide([made], None, Modes())
    sent = move((await opened.ledger.group(made.analysis.id)).entry, "SENT", signed_ms=1, deadline_ms=2)
    await opened.ledger.sign(sent, entry=True)
    with pytest.raises(InvariantBroken, match="signed already"):
        await opened.ledger.sign(sent, entry=True)


async def test_an_executor_that_was_replaced_writes_nothing(opened: Opened, decision: Make) -> None:
    await rows_after(opened, "update ledger.accounts set token = 'another'")
    with pytest.raises(Fenced):
        await opened.ledger.decide([decision()], (STREAM, "7-1"), Modes())
    assert await rows(opened, "select 1 from ledger.signals") == []


async def rows_after(opened: Opened, sql: str) -> None:
    async with opened.writer.engine.begin() as connection:
        await connection.execute(text(sql))


async def test_one_executor_is_active_and_the_next_takes_over_at_once(opened: Opened) -> None:
    engine = connect(opened.writer.engine.url.render_as_string(hide_password=False))
    waiting = asyncio.create_task(take(engine, "main", stop=asyncio.Event()))
    await asyncio.sleep(0.6)
    assert not waiting.done()
    await opened.ownership.release()
    second = await asyncio.wait_for(waiting, 2)
    with pytest.raises(Fenced):
        await opened.ledger.alert("info", "test", "from the first", None)
    await second.release()
    await engine.dispose()


async def test_what_was_traded_on_paper_is_never_taken_up_with_real_money(opened: Opened) -> None:
    await opened.ownership.release()
    engine, stop = opened.writer.engine, asyncio.Event()
    with pytest.raises(ConfigError, match="P95_MODE is live, but P95_EXECUTOR_ACCOUNT main was begun in paper"):
        await take(engine, "main", stop=stop, mode="live")
    live = await take(engine, "other", stop=stop, mode="live")
    await live.release()
    with pytest.raises(ConfigError, match="begun in live"):
        await take(engine, "other", stop=stop)
    again = await take(engine, "main", stop=stop)  # the refused ones hold no lock
    assert await rows(opened, "select name, mode from ledger.accounts order by name") == [
        {"name": "main", "mode": "paper"},
        {"name": "other", "mode": "live"},
    ]
    await again.release()


CUT_THE_LOCK = (
    "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and database ="
    " (select oid from pg_database where datname = current_database())"
)


async def test_a_lost_lock_is_taken_again_and_bars_others(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "WATCH_S", 0.01)
    watching = asyncio.create_task(opened.ownership.watch(asyncio.Event()))
    await rows_after(opened, CUT_THE_LOCK)
    async with asyncio.timeout(5):
        while (opened.ownership.losses, opened.ownership.lost) != (1, None):
            assert not watching.done()
            await asyncio.sleep(0.01)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, stop.set)
    with pytest.raises(StopRequested):
        await take(opened.writer.engine, "main", stop=stop)
    await opened.ledger.alert("info", "still", "ours", None)
    watching.cancel()


async def test_who_lost_the_account_to_another_ends(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "WATCH_S", 0.01)
    await rows_after(opened, CUT_THE_LOCK)
    other = await take(opened.writer.engine, "main", stop=asyncio.Event())
    with pytest.raises(Fenced):
        await asyncio.wait_for(opened.ownership.watch(asyncio.Event()), 5)
    assert opened.ownership.lost is not None  # and until then nothing was entered
    await other.release()


async def test_a_server_that_hangs_counts_as_one_that_is_away(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "ANSWER_S", 0.1)
    began = time.monotonic()
    with pytest.raises(TransientError):
        async with opened.writer.read("hanging") as session:
            await session.execute(text("select pg_sleep(5)"))
    assert time.monotonic() - began < 2
    monkeypatch.undo()
    await opened.ledger.alert("info", "after", "it goes on", None)


async def test_a_server_that_takes_no_writes_counts_as_one_that_is_away(opened: Opened) -> None:
    """A standby after a failover: what is stored with the entry is then sent from memory."""

    async def write() -> None:
        async with opened.writer.write("test") as writing:
            await writing.session.execute(text("SET TRANSACTION READ ONLY"))
            writing.alert("info", "test", "nobody hears it", None)

    with pytest.raises(TransientError, match="read-only"):
        await write()


async def test_a_fill_opens_the_position_and_the_naked_time_runs(opened: Opened, decision: Make) -> None:
    group = await entered(opened, decision())
    assert (group.trade.stage, group.trade.opened_ms, group.trade.naked_since_ms) == (
        "PROTECTING", NOW_MS + 9, NOW_MS + 9,
    )  # fmt: skip
    found = await rows(opened, "select side, size, is_active from ledger.positions")
    assert found == [{"side": "long", "size": D("0.2"), "is_active": True}]
    assert (await rows(opened, "select executed, execution_time_ms from ledger.signals"))[0] == {
        "executed": True, "execution_time_ms": 9.0,
    }  # fmt: skip


async def test_a_position_whose_stop_is_gone_is_no_longer_protected(opened: Opened, decision: Make) -> None:
    group = await entered(opened, decision())
    stop = msgspec.structs.replace(
        move(group.of("stop")[0], "SENT", signed_ms=NOW_MS, deadline_ms=NOW_MS + 1), quantity=D("0.2")
    )
    assert await opened.ledger.sign(stop, entry=False)
    rests = with_intent(group, move(stop, "OPEN", venue_id="9"), NOW_MS + 20)
    await opened.ledger.record(group, rests)
    await opened.ledger.protected(group.trade.analysis_id, NOW_MS + 21)
    assert await rows(opened, "select protected from ledger.positions") == [{"protected": True}]
    group = await opened.ledger.group(group.trade.analysis_id)
    gone = with_intent(group, move(group.intent(stop.client_id), "CANCELED"), NOW_MS + 5_000)
    await opened.ledger.record(group, gone)
    after = (await opened.ledger.group(group.trade.analysis_id)).trade
    assert (after.stage, after.naked_since_ms) == ("PROTECTING", NOW_MS + 5_000)
    assert await rows(opened, "select protected from ledger.positions") == [{"protected": False}]
    assert any("stop_lost" in one.body.decode() for one in await opened.outbox.waiting(100))


async def test_a_position_is_marked_until_it_is_empty(opened: Opened, decision: Make) -> None:
    group = await entered(opened, decision())
    await opened.ledger.mark(group.trade.analysis_id, D(990), D(-2), NOW_MS + 50)
    await rows_after(opened, "update ledger.positions set size = 0")
    await opened.ledger.mark(group.trade.analysis_id, D(900), D(-20), NOW_MS + 60)
    found = (await rows(opened, "select current_price, unrealized_pnl_percent, max_loss from ledger.positions"))[0]
    assert found == {"current_price": D(990), "unrealized_pnl_percent": D(-1), "max_loss": D(-2)}


async def test_a_finished_trade_has_the_result_of_its_fills(opened: Opened, decision: Make) -> None:
    group = await entered(opened, decision())
    exit_sent = move(group.of("exit")[0], "SENT", signed_ms=NOW_MS + 20, deadline_ms=NOW_MS + 99)
    await opened.ledger.sign(exit_sent, entry=False)
    before = await opened.ledger.group(group.trade.analysis_id)
    done = move(exit_sent, "FILLED", filled=D("0.2"), order_id="72", average_price=D(1_010), updated_ms=NOW_MS + 30)
    await opened.ledger.record(before, with_intent(before, done, NOW_MS + 30))
    fills = [fill(1, "BUY", "1000", "71"), fill(2, "SELL", "1010", "72")]
    await opened.ledger.save_fills(group.trade.analysis_id, fills)
    await opened.ledger.save_fills(group.trade.analysis_id, fills)  # a repeat is harmless
    group = await opened.ledger.group(group.trade.analysis_id)
    assert group.fills_complete
    assert group.held == 0
    await opened.ledger.finish(group, "take_profit", NOW_MS + 40)
    trade = (await rows(opened, "select status, stage, pnl, fee from ledger.trades"))[0]
    assert trade == {"status": "closed", "stage": "CLOSED", "pnl": D("1.8"), "fee": D("0.2")}
    position = (await rows(opened, "select is_active, exit_reason, exit_price, realized_pnl from ledger.positions"))[0]
    assert position == {
        "is_active": False, "exit_reason": "take_profit", "exit_price": D(1_010), "realized_pnl": D("1.8"),
    }  # fmt: skip
    assert {row["state"] for row in await rows(opened, "select state from ledger.intents")} == {"FILLED", "CANCELED"}
    assert await opened.ledger.active_groups() == ()


async def test_a_close_command_is_acknowledged_once_with_its_offset(opened: Opened, decision: Make) -> None:
    group = await entered(opened, decision())
    assert await opened.ledger.close_by_command(keys.COMMAND, "5-0", "BTCUSDT", "enough") == [group.trade.analysis_id]
    assert await opened.ledger.close_by_command(keys.COMMAND, "6-0", "ETHUSDT", "none") == []
    assert (await opened.ledger.group(group.trade.analysis_id)).trade.close_reason == "manual"
    acks = [row.body for row in await opened.outbox.waiting(100) if row.stream == keys.ACK]
    assert [b'"ok":true' in body for body in acks] == [True, False]
    assert (await opened.ledger.offsets())[keys.COMMAND] == "6-0"


async def test_order_events_have_growing_ids_even_when_time_steps_back(opened: Opened, decision: Make) -> None:
    await entered(opened, decision())
    late = decision(id="late", action="HOLD")
    earlier = msgspec.structs.replace(late, decided=msgspec.structs.replace(late.decided, ts=NOW_MS - 60_000))
    await opened.ledger.decide([earlier], None, Modes())
    waiting = [row for row in await opened.outbox.waiting(100) if row.stream == keys.ORDER]
    ids = [row.entry_id for row in waiting]
    assert ids == sorted(set(ids), key=lambda one: one or StreamId(0, 0))
    events = [order_decoder.decode(row.body) for row in waiting]
    assert isinstance(events[0], Decided)
    assert sum(isinstance(event, PositionChanged) for event in events) == 1


async def test_the_outbox_follows_a_stream_that_went_back_or_is_ahead(opened: Opened, decision: Make) -> None:
    await opened.ledger.decide([decision(id=f"h{n}", action="HOLD") for n in range(5)], None, Modes())
    waiting = await opened.outbox.waiting(10)
    await opened.outbox.published([row.seq for row in waiting])
    assert waiting[1].entry_id is not None
    assert await opened.outbox.follow(keys.ORDER, waiting[1].entry_id) == 3
    assert [row.seq for row in await opened.outbox.waiting(10)] == [row.seq for row in waiting[2:]]
    await opened.outbox.follow(keys.ORDER, StreamId(NOW_MS + 10**9, 3))
    await opened.ledger.decide([decision(id="ahead", action="HOLD")], None, Modes())
    assert (await opened.outbox.waiting(10))[-1].entry_id == StreamId(NOW_MS + 10**9, 4)


async def test_an_unreadable_entry_is_a_row_and_a_dead_letter_and_never_read_again(opened: Opened) -> None:
    for _ in range(2):
        await opened.ledger.poison(STREAM, "9-9", {"d": "{"}, "no JSON", NOW_MS)
    assert await rows(opened, "select symbol, action, accepted, reason from ledger.signals") == [
        {"symbol": "BTCUSDT", "action": "ERROR", "accepted": False, "reason": "no JSON"}
    ]
    streams = [row.stream for row in await opened.outbox.waiting(10)]
    assert sorted(streams) == sorted([keys.ORDER, keys.dead_letter("executor")])
    assert await opened.ledger.offsets() == {STREAM: "9-9"}


async def test_the_portfolio_remembers_its_worst_drawdown(opened: Opened) -> None:
    for equity in ("10000", "9000", "9900"):
        account = VenueAccount(
            equity=D(equity), wallet=D(equity), available=D(equity), used_margin=D(0), unrealized=D(0)
        )
        await store_portfolio(opened.writer, account, (), NOW_MS)
    found = await rows(opened, "select total_balance, max_drawdown from ledger.portfolio order by id")
    assert [row["max_drawdown"] for row in found] == [D(0), D("0.1"), D("0.1")]


async def test_a_foreign_position_stops_entries_but_softens_no_halt(opened: Opened) -> None:
    await opened.ledger.tighten("REDUCE_ONLY", "foreign", "why", None)
    assert (await opened.ledger.modes()).account == "REDUCE_ONLY"
    await set_by_person(opened.writer.engine, "account", "FLATTEN", "test", "me")
    await opened.ledger.tighten("REDUCE_ONLY", "foreign", "why", None)
    assert (await opened.ledger.modes()).account == "FLATTEN"


@pytest.mark.parametrize("filled_first", [True, False])
async def test_fees_are_told_while_the_trade_is_open(opened: Opened, decision: Make, filled_first: bool) -> None:
    """The exchange's list of trades may be read before or after the order is known to be filled."""
    made = decision()
    entry_fill = [fill(1, "BUY", "1000", "71")]
    if filled_first:
        await entered(opened, made)
        await opened.ledger.save_fills(made.analysis.id, entry_fill)
    else:
        await opened.ledger.decide([made], None, Modes())
        await opened.ledger.save_fills(made.analysis.id, entry_fill)
        before = await opened.ledger.group(made.analysis.id)
        sent = move(before.entry, "SENT", signed_ms=NOW_MS, deadline_ms=NOW_MS + 5_000)
        filled = move(sent, "FILLED", filled=D("0.2"), order_id="71", average_price=D(1_000), updated_ms=NOW_MS + 9)
        await opened.ledger.record(before, with_intent(before, filled, NOW_MS + 9))
    assert [row["fees"] for row in await rows(opened, "select fees from ledger.positions")] == [D("0.1")]
    assert [row["fee"] for row in await rows(opened, "select fee from ledger.trades")] == [D("0.1")]


# ---------------------------------------------------------------- protection and exits


async def test_options_and_moves_of_the_stop_are_kept(opened: Opened, decision: Make) -> None:
    wishes = parse_wishes(trailing=0.012, breakeven_r=1, targets=("0.5@1", "0.5@2"))
    made = decision(limits=Limits(wishes=wishes))
    group = await entered(opened, made)
    assert made.group is not None
    assert (group.trade.options, group.trade.strategy) == (made.group.trade.options, "momentum")
    assert group.trade.decided_ms == NOW_MS
    assert [(one.slot, one.quantity) for one in group.of("target")] == [(0, D("0.1")), (1, D("0.1"))]
    assert group.of("trail")[0].callback_rate == D("1.2")
    moved = attempt(
        group, "stop", number=1, account="main", now_ms=NOW_MS, quantity=D("0.2"),
        wanted=Wanted(role="stop", quantity=D("0.2"), trigger_price=D(1_001)),
    )  # fmt: skip
    await opened.ledger.plan(moved)
    sent = move(moved, "SENT", signed_ms=NOW_MS, deadline_ms=NOW_MS + 5_000)
    assert await opened.ledger.sign(sent, entry=False)
    before = await opened.ledger.group(group.trade.analysis_id)
    await opened.ledger.record(before, with_intent(before, move(sent, "OPEN", venue_id="v"), NOW_MS))
    assert (await rows(opened, "select stop_loss from ledger.positions")) == [{"stop_loss": D(1_001)}]


@pytest.mark.parametrize(("side", "best"), [("BUY", "1020"), ("SELL", "980")])
async def test_the_best_price_of_an_open_trade_is_kept(opened: Opened, decision: Make, side: str, best: str) -> None:
    stop, target = (990.0, 1_020.0) if side == "BUY" else (1_010.0, 980.0)
    group = await entered(opened, decision(side=side, stop_loss=stop, take_profit=target))
    for price in (D(1_000), D(1_020), D(980), D(1_010)):
        await opened.ledger.mark(group.trade.analysis_id, price, D(0), NOW_MS)
    better = D(1_021) if side == "BUY" else D(979)
    assert not await opened.ledger.seen("ETHUSDT", D(5_000), NOW_MS + 50)
    assert not await opened.ledger.seen("BTCUSDT", D(1_000), NOW_MS + 50)
    assert not await opened.ledger.seen("BTCUSDT", better, NOW_MS - 1)  # before it was open
    assert (await opened.ledger.group(group.trade.analysis_id)).trade.best_price == D(best)
    assert await opened.ledger.seen("BTCUSDT", better, NOW_MS + 50)
    assert (await opened.ledger.group(group.trade.analysis_id)).trade.best_price == better
    assert await opened.ledger.watched() == ()  # it has no options that need a price
    await rows_after(opened, """update ledger.trades set options = '{"breakeven_r": "1"}'""")
    assert await opened.ledger.watched() == ("BTCUSDT",)


async def test_what_an_analysis_ends_is_stored_with_its_decision_once(opened: Opened, decision: Make) -> None:
    group = await entered(opened, decision())
    held = group.trade.analysis_id
    leave = ending(decision(id="exit.0", action="EXIT"), (Closing(held, "strategy"),))
    await opened.ledger.decide([leave], (STREAM, "7-1"), Modes())
    assert (await opened.ledger.group(held)).trade.close_reason == "strategy"
    told = await rows(opened, "select reason from ledger.signals where analysis_id = 'exit.0'")
    assert f"closes {held} (strategy)" in str(told[0]["reason"])
    await rows_after(opened, "update ledger.trades set close_reason = null")
    await opened.ledger.decide([leave], (STREAM, "7-1"), Modes())  # read again
    assert (await opened.ledger.group(held)).trade.close_reason is None


async def test_a_person_closes_one_side_and_a_repeated_command_nothing_more(opened: Opened, decision: Make) -> None:
    held = (await entered(opened, decision())).trade.analysis_id
    close = opened.ledger.close_by_command
    assert await close(keys.COMMAND, "5-0", "BTCUSDT", "enough", "short") == []
    assert await close(keys.COMMAND, "6-0", "BTCUSDT", "enough", "long") == [held]
    assert await close(keys.COMMAND, "6-0", "BTCUSDT", "enough", "long") == []


async def test_two_accounts_share_one_database(opened: Opened, decision: Make, surroundings: dict[str, Any]) -> None:
    """Both trade the same analysis; each sees, changes and publishes what is its own, but the order stream is one."""
    engine = opened.writer.engine
    other = await take(engine, "second", stop=asyncio.Event())
    ledger = PostgresLedger(Writer(engine, "second", other.token, lambda: None))
    first = decision()
    second = decide(first.analysis, account="second", now_ms=NOW_MS, uncertainty_ms=1.0, **surroundings)
    mine = await entered(opened, first)
    await ledger.decide([second], (STREAM, "9-0"), Modes())
    await opened.ledger.decide([], (STREAM, "7-0"), Modes())
    assert (await ledger.offsets(), await opened.ledger.offsets()) == ({STREAM: "9-0"}, {STREAM: "7-0"})
    await ledger.begin_close(first.analysis.id, "manual", None, NOW_MS)
    theirs = await ledger.group(first.analysis.id)
    again = await opened.ledger.group(first.analysis.id)
    assert (theirs.trade.close_reason, again.trade.close_reason) == ("manual", None)
    assert {one.client_id for one in theirs.intents}.isdisjoint(one.client_id for one in mine.intents)
    assert [one.trade.analysis_id for one in await ledger.active_groups()] == [first.analysis.id]
    await ledger.failed(first.analysis.id, "closed before it was entered", NOW_MS)
    assert (await opened.ledger.group(first.analysis.id)).trade.stage == "PROTECTING"
    states = await rows(opened, "select account, state, count(*) as n from ledger.intents group by 1, 2 order by 1, 2")
    assert [(one["account"], one["state"], one["n"]) for one in states] == [
        ("main", "FILLED", 1), ("main", "PLANNED", 3), ("second", "CANCELED", 4),
    ]  # fmt: skip
    await ledger.alert("info", "theirs", "an alert", None)
    outboxes = opened.outbox, Outbox(engine, "second")
    told = [[(one.stream, one.entry_id) for one in await outbox.waiting(100)] for outbox in outboxes]
    ids = [entry_id for stream, entry_id in told[0] if stream == keys.ORDER]
    assert ids == [entry_id for stream, entry_id in told[1] if stream == keys.ORDER]
    assert ids == sorted(set(ids))
    assert [sum(stream == keys.ALERT for stream, _ in one) for one in told] == [0, 1]
    await other.release()


async def test_a_trigger_is_kept_with_its_cause_alerted_once_and_a_person_has_the_last_word(opened: Opened) -> None:
    engine, ledger = opened.writer.engine, opened.ledger
    day_ms = int(datetime.now(UTC).timestamp() * 1000)
    assert await ledger.tighten("REDUCE_ONLY", "ledger_mismatch", "0.1 is not 0.2", None)
    assert not await ledger.tighten("REDUCE_ONLY", "ledger_mismatch", "0.1 is not 0.2", None)
    assert await ledger.tighten_once_a_day("REDUCE_ONLY", "daily_loss", "too much", day_ms)
    assert (await ledger.modes()).account == "REDUCE_ONLY"
    await set_by_person(engine, "account", "RUN", "looked into it", "me")
    assert not await ledger.tighten_once_a_day("REDUCE_ONLY", "daily_loss", "too much", day_ms)
    assert (await ledger.modes()).account == "RUN"
    for reason in ("", " "):
        with pytest.raises(ConfigError, match="needs a reason"):
            await set_by_person(engine, "account", "RUN", reason, "me")
    kept = await rows(opened, "select cause, previous, mode, changed_by from ledger.control_history order by id")
    assert [tuple(row.values()) for row in kept] == [
        ("ledger_mismatch", "RUN", "REDUCE_ONLY", "executor"),
        ("daily_loss", "REDUCE_ONLY", "REDUCE_ONLY", "executor"),
        ("command", "REDUCE_ONLY", "RUN", "me"),
    ]
    assert len(await ledger.confirm_control()) == 3
    assert await ledger.confirm_control() == ()
    told = [alert_decoder.decode(row.body) for row in await opened.outbox.waiting(100) if row.stream == keys.ALERT]
    assert [one.kind for one in told] == ["ledger_mismatch", "daily_loss", "control"]


async def test_a_clock_that_stays_uncertain_restricts_the_account_once(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phoenix95.executor.control.EVERY_S", 0.01)

    async def after(uncertainty_ms: float | None, lost_ms: int) -> str:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.2, stop.set)
        clock = ManualClock(NOW_MS, uncertainty_ms)
        await watch_clock(clock, opened.ledger, uncertainty_max_ms=250, lost_ms=lost_ms, stop=stop)
        return (await opened.ledger.modes()).account

    assert await after(10, lost_ms=1) == "RUN"
    assert await after(None, lost_ms=10_000) == "RUN"  # not for long enough
    assert await after(251, lost_ms=1) == "REDUCE_ONLY"
    assert len(await rows(opened, "select 1 from ledger.control_history where cause = 'clock_uncertain'")) == 1


async def test_income_is_kept_once_booked_to_its_trade_and_compared(opened: Opened, decision: Make) -> None:
    group = await entered(opened, decision())
    name, writer = group.trade.analysis_id, opened.writer
    assert (await opened.ledger.group(name)).trade.opened_ms is not None
    assert await since_ms(writer) is not None
    bought = msgspec.structs.replace(fill(7, "BUY", "1000", "71"), realized_pnl=D("1.5"), fee=D("0.1"))
    await opened.ledger.save_fills(name, [bought])
    told = [
        Row("REALIZED_PNL", 1, "BTCUSDT", "USDT", D("1.5"), NOW_MS + 9, 7),
        Row("COMMISSION", 1, "BTCUSDT", "USDT", D("-0.1"), NOW_MS + 9, 7),
        Row("FUNDING_FEE", 2, "BTCUSDT", "USDT", D("-0.02"), NOW_MS + 20, None),
        Row("FUNDING_FEE", 3, "ETHUSDT", "USDT", D("-0.03"), NOW_MS + 20, None),
        Row("TRANSFER", 4, "", "USDT", D(10_000), NOW_MS + 1, None),
    ]
    assert await store_income(writer, told) == 5
    assert await store_income(writer, told) == 0
    assert (await rows(opened, "select funding from ledger.trades")) == [{"funding": D("-0.02")}]
    async with writer.read("income") as session:
        trades, nobodys = await booked(session, "main", NOW_MS + 500_000)
        assert (await booked(session, "main", NOW_MS + 1_000))[0] == ()  # too young to be compared
    assert nobodys == {"FUNDING_FEE USDT": D("-0.03")}
    assert [(one.analysis_id, one.fills_realised, one.income_realised) for one in trades] == [
        (name, D("1.5"), D("1.5"))
    ]
    assert (trades[0].fills_commission, trades[0].income_commission) == (D("-0.1"), D("-0.1"))


async def test_a_lost_connection_frees_the_account_at_once(opened: Opened) -> None:
    """As after a kill -9 of its process: the lock goes with the connection, and the token fences what still writes."""
    locks = await rows(
        opened,
        "select pid from pg_locks where locktype = 'advisory' and database = "
        "(select oid from pg_database where datname = current_database())",
    )
    pid = locks[0]["pid"]
    began = asyncio.get_running_loop().time()
    await rows(opened, f"select pg_terminate_backend({pid})")
    second = await take(opened.writer.engine, "main", stop=asyncio.Event())
    assert asyncio.get_running_loop().time() - began < 1.5
    with pytest.raises(Fenced):
        await opened.ledger.alert("info", "late", "from the dead", None)
    await second.release()


async def figures(opened: Opened, now_ms: int, staged: int = 0) -> Figures:
    return await opened.ledger.figures("BTCUSDT", now_ms=now_ms, since_ms=NOW_MS - 60_000, staged=staged)


async def test_the_figures_of_a_decision_are_those_of_the_trades(opened: Opened, decision: Make) -> None:
    made = decision(request="5-0")
    await opened.ledger.decide([made], None, Modes())
    said = await figures(opened, NOW_MS + 50)
    pending = exposures(await opened.ledger.active_groups())
    assert said.exposures == tuple(msgspec.structs.replace(one, entered_ms=NOW_MS) for one in pending)
    assert [(one.symbol, one.side, one.at_ms, one.cause, one.request) for one in said.entries] == [
        ("BTCUSDT", "BUY", NOW_MS, made.analysis.cause, "5-0")
    ]
    assert (await figures(opened, NOW_MS + 50, staged=5)).live_trades == 1
    assert said.live_trades == 0


async def test_an_open_trades_figures_are_what_is_held_and_paid(opened: Opened, decision: Make) -> None:
    group = await entered(opened, decision())
    await opened.ledger.save_fills(group.trade.analysis_id, [fill(1, "BUY", "1000", "71")])
    said = await figures(opened, NOW_MS + 50)
    held = exposures(await opened.ledger.active_groups())
    assert said.exposures == tuple(msgspec.structs.replace(one, entered_ms=NOW_MS) for one in held)
    assert (said.exposures[0].size, said.day_realized, said.stopped_out_ms) == (D("0.2"), D("-0.1"), None)


async def test_a_day_begins_at_midnight_with_what_was_unrealised_then(opened: Opened, decision: Make) -> None:
    day = 86_400_000
    midnight = NOW_MS // day * day
    account = VenueAccount(equity=D(9_000), wallet=D(9_100), available=D(9_000), used_margin=D(0), unrealized=D(-100))
    await store_portfolio(opened.writer, account, (), midnight - 1)
    await store_portfolio(opened.writer, msgspec.structs.replace(account, equity=D(8_000)), (), midnight)
    await opened.ledger.decide([decision()], None, Modes())
    for closed_ms, realized in ((midnight - 1, D(0)), (midnight, D(-7))):
        await rows_after(
            opened,
            "update ledger.trades set status = 'closed', pnl = -7, metadata = '{\"exit_reason\": \"stop_loss\"}', "
            "closed = to_timestamp(CLOSED / 1000.0)".replace("CLOSED", str(closed_ms)),
        )
        said = await opened.ledger.figures("BTCUSDT", now_ms=midnight + 5, since_ms=midnight - 9, staged=0)
        assert (said.day_realized, said.stopped_out_ms) == (realized, closed_ms)
        assert (said.day_unrealized_before, said.peak_equity) == (D(-100), D(9_000))
    other = await opened.ledger.figures("ETHUSDT", now_ms=midnight + 5, since_ms=midnight - 9, staged=0)
    assert other.stopped_out_ms is None


class Exchange:
    """The lists that a reconciliation reads, and what it did; both its ports in one, and the desk."""

    def __init__(self) -> None:
        self.held: tuple[VenuePosition, ...] = ()
        self.open: tuple[Resting, ...] = ()
        self.resynced: list[str] = []
        self.cancelled: list[str] = []
        self.away = False

    async def positions(self) -> tuple[VenuePosition, ...]:
        return self.held

    async def orders(self) -> tuple[Resting, ...]:
        return self.open

    async def account(self) -> VenueAccount:
        ten = D(10_000)
        return VenueAccount(equity=ten, wallet=ten, available=ten, used_margin=D(0), unrealized=D(0))

    async def cancel(self, order: Resting) -> None:
        if self.away:
            raise TransientError("no answer")
        self.cancelled.append(order.client_id)

    def start(self, analysis_id: str, symbol: str) -> None: ...

    def resync(self, analysis_id: str) -> None:
        self.resynced.append(analysis_id)


async def test_a_difference_that_looking_does_not_resolve_restricts_the_account_at_the_third_look(
    opened: Opened, decision: Make
) -> None:
    group = await entered(opened, decision())
    exchange: Any = Exchange()
    ports: Any = SimpleNamespace(venue=exchange, clock=ManualClock(NOW_MS + 100), account="main", recv_window_ms=5_000)
    means = Means(policy=Policy(), wanted=AccountMode(), stop_share=D("0.01"), limits=Limits())
    reconciler = Reconciler(ports, opened.ledger, opened.writer, exchange, exchange, means)
    exchange.open = (
        Resting(
            symbol="ETHUSDT", venue_id="1", client_id="p95sleft", conditional=True, kind="STOP_MARKET", side="SELL",
            position_side="LONG", quantity=D(1), price=D(1),
        ),
    )  # fmt: skip
    exchange.held = (
        VenuePosition(
            symbol="BTCUSDT", position_side="LONG", size=D("0.3"), entry_price=D(1_000), mark_price=D(1_000),
            unrealized=D(0),
        ),
    )  # fmt: skip
    await reconciler.look(fully=False)
    assert (exchange.cancelled, (await opened.ledger.modes()).account) == ([], "RUN")
    exchange.away = True
    with pytest.raises(TransientError, match="p95sleft"):
        await reconciler.look(fully=False)
    exchange.away = False
    assert (await opened.ledger.modes()).account == "RUN"
    await reconciler.look(fully=False)
    assert exchange.cancelled == ["p95sleft"]
    assert exchange.resynced == [group.trade.analysis_id] * 3
    assert (await opened.ledger.modes()).account == "REDUCE_ONLY"
    assert len(await rows(opened, "select 1 from ledger.portfolio")) == 3


async def test_a_finding_whose_action_fails_unforeseen_keeps_nothing_else_from_being_done(opened: Opened) -> None:
    exchange: Any = Exchange()
    ports: Any = SimpleNamespace(venue=exchange, clock=ManualClock(NOW_MS + 100), account="main", recv_window_ms=5_000)
    means = Means(policy=Policy(), wanted=AccountMode(), stop_share=D("0.01"), limits=Limits())
    reconciler = Reconciler(ports, opened.ledger, opened.writer, exchange, exchange, means)
    exchange.open = tuple(
        Resting(
            symbol="ETHUSDT", venue_id=name, client_id=name, conditional=True, kind="STOP_MARKET", side="SELL",
            position_side="LONG", quantity=D(1), price=D(1),
        )
        for name in ("p95s1", "p95s2")
    )  # fmt: skip
    cancel = exchange.cancel

    async def failing(order: Resting) -> None:
        if order.client_id == "p95s1":
            raise ValueError("no such thing")
        await cancel(order)

    exchange.cancel = failing
    for _ in range(3):
        await reconciler.look(fully=False)
    assert set(exchange.cancelled) == {"p95s2"}
    assert len(await rows(opened, "select 1 from ledger.portfolio")) == 3
    told = [alert_decoder.decode(row.body) for row in await opened.outbox.waiting(100) if row.stream == keys.ALERT]
    assert [one.kind for one in told] == ["finding_not_mended"]
    assert "ValueError: no such thing" in told[0].message


@pytest.mark.parametrize(
    ("symbol", "taken"),
    [("\u5e01\u5b89\u4eba\u751fUSDT", True), ("1000x-Y.Z", True), ("A" * 41, False), ("a\u0085b", False)],
)
async def test_whatever_the_exchange_lists_has_a_control_mode(opened: Opened, symbol: str, taken: bool) -> None:
    if not taken:
        with pytest.raises(Exception, match="no scope"):
            await opened.ledger.tighten("HALT", "unprotected", "why", symbol)
        return
    assert await opened.ledger.tighten("HALT", "unprotected", "why", symbol)
    assert (await opened.ledger.modes()).symbols == {symbol: "HALT"}
