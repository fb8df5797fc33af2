"""Messages: what crosses a boundary comes out as it went in, and a newer producer is understood."""

import json
import typing

import msgspec
import pytest

from phoenix95.common import errors, events, wire
from phoenix95.common.events import Event


def subclasses() -> list[type[Event]]:
    return [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)][1:]


LOAD = events.Load(
    cpu_percent=1.0,
    memory_percent=2.0,
    disk_percent=3.0,
    process_memory=4,
    process_cpu_percent=5.0,
    threads=6.0,
    connections=7.0,
)
SAMPLES: dict[str, Event] = {
    "trade": events.Trade(price="1.50", quantity="2", buyer_is_maker=True, received_ms=5, bid="1.4"),
    "gap": events.Gap(first=5, last=9),
    "seed": events.Seed(open_time=0, length_ms=60_000, open="1", high="2", low="0.5", close="1.5", volume="100"),
    "resume": events.Resume(after="5-6"),
    "marker": events.Marker(symbol="BTCUSDT", kind="config", value="abc", cause="5-6"),
    "analysis": events.Analysis(
        id="momentum-BTCUSDT-6.0",
        strategy="momentum",
        symbol="BTCUSDT",
        action="EXECUTE",
        side="BUY",
        cause="5-6",
        ts=5,
        expires_at=1505,
        price=100.5,
        confidence=0.8,
        phoenix95_score=0.75,
        risk_level="low",
        win_probability=0.6,
        win_samples=40,
        brier=0.2,
        position_fraction=0.02,
        leverage=3,
        stop_loss=99.0,
        take_profit=103.0,
        hold_ms=60_000,
        bar=events.Bar(
            open_time=0, length_ms=60_000, open=1.0, high=2.0, low=0.5, close=1.5, volume=9.0, trades=3, whole=True
        ),
        indicators={"rsi": 55.5, "macd": None},
        factors=(events.Factor(name="trend", value=0.5, weight=1.0, inputs={"ema": 1.0}),),
        quality=events.Quality(warm=True, bars=100, degraded_bars=0, spread_bps=1.5),
        reasoning=("trend up",),
        config="c1",
    ),
    "request": events.Request(symbol="BTCUSDT", requested_at=5, side="SELL", confidence=0.9, trade=True),
    "decided": events.Decided(
        analysis_id="a",
        symbol="BTCUSDT",
        ts=5,
        action="EXECUTE",
        side="BUY",
        accepted=False,
        reason="confidence 0.5 is below 0.75",
        verdicts=(events.Verdict(gate="confidence", stage="signal", reason="low", numbers={"confidence": "0.5"}),),
    ),
    "order": events.OrderChanged(
        analysis_id="a",
        symbol="BTCUSDT",
        ts=5,
        client_id="p95e",
        role="entry",
        state="filled",
        side="BUY",
        quantity="1",
    ),
    "position": events.PositionChanged(
        analysis_id="a", symbol="BTCUSDT", ts=5, state="opened", side="long", size="1", entry_price="100"
    ),
    "subscribe": events.Subscribe(symbol="BTCUSDT"),
    "unsubscribe": events.Unsubscribe(symbol="BTCUSDT"),
    "close_position": events.ClosePosition(symbol="BTCUSDT", reason="a person"),
    "notify": events.Notify(message="a word", severity="info"),
    "place_trade": events.PlaceTrade(
        symbol="BTCUSDT", side="BUY", requested_at=1, expires_at=2, leverage=3, amount="0.002", stop_loss="63000.5"
    ),
    "ack": events.Ack(command_id="5-0", service="feed", ok=False, message="unknown symbol X"),
    "host": events.HostSample(
        ts_wall_ms=1,
        cpu_percent=1.0,
        cpu_count=2,
        memory_total=10,
        memory_available=5,
        memory_percent=50.0,
        disk_total=10,
        disk_free=5,
        disk_percent=50.0,
        processes=(events.ProcessSample(pid=1, name="feed", cpu_percent=0.5, rss=5, pss=None, threads=2),),
    ),
    "monitor_status": events.MonitorStatus(
        ts_wall_ms=3,
        started_wall_ms=1,
        uptime_ms=2,
        latest=LOAD,
        average=LOAD,
        averaged=1,
        samples_1h=1,
        alerts_24h=0,
        memory_limit=500,
        running=True,
        healthy=False,
        unhealthy=("CPU",),
        notifications=events.NotifyStatus(channels=("Slack",), sent=1),
    ),
    "alert": events.Alert(ts_wall_ms=1, service="feed", severity="warning", kind="gap", message="lost 5"),
    "heartbeat": events.Heartbeat(
        service="feed", instance="h-1", version="0.1.0", started_wall_ms=1, progress_wall_ms=2
    ),
    "dead": events.DeadLetter(source="p95:tick", entry_id="5-6", error="no json", fields={"d": "x"}, attempts=1),
}


