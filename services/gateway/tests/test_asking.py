"""What may be asked for: each bound exactly on it, one step past it, and the other side."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phoenix95.gateway.core.asking import (
    HOLD_MS_MAX,
    HOLD_MS_MIN,
    ExecuteBody,
    Refused,
    RequestName,
    as_request,
    checked_symbol,
    parse_request_name,
)


def a_body(**changes):
    return ExecuteBody(**{"symbol": "BTCUSDT", "action": "buy", **changes})


@pytest.mark.parametrize(("action", "side"), [("buy", "BUY"), ("long", "BUY"), ("sell", "SELL"), ("short", "SELL")])
def test_every_action_has_its_side_and_asks_to_trade(action, side):
    request = as_request(a_body(action=action, confidence=0.9), now_ms=7)
    assert (request.side, request.trade, request.requested_at, request.confidence) == (side, True, 7, 0.9)


@pytest.mark.parametrize(
    ("field", "value", "refused"),
    [
        ("confidence", 0.0, False),
        ("confidence", 1.0, False),
        ("confidence", 1.0000001, True),
        ("confidence", -0.0000001, True),
        ("rsi", 0.0, False),
        ("rsi", 100.0, False),
        ("rsi", 100.1, True),
        ("price", 0.0, True),
        ("price", 1e-9, False),
        ("price", -1.0, True),
        ("price", float("inf"), True),
        ("price", float("nan"), True),
        ("macd", -5.0, False),
        ("macd", float("-inf"), True),
        ("volume", 0.0, False),
        ("volume", -1.0, True),
        ("stop_loss", 0.0, True),
        ("take_profit", 0.0, True),
        ("hold_ms", HOLD_MS_MIN, False),
        ("hold_ms", HOLD_MS_MIN - 1, True),
        ("hold_ms", HOLD_MS_MAX, False),
        ("hold_ms", HOLD_MS_MAX + 1, True),
        ("hold_ms", -1, True),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(field, value, refused):
    body = a_body(**{field: value})
    if not refused:
        assert getattr(as_request(body, 0), field) == value
        return
    with pytest.raises(Refused) as caught:
        as_request(body, 0)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("action", "stop", "price", "target", "field"),
    [
        ("buy", 99.0, 100.0, 101.0, None),
        ("sell", 101.0, 100.0, 99.0, None),
        ("buy", 100.0, 100.0, None, "stop_loss"),
        ("buy", 101.0, 100.0, None, "stop_loss"),
        ("sell", 99.0, 100.0, None, "stop_loss"),
        ("buy", None, 100.0, 100.0, "take_profit"),
        ("sell", None, 100.0, 101.0, "take_profit"),
        ("buy", 99.0, None, 98.0, "stop_loss"),
        ("sell", 99.0, None, 99.0, "stop_loss"),
        ("sell", 99.0, None, 98.0, None),
    ],
)
def test_a_stop_loses_and_a_target_wins(action, stop, price, target, field):
    body = a_body(action=action, stop_loss=stop, price=price, take_profit=target)
    if field is None:
        assert as_request(body, 0).stop_loss == stop
        return
    with pytest.raises(Refused) as caught:
        as_request(body, 0)
    assert caught.value.field == field


@pytest.mark.parametrize("text", ["BTCUSDT", "btcusdt", "1000SHIBUSDT", "BTCUSDT_240927"])
def test_symbols_are_spelled_as_the_exchange_does(text):
    assert checked_symbol(text) == text.upper()


@pytest.mark.parametrize(
    "text", ["", "A", "BTC/USDT", "BTC-USDT", "BTCUSDT\n", "{00}", "*", "ＢＴＣ", "ﬀﬀ", "A" * 31, "BTC USDT", "B\x00TC"]
)
def test_what_is_no_symbol_is_refused(text):
    with pytest.raises(Refused):
        checked_symbol(text)


@given(st.text(max_size=60))
def test_any_text_is_a_symbol_or_refused(text):
    with contextlib.suppress(Refused):
        assert checked_symbol(text).isascii()


@given(st.text(max_size=80))
def test_any_text_is_a_request_name_or_refused(text):
    with contextlib.suppress(Refused):
        name = parse_request_name(text)
        assert parse_request_name(str(name)) == name


def test_a_request_name_reads_back():
    name = RequestName("BTCUSDT", "1721385600000-0")
    assert parse_request_name(str(name)) == name


@pytest.mark.parametrize(
    "text",
    [
        "BTCUSDT-1-",
        "1721385600000-0",
        "BTCUSDT-1-1-1",
        "btcusdt-1-1",
        "BTCUSDT--1-1",
        "BTCUSDT-9999999999999999999-99999999999999999999",
        "BTCUSDT-١-١",
        "BTCUSDT-(1-1",
    ],
)
def test_what_is_no_request_name_is_refused(text):
    with pytest.raises(Refused):
        parse_request_name(text)


def test_unknown_fields_are_refused():
    with pytest.raises(msgspec.ValidationError, match="leverge"):
        msgspec.json.decode(b'{"symbol":"BTCUSDT","action":"buy","leverge":20}', type=ExecuteBody)
