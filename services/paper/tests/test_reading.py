"""Lines, files and frames of recordings: both formats, junk, damage."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from phoenix95.common.errors import ConfigError
from phoenix95.paper.core.frames import AggTrade, BookTicker, JunkError, TradeFrame, read_line
from phoenix95.paper.sources.lines import Lines
from phoenix95.paper.sources.survey import survey

TRADE = b'{"e":"trade","E":5,"T":4,"s":"BTCUSDT","t":1,"p":"10.50","q":"0.100","X":"MARKET","m":true}'
AGG = b'{"e":"aggTrade","E":5,"a":7,"s":"BTCUSDT","p":"10.50","q":"1","f":1,"l":2,"T":4,"m":false}'
BOOK = b'{"e":"bookTicker","u":9,"s":"BTCUSDT","b":"1.0","B":"2","a":"1.1","A":"3","T":4,"E":5}'


def combined(payload: bytes) -> bytes:
    return b'{"stream":"btcusdt@x","data":' + payload + b"}"


@pytest.mark.parametrize("before", [b"1721347020984480942 ", b"1626992741.06217: "])
@pytest.mark.parametrize(("payload", "kind"), [(TRADE, TradeFrame), (AGG, AggTrade), (BOOK, BookTicker)])
def test_both_line_formats_give_the_payload_as_it_was_sent(before: bytes, payload: bytes, kind: type) -> None:
    frame = read_line(before + combined(payload) + b"\r\n")
    assert frame is not None
    assert isinstance(frame.body, kind)
    assert frame.payload == payload


def test_a_bare_payload_without_the_stream_wrapper_is_read_too() -> None:
    frame = read_line(b"1721347020984480942 " + TRADE)
    assert frame is not None
    assert frame.payload == TRADE


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"wss://fstream.binance.com/stream?streams=sushiusdt@aggTrade <-> 1626992740.179554",
        b'https://fapi.binance.com/fapi/v1/depth?symbol=X -> 1626992741.3: {"lastUpdateId":1,"bids":[]}',
        b'1721347020984480942 {"lastUpdateId":6,"E":1,"T":1,"bids":[],"asks":[]}',
        b'1626992741.08: {"stream":"a@depth","data":{"e":"depthUpdate","E":1,"s":"A"}}',
        b'1626992741.08: {"result":null,"id":1}',
    ],
)
def test_what_is_readable_but_no_market_frame_is_passed_over(line: bytes) -> None:
    assert read_line(line) is None


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b'no time {"stream":"a","data":{}}',
        b'1721347020984480942 {"stream":"a","data":{"e":"tra',
        b"1721347020984480942 [1,2]",
        b"1721347020984480942 " + TRADE.replace(b'"10.50"', b'"NaN"'),
        b"1721347020984480942 " + TRADE.replace(b'"10.50"', b'"0.00"'),
        b"1721347020984480942 " + TRADE.replace(b'"10.50"', b'"-1"'),
        b"1721347020984480942 " + TRADE.replace(b'"10.50"', b"10.5"),
        b'1721347020984480942 {"e":"trade","E":5}',
        b"\xff\xfe\x00{",
    ],
)
def test_anything_else_is_junk(line: bytes) -> None:
    with pytest.raises(JunkError):
        read_line(line)


def test_a_file_cut_off_in_the_middle_gives_every_whole_line(tmp_path: Path) -> None:
    lines = [f"{n} some text that does not repeat {n * 7919}".encode() for n in range(20_000)]
    packed = gzip.compress(b"\n".join(lines))
    path = tmp_path / "cut.gz"
    path.write_bytes(packed[: len(packed) // 2])
    opened = Lines(path)
    found = list(opened)
    assert found[:-1] == lines[: len(found) - 1]
    assert len(found) > 5_000
    assert opened.damage == "cut off before its end"


def test_a_file_with_broken_bytes_gives_what_comes_before_them(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b"\n".join(str(n * 7919).encode() for n in range(50_000))))
    packed[len(packed) // 2 : len(packed) // 2 + 40] = b"\xff" * 40
    path = tmp_path / "broken.gz"
    path.write_bytes(packed)
    opened = Lines(path)
    assert next(iter(opened)) == b"0"
    list(opened)
    assert opened.damage is None or "not readable" in opened.damage or "cut off" in opened.damage


def test_appended_gzip_members_and_plain_files_are_read_whole(tmp_path: Path) -> None:
    zipped, plain = tmp_path / "two.gz", tmp_path / "plain"
    zipped.write_bytes(gzip.compress(b"a\nb\n") + gzip.compress(b"c\n"))
    plain.write_bytes(b"a\nb\nc")
    assert list(Lines(zipped)) == list(Lines(plain)) == [b"a", b"b", b"c"]


def a_trade(number: int, **changes: Any) -> dict[str, Any]:
    ms = 1_000_000 + number
    base = {"e": "trade", "E": ms, "T": ms, "s": "BTCUSDT", "t": number, "p": "10.50", "q": "0.100", "X": "MARKET"}
    return {**base, "m": False, **changes}


def test_rules_come_from_the_numbers_of_the_recording(tmp_path: Path) -> None:
    trades = [a_trade(1, p="63943.90", q="0.022"), a_trade(2, p="63944.00", q="1.500")]
    path = tmp_path / "a"
    path.write_text("\n".join(f"1 {json.dumps({'stream': 's', 'data': trade})}" for trade in trades) + "\n1 {broken\n")
    found = survey([path])
    spec = found.specs["BTCUSDT"]
    assert (str(spec.tick), str(spec.step)) == ("0.10", "0.001")
    assert found.files["a"] == {"trade": 2, "junk": 1}
    assert (found.first_ms, found.last_ms) == (1_000_001, 1_000_002)


def test_a_file_without_market_frames_a_missing_file_and_an_unknown_symbol_are_named(tmp_path: Path) -> None:
    empty, good = tmp_path / "empty", tmp_path / "good"
    empty.write_text("nothing here\n")
    good.write_text(f"1 {json.dumps({'stream': 's', 'data': a_trade(1)})}\n")
    with pytest.raises(ConfigError, match=r"empty: no market frames in it \(junk: 1\)"):
        survey([empty])
    with pytest.raises(ConfigError, match="absent: No such file"):
        survey([tmp_path / "absent"])
    with pytest.raises(ConfigError, match="XRPUSDT is in no recording; there are BTCUSDT"):
        survey([good], ["XRPUSDT"])