def tag_of(kind: type[Event]) -> str:
    return str(kind.__struct_config__.tag)


def decoders() -> list[msgspec.json.Decoder[typing.Any]]:
    return [value for value in vars(wire).values() if isinstance(value, msgspec.json.Decoder)]


def test_every_message_has_a_sample_here_and_a_tag_of_its_own() -> None:
    tags = [tag_of(kind) for kind in subclasses()]
    assert len(tags) == len(set(tags))
    assert set(tags) == SAMPLES.keys()


@pytest.mark.parametrize("tag", SAMPLES)
def test_every_message_comes_back_through_a_decoder_of_the_wire(tag: str) -> None:
    event = SAMPLES[tag]
    data = wire.encode(event)
    assert json.loads(data)[events.TYPE_TAG] == tag
    back = []
    for decoder in decoders():
        try:
            back.append(decoder.decode(data))
        except msgspec.ValidationError:
            continue
    assert back == [event], "exactly one decoder reads it"
    assert wire.encode(back[0]) == data


@pytest.mark.parametrize("tag", SAMPLES)
def test_a_field_of_a_newer_producer_is_ignored(tag: str) -> None:
    event = SAMPLES[tag]
    newer = {**json.loads(wire.encode(event)), "field_of_tomorrow": [1]}
    assert msgspec.json.decode(json.dumps(newer), type=type(event)) == event


@pytest.mark.parametrize("tag", SAMPLES)
def test_a_message_is_frozen(tag: str) -> None:
    event = SAMPLES[tag]
    with pytest.raises(AttributeError):
        setattr(event, event.__struct_fields__[0], None)


def test_a_trade_is_short_in_the_stream() -> None:
    """Millions are kept: the short names and the left-out defaults are a promise about memory."""
    trade = events.Trade(price="64123.40", quantity="0.002", buyer_is_maker=True, received_ms=1721347200123)
    assert wire.encode(trade) == b'{"t":"trade","p":"64123.40","q":"0.002","m":true,"rx":1721347200123}'


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b'{"t":"nothing"}', b'{"p":"1"}', b'{"t":"trade","p":1,"q":"1","m":true,"rx":1}', b"\xff"],
)
def test_what_is_no_tick_is_an_error_of_the_decoder(data: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        wire.tick_decoder.decode(data)


def test_the_same_message_is_always_the_same_bytes() -> None:
    one = events.Verdict(gate="g", stage="signal", reason=None, numbers={"b": "1", "a": "2"})
    other = events.Verdict(gate="g", stage="signal", reason=None, numbers={"a": "2", "b": "1"})
    assert wire.encode(one) == wire.encode(other)


def test_errors_carry_what_their_handlers_need() -> None:
    assert str(errors.BadMessage("p95:tick", "no json")) == "p95:tick: no json"
    assert errors.VenueRejected(-2019, "Margin is insufficient.").code == -2019
    assert errors.Fenced("FENCED_SEQ", "p95:ckpt:{03}").rule == "FENCED_SEQ"
    diverged = errors.Diverged("p95:analysis:{03}:BTCUSDT", "5-6")
    assert isinstance(diverged, errors.InvariantBroken)
    assert (diverged.key, diverged.entry_id) == ("p95:analysis:{03}:BTCUSDT", "5-6")
    ours = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert all(issubclass(kind, errors.Phoenix95Error) for kind in ours)
