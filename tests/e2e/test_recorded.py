"""A recording at ten times its speed through the whole system, in peace and with its services killed under it.

The same figures must come out both times: every trade of the files in the stream once and in order, every
analysis what the ticks imply, every analysis with its row, and the asked-for order placed, filled, protected
and closed.
"""

import random
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from phoenix95.common import keys, wire
from phoenix95.common.events import Analysis, Trade
from phoenix95.common.ids import StreamId, partition_of
from phoenix95.engine.core.state import decode_state
from tests.e2e import captured, recordings, replay
from tests.e2e.system import System, execute, running, wait_for

PARTITIONS = 16
HOLD_MS = 60_000  # six seconds at ten times the speed
KILLED = ("feed", "engine", "executor")
KILLS = 3  # of each
ASKED_IN_ROUND = 2
PSS_MB_MAX = 500

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


class Run(NamedTuple):
    """What a run left: its summary, its data folder, the recordings, and the story of the order that was asked for."""

    summary: dict[str, Any]
    data: Path
    recordings: recordings.Recordings
    order: dict[str, Any]


Ask = Callable[[], str]


def in_peace(system: System, ask: Ask) -> str:
    """Ask for the order and let everybody live."""
    return ask()


def killing(system: System, ask: Ask) -> str:
    """Kill each service several times at random moments, the executor once right behind an accepted order too."""
    chance = random.Random(95)
    request = ""
    for round_number in range(1, KILLS + 1):
        for service in chance.sample(KILLED, len(KILLED)):
            if service == "executor" and round_number == ASKED_IN_ROUND:
                request = ask()
            system.kill(service)
            time.sleep(chance.uniform(0.2, 0.8))
        for service in KILLED:
            system.wait_restarted(service, round_number)
    return request


