"""Signatures, control messages, paths: the parts of the protocol that need no server."""

import json

import pytest

from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.control import Subscriptions
from phoenix95.paper.core.routes import MARKET, PRIVATE, PUBLIC, Path, parse_path, served_on
from phoenix95.paper.exchange_time import ExchangeTime
from phoenix95.paper.rest.signing import check_key, check_signature, check_time
from phoenix95.paper.ws.framing import text_frame

# the exchange's published example
VECTOR_SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
VECTOR = (
    b"symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943"
)
VECTOR_SIGNATURE = b"3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"


def test_the_published_signature_is_right_in_query_and_body_and_a_changed_one_is_not() -> None:
    signed = VECTOR + b"&signature=" + VECTOR_SIGNATURE
    check_signature(signed, b"", VECTOR_SECRET)
    check_signature(b"", signed, VECTOR_SECRET)
    for query in (signed.replace(b"BUY", b"SELL"), VECTOR + b"&signature=" + b"0" * 64):
        with pytest.raises(RefusedError) as refused:
            check_signature(query, b"", VECTOR_SECRET)
        assert refused.value.code == -1022
    with pytest.raises(RefusedError) as refused:
        check_signature(VECTOR, b"", VECTOR_SECRET)
    assert refused.value.code == -1102


@pytest.mark.parametrize(
    ("timestamp", "window", "code"),
    [
        (10_000, None, None),
        (5_000, None, None),
        (4_999, None, -1021),
        (10_999, None, None),
        (11_000, None, -1021),
        (9_000, "1000", None),
        (8_999, "1000", -1021),
        ("now", None, -1102),
        (10_000, "long", -1130),
        (10_000, "0", -1130),
    ],
)
def test_a_request_counts_only_within_its_window(timestamp: object, window: str | None, code: int | None) -> None:
    params = {"timestamp": str(timestamp)} | ({"recvWindow": window} if window else {})
    if code is None:
        check_time(params, 10_000)
        return
    with pytest.raises(RefusedError) as refused:
        check_time(params, 10_000)
    assert refused.value.code == code


def test_no_key_and_a_wrong_key_are_told_apart() -> None:
    check_key("right", "right")
    for given, code in (("", -2014), ("wrong", -2015)):
        with pytest.raises(RefusedError) as refused:
            check_key(given, "right")
        assert (refused.value.code, refused.value.status) == (code, 401)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/market/stream", Path(MARKET, True, (), "")),
        ("/market/stream?streams=a@aggTrade/b@ticker", Path(MARKET, True, ("a@aggTrade", "b@ticker"), "")),
        ("/public/ws/btcusdt@bookTicker", Path(PUBLIC, False, ("btcusdt@bookTicker",), "")),
        ("/private/ws?listenKey=abc&events=A/B", Path(PRIVATE, False, (), "abc", ("A", "B"))),
        ("/ws", Path("", False, (), "")),
        ("/stream?streams=a@b", Path("", True, ("a@b",), "")),
        ("/", None),
        ("/market", None),
        ("/other/ws", None),
    ],
)  # fmt: skip
def test_paths(target: str, path: Path | None) -> None:
    assert parse_path(target) == path


def test_streams_have_one_route() -> None:
    assert [served_on(f"x@{kind}") for kind in ("aggTrade", "markPrice@1s", "ticker")] == [MARKET] * 3
    assert served_on("x@bookTicker") == PUBLIC
    assert served_on("x@nonsense") is None


def answer(subscriptions: Subscriptions, message: object) -> object:
    text = message if isinstance(message, str) else json.dumps(message)
    return json.loads(subscriptions.handle(text))


def test_subscriptions_are_kept_listed_and_dropped() -> None:
    link = Subscriptions(["a@aggTrade"], combined=True)
    subscribe = {
        "method": "SUBSCRIBE",
        "params": ["b@ticker", "c@nonsense"],
        "id": "0c0ffee0-0000-4000-8000",
    }
    assert answer(link, subscribe) == {"result": None, "id": subscribe["id"]}
    assert answer(link, {"method": "LIST_SUBSCRIPTIONS", "id": 3}) == {
        "result": ["a@aggTrade", "b@ticker", "c@nonsense"],
        "id": 3,
    }
    assert answer(link, {"method": "UNSUBSCRIBE", "params": ["a@aggTrade", "no"], "id": 4}) == {
        "result": None,
        "id": 4,
    }
    assert list(link.streams) == ["b@ticker", "c@nonsense"]
    assert answer(link, {"method": "SET_PROPERTY", "params": ["combined", False], "id": 5}) == {"result": None, "id": 5}
    assert answer(link, {"method": "GET_PROPERTY", "params": ["combined"], "id": 6}) == {"result": False, "id": 6}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{nonsense", 3),
        ("[]", 2),
        ({"params": [], "id": 1}, 2),
        ({"method": "SUBSCRIBED", "params": ["a"], "id": 1}, 2),
        ({"method": "SUBSCRIBE", "params": [], "id": 1}, 2),
        ({"method": "SUBSCRIBE", "params": "a@b", "id": 1}, 2),
        ({"method": "SUBSCRIBE", "params": ["a@b"], "id": -1}, 2),
        ({"method": "SUBSCRIBE", "params": ["a@b"], "id": "x" * 37}, 2),
        ({"method": "SUBSCRIBE", "params": [f"{n}@ticker" for n in range(1025)], "id": 1}, 2),
        ({"method": "SET_PROPERTY", "params": ["combined", "yes"], "id": 1}, 1),
        ({"method": "GET_PROPERTY", "params": ["colour"], "id": 1}, 0),
    ],
)
def test_wrong_messages_get_the_exchanges_errors_and_change_nothing(message: object, code: int) -> None:
    link = Subscriptions([], combined=True)
    told = answer(link, message)
    assert isinstance(told, dict)
    assert told["error"]["code"] == code
    assert not link.streams


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_are_written_as_the_standard_has_them(length: int) -> None:
    from websockets.frames import Frame, Opcode

    payload = b"x" * length
    assert text_frame(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False, extensions=[])


def test_time_stands_runs_at_its_rate_stops_and_never_goes_back() -> None:
    ns = 0
    time = ExchangeTime(1000, 10.0, lambda: ns)
    ns = 5_000_000_000
    assert (time.now_ms(), time.rate) == (1000, 0.0)
    time.start()
    ns += 100_000_000
    assert (time.now_ms(), time.rate) == (2000, 10.0)
    time.jump(1500)
    assert time.now_ms() == 2000
    time.jump(9000)
    ns += 100_000_000
    assert time.now_ms() == 10_000
    time.stop()
    ns += 100_000_000
    assert (time.now_ms(), time.rate) == (10_000, 0.0)
