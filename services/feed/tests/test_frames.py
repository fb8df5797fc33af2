"""What is believed of a frame, and what is refused."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from phoenix95.common.errors import BadMessage
from phoenix95.feed.core.frames import AGG_ID_MAX, AggTrade, decode, fault_of

NOW = 1_721_347_201_585
TRADE = {"e": "aggTrade", "E": NOW, "s": "BTCUSDT", "a": 7, "p": "64020.40", "q": "0.005", "f": 1, "l": 2}
TRADE |= {"T": NOW - 5, "m": True}
BOOK = {"e": "bookTicker", "u": 1, "s": "BTCUSDT", "b": "1.5", "B": "2", "a": "1.6", "A": "0", "T": NOW, "E": NOW}
MARK = {"e": "markPriceUpdate", "E": NOW, "s": "BTCUSDT", "p": "1.5", "i": "1.5", "r": "-0.0001", "T": NOW}
TICKER = {"e": "24hrTicker", "E": NOW, "s": "BTCUSDT", "p": "-3.5", "P": "-0.5", "c": "64000", "h": "7", "l": "6"}
TICKER |= {"v": "100"}


def frame(data: dict[str, Any]) -> bytes:
    return json.dumps({"stream": "btcusdt@any", "data": data}).encode()


def fault(data: dict[str, Any], latest_ms: int = NOW + 60_000) -> str | None:
    found = decode(frame(data), "market").data
    assert found is not None
    return fault_of(found, latest_ms)


@pytest.mark.parametrize("data", [TRADE, BOOK, MARK, TICKER, TRADE | {"st": 1, "new": {"x": []}}])
def test_real_frames_pass_and_unknown_fields_are_ignored(data: dict[str, Any]) -> None:
    assert fault(data) is None


def test_a_trade_keeps_the_exchanges_own_decimal_text() -> None:
    trade = decode(frame(TRADE), "market").data
    assert isinstance(trade, AggTrade)
    assert (trade.id, trade.price, trade.quantity, trade.buyer_is_maker) == (7, "64020.40", "0.005", True)


@pytest.mark.parametrize(
    "price", ["-1", "0", "0.00", "NaN", "Infinity", "1e5", "", " 1", "1_000", ".5", "5.", "+1", "٣", "1\n", "9" * 16]
)
@pytest.mark.parametrize("field", ["p", "q"])
def test_a_price_or_quantity_that_is_no_plain_positive_number_is_refused(field: str, price: str) -> None:
    assert fault(TRADE | {field: price}) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"st": 2},  # COIN-M
        {"M": True},  # spot
        {"a": 0},
        {"a": -5},
        {"a": AGG_ID_MAX + 1},
        {"a": 2**70},
        {"T": NOW / 1000 // 1},  # seconds, not milliseconds
        {"T": NOW + 2000},  # younger than the frame that reports it
        {"T": NOW + 120_000, "E": NOW + 120_000},  # younger than the exchange's clock
    ],
)
def test_a_trade_of_another_market_or_an_impossible_id_or_time_is_refused(change: dict[str, Any]) -> None:
    data = {key: int(value) if isinstance(value, float) else value for key, value in (TRADE | change).items()}
    assert fault(data) is not None


@pytest.mark.parametrize(
    "change", [{"a": AGG_ID_MAX}, {"a": 1}, {"T": NOW + 1000}, {"p": "0.00000001"}, {"p": "9" * 15}]
)
def test_the_edges_pass(change: dict[str, Any]) -> None:
    assert fault(TRADE | change) is None


@pytest.mark.parametrize(
    "data",
    [
        BOOK | {"b": "1.7"},  # bid above ask
        BOOK | {"a": "0"},
        BOOK | {"st": 2},
        MARK | {"p": "-1"},
        MARK | {"r": "NaN"},
        MARK | {"E": 5},
        TICKER | {"c": "x"},
        TICKER | {"v": ""},
    ],
)
def test_other_frames_are_checked_too(data: dict[str, Any]) -> None:
    assert fault(data) is not None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe\x00",
        b"not json",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"stream":"btcusdt@aggTrade"}',
        frame({"e": "depthUpdate"}),
        frame({key: value for key, value in TRADE.items() if key != "a"}),
        frame(TRADE | {"p": 64020.4}),  # a number where the exchange sends text
        frame(TRADE | {"a": "7"}),
        frame(TRADE)[:-5],
    ],
)
def test_an_unreadable_frame_is_a_bad_message_that_names_its_source(raw: bytes) -> None:
    with pytest.raises(BadMessage) as caught:
        decode(raw, "market")
    assert caught.value.source == "market"


def test_answers_to_requests_are_told_from_data() -> None:
    assert decode(b'{"result":null,"id":3}', "market").id == 3
    refused = decode(b'{"code":2,"msg":"Invalid request","id":3}', "market")
    assert (refused.code, refused.msg, refused.data) == (2, "Invalid request", None)


def test_every_frame_of_the_recordings_is_believed() -> None:
    folder = os.environ.get("P95_TEST_DATA")
    if not folder:
        pytest.skip("P95_TEST_DATA is not set: no recorded frames are tried, only those written here")
    seen = {"aggTrade": 0, "bookTicker": 0}
    for path in sorted(Path(folder, "recorded").glob("*usdm_*.gz")):
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            kind = next((kind for kind in seen if f'"e":"{kind}"' in line), None)
            if kind is None:
                continue
            found = decode(line[line.index("{") :].encode(), "recording").data
            assert found is not None
            assert fault_of(found) is None, line
            seen[kind] += 1
    assert seen["aggTrade"] > 10
    assert seen["bookTicker"] > 10_000
