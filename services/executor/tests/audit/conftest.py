"""A ledger with one closed trade, one refused analysis and one that held, on a database of the test's own."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from phoenix95.common.events import Analysis, Bar, Factor
from phoenix95.executor.core.candidate import Modes
from phoenix95.executor.core.decide import Decision, decide
from phoenix95.executor.core.group import Fill, Group, with_intent
from phoenix95.executor.core.intents import move
from phoenix95.executor.ledger.connect import connect
from phoenix95.executor.ledger.ownership import Ownership, take
from phoenix95.executor.ledger.store import PostgresLedger
from phoenix95.executor.ledger.writing import Writer

D = Decimal
NOW_MS = 1_721_347_200_000
STREAM = "p95:analysis:{03}:BTCUSDT"
_numbers = itertools.count(1)


class Kept(msgspec.Struct):
    """`sql` runs as the superuser and, `tampering`, with the triggers of the chain switched off."""

    url: str
    ownership: Ownership
    writer: Writer
    ledger: PostgresLedger

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        async with self.writer.engine.connect() as connection:
            return [dict(row._mapping) for row in await connection.execute(text(sql))]

    async def sql(self, *statements: str) -> None:
        async with self.writer.engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))

    async def tampering(self, *statements: str) -> None:
        await self.sql("SET LOCAL session_replication_role = replica", *statements)


async def opened(url: str) -> Kept:
    """The ledger behind `url`, with its account taken."""
    engine = connect(url)
    ownership = await take(engine, "main", stop=asyncio.Event())
    writer = Writer(engine, "main", ownership.token, lambda: None)
    return Kept(url, ownership, writer, PostgresLedger(writer))


async def closed(kept: Kept) -> None:
    await kept.ownership.release()
    await kept.writer.engine.dispose()


@pytest.fixture
async def kept(ledger_url: str) -> AsyncIterator[Kept]:
    """An empty ledger whose account is taken."""
    made = await opened(ledger_url)
    yield made
    await closed(made)


@pytest.fixture
def decided(
    an_analysis: Callable[..., Analysis], surroundings_at: Callable[[int], dict[str, Any]]
) -> Callable[..., Decision]:
    """A decision at NOW_MS + 10 on an analysis with a bar and a factor, changed by keyword."""
    bar = Bar(
        open_time=NOW_MS - 60_000, length_ms=60_000, open=990.0, high=1_003.5, low=988.0, close=1_000.0,
        volume=12.5, trades=321, whole=True,
    )  # fmt: skip
    factor = Factor(name="trend", value=0.8, weight=2.0, inputs={"ema12": 999.0})

    def made(**changes: Any) -> Decision:
        analysis = an_analysis(**{"bar": bar, "factors": (factor,), **_cause(changes), **changes})
        return decide(
            analysis, account="main", now_ms=analysis.ts + 10, uncertainty_ms=1.0, **surroundings_at(analysis.ts),
        )  # fmt: skip

    return made


def _cause(changes: dict[str, Any]) -> dict[str, str]:
    """The tick that closed the bar: its time is the analysis's, its number that in the id."""
    number = str(changes.get("id", "a-b-1.0")).rsplit("-", 1)[-1].split(".")[0]
    return {} if "cause" in changes else {"cause": f"{changes.get('ts', NOW_MS)}-{number}"}


def fill(trade_id: int, side: str, price: str, order_id: str, at_ms: int, realized: str = "0") -> Fill:
    return msgspec.convert(
        {
            "trade_id": trade_id, "order_id": order_id, "symbol": "BTCUSDT", "side": side, "position_side": "LONG",
            "price": price, "quantity": "0.2", "fee": "0.1", "fee_asset": "USDT", "realized_pnl": realized,
            "time_ms": at_ms,
        },
        Fill,
    )  # fmt: skip


async def closed_trade(kept: Kept, decision: Decision) -> Group:
    """The whole life of a trade: entered, protected by a stop and a target, closed by its target at 1,020."""
    ledger, analysis_id = kept.ledger, decision.analysis.id
    assert decision.group is not None
    await ledger.decide([decision], (STREAM, f"{NOW_MS}-256"), Modes())

    async def step(role: str, state: str, at_ms: int, **changes: Any) -> None:
        group = await ledger.group(analysis_id)
        intent = group.of(role)[0]  # type: ignore[arg-type]
        if state == "SENT":
            sent = move(intent, "SENT", signed_ms=at_ms, deadline_ms=at_ms + 5_000, updated_ms=at_ms)
            assert await ledger.sign(sent, entry=role == "entry")
            return
        moved = move(intent, state, updated_ms=at_ms, **changes)  # type: ignore[arg-type]
        await ledger.record(group, with_intent(group, moved, at_ms))

    await step("entry", "SENT", NOW_MS + 15)
    await step("entry", "FILLED", NOW_MS + 40, filled=D("0.2"), order_id="71", venue_id="71", average_price=D(1_000))
    await ledger.save_fills(analysis_id, [fill(501, "BUY", "1000", "71", NOW_MS + 35)])
    for role, venue_id in (("stop", "81"), ("target", "82")):
        await step(role, "SENT", NOW_MS + 60)
        await step(role, "ACCEPTED", NOW_MS + 80, venue_id=venue_id)
        await step(role, "OPEN", NOW_MS + 120)
    await ledger.protected(analysis_id, NOW_MS + 125)
    await step("target", "FILLED", NOW_MS + 9_000, filled=D("0.2"), order_id="83", average_price=D(1_020))
    await ledger.save_fills(analysis_id, [fill(502, "SELL", "1020", "83", NOW_MS + 8_990, realized="4")])
    await step("stop", "CANCELED", NOW_MS + 9_100)
    await ledger.finish(await ledger.group(analysis_id), "take_profit", NOW_MS + 9_200)
    return await ledger.group(analysis_id)


@pytest.fixture(scope="session")
def lived_template(postgres_server: Any) -> Iterator[list[str]]:
    """The name of a database in which all that is told by `lived` has happened; the first test makes it."""
    made: list[str] = []
    yield made
    for name in made:
        postgres_server.run_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def lived(
    postgres_server: Any, ledger_template: str, lived_template: list[str], decided: Callable[..., Decision]
) -> AsyncIterator[Kept]:
    """Three analyses: one traded to its target, one refused by a gate, one that held."""
    if not lived_template:
        name = f"audit_lived_{os.getpid()}"
        postgres_server.run_sql(f"CREATE DATABASE {name} TEMPLATE {ledger_template}")
        lived_template.append(name)
        kept = await opened(postgres_server.url(name))
        await closed_trade(kept, decided())
        later = NOW_MS + 60_000
        refused = decided(id="momentum-BTCUSDT-2.0", ts=later, expires_at=later + 1_500, confidence=0.5)
        holds = decided(
            id="momentum-BTCUSDT-3.0", ts=later * 2 - NOW_MS, action="HOLD", side=None, reasoning=("no edge",)
        )
        at = (STREAM, f"{NOW_MS + 120_000}-768")
        await kept.ledger.decide([refused, holds], at, Modes())
        await closed(kept)
    name = f"audit_{os.getpid()}_{next(_numbers)}"
    postgres_server.run_sql(f"CREATE DATABASE {name} TEMPLATE {lived_template[0]}")
    made = await opened(postgres_server.url(name))
    yield made
    await closed(made)
    postgres_server.run_sql(f"DROP DATABASE {name} WITH (FORCE)")
