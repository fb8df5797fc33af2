"""The daily report: what it counts, and that it ties to the exchange's income or says where it does not."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from phoenix95.common.errors import ConfigError
from phoenix95.common.settings import Secret
from phoenix95.executor.audit.commands import run_audit, run_report
from phoenix95.executor.audit.daily import as_text, report, tie
from phoenix95.executor.config import ExecutorSettings
from phoenix95.executor.ledger.daily import Day, Money

D = Decimal
DAY = date(2024, 7, 19)
INCOME = """
    INSERT INTO ledger.income (account, income_type, tran_id, symbol, asset, amount, time_ms, trade_id) VALUES
    ('main', 'REALIZED_PNL', 1, 'BTCUSDT', 'USDT', 4, 1721347208990, 502),
    ('main', 'COMMISSION', 2, 'BTCUSDT', 'USDT', -0.1, 1721347200035, 501),
    ('main', 'COMMISSION', 3, 'BTCUSDT', 'USDT', -0.1, 1721347208990, 502),
    ('main', 'FUNDING_FEE', 4, 'BTCUSDT', 'USDT', -0.02, 1721347200100, NULL),
    ('main', 'TRANSFER', 5, '', 'USDT', 1000, 1721347200100, NULL)
"""


def settings_of(kept: Any) -> ExecutorSettings:
    return ExecutorSettings(
        postgres_url=Secret(kept.url), exchange_rest_url="http://127.0.0.1:1", exchange_ws_url="ws://127.0.0.1:1"
    )


async def test_a_day_is_counted_and_ties(lived: Any) -> None:
    bare = await report(settings_of(lived), DAY)
    assert {one.exchange for one in bare.ties} == {None}
    assert bare.against == "nothing: no exchange keys are given, and no income history is stored"
    await lived.sql(INCOME)
    made = await report(settings_of(lived), None)  # the last day that anything happened
    day = made.day
    assert (made.date, day.trades, day.closed, day.wins, day.losses) == (DAY, 1, 1, 1, 0)
    assert (day.result, day.fees, day.decisions, day.accepted) == (D("3.8"), D("0.2"), 3, 1)
    assert day.refused_by["confidence"] == 1
    assert made.tied
    assert [(one.kind, one.ledger, one.exchange) for one in made.ties] == [
        ("REALIZED_PNL", D(4), D(4)), ("COMMISSION", D("-0.2"), D("-0.2")), ("FUNDING_FEE", D("-0.02"), D("-0.02")),
    ]  # fmt: skip
    shown = as_text(made)
    assert max(map(len, shown.splitlines())) <= 100
    assert "win rate 100%" in shown
    assert shown.count("✓") == 3
    empty = await report(settings_of(lived), date(2024, 7, 20))
    assert (empty.day.trades, empty.day.decisions, empty.ties) == (0, 0, ())


async def test_a_fee_that_the_exchange_tells_otherwise_differs(lived: Any) -> None:
    await lived.sql(INCOME, "UPDATE ledger.income SET amount = -0.3 WHERE tran_id = 2")
    made = await report(settings_of(lived), DAY)
    (wrong,) = [one for one in made.ties if one.difference]
    assert (wrong.kind, wrong.ledger, wrong.exchange, wrong.difference) == (
        "COMMISSION", D("-0.2"), D("-0.4"), D("0.2"),
    )  # fmt: skip
    assert not made.tied
    assert "✗ DIFFERS" in as_text(made)


def test_each_asset_is_tied_by_itself(lived_day: Day) -> None:
    theirs = [
        Money(kind="COMMISSION", asset="BNB", amount=D("-0.001")),
        Money(kind="REALIZED_PNL", asset="USDT", amount=D(4)),
    ]
    made = {(one.kind, one.asset): one.difference for one in tie(lived_day, theirs)}
    assert made == {
        ("REALIZED_PNL", "USDT"): D(0), ("COMMISSION", "USDT"): D("-0.2"), ("COMMISSION", "BNB"): D("0.001"),
    }  # fmt: skip
    assert {one.difference for one in tie(lived_day, None)} == {None}


@pytest.fixture
def lived_day() -> Day:
    sums = (
        Money(kind="REALIZED_PNL", asset="USDT", amount=D(4)),
        Money(kind="COMMISSION", asset="USDT", amount=D("-0.2")),
    )
    return Day(
        trades=1, closed=1, wins=1, losses=0, result=D("3.8"), fees=D("0.2"), funding=D(0), decisions=3, accepted=1,
        refused_by={}, equity_first=None, equity_last=None, drawdown=None, alerts={}, restarts=0, by_fills=sums,
        by_income=(),
    )  # fmt: skip


def test_the_command_says_by_its_exit_code_whether_it_ties(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("P95_POSTGRES_URL", ledger_url)
    for name, value in (("P95_EXCHANGE_REST_URL", "http://127.0.0.1:1"), ("P95_EXCHANGE_WS_URL", "ws://127.0.0.1:1")):
        monkeypatch.setenv(name, value)
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        connection.execute("INSERT INTO ledger.accounts (name, token) VALUES ('main', 'x')")
        assert run_report(day="2024-07-19", as_json=True, data=tmp_path) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["date"], told["tied"], told["day"]["trades"]) == ("2024-07-19", True, 0)
        connection.execute(INCOME)
        assert run_report(day="2024-07-19", data=tmp_path) == 1  # income without fills
    assert "DIFFERS" in capsys.readouterr().out


def test_the_audit_command_says_by_its_exit_code_what_it_found(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("P95_POSTGRES_URL", ledger_url)
    for name, value in (("P95_EXCHANGE_REST_URL", "http://127.0.0.1:1"), ("P95_EXCHANGE_WS_URL", "ws://127.0.0.1:1")):
        monkeypatch.setenv(name, value)
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        connection.execute("INSERT INTO ledger.accounts (name, token) VALUES ('main', 'x')")
        assert run_audit(data=tmp_path) == 0
        assert "– skipped" in capsys.readouterr().out
        monkeypatch.setenv("P95_REDIS_URL", "redis://127.0.0.1:1")
        assert run_audit(data=tmp_path) == 2
        assert "? not checked" in capsys.readouterr().out
        connection.execute("UPDATE ledger.accounts SET audit_n = 1")
        assert run_audit(data=tmp_path, as_json=True) == 1
        said = capsys.readouterr()
    assert json.loads(said.out)["verdict"] == "violation"
    assert said.err.startswith("phoenix95 audit: VIOLATION, chain: the tail was cut off")
    for wrong in ({"anchor": "1:nonsense"}, {"since": "yesterday"}, {"account": "nobody"}):
        with pytest.raises(ConfigError, match=r"anchor|yesterday|nobody"):
            run_audit(data=tmp_path, **wrong)
    monkeypatch.setenv("P95_POSTGRES_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert run_audit(data=tmp_path) == 2
