"""Postgres restarted, cut off, and committing with a lost answer, under an executor that holds a position.

No entry is doubled, entries stop while nothing can be stored, and the stop on the exchange stays, or comes: between
fill and stop it is sent on the strength of what was stored before the entry.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kill.campaign import COMMIT, judged
from tests.kill.ground import Ground, ground, until

COMMITS = (1, 2, 3, 4, 5, 6, 8, 10)  # as many as lie between an analysis and its closed position, and some more
ENTRY = b"POST /fapi/v1/order"
SYMBOL = "ETHUSDT"
PROTECTED_S = 5.0
OVER_S = 40.0


@pytest.fixture
async def place() -> AsyncIterator[Ground]:
    with tempfile.TemporaryDirectory(prefix="p95-") as folder:
        async with ground(Path(folder)) as made:
            await made.start()
            await made.until_ready()
            yield made


async def is_protected(place: Ground) -> bool:
    held = {(one.symbol, one.size) for one in await place.venue.positions()}
    stops = {(one.symbol, one.quantity) for one in await place.venue.open_conditionals(SYMBOL)}
    return bool(held) and held <= stops


async def say(place: Ground, hold_ms: int = 1_000) -> str:
    return await place.say(SYMBOL, (await place.market())[SYMBOL], hold_ms=hold_ms, live_ms=8_000)


async def nothing_wrong(place: Ground) -> None:
    await until(place.all_over, OVER_S, "all trades to be over", place.unfinished)
    assert await judged(place) == []


async def test_every_commit_may_lose_its_answer(place: Ground) -> None:
    left = 0

    def lose(chunk: bytes) -> None:
        nonlocal left
        if COMMIT in chunk and left:
            left -= 1
            if left == 0:
                place.to_postgres.mute()

    place.to_postgres.on_sent = lose
    for number in COMMITS:
        left = number
        await say(place, hold_ms=100)
        await until(place.all_over, OVER_S, f"the trade of lost commit {number} to be over", place.unfinished)
    await nothing_wrong(place)


async def test_cut_between_fill_and_stop_the_stored_stop_is_sent_all_the_same(place: Ground) -> None:
    def cut(chunk: bytes) -> None:
        if chunk.startswith(ENTRY):
            place.to_postgres.cut()

    place.to_exchange.on_sent = cut
    await say(place, hold_ms=3_000)
    await until(lambda: is_protected(place), PROTECTED_S, "a stop while Postgres is away", every_s=0.1)
    place.to_exchange.on_sent = None
    place.to_postgres.mend()
    await nothing_wrong(place)


async def test_restarted_under_a_position_the_stop_stays_and_entries_wait(place: Ground) -> None:
    await say(place, hold_ms=6_000)
    await until(lambda: is_protected(place), PROTECTED_S, "a protected position", every_s=0.1)
    await asyncio.to_thread(place.postgres_server.kill)
    entries: list[bytes] = []
    place.to_exchange.on_sent = lambda chunk: entries.append(chunk) if chunk.startswith(ENTRY) else None
    await place.say("XRPUSDT", (await place.market())["XRPUSDT"], hold_ms=500, live_ms=1_000)
    for _ in range(15):
        await asyncio.sleep(0.1)
        assert await is_protected(place)
    assert entries == []
    await asyncio.to_thread(place.postgres_server.start)
    await nothing_wrong(place)
    decided = await place.rows("select accepted, reason from ledger.signals where symbol = 'XRPUSDT'")
    assert [(row["accepted"], "fresh" in row["reason"]) for row in decided] == [(False, True)]
