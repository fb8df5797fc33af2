"""Outcomes that a healthy system hardly shows: late answers, real money, words that look like markup, a lost answer."""

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

DECISION = {"symbol": "BTCUSDT", "side": "BUY", "accepted": True, "reason": "all gates passed"}
ENTRY = {"role": "entry", "state": "FILLED", "side": "BUY", "quantity": "1", "filled": "1"}
STOP = {"role": "stop", "state": "OPEN", "side": "SELL", "quantity": "1", "trigger_price": "9"}
TRADE = ("trade", "--symbol", "BTCUSDT", "--side", "buy", "--amount", "1")


class Script:
    """A gateway that gives the answers of a script, each route its own in turn; the last one again and again."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, Any]]] = {"GET /api/info": [(200, {"mode": "paper"})]}
        self.asked: list[str] = []
        script = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                name = f"{self.command} {self.path.partition('?')[0]}"
                script.asked.append(name)
                left = script.answers[name]
                status, body = left.pop(0) if len(left) > 1 else left[0]
                if status == 0:
                    return  # hangs up without a word
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if status < 300 else "application/problem+json")
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    def run(self, *words: str, width: int = 120) -> tuple[int, str, str]:
        url = f"http://127.0.0.1:{self.server.server_port}"
        done = subprocess.run(
            [sys.executable, "-m", "phoenix95.cli", *words, "--url", url],
            env={"COLUMNS": str(width)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def script() -> Iterator[Script]:
    made = Script()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_decision_that_comes_late_is_waited_for_until_the_stop_lies(script: Script) -> None:
    script.answers["POST /api/manual_trade"] = [(202, {"command_id": "1-0"})]
    script.answers["GET /api/commands/1-0"] = [
        (200, {"command_id": "1-0"}),
        (200, {"command_id": "1-0", "decision": DECISION, "orders": [ENTRY]}),
        (200, {"command_id": "1-0", "decision": DECISION, "orders": [ENTRY, STOP]}),
    ]
    code, out, _ = script.run(*TRADE)
    assert code == 0
    assert "OPEN" in out
    assert script.asked.count("GET /api/commands/1-0") == 3


def test_a_decision_that_does_not_come_is_not_a_refusal(script: Script) -> None:
    script.answers["POST /api/manual_trade"] = [(202, {"command_id": "1-0"})]
    script.answers["GET /api/commands/1-0"] = [(200, {"command_id": "1-0"})]
    code, out, _ = script.run(*TRADE, "--wait", "0.3", "--json")
    assert (code, json.loads(out)["accepted"]) == (1, None)
    assert "may still be entered" in out


def test_a_trade_given_up_by_the_executor_says_why(script: Script) -> None:
    ack = {"ok": False, "message": "too old"}
    script.answers["POST /api/manual_trade"] = [(202, {"command_id": "1-0"})]
    script.answers["GET /api/commands/1-0"] = [(200, {"command_id": "1-0", "ack": ack})]
    code, out, _ = script.run(*TRADE)
    assert (code, "too old" in out, "refused" in out) == (1, True, True)


@pytest.mark.parametrize("mode", ["live", "demo"])
def test_where_it_is_not_paper_nothing_is_sent_unless_somebody_says_yes(script: Script, mode: str) -> None:
    script.answers["GET /api/info"] = [(200, {"mode": mode})]
    code, out, err = script.run(*TRADE)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"the mode is {mode}" in err
    assert script.asked == ["GET /api/info"]
    script.answers["POST /api/manual_trade"] = [
        (200, {"command_id": "1-0", "decision": DECISION, "orders": [ENTRY, STOP]})
    ]
    assert script.run(*TRADE, "--yes")[0] == 0


def test_an_answer_that_is_lost_is_no_refusal_and_nothing_is_sent_again(script: Script) -> None:
    script.answers["POST /api/manual_trade"] = [(0, None)]
    code, out, err = script.run(*TRADE)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "it may have been done, look before repeating" in err
    assert script.asked.count("POST /api/manual_trade") == 1


def test_an_analysis_that_does_not_come_names_what_to_ask_for(script: Script) -> None:
    script.answers["POST /api/analyze"] = [(202, {"request_id": "BTCUSDT-1-0"})]
    script.answers["GET /api/execute/BTCUSDT-1-0"] = [(200, {"request_id": "BTCUSDT-1-0", "analysis": None})]
    code, out, err = script.run("analyze", "--symbol", "BTCUSDT", "--wait", "0.3")
    assert (code, out) == (1, "")
    assert "BTCUSDT-1-0" in err


def test_words_of_others_are_never_read_as_markup(script: Script) -> None:
    entry = {"id": "1-0", "event": {"t": "alert", "message": "[red]not red[/red] [/]"}}
    script.answers["GET /api/streams/alert"] = [(200, {"entries": [entry], "last": "1-0"})]
    code, out, _ = script.run("tail", "alert", "--no-follow")
    assert (code, "[red]not red[/red] [/]" in out) == (0, True)


def test_a_service_that_is_away_is_told_as_such(script: Script) -> None:
    script.answers["GET /api/metrics"] = [(503, {"detail": "redis: Redis does not answer"})]
    code, out, err = script.run("metrics")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "answered 503: redis: Redis does not answer" in err


def controlled(**changes: Any) -> dict[str, Any]:
    change = {"scope": "account", "previous": "RUN", "mode": "HALT", "asked": "HALT", "reason": "x", "changed_by": "me"}
    return {"change": {**change, **changes}, "confirmed": not changes}


def test_a_halt_says_whether_it_is_obeyed_and_when_something_stricter_stays(script: Script) -> None:
    script.answers["POST /api/control/halt"] = [(200, controlled()), (202, controlled(mode="FLATTEN"))]
    code, out, _ = script.run("halt", "--reason", "the moon")
    assert (code, "obeyed by the executor" in out) == (0, True)
    code, out, _ = script.run("halt", "--reason", "the moon")
    assert (code, "use resume" in out, "not confirmed" in out) == (1, True, True)


def test_real_money_is_neither_flattened_nor_resumed_without_being_asked(script: Script) -> None:
    script.answers["GET /api/info"] = [(200, {"mode": "live"})]
    code, _, err = script.run("resume", "--reason", "x")
    assert (code, "the mode is live" in err) == (2, True)
    assert script.asked == ["GET /api/info"]
    script.answers["POST /api/control/flatten"] = [(503, {"detail": "postgres: does not answer"})]
    code, _, err = script.run("flatten", "--reason", "x", "--yes")
    assert (code, "flatten --direct" in err) == (1, True)


def test_trades_fit_a_narrow_terminal_and_a_wide_one_shows_their_ids(script: Script) -> None:
    trade = {
        "symbol": "ADAUSDT", "side": "long", "status": "filled", "decided": "2026-01-05T08:01:00Z", "closed": None,
        "filled_quantity": "147", "entry_price": "1.35480", "exit_price": None, "pnl": None, "fees": "0.0996",
        "funding": "0", "exit_reason": None, "analysis_id": "momentum-ADAUSDT-268.0",
    }  # fmt: skip
    ended = trade | {"status": "closed", "exit_price": "101342.50", "pnl": "-1234.5678", "exit_reason": "unprotected"}
    script.answers["GET /api/trades"] = [(200, {"trades": [trade, ended], "count": 2})]
    _, narrow, _ = script.run("trades", width=80)
    rows = [line.split() for line in narrow.splitlines() if "ADAUSDT" in line]
    assert rows == [
        ["01-05", "08:01", "ADAUSDT", "long", "1.35480", "-", "-", "still", "held"],
        ["01-05", "08:01", "ADAUSDT", "long", "1.35480", "101342.50", "-1,234.5678", "unprotected"],
    ]
    assert "momentum-ADAUSDT-268.0" in script.run("trades", width=120)[1]
