"""Each command against a running system: what it shows, what `--json` says, and how it fails."""

import contextlib
import json
import os
import pty
import signal
import time

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]
ALL = {"BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "XRPUSDT"}


@pytest.fixture(scope="session", autouse=True)
def fed(phoenix95):
    """Market data comes, and every service is well."""
    for _ in range(100):
        if phoenix95("feed").code == 0 and phoenix95("status").code == 0:
            return
        time.sleep(0.3)
    raise AssertionError(phoenix95("status").out + phoenix95("feed").out)


def test_status_of_a_running_system(phoenix95):
    said = phoenix95("status")
    assert (said.code, said.err) == (0, "")
    for word in ("healthy", "executor", "paper", "equity", "10,0"):
        assert word in said.out
    assert phoenix95("status", "--json").json["health"]["components"]["redis"]["healthy"] is True


# ------------------------------------------------------------------ analyze


def test_analyze_shows_what_the_engine_thinks(phoenix95):
    said = phoenix95("analyze", "--symbol", "btcusdt", "--confidence", "0.9", "--rsi", "30", "--macd", "-1.5")
    assert (said.code, said.err) == (0, "")
    for word in ("BTCUSDT", "confidence", "90.0 %", "stop", "evidence", "rsi 30", "why"):
        assert word in said.out


def test_analyze_as_json_is_the_analysis_itself(phoenix95):
    analysis = phoenix95("analyze", "--symbol", "ETHUSDT", "--action", "sell", "--json").json
    assert (analysis["symbol"], analysis["side"], analysis["trade"]) == ("ETHUSDT", "SELL", False)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--symbol", "DOGEUSDT"), 1, "unknown symbol DOGEUSDT: not subscribed"),
        (("--symbol", "../../health"), 1, "symbol: not a symbol"),
        (("--symbol", "BTCUSDT", "--confidence", "2"), 1, "confidence: must be at most 1"),
        (("--symbol", "BTCUSDT", "--rsi", "1e999"), 2, "--rsi: must be a finite number"),
        (("--symbol", "BTCUSDT", "--price", "much"), 2, "Invalid value for '--price'"),
        ((), 2, "--symbol"),
    ],
)
def test_what_cannot_be_analysed_is_told(phoenix95, words, code, told):
    said = phoenix95("analyze", *words)
    assert (said.code, said.out) == (code, "")
    assert told in said.err
    assert said.err.count("\n") == 1


# ------------------------------------------------------------------ trade


def test_a_trade_is_entered_and_protected_and_the_second_is_refused(phoenix95):
    free = next(s for s in sorted(ALL) if s not in phoenix95("status").out.partition("positions")[2])
    said = phoenix95("trade", "--symbol", free, "--side", "buy", "--equity-fraction", "0.01", "--leverage", "5")
    assert said.code == 0, said.out + said.err
    for word in ("entered", "entry", "FILLED", "stop", "OPEN"):
        assert word in said.out
    said = phoenix95("trade", "--symbol", free, "--side", "buy", "--equity-fraction", "0.01", "--json")
    assert said.code == 1
    assert (said.json["accepted"], said.json["entered"], said.json["orders"]) == (False, False, [])
    assert "already held" in said.json["reason"]
    assert free in phoenix95("status").out.partition("positions")[2]
    said = phoenix95("close", free.lower(), "NOPEUSDT", "--json")
    assert (said.code, [(one["symbol"], one["ok"]) for one in said.json]) == (1, [(free, True), ("NOPEUSDT", False)])
    assert [one["message"] for one in said.json] == [
        f"closing {free}: asked for over the API",
        "nothing is held in NOPEUSDT",
    ]


