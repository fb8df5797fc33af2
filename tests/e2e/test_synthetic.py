"""The demo as a newcomer meets it: a synthetic market, a first order soon, Ctrl-C, and a second start."""

import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from phoenix95.common import keys, wire
from phoenix95.common.events import Gap, Trade
from phoenix95.common.ids import StreamId
from tests.e2e import captured
from tests.e2e.system import System, running, wait_for

FIRST_ORDER_S = 180
STOP_S_MAX = 10
PARTITIONS = 16
SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "XRPUSDT")

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(320)]


def test_a_fresh_demo_trades_soon_stops_on_ctrl_c_and_resumes_where_it_was(tmp_path: Path) -> None:
    data = tmp_path / "p95"
    with running(data) as system:
        protected = wait_for("a first protected position", lambda: _positions(system), FIRST_ORDER_S)
        assert all(position["stop_loss"] for position in protected)
        children = [psutil.Process(pid) for pid in system.state()["pids"].values()]
        assert len(children) >= len(SYMBOLS)
        assert system.interrupt() < STOP_S_MAX
        assert not [child for child in children if child.is_running()], "a process was left"
    before = _streams(data)
    assert set(before) == set(SYMBOLS)

    again = System(data, "--for", "15s")
    try:
        summary = again.summary(90)
    finally:
        again.end()
    for symbol, entries in _streams(data).items():
        assert entries[: len(before[symbol])] == before[symbol], "the past was changed"
        assert len(entries) > len(before[symbol]), "nothing was appended"
        _contiguous(entries)
        assert summary["ticks"][symbol] == sum(isinstance(_tick(entry), Trade) for entry in entries)
        assert summary["gaps"][symbol] == 0
    assert summary["orders"] >= 1


def _positions(system: System) -> list[dict[str, Any]]:
    """Open positions whose stop was seen on the exchange."""
    with system.gateway() as gateway:
        positions: list[dict[str, Any]] = gateway.get("/api/portfolio").json()["active_positions"]
    return [position for position in positions if position["protected"]]


def _streams(data: Path) -> dict[str, list[captured.Entry]]:
    with captured.redis_of(data) as redis:
        return {symbol: captured.stream(redis, keys.tick(symbol, PARTITIONS)) for symbol in SYMBOLS}


def _tick(entry: captured.Entry) -> object:
    return wire.tick_decoder.decode(entry[1][b"d"])


def _contiguous(entries: list[captured.Entry]) -> None:
    """Every trade follows the one before it, or an entry says why not."""
    last = 0
    for entry in entries:
        seq, tick = StreamId.parse(entry[0]).seq, _tick(entry)
        if isinstance(tick, Gap):
            assert tick.first == last + 1
        elif isinstance(tick, Trade):
            assert last in (0, seq - 1), f"{seq} follows {last}"
        last = seq


def test_nothing_of_it_lies_on_a_default_port_or_outside_its_folder(tmp_path: Path) -> None:
    home = set(Path.home().iterdir())
    with running(tmp_path / "p95") as system:
        ours = [psutil.Process(system.process.pid), *psutil.Process(system.process.pid).children(recursive=True)]
        ports = {
            connection.laddr.port
            for process in ours
            for connection in process.net_connections(kind="tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        assert ports
        assert not ports & {6379, 5432}
        files = {Path(file.path) for process in ours for file in process.open_files() if "w" in file.mode}
        allowed = (tmp_path, Path("/dev"), Path("/proc"))
        assert all(any(path.is_relative_to(place) for place in allowed) for path in files), files
    assert set(Path.home().iterdir()) == home
    assert os.listdir(tmp_path)
