"""The engine's stamps in the rows of `signals`, on a real Postgres."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import cast

import pytest
from sqlalchemy import text

from phoenix95.common.clock import ManualClock
from phoenix95.common.events import Analysis
from phoenix95.common.wire import encode
from phoenix95.executor.core.figures import Told
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.plan import Bounds
from phoenix95.executor.ledger.connect import connect
from phoenix95.executor.ledger.ownership import take as own
from phoenix95.executor.ledger.store import PostgresLedger
from phoenix95.executor.ledger.writing import Writer
from phoenix95.executor.ports import Ports, Venue
from phoenix95.executor.protocol.intake import Standing, Taken, take

NOW_MS = 1_721_347_200_000
NOTHING = Taken(begun=(), ended=(), again=False)
STREAM = "p95:reply:{03}:BTCUSDT"
ACCOUNT = Told(at_ms=NOW_MS, equity=Decimal(1), wallet=Decimal(1), available=Decimal(1), unrealized=Decimal(0))
# stamps, and what the row says of them: (cache_hit, processing_time_ms)
CASES: list[tuple[bytes | None, tuple[bool | None, float | None]]] = [
    (b'{"received":1000,"folded":1007,"cache_hit":true}', (True, 7.0)),
    (b'{"received":1000,"folded":1007,"cache_hit":false,"later":1}', (False, 7.0)),
    (b'{"received":1000,"folded":998,"cache_hit":false}', (False, 0.0)),
    (b'{"received":1000,"folded":1007}', (None, 7.0)),
    (None, (None, None)),
    (b"", (None, None)),
    (b"{broken", (None, None)),
    (b'{"received":"soon","folded":1}', (None, None)),
    (b'{"received":0,"folded":1' + b"0" * 400 + b"}", (None, None)),
    (b'{"received":1,"folded":2,"cache_hit":"\xff"}', (None, None)),
]


async def test_a_row_tells_what_the_stamps_told(ledger_url: str, an_analysis: Callable[..., Analysis]) -> None:
    engine = connect(ledger_url)
    ownership = await own(engine, "main", stop=asyncio.Event())
    ports = Ports(
        ledger=PostgresLedger(Writer(engine, "main", ownership.token, lambda: None)),
        venue=cast(Venue, None),  # nobody asks the exchange about an analysis that says HOLD
        clock=ManualClock(NOW_MS),
        bounds=Bounds(),
        account="main",
        recv_window_ms=5_000,
    )
    entries = []
    for number, (stamps, _) in enumerate(CASES, start=1):
        analysis = an_analysis(id=f"a{number}", action="HOLD", request=f"{number}-0")
        fields = {b"d": encode(analysis)} | ({} if stamps is None else {b"s": stamps})
        entries.append((f"{number}-0", fields))
    try:
        assert await take(ports, STREAM, entries, standing=Standing(ACCOUNT, None), limits=Limits()) == NOTHING
        async with engine.connect() as connection:
            told = await connection.execute(
                text("select analysis_id, cache_hit, processing_time_ms from ledger.signals")
            )
            found = {row.analysis_id: (row.cache_hit, row.processing_time_ms) for row in told}
    finally:
        await ownership.release()
        await engine.dispose()
    assert found == {f"a{number}": row for number, (_, row) in enumerate(CASES, start=1)}


@pytest.mark.parametrize("field", ["ts", "expires_at", "hold_ms", "leverage", "win_samples"])
async def test_a_number_that_no_column_can_hold_is_kept_as_unreadable(
    an_analysis: Callable[..., Analysis], field: str
) -> None:
    kept: list[str] = []

    class Ledger:
        async def poison(self, source: str, entry_id: str, fields: object, error: str, now_ms: int) -> None:
            kept.append(f"{entry_id} {error}")

    ports = Ports(
        ledger=cast(PostgresLedger, Ledger()), venue=cast(Venue, None), clock=ManualClock(NOW_MS), bounds=Bounds(),
        account="main", recv_window_ms=5_000,
    )  # fmt: skip
    entries = [("7-0", {b"d": encode(an_analysis(action="HOLD", **{field: 2**63}))})]
    assert await take(ports, STREAM, entries, standing=Standing(ACCOUNT, None), limits=Limits()) == NOTHING
    assert kept == [f"7-0 entry: {2**63} is out of range"]