def test_a_trade_that_the_gates_refuse_says_which_and_why(phoenix95):
    said = phoenix95("trade", "--symbol", "BTCUSDT", "--side", "short", "--amount", "5", "--leverage", "50")
    assert said.code == 1
    for word in ("refused", "leverage 50 exceeds 20", "position", "size"):
        assert word in said.out


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--amount", "1", "--equity-fraction", "0.1"), 1, "give either amount"),
        ((), 1, "give either amount"),
        (("--amount", "-1"), 1, "amount: must be above 0"),
        (("--amount", "much"), 1, "amount"),
        (("--amount", "1", "--leverage", "0"), 1, "leverage: must be from 1"),
        (("--amount", "1", "--stop-loss", "2", "--take-profit", "1"), 1, "stop_loss: must be below take_profit"),
        (("--amount", "1", "--leverage", "x"), 2, "Invalid value for '--leverage'"),
    ],
)
def test_a_trade_that_cannot_be_is_told(phoenix95, words, code, told):
    said = phoenix95("trade", "--symbol", "BTCUSDT", "--side", "buy", *words)
    assert (said.code, said.out) == (code, "")
    assert told in said.err


def test_acting_needs_the_key_and_says_where_it_is_taken_from(phoenix95):
    words = ("trade", "--symbol", "BTCUSDT", "--side", "buy", "--amount", "0.001", "--url", phoenix95.url)
    for env in ({}, {"P95_API_KEY": "wrong"}):
        said = phoenix95(*words, **env)
        assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
        assert "P95_API_KEY" in said.err
    assert phoenix95("metrics", "--url", phoenix95.url).code == 0  # reading needs none on this machine


# ------------------------------------------------------------------ price, feed, subscribe


def test_price_and_its_history(phoenix95):
    said = phoenix95("price", "btcusdt")
    assert (said.code, said.err) == (0, "")
    for word in ("BTCUSDT", "bid", "funding", "change percent"):
        assert word in said.out
    assert float(phoenix95("price", "BTCUSDT", "--json").json["price"]) > 0
    prices = phoenix95("price", "BTCUSDT", "--history", "5", "--json").json["prices"]
    assert len(prices) == 5
    assert prices[-1]["price"] in phoenix95("price", "BTCUSDT", "--history", "1000").out
    assert phoenix95("price", "BTCUSDT", "--history", "0").code == 2
    said = phoenix95("price", "DOGEUSDT")
    assert (said.code, said.err) == (1, "phoenix95: unknown symbol DOGEUSDT: not subscribed\n")


def test_feed_shows_the_connection_and_every_symbol(phoenix95):
    said = phoenix95("feed")
    assert (said.code, said.err) == (0, "")
    assert "connected" in said.out
    assert all(symbol in said.out for symbol in ALL)
    assert phoenix95("feed", "--json").json["count"] == len(ALL)


def test_a_symbol_goes_and_comes_back_and_every_one_is_tried(phoenix95):
    said = phoenix95("unsubscribe", "xrpusdt", "--json")
    assert (said.code, said.json[0]["ok"]) == (0, True)
    assert "XRPUSDT" not in {each["symbol"] for each in phoenix95("feed", "--json").json["symbols"]}
    said = phoenix95("unsubscribe", "XRPUSDT")
    assert (said.code, "not subscribed" in said.out) == (1, True)
    said = phoenix95("subscribe", "NOPEUSDT", "XRPUSDT", "--json")
    assert said.code == 1
    assert [each["ok"] for each in said.json] == [False, True]
    assert "unknown symbol NOPEUSDT" in said.json[0]["message"]
    assert "XRPUSDT" in {each["symbol"] for each in phoenix95("feed", "--json").json["symbols"]}


# ------------------------------------------------------------------ tail


def test_tail_of_every_stream(phoenix95):
    for stream in ("tick", "request", "analysis", "reply", "order", "command", "ack", "alert", "host"):
        said = phoenix95("tail", stream, "--no-follow", "-n", "2")
        assert (said.code, said.err) == (0, ""), stream
    lines = phoenix95("tail", "tick", "BTCUSDT", "--no-follow", "-n", "3", "--json").out.splitlines()
    assert len(lines) == 3
    assert {json.loads(line)["symbol"] for line in lines} == {"BTCUSDT"}
    assert phoenix95("tail", "tick", "--no-follow", "-n", "0").out == ""


def test_tail_goes_on_until_it_is_stopped(phoenix95):
    following = phoenix95.start("tail", "tick", "-n", "1", "--json")
    ids = [json.loads(following.stdout.readline())["id"] for _ in range(20)]
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=15)
    assert (following.returncode, err) == (0, "")
    assert len(set(ids)) > 10


