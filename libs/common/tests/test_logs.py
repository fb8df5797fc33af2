"""Logs: one JSON object a line, and no secret in any of them."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
import structlog

from phoenix95.common import logs
from phoenix95.common.settings import Secret

Lines = Callable[[], list[dict[str, object]]]


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def out() -> io.StringIO:
    stream = io.StringIO()
    logs.configure("toy", level="info", fmt="json", stream=stream)
    return stream


@pytest.fixture
def lines(out: io.StringIO) -> Lines:
    return lambda: [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_names_the_service_the_level_the_event_and_the_time(lines: Lines) -> None:
    logs.get_logger(symbol="BTCUSDT").info("bar_closed", price=Decimal("1.5"))
    (line,) = lines()
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {"event": "bar_closed", "level": "info", "service": "toy", "symbol": "BTCUSDT", "price": "1.5"}


def test_what_is_below_the_level_is_not_written(lines: Lines) -> None:
    structlog.get_logger().debug("detail")
    assert lines() == []


def test_libraries_are_heard_from_warning_on_in_the_same_shape(lines: Lines) -> None:
    logging.getLogger("httpx").info("GET /fapi/v1/order?signature=abc")
    logging.getLogger("ccxt").warning("GET %s", "/fapi/v1/order?symbol=X&signature=abcdef")
    (line,) = lines()
    assert (line["service"], line["logger"], line["level"]) == ("toy", "ccxt", "warning")
    assert line["event"] == "GET /fapi/v1/order?symbol=X&signature=***"


def test_a_logger_made_before_follows_the_configuration() -> None:
    early = logs.get_logger()
    stream = io.StringIO()
    logs.configure("toy", fmt="json", stream=stream)
    early.warning("hello")
    assert json.loads(stream.getvalue())["event"] == "hello"


def test_console_lines_are_for_people() -> None:
    stream = io.StringIO()
    logs.configure("toy", fmt="console", stream=stream)
    structlog.get_logger().info("hello", password="hunter2")
    assert "hello" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()
    assert not stream.getvalue().startswith("{")


SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "fields",
    [
        {"api_key": SECRET},
        {"apiKey": SECRET},
        {"X-MBX-APIKEY": SECRET},
        {"binance_secret_key": SECRET},
        {"redis_password": SECRET},
        {"Authorization": f"Bearer {SECRET}"},
        {"signature": SECRET},
        {"listenKey": SECRET},
        {"telegram_bot_token": SECRET},
        {"slack_webhook_url": f"https://hooks/{SECRET}"},
        {"headers": {"X-MBX-APIKEY": SECRET, "accept": "json"}},
        {"headers": {b"raw": {"list": [{"password": SECRET}]}}},
        {"url": f"https://x/fapi/v1/order?symbol=A&signature={SECRET}"},
        {"url": f"wss://x/private/ws?listenKey={SECRET}&events=ORDER"},
        {"body": f'{{"listenKey": "{SECRET}"}}'},
        {"body": f"{{'listenKey':'{SECRET}'}}".encode()},
        {"error": f"headers={{'X-MBX-APIKEY': '{SECRET}'}}"},
        {"error": f"Authorization: Bearer {SECRET}\r\nAccept: x"},
        {"error": f"could not connect: password={SECRET} host=x"},
        {"error": ValueError(f"api_key={SECRET}")},
        {"dsn": f"postgresql+psycopg://u:{SECRET}@h:5432/d"},
        {"dsn": f"redis://:{SECRET}@h/0"},
        {"dsn": f"postgresql://u:p:{SECRET}@@h/d"},
        {"value": Secret(SECRET)},
        {"deep": [[[[[[[[SECRET]]]]]]]]},
    ],
)
def test_a_secret_is_struck_out(fields: dict[str, object], out: io.StringIO) -> None:
    structlog.get_logger().info("sent", **fields)
    assert SECRET not in out.getvalue()
    assert "***" in out.getvalue()


def test_a_traceback_is_struck_out_too(out: io.StringIO) -> None:
    try:
        raise RuntimeError(f"GET https://x/order?signature={SECRET}")
    except RuntimeError:
        structlog.get_logger().exception("crashed")
    assert "Traceback" in out.getvalue()
    assert SECRET not in out.getvalue()


@pytest.mark.parametrize(
    "text",
    ["redis://host:6379/0", "http://127.0.0.1:9500/fapi/v1/time", "symbol=BTCUSDT&side=BUY", "a@b.c", "token 5 of 7"],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert logs.redacted(text) == text


def test_an_absent_secret_and_a_flag_stay_readable(lines: Lines) -> None:
    structlog.get_logger().info("checked", api_key=None, has_secret=True, count=3)
    (line,) = lines()
    assert (line["api_key"], line["has_secret"], line["count"]) == (None, True, 3)
