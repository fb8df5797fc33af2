"""`why`: the whole story by any of its names, as JSON and as a page; the pages are compared with stored ones."""

import json
import os
import re
from pathlib import Path

import pytest

DATA = Path(__file__).with_name("data")
TRADED = "momentum-BTCUSDT-1.0"
REFUSED = "momentum-BTCUSDT-r1721347260000-0"
HELD = "momentum-ETHUSDT-9.0"
POISONED = "poison-p95:analysis:{03}:BTCUSDT-1721347380000-1"


@pytest.fixture
async def told(gateway, migrated_url, run_sql):
    """A gateway over a ledger in which something happened."""
    run_sql(migrated_url, (DATA / "lived.sql").read_text())
    return gateway


def golden(name, text):
    """Compare with what is stored, but for hashes: they cover columns that are no part of the story.

    `P95_TEST_GOLDEN=write` stores it anew.
    """
    path, shown = DATA / name, re.sub(r"\b[0-9a-f]{64}\b", "<hash>", text)
    if os.environ.get("P95_TEST_GOLDEN") == "write":
        path.write_text(shown)
    assert shown == path.read_text()


async def test_the_stories_and_their_pages_are_as_they_were(told):
    for name, analysis in (("traded", TRADED), ("refused", REFUSED), ("held", HELD), ("poisoned", POISONED)):
        answer = await told.http.get(f"/api/why/{analysis}")
        assert answer.status_code == 200, answer.text
        golden(f"why_{name}.json", json.dumps(answer.json(), indent=1, ensure_ascii=False) + "\n")
        page = await told.http.get(f"/why/{analysis}")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "<script" not in page.text
        golden(f"why_{name}.html", page.text.replace("<section>", "\n<section>").replace("<tr", "\n<tr") + "\n")


async def test_a_trade_is_told_from_the_tick_to_the_result(told):
    story = (await told.http.get(f"/api/why/{TRADED}")).json()
    assert story["outcome"] == "closed"
    assert story["headline"] == "EXECUTE BUY, closed by take profit with +3.8 after 0.2 fees"
    entry = story["requests"][0]
    assert (entry["order"]["role"], entry["recv_window_ms"], entry["sent_after_ms"], entry["answered_after_ms"]) == (
        "entry", 5000, 5, 25,
    )  # fmt: skip
    words = [one["words"] for one in story["moments"]]
    for step in (
        "decided: accepted", "entry sent: BUY 0.2", "entry filled 0.2 at 1000", "stop sent: SELL 0.2 at 990",
        "fill 501: BUY 0.2 at 1000, fee 0.1 USDT", "stop seen in the list of open orders at 990",
        "stop verified: protected", "stop moved from 990 to 1000.5", "stop canceled", "finished: +3.8, fees 0.2",
    ):  # fmt: skip
        assert step in words
    assert [one["record"] for one in story["moments"]] == sorted(one["record"] for one in story["moments"])


async def test_any_of_its_names_leads_to_it(told):
    names = {
        REFUSED: ("1721347260000-0", "BTCUSDT:1721347260000-0"),
        TRADED: ("p95s000aaa", "71", "82", "502", "p95e000"),
        HELD: ("momentum-ETH",),
    }
    for found, each in names.items():
        for name in each:
            assert (await told.http.get(f"/api/why/{name}")).json()["id"] == found, name


async def test_a_name_that_leads_nowhere_is_told_with_near_ones(told):
    answer = await told.http.get("/api/why/momentun-BTCUSDT-1.0")
    assert answer.status_code == 404
    assert answer.json()["near"][0] == TRADED
    assert answer.json()["detail"].startswith("nothing is known as 'momentun-BTCUSDT-1.0'; near: momentum-BTCUSDT-1.0")
    several = (await told.http.get("/api/why/momentum-BTCUSDT")).json()
    assert several["detail"].startswith("several begin with 'momentum-BTCUSDT'")
    assert set(several["near"]) == {TRADED, REFUSED}
    page = await told.http.get("/why/nothing<b>like it")
    assert page.status_code == 404
    assert "<b>" not in page.text
