"""Trades as JSON and as CSV: the columns are a promise, the numbers exact, and what is read back is what was stored."""

import csv
import io
from datetime import datetime
from decimal import Decimal
from pathlib import Path

LIVED = Path(__file__).with_name("data") / "lived.sql"
COLUMNS = (
    "analysis_id,account,symbol,side,status,decided,opened,closed,quantity,filled_quantity,entry_price,exit_price,"
    "leverage,stop_loss,take_profit,pnl,pnl_percent,fees,funding,quote,exit_reason,order_id,confidence,score,"
    "risk_level,request"
)


async def test_what_the_csv_holds_is_what_was_stored(gateway, migrated_url, run_sql):
    empty = await gateway.http.get("/api/trades.csv")
    assert empty.text == COLUMNS + "\n"
    run_sql(migrated_url, LIVED.read_text())
    run_sql(
        migrated_url, "UPDATE ledger.trades SET pnl = 0.000000012300, close_reason = 'a, \"b\"\nc', metadata = '{}'"
    )
    answer = await gateway.http.get("/api/trades.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text.splitlines()[0] == COLUMNS
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert row["pnl"] == "0.0000000123"
    assert Decimal(row["filled_quantity"]) == Decimal("0.2")
    assert (row["decided"], row["closed"]) == ("2024-07-19T00:00:00.010Z", "2024-07-19T00:00:09.200Z")
    assert row["exit_reason"] == 'a, "b"\nc'
    assert (row["side"], row["request"], row["exit_price"]) == ("long", "", "")
    (told,) = (await gateway.http.get("/api/trades")).json()["trades"]
    assert set(told) == set(COLUMNS.split(","))
    for name in ("pnl", "fees", "quantity", "leverage"):
        assert Decimal(row[name]) == Decimal(told[name])
    assert datetime.fromisoformat(row["opened"]) == datetime.fromisoformat(told["opened"])

    async def counted(**query):
        return (await gateway.http.get("/api/trades", params=query)).json()["count"]

    decided = "2024-07-19T00:00:00.010Z"
    assert await counted(since=decided) == 1
    assert await counted(until=decided) == 0
    assert await counted(since="1721347200011") == 0
    wrong = await gateway.http.get("/api/trades", params={"since": "yesterday"})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "since")
