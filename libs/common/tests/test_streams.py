"""The table of streams agrees with the names, the users and the generated page."""

import re
from pathlib import Path

import pytest

from phoenix95.common import events, keys, streams, wire
from phoenix95.common.bus import docs, generate
from phoenix95.common.streams import SERVICES, TABLE, Key, glob

# The hourly state of a symbol: the name is fixed, nobody writes it yet.
NOT_WRITTEN_YET = {"snapshot"}

NAMES = {
    "META": keys.META, "SYMBOLS": keys.SYMBOLS, "MEMBERS_ENGINE": keys.MEMBERS_ENGINE, "COMMAND": keys.COMMAND,
    "ACK": keys.ACK, "ORDER": keys.ORDER, "HOST": keys.HOST, "HOST_NOW": keys.HOST_NOW, "ALERT": keys.ALERT,
    "FEED_OFFSET": keys.FEED_OFFSET, "MONITOR_OFFSETS": keys.MONITOR_OFFSETS, "MONITOR_STATUS": keys.MONITOR_STATUS,
    "tick": keys.tick("BTCUSDT", 16), "price": keys.price("BTCUSDT", 16), "request": keys.request("BTCUSDT", 16),
    "analysis": keys.analysis("BTCUSDT", 16), "reply": keys.reply("BTCUSDT", 16), "checkpoint": keys.checkpoint(3),
    "lease": keys.lease(3), "dead_letter": keys.dead_letter("feed"), "dead_letter_engine": keys.dead_letter_engine(3),
    "heartbeat": keys.heartbeat("feed", "host-1"),
}  # fmt: skip


def rows_of(name: str) -> list[Key]:
    shapes = {"{pp}": r"\{\d\d\}", "SYM": "[A-Z0-9]+", "SERVICE": "[a-z]+", "INSTANCE": ".+"}
    pattern = {
        key.name: re.sub("|".join(map(re.escape, shapes)), lambda found: shapes[found[0]], key.name) for key in TABLE
    }
    return [key for key in TABLE if re.fullmatch(pattern[key.name], name)]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_one_row(name: str) -> None:
    assert len(rows_of(NAMES[name])) == 1


def test_every_row_has_a_name() -> None:
    assert {row.name for name in NAMES.values() for row in rows_of(name)} == {key.name for key in TABLE}


def test_no_name_is_missing_here() -> None:
    public = {
        name
        for name, value in vars(keys).items()
        if not name.startswith("_") and (isinstance(value, str) or getattr(value, "__module__", "") == keys.__name__)
    }
    assert public - {"tag"} == NAMES.keys() | NOT_WRITTEN_YET


def test_each_stream_has_entries_an_id_and_an_end() -> None:
    for key in TABLE:
        if key.kind == "stream":
            assert key.entries
            assert key.entry_id
            assert key.keep_ms
        assert key.writes, key.name


def test_every_event_is_in_a_stream_or_a_value() -> None:
    listed = {event for key in TABLE for event in key.entries}
    tagged = {
        value
        for value in vars(events).values()
        if isinstance(value, type) and issubclass(value, events.Event) and value is not events.Event
    }
    assert listed == tagged


def test_only_services_write() -> None:
    users = {write.user for key in TABLE for write in key.writes} | {user for key in TABLE for user in key.readers}
    assert users == set(SERVICES)


def test_the_keys_of_one_script_lie_in_one_slot() -> None:
    scripts: dict[str, list[Key]] = {}
    for key in TABLE:
        for write in key.writes:
            if write.script:
                scripts.setdefault(write.script, []).append(key)
    assert scripts.keys() == {streams.GUARD, streams.COMMIT, streams.MEMBERS}
    for rows in scripts.values():
        assert len(rows) == 1 or all(key.tagged for key in rows)


def test_a_pattern_matches_its_names_and_narrows_to_the_writer() -> None:
    dead = next(key for key in TABLE if key.name == "p95:dlq:SERVICE")
    assert (glob(dead), glob(dead, "feed")) == ("p95:dlq:*", "p95:dlq:feed")
    assert glob(next(key for key in TABLE if key.name.startswith("p95:tick"))) == "p95:tick:{*}:*"


def test_the_generated_page_is_up_to_date(tmp_path: Path) -> None:
    generate.main(tmp_path / "docs")
    fresh = (tmp_path / "docs" / "events.md").read_text(encoding="utf-8")
    stored = Path(__file__).parents[3] / "docs" / "events.md"
    assert stored.read_text(encoding="utf-8") == fresh, "run: python -m phoenix95.common.bus.generate"


def test_the_page_names_every_key_and_every_event() -> None:
    page = docs.render()
    assert all(f"| `{key.name}` |" in page for key in TABLE)
    assert all(f"### {event.__name__}\n" in page for key in TABLE for event in key.entries)


def test_an_entry_is_decoded_by_its_tag() -> None:
    trade = events.Trade(price="1", quantity="2", buyer_is_maker=True, received_ms=3)
    assert wire.tick_decoder.decode(wire.encode(trade)) == trade
    assert wire.tick_decoder.decode(b'{"t":"gap","first":1,"last":2,"new":3}') == events.Gap(first=1, last=2)