@pytest.fixture(scope="module", params=[in_peace, killing], ids=["in_peace", "killing"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One whole run over both recordings; the tests below look at what it left."""
    folder = tmp_path_factory.mktemp(request.param.__name__)
    found = recordings.find(folder)
    source = "recorded:" + ",".join(str(path) for path in found.files.values())
    args = ("--source", source, "--speed", "10", "--until-end", "--profile", "fast")
    with running(folder / "p95", *args) as system, system.gateway() as gateway:
        wait_for("a price", lambda: gateway.get("/api/price/BTCUSDT").status_code == 200, 10)

        def accepted() -> str | None:
            """An answer may come too late while services are down; then it is refused for its age, as promised."""
            name = execute(gateway, symbol="BTCUSDT", action="buy", confidence=0.9, hold_ms=HOLD_MS)
            decision = wait_for("a decision", lambda: gateway.get(f"/api/execute/{name}").json()["decision"], 30)
            return name if decision["accepted"] else None

        def ask() -> str:
            return wait_for("an accepted order", accepted, 60)

        name = request.param(system, ask)

        def closed() -> dict[str, Any] | None:
            answer = gateway.get(f"/api/execute/{name}")
            story: dict[str, Any] = answer.json()
            if answer.status_code != 200 or not story["positions"] or story["positions"][0]["is_active"]:
                return None
            return story

        order = wait_for("the end of the asked-for position", closed, 60)
        summary = system.summary(120)
    return Run(summary, folder / "p95", found, order)


def test_the_tick_streams_hold_every_trade_of_the_files_once_and_in_order(run: Run) -> None:
    with captured.redis_of(run.data) as redis:
        for symbol, path in run.recordings.files.items():
            expected = list(recordings.aggregates(path))
            entries = captured.stream(redis, keys.tick(symbol, PARTITIONS))
            trades = [
                (StreamId.parse(entry_id), tick)
                for entry_id, fields in entries
                if isinstance(tick := wire.tick_decoder.decode(fields[b"d"]), Trade)
            ]
            assert len(trades) == len(entries), "only trades: the recordings have no history before their start"
            assert [entry_id.seq for entry_id, _ in trades] == list(range(1, len(expected) + 1))
            found = [
                recordings.Aggregate(Decimal(tick.price), Decimal(tick.quantity), tick.buyer_is_maker, entry_id.ms)
                for entry_id, tick in trades
            ]
            assert found == expected
            assert run.summary["ticks"][symbol] == len(expected)
            assert run.summary["gaps"][symbol] == 0


def test_the_log_folded_again_gives_every_analysis_and_reply_byte_for_byte(run: Run) -> None:
    with captured.redis_of(run.data) as redis:
        for symbol in run.recordings.files:
            ticks = captured.stream(redis, keys.tick(symbol, PARTITIONS))
            stored = captured.stream(redis, keys.analysis(symbol, PARTITIONS))
            requests = captured.stream(redis, keys.request(symbol, PARTITIONS))
            replies = captured.stream(redis, keys.reply(symbol, PARTITIONS))
            checkpoint = captured.hash_fields(redis, keys.checkpoint(partition_of(symbol, PARTITIONS)))
            config = decode_state(checkpoint[f"st:{symbol}".encode()]).config
            assert stored, f"no analysis of {symbol}"
            for seed in (1, 2):
                outputs, answers = replay.fold_again(symbol, config, ticks, requests, replies, seed)
                assert outputs == {entry_id: fields[b"d"] for entry_id, fields in stored}
                assert answers == {entry_id: fields[b"d"] for entry_id, fields in replies}


def test_every_analysis_and_reply_has_a_row_with_its_verdicts(run: Run) -> None:
    published = set()
    with captured.redis_of(run.data) as redis:
        for symbol in run.recordings.files:
            for key in (keys.analysis(symbol, PARTITIONS), keys.reply(symbol, PARTITIONS)):
                for _, fields in captured.stream(redis, key):
                    event = wire.engine_output_decoder.decode(fields[b"d"])
                    if isinstance(event, Analysis):
                        published.add((event.id, event.action))
    rows = captured.rows(run.data, "SELECT analysis_id, action, accepted, verdicts FROM ledger.signals")
    assert {(row[0], row[1]) for row in rows} == published
    assert len(rows) == len(published) == run.summary["decisions"]
    executes = [row for row in rows if row[1] == "EXECUTE"]
    assert executes
    assert all(row[3] for row in executes), "an EXECUTE without verdicts"


def test_the_asked_for_order_is_filled_protected_by_a_verified_stop_and_closed(run: Run) -> None:
    decision, position = run.order["decision"], run.order["positions"][0]
    orders = {order["role"]: order for order in run.order["orders"]}
    assert decision["accepted"], decision["reason"]
    assert orders["entry"]["state"] == "FILLED"
    assert sum(order["role"] == "entry" for order in run.order["orders"]) == 1
    assert orders["stop"]["venue_id"], "the stop never reached the exchange"
    assert position["protected"], "the stop was never seen in the list of open orders"
    assert position["exit_reason"] in {"stop_loss", "time_barrier"}
    assert position["realized_pnl"] is not None
    assert Decimal(position["fees"]) > 0


def test_the_ledger_holds_one_entry_for_an_analysis_and_nothing_unresolved(run: Run) -> None:
    doubled = captured.rows(
        run.data, "SELECT analysis_id FROM ledger.intents WHERE role = 'entry' GROUP BY 1 HAVING count(*) > 1"
    )
    assert doubled == []
    unresolved = captured.rows(run.data, "SELECT client_id FROM ledger.intents WHERE state = 'SENT'")
    assert unresolved == []


def test_the_summary_counts_restarts_memory_and_latency(run: Run, request: pytest.FixtureRequest) -> None:
    summary = run.summary
    killed = "killing" in request.node.name
    for service in KILLED:
        assert summary["restarts"][service] == (KILLS if killed else 0)
    assert sum(summary["pss_mb"].values()) < PSS_MB_MAX
    assert set(summary["pss_mb"]) == set(summary["rss_mb"])
    assert summary["latency_ms"], "no hop was measured"
    assert all({"p50", "p99"} <= set(hop) for hop in summary["latency_ms"].values())
