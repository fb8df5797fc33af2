"""A small market of our own, and the reference quotes when `P95_TEST_DATA` names them."""

import csv
import math
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from phoenix95.common.events import Bar, Event, Seed, Trade
from phoenix95.common.wire import encode

LogEntry = tuple[str, dict[bytes, bytes]]
START_MS = 1_721_347_200_000  # a whole minute


def as_entry(entry_id: str, event: Event) -> LogEntry:
    return entry_id, {b"d": encode(event)}


def trending_market(
    seed: int, minutes: int, per_minute: int = 12, drift: float = 0.0012, persistence: float = 0.97
) -> list[tuple[int, float, float]]:
    """(ms, price, quantity) of trades whose drift keeps its sign for a while: momentum has an edge here."""
    chance = random.Random(seed)
    price, direction, found = 100.0, 1, []
    step_ms = 60_000 // per_minute
    for step in range(minutes * per_minute):
        if step % per_minute == 0 and chance.random() > persistence:
            direction = -direction
        price *= math.exp(direction * drift / per_minute + chance.gauss(0, 0.001 / math.sqrt(per_minute)))
        found.append((START_MS + step * step_ms + chance.randrange(step_ms), price, chance.random()))
    return found


@pytest.fixture
def make_log() -> Callable[..., list[LogEntry]]:
    """Makes the tick log of one symbol: seeds of one minute, then trades with a quote at each new second."""

    def make(
        seed: int = 1, *, seeds: int = 0, minutes: int = 30, per_minute: int = 12, drift: float = 0.0012
    ) -> list[LogEntry]:
        market = trending_market(seed, seeds + minutes, per_minute, drift)
        log, last_second = [], 0
        history, live = market[: seeds * per_minute], market[seeds * per_minute :]
        for at in range(0, len(history), per_minute):
            prices = [f"{price:.4f}" for _, price, _ in history[at : at + per_minute]]
            opened = START_MS + at // per_minute * 60_000
            bar = Seed(
                open_time=opened, length_ms=60_000, open=prices[0], close=prices[-1], volume="3.5",
                high=max(prices, key=float), low=min(prices, key=float),
            )  # fmt: skip
            log.append(as_entry(f"{opened + 59_999}-0", bar))
        for number, (ms, price, quantity) in enumerate(live, start=1000):
            quote = {}
            if ms // 1000 != last_second:
                last_second = ms // 1000
                quote = {"bid": f"{price - 0.005:.4f}", "ask": f"{price + 0.005:.4f}", "funding": "0.0001"}
            trade = Trade(
                price=f"{price:.4f}", quantity=f"{quantity:.3f}", buyer_is_maker=number % 3 == 0, received_ms=ms + 7,
                **quote,
            )  # fmt: skip
            log.append(as_entry(f"{ms}-{number}", trade))
        return log

    return make


def _reference(name: str) -> list[Bar] | None:
    folder = os.environ.get("P95_TEST_DATA")
    if not folder:
        return None
    with (Path(folder) / "indicators" / "quotes" / f"{name}.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [_bar(at, *(float(row[key]) for key in ("open", "high", "low", "close"))) for at, row in enumerate(rows)]


def _bar(at: int, opened: float, high: float, low: float, close: float) -> Bar:
    return Bar(
        open_time=at * 86_400_000, length_ms=86_400_000, open=opened, high=high, low=low, close=close, volume=1.0,
        trades=1, whole=True,
    )  # fmt: skip


def _synthetic_bars(count: int) -> list[Bar]:
    chance, close, found = random.Random(95), 200.0, []
    for at in range(count):
        opened, close = close, close * math.exp(chance.gauss(0, 0.02))
        high, low = max(opened, close) * (1 + chance.random() / 50), min(opened, close) * (1 - chance.random() / 50)
        found.append(_bar(at, opened, high, low, close))
    return found


@pytest.fixture(params=["default", "bitcoin"])
def quotes(request: pytest.FixtureRequest) -> list[Bar]:
    """Daily bars of the reference data; synthetic ones without it."""
    found = _reference(request.param)
    if found is None:
        print("P95_TEST_DATA is not set: synthetic quotes stand in for the reference quotes")  # noqa: T201
        return _synthetic_bars(502 if request.param == "default" else 1246)
    return found


@pytest.fixture
def reference_folder() -> Path:
    """Where published results of the reference quotes lie; skips without `P95_TEST_DATA`."""
    folder = os.environ.get("P95_TEST_DATA")
    if not folder:
        pytest.skip("P95_TEST_DATA is not set: no published results to compare with")
    return Path(folder) / "indicators"
