"""What the heartbeat tells of the connection."""

from phoenix95.feed.core.status import status_of

FACTS = {
    "connected": 1.0,
    "market_connections": 3.0,
    "public_connections": 1.0,
    "market_frames": 10.0,
    "rest_requests": 9.0,
}


def test_only_connections_after_the_first_of_a_route_are_reconnects():
    found = status_of(FACTS, None, ["ETHUSDT", "BTCUSDT"])
    assert (found.connections, found.reconnects, found.frames) == (4, 2, 10)
    assert (found.connected, found.symbols) == (True, ("BTCUSDT", "ETHUSDT"))


def test_before_the_first_connection_nothing_is_negative():
    found = status_of({"connected": 0.0, "market_connections": 0.0}, "market: not connected yet", [])
    assert (found.connected, found.reason, found.reconnects) == (False, "market: not connected yet", 0)


def test_a_source_that_tells_nothing_is_connected_when_it_misses_nothing():
    assert status_of({}, None, []).connected
    assert not status_of({}, "away", []).connected
