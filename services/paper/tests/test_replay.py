"""Recorded frames into one market: aggregation, order, repeats, native ids."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from phoenix95.paper.core.aggregate import Aggregator
from phoenix95.paper.core.emission import Emission
from phoenix95.paper.core.frames import AggTrade, TradeFrame
from phoenix95.paper.sources.recorded import RecordedSource

T0 = 1_700_000_000_000


def trade(t: int, ms: int, price: str = "10.0", *, m: bool = False, q: str = "1.5", x: str = "MARKET") -> TradeFrame:
    return TradeFrame(E=ms, T=ms, s="BTCUSDT", t=t, p=price, q=q, m=m, X=x)


def payload(t: int, ms: int, symbol: str = "BTCUSDT", **changes: Any) -> dict[str, Any]:
    base = {"e": "trade", "E": T0 + ms, "T": T0 + ms, "s": symbol, "t": t, "p": "10.0", "q": "1.0", "X": "MARKET"}
    return {**base, "m": False, **changes}


def agg(a: int, ms: int, **changes: Any) -> dict[str, Any]:
    base = {"e": "aggTrade", "E": T0 + ms, "T": T0 + ms, "s": "BTCUSDT", "a": a, "p": "10.0", "q": "1.0"}
    return {**base, "f": a, "l": a, "m": False, **changes}


def book(u: int, ms: int, symbol: str = "BTCUSDT") -> dict[str, Any]:
    ms += T0
    return {"e": "bookTicker", "u": u, "s": symbol, "b": "9.9", "B": "1", "a": "10.0", "A": "1", "T": ms, "E": ms}


def play(*paths: Path) -> list[Emission]:
    source = RecordedSource(paths)
    found: list[Emission] = []
    while (following := source.next_ms()) is not None:
        found += source.due(following, 100)
    return found


def trades(emissions: list[Emission]) -> list[AggTrade]:
    return [emission.body for emission in emissions if isinstance(emission.body, AggTrade)]


def test_only_the_same_price_side_and_millisecond_in_a_row_are_one_trade() -> None:
    fold = Aggregator("BTCUSDT")
    frames = [
        trade(1, 100),
        trade(2, 100, q="0.25"),
        trade(3, 101),  # another millisecond
        trade(4, 101, m=True),  # another side
        trade(5, 101, "10.1", m=True),  # another price
        trade(6, 101, "10.0", m=True),  # the price again, but not directly
    ]
    closed = [made for frame in frames if (made := fold.add(frame))]
    last = fold.finish()
    assert last is not None
    made = [*closed, last]
    assert [(one.a, one.f, one.l, one.q) for one in made] == [
        (1, 1, 2, "1.75"),
        (2, 3, 3, "1.5"),
        (3, 4, 4, "1.5"),
        (4, 5, 5, "1.5"),
        (5, 6, 6, "1.5"),
    ]


def test_insurance_fund_trades_and_repeats_are_no_market_trades() -> None:
    fold = Aggregator("BTCUSDT")
    for frame in (trade(1, 100), trade(2, 100, "99", x="INSURANCE_FUND"), trade(3, 100), trade(3, 100)):
        assert fold.add(frame) is None
    last = fold.finish()
    assert last is not None
    assert (last.f, last.l, last.q) == (1, 3, "3.0")
    assert fold.skipped == 2


def test_an_aggregate_stays_open_while_a_trade_may_join_it_and_no_longer() -> None:
    fold = Aggregator("BTCUSDT")
    fold.add(trade(1, 5000))
    assert fold.settle(6000) is None
    closed = fold.settle(6001)
    assert closed is not None
    assert closed.a == 1


def test_files_are_merged_by_event_time_whatever_their_order(write_recording: Callable[..., Path]) -> None:
    later = write_recording("b.gz", [payload(3, 400), payload(4, 900)])
    earlier = write_recording("a", [payload(1, 0), payload(2, 200)], zipped=False, float_format=True)
    other = write_recording("c.gz", [payload(1, 100, "ETHUSDT"), payload(2, 500, "ETHUSDT")])
    found = play(later, other, earlier)
    assert [(emission.symbol, emission.ms - T0) for emission in found] == [
        ("BTCUSDT", 0),
        ("ETHUSDT", 100),
        ("BTCUSDT", 200),
        ("BTCUSDT", 400),
        ("ETHUSDT", 500),
        ("BTCUSDT", 900),
    ]
    assert [one.a for one in trades(found) if one.s == "BTCUSDT"] == [1, 2, 3, 4]


def test_what_overlapping_files_repeat_comes_once(write_recording: Callable[..., Path]) -> None:
    frames = [frame for n in range(60) for frame in (book(n + 1, n * 50), payload(n + 1, n * 50, p=f"{10 + n}.0"))]
    first = write_recording("a.gz", frames[:80])
    second = write_recording("b.gz", frames[30:])
    found = play(second, first)
    assert [one.f for one in trades(found)] == list(range(1, 61))
    assert len(found) == 120


def test_times_that_go_back_across_streams_do_not_disturb_the_order_within_one(
    write_recording: Callable[..., Path],
) -> None:
    frames = [book(1, 100), payload(1, 95), book(2, 101), payload(2, 96, p="11.0"), book(3, 99)]
    found = play(write_recording("a.gz", frames))
    kinds = [(type(emission.body).__name__, emission.ms - T0) for emission in found]
    assert kinds == [("AggTrade", 95), ("AggTrade", 96), ("BookTicker", 100), ("BookTicker", 101), ("BookTicker", 101)]
    assert [emission.body.E - T0 for emission in found][-1] == 99  # not stamped anew


def test_native_aggregates_keep_their_ids_bytes_and_gaps_and_their_trades_are_not_used(
    write_recording: Callable[..., Path],
) -> None:
    frames = [agg(70, 0), payload(5, 1), agg(71, 10), agg(75, 20), agg(75, 21), agg(80, 30)]
    found = play(write_recording("a", frames, float_format=True, head="wss://x/stream?streams=a <-> 1.5"))
    assert [one.a for one in trades(found)] == [70, 71, 75, 80]
    assert b'"a": 70' in found[0].payload


def test_trade_id_gaps_do_not_make_gaps_of_aggregates(write_recording: Callable[..., Path]) -> None:
    found = play(write_recording("a.gz", [payload(5, 0), payload(9, 10), payload(10, 10), payload(40, 4000)]))
    assert [(one.a, one.f, one.l) for one in trades(found)] == [(1, 5, 5), (2, 9, 10), (3, 40, 40)]


def test_nothing_is_due_before_its_time_and_at_most_as_much_as_asked(write_recording: Callable[..., Path]) -> None:
    source = RecordedSource([write_recording("a.gz", [payload(n, n * 100) for n in range(1, 50)])])
    assert source.due(source.origin_ms, 100) == []
    assert [emission.ms - T0 for emission in source.due(T0 + 250, 100)] == [100, 200]
    assert len(source.due(T0 + 4000, 5)) == 5


def test_a_recording_that_was_cut_off_plays_as_far_as_it_goes(write_recording: Callable[..., Path]) -> None:
    path = write_recording("a.gz", [payload(n, n * 10, p=f"{10 + n % 7}.{n % 9}") for n in range(1, 5000)])
    packed = path.read_bytes()
    path.write_bytes(packed[: len(packed) // 2])
    source = RecordedSource([path])
    assert source.notes()[0]["damage"] == "cut off before its end"
    found = trades(play(path))
    assert [one.a for one in found] == list(range(1, len(found) + 1))
    assert len(found) > 1000


def test_junk_between_frames_changes_nothing(write_recording: Callable[..., Path]) -> None:
    good = write_recording("a", [payload(n, n * 10) for n in range(1, 50)], zipped=False)
    lines = good.read_text().splitlines()
    bad = good.with_name("b")
    junk = ("", "junk", '1 {"stream":"x","data":{"e":"trade","E":"soon"}}', '1 {"lastUpdateId":1}', "{}", "1 {\x00")
    bad.write_text("\n".join(line for n, one in enumerate(lines) for line in (one, junk[n % len(junk)])))
    assert [one.body for one in play(bad)] == [one.body for one in play(good)]


def counted(path: Path) -> list[tuple[str, Decimal, bool, int]]:
    """An independent count, the slow and obvious way."""
    import gzip
    import json

    made: list[tuple[str, Decimal, bool, int]] = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            data = json.loads(line.partition(" ")[2]).get("data") or {}
            if data.get("e") != "trade" or data["X"] != "MARKET":
                continue
            key = (data["p"], data["m"], data["T"])
            if made and (made[-1][0], *made[-1][2:]) == key:
                made[-1] = (made[-1][0], made[-1][1] + Decimal(data["q"]), *made[-1][2:])
            else:
                made.append((data["p"], Decimal(data["q"]), data["m"], data["T"]))
    return made


def test_the_real_recordings_give_the_published_numbers(recordings: Path) -> None:
    paths = [recordings / f"usdm_{name}usdt_20240719.gz" for name in ("btc", "eth")]
    found = trades(play(*paths))
    for path, symbol, count in zip(paths, ("BTCUSDT", "ETHUSDT"), (4996, 4702), strict=True):
        own = [one for one in found if one.s == symbol]
        assert [one.a for one in own] == list(range(1, count + 1))
        assert [(one.p, Decimal(one.q), one.m, one.T) for one in own] == counted(path)
