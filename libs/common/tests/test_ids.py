"""Ids are functions of their cause: the same cause, the same id, on every machine and in every version."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phoenix95.common import keys
from phoenix95.common.clock import ManualClock
from phoenix95.common.ids import (
    OUTPUTS_PER_TICK,
    STREAM_START,
    StreamId,
    analysis_id,
    client_order_id,
    output_id,
    partition_of,
    reply_id,
)

stream_ids = st.builds(StreamId, st.integers(0, 2**63 - 1), st.integers(0, 2**54))


@given(stream_ids)
def test_a_stream_id_survives_its_text(entry: StreamId) -> None:
    assert StreamId.parse(str(entry)) == entry
    assert StreamId.parse(str(entry).encode()) == entry


@given(stream_ids, stream_ids)
def test_stream_ids_are_ordered_by_time_then_number(one: StreamId, other: StreamId) -> None:
    assert (one < other) == (one.ms < other.ms or (one.ms == other.ms and one.seq < other.seq))
    assert one >= STREAM_START


@pytest.mark.parametrize("text", ["", "5", "5-", "-5", "a-1", "1-b", "1-2-3", b"\xff-1"])
def test_what_is_no_stream_id_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        StreamId.parse(text)


@pytest.mark.parametrize(
    ("symbol", "partition"),
    [("BTCUSDT", 2), ("ETHUSDT", 10), ("BNBUSDT", 5), ("ADAUSDT", 14), ("XRPUSDT", 7)],
)
def test_partitions_never_change(symbol: str, partition: int) -> None:
    assert partition_of(symbol) == partition


@given(st.text(min_size=1), st.integers(1, 100))
def test_a_partition_is_below_their_number(symbol: str, partitions: int) -> None:
    assert 0 <= partition_of(symbol, partitions) < partitions


def test_many_symbols_spread_over_all_partitions() -> None:
    counts = [0] * 16
    for number in range(1600):
        counts[partition_of(f"SYM{number}USDT")] += 1
    assert min(counts) > 50
    assert max(counts) < 160


@given(stream_ids, stream_ids, st.integers(0, 255), st.integers(0, 255))
def test_outputs_keep_the_order_of_their_ticks_and_then_their_own(
    one: StreamId, other: StreamId, k_one: int, k_other: int
) -> None:
    if one.seq < 2**54 and other.seq < 2**54:
        assert (output_id(one, k_one) < output_id(other, k_other)) == ((one, k_one) < (other, k_other))


@pytest.mark.parametrize("k", [-1, OUTPUTS_PER_TICK])
def test_an_output_index_is_below_256(k: int) -> None:
    with pytest.raises(ValueError, match="output index"):
        output_id(StreamId(1, 1), k)
    assert output_id(StreamId(1, 2), OUTPUTS_PER_TICK - 1) < output_id(StreamId(1, 3), 0)


def test_an_output_id_fits_redis_for_the_largest_trade_ids() -> None:
    assert output_id(StreamId(2**43, 10**13), 255).seq < 2**64


def test_names_of_analyses_and_replies_never_meet() -> None:
    assert analysis_id("momentum", "BTCUSDT", 17, 0) == "momentum-BTCUSDT-17.0"
    assert reply_id("momentum", "BTCUSDT", "17-0") == "momentum-BTCUSDT-r17-0"


def test_an_order_id_never_changes() -> None:
    assert client_order_id("main", "momentum-BTCUSDT-17.0", "e", 1) == "p95etg4v4ejf3zlalkb2whiz"


@given(st.text(), st.text(), st.sampled_from("estx"), st.integers(0, 99))
def test_an_order_id_is_one_the_exchange_takes(account: str, analysis: str, role: str, attempt: int) -> None:
    made = client_order_id(account, analysis, role, attempt)
    assert re.fullmatch(rf"p95{role}[a-z0-9]{{20}}", made)
    assert made == client_order_id(account, analysis, role, attempt)


def test_each_cause_has_its_own_order_id() -> None:
    made = {
        client_order_id(account, analysis, role, attempt)
        for account in ("a", "b")
        for analysis in ("x", "y")
        for role in "estx"
        for attempt in range(50)
    }
    assert len(made) == 2 * 2 * 4 * 50


def test_the_keys_of_a_symbol_share_one_slot() -> None:
    of_symbol = [keys.tick, keys.price, keys.request, keys.analysis, keys.reply, keys.snapshot]
    names = [key("BTCUSDT", 16) for key in of_symbol]
    assert names[0] == "p95:tick:{02}:BTCUSDT"
    of_partition = [keys.checkpoint(2), keys.lease(2), keys.dead_letter_engine(2)]
    assert {re.findall(r"\{(.*)\}", name)[0] for name in [*names, *of_partition]} == {"02"}
    assert len({*names, *of_partition}) == 9


def test_keys_of_services_carry_their_names() -> None:
    assert keys.dead_letter("feed") == "p95:dlq:feed"
    assert keys.heartbeat("feed", "host-1") == "p95:hb:feed:host-1"


def test_a_manual_clock_moves_when_it_is_told_to() -> None:
    clock = ManualClock(5)
    clock.advance(10)
    assert (clock.now_ms(), clock.uncertainty_ms()) == (15, 0.0)
    assert ManualClock(uncertainty_ms=None).uncertainty_ms() is None