def test_tail_of_what_there_is_not(phoenix95):
    said = phoenix95("tail", "nothing")
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "there are tick, request" in said.err
    said = phoenix95("tail", "alert", "BTCUSDT")
    assert (said.code, "one for all symbols" in said.err) == (1, True)


# ------------------------------------------------------------------ metrics, monitor


def test_metrics_by_symbol_and_by_process(phoenix95):
    said = phoenix95("metrics")
    assert (said.code, said.err) == (0, "")
    for word in (*ALL, "ticks/s", "lag", "executor", "memory"):
        assert word in said.out
    assert phoenix95("metrics", "--json").json["pipeline"]["ticks"] > 0


def test_monitor_where_nobody_sees_it_live_shows_one_screen_and_ends(phoenix95):
    said = phoenix95("monitor", columns=140)
    assert (said.code, said.err) == (0, "")
    for word in (*ALL, "PAPER", "healthy", "services and machine", "last decisions"):
        assert word in said.out
    assert "Ctrl-C" not in said.out
    assert phoenix95("monitor", "--json").json["health"]["status"] == "healthy"


def test_monitor_is_a_live_screen_until_ctrl_c(phoenix95):
    master, slave = pty.openpty()
    env = {**os.environ, "COLUMNS": "120", "LINES": "45", "TERM": "xterm"}
    live = phoenix95.start("monitor", "--interval", "0.2", stdout=slave, stdin=slave, stderr=slave, env=env)
    os.close(slave)
    shown = b""
    while shown.count(b"last decisions") < 3:  # three looks
        shown += os.read(master, 65536)
    live.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # the end of a terminal is an error
        while more := os.read(master, 65536):
            shown += more
    os.close(master)
    assert live.wait(timeout=10) == 0
    text = shown.decode()
    assert "\x1b[?1049h" in text  # a screen of its own, and back again
    assert text.rindex("\x1b[?1049l") > text.rindex("last decisions")
    assert "Traceback" not in text
    assert "Ctrl-C ends" in text


# ------------------------------------------------------------------ all of them


@pytest.mark.parametrize("columns", [40, 200])
@pytest.mark.parametrize(
    "words",
    [("status",), ("feed",), ("price", "BTCUSDT"), ("metrics",), ("monitor",), ("analyze", "--symbol", "BTCUSDT")],
)
def test_nothing_is_wider_than_the_terminal(phoenix95, words, columns):
    said = phoenix95(*words, columns=columns)
    assert max(len(line) for line in said.out.splitlines()) <= columns


@pytest.mark.parametrize(
    "words",
    [
        ("status",), ("analyze", "--symbol", "BTCUSDT"), ("metrics",), ("monitor",), ("feed",), ("price", "BTCUSDT"),
        ("trade", "--symbol", "BTCUSDT", "--side", "buy", "--amount", "1"), ("tail", "order"), ("subscribe", "BTCUSDT"),
    ],
)  # fmt: skip
def test_without_a_gateway_each_says_so_in_one_line(phoenix95, words, free_port):
    said = phoenix95(*words, "--url", f"http://127.0.0.1:{free_port}")
    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
    assert f"the gateway at http://127.0.0.1:{free_port} cannot be reached" in said.err


def test_why_trades_audit_and_report_of_a_running_system(phoenix95):
    refused = phoenix95(
        "trade", "--symbol", "BTCUSDT", "--side", "short", "--amount", "5", "--leverage", "50", "--json"
    )
    page = phoenix95("why", refused.json["command_id"])
    assert page.code == 0, page.err
    for word in ("BTCUSDT: refused", "leverage 50 exceeds 20", "decided: not accepted", "of the chain"):
        assert word in page.out
    assert max(map(len, page.out.splitlines())) <= 100
    audit = phoenix95("audit", "--json")
    assert {line["check"]: line["verdict"] for line in audit.json["lines"]} == dict.fromkeys(
        ("chain", "facts", "decisions", "positions", "stops", "orders", "fills", "results"), "ok"
    )
    assert audit.code == 0
    assert phoenix95("trades", "--csv").out.startswith("analysis_id,account,symbol,side,status,decided,")
    assert phoenix95("report", "--json").json["tied"] is True
