"""The result cache: a recalled answer has the bytes of a computed one, and is remembered no longer than it holds."""

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from phoenix95.common import keys
from phoenix95.common.bus.commit import Checkpoint, Output
from phoenix95.common.events import Event, Request, Trade
from phoenix95.common.ids import STREAM_START, StreamId
from phoenix95.common.metrics import Metrics
from phoenix95.common.wire import encode
from phoenix95.engine.core.answer import answer
from phoenix95.engine.core.config import Config
from phoenix95.engine.core.fold import fold
from phoenix95.engine.core.recall import REMEMBERED, Recall
from phoenix95.engine.core.state import SymbolState, adopt, new_state
from phoenix95.engine.gauges import Gauges
from phoenix95.engine.holding import Holding

T0 = 1_721_347_200_000
CONFIG = Config()
OTHER = Config(outside_fraction=0.005, stale_ms=1_000)
LogEntry = tuple[str, dict[bytes, bytes]]
MakeLog = Callable[..., list[LogEntry]]


def a_trade(price: float = 100.0) -> Trade:
    return Trade(
        price=f"{price:.4f}", quantity="1", buyer_is_maker=False, received_ms=0,
        bid=f"{price - 0.01:.4f}", ask=f"{price + 0.01:.4f}",
    )  # fmt: skip


def cold() -> SymbolState:
    state = new_state("BTCUSDT", CONFIG)
    fold(state, StreamId(T0, 5), a_trade())
    return state


def ask(**fields: Any) -> Request:
    return Request(symbol="BTCUSDT", **{"requested_at": T0 + 500, "side": "BUY", "confidence": 0.9, **fields})


odd = st.none() | st.sampled_from([0.0, -0.0, 0.5, 1.0, 70.0, 99.0, 101.0, 100.0, float("inf"), float("nan")])
times = st.sampled_from([-60_001, -60_000, -1, 0, 1, 999, 1_001, 60_000, 60_001]).map(T0.__add__)
questions = st.builds(
    ask,
    side=st.sampled_from([None, "BUY", "SELL"]),
    confidence=st.sampled_from([None, 0.9]),
    trade=st.booleans(),
    hold_ms=st.sampled_from([None, 0, 5_000, 10**30]),
)
# Ask question `n`, at a time, with one field changed; or let the market or the config move.
asking = st.tuples(
    st.integers(0, 1),
    times,
    st.none() | st.tuples(st.sampled_from(["price", "rsi", "macd", "stop_loss", "take_profit"]), odd),
)
moving = st.floats(95, 105).map(a_trade) | st.sampled_from([CONFIG, OTHER])


@settings(max_examples=300, deadline=None)
@given(
    pool=st.lists(questions, min_size=2, max_size=2),
    steps=st.lists(st.lists(asking, min_size=1, max_size=12) | moving, max_size=8),
)
def test_a_recalled_answer_has_the_bytes_of_a_computed_one(
    pool: list[Request], steps: list[list[tuple[int, int, tuple[str, float | None] | None]] | Trade | Config]
) -> None:
    state, recall = cold(), Recall()
    for number, step in enumerate(steps, start=6):
        if isinstance(step, Trade):
            fold(state, StreamId(T0 + number, number), step)
            continue
        if isinstance(step, Config):
            adopt(state, step)
            continue
        for place, (n, asked_at, change) in enumerate(step):
            fields = {"requested_at": asked_at} | ({} if change is None else dict([change]))
            request = msgspec.structs.replace(pool[n], **fields)
            request_id = StreamId(T0 + number, place)
            found, _ = recall.answer(state, request_id, request)
            assert encode(found) == encode(answer(state, request_id, request))


def test_the_same_question_about_the_same_moment_is_recalled() -> None:
    state, recall = cold(), Recall()
    first, hit = recall.answer(state, StreamId(T0 + 1, 0), ask())
    assert not hit
    again, hit = recall.answer(state, StreamId(T0 + 2, 0), ask(requested_at=T0 + 900))
    assert hit
    assert (again.id, again.request) == (f"momentum-BTCUSDT-r{T0 + 2}-0", f"{T0 + 2}-0")
    assert (again.ts, again.expires_at) == (T0 + 900, T0 + 2_400)
    assert (again.action, again.stop_loss, again.reasoning) == (first.action, first.stop_loss, first.reasoning)
    assert not recall.answer(state, StreamId(T0 + 3, 0), ask(confidence=0.91))[1]
    for price in (0.0, -0.0):  # equal, and told apart in the answer
        found, hit = recall.answer(state, StreamId(T0 + 3, 1), ask(price=price))
        assert (found.reasoning, hit) == ((f"price {price} is not above 0",), False)
    fold(state, StreamId(T0 + 4, 6), a_trade())
    assert not recall.answer(state, StreamId(T0 + 5, 0), ask())[1]
    assert len(recall) == 1


def test_another_config_and_a_stale_question_are_computed() -> None:
    state, recall = cold(), Recall()
    for stale in (T0 + 60_001, T0 - 60_001):
        assert not recall.answer(state, StreamId(T0, 0), ask(requested_at=stale))[1]
    assert len(recall) == 0
    assert not recall.answer(state, StreamId(T0, 1), ask())[1]
    assert recall.answer(state, StreamId(T0, 2), ask(requested_at=T0 + 60_000))[1]
    assert not recall.answer(state, StreamId(T0, 3), ask(requested_at=T0 + 60_001))[1]
    adopt(state, OTHER)
    assert not recall.answer(state, StreamId(T0, 4), ask())[1]


def test_only_so_many_answers_are_remembered() -> None:
    state, recall = cold(), Recall()
    for n in range(REMEMBERED + 1):
        recall.answer(state, StreamId(T0, n), ask(volume=float(n)))
    assert len(recall) == REMEMBERED
    assert not recall.answer(state, StreamId(T0 + 1, 0), ask(volume=0.0))[1]
    assert recall.answer(state, StreamId(T0 + 1, 1), ask(volume=float(REMEMBERED)))[1]


def entry(entry_id: str, event: Event) -> LogEntry:
    return entry_id, {b"d": encode(event)}


def test_replies_are_stamped_and_hits_are_counted() -> None:
    checkpoint = Checkpoint(token="t", epoch=1, n=1, version="", offsets={}, states={})
    holding = Holding(0, checkpoint, CONFIG, partitions=1, dead_letters_top=STREAM_START)
    asked = [entry(f"{T0 + 600 + n}-0", ask()) for n in range(3)]
    holding.offsets(["BTCUSDT"])
    taken = holding.take(
        ["BTCUSDT"],
        [(keys.tick("BTCUSDT", 1), [entry(f"{T0}-5", a_trade())]), (keys.request("BTCUSDT", 1), asked)],
        at_most=500,
        wall_ms=T0 + 700,
    )
    assert (taken.replies, taken.recalled) == (3, 2)
    replies = [output for output in holding.outputs if output.key == keys.reply("BTCUSDT", 1)]
    assert [stamps_of(reply) for reply in replies] == [
        f'{{"received":{T0 + 600 + n},"folded":{T0 + 700},"cache_hit":{hit}}}'
        for n, hit in enumerate(("false", "true", "true"))
    ]
    metrics = Metrics()
    Gauges(metrics).took(taken, seconds=0.001, wall_ms=T0 + 700)
    assert metrics.registry.get_sample_value("p95_engine_replies_recalled_total") == 2
    assert metrics.registry.get_sample_value("p95_engine_replies_total") == 3


def test_an_analysis_at_a_bars_close_is_never_recalled(make_log: MakeLog) -> None:
    checkpoint = Checkpoint(token="t", epoch=1, n=1, version="", offsets={}, states={})
    holding = Holding(0, checkpoint, CONFIG, partitions=1, dead_letters_top=STREAM_START)
    holding.offsets(["BTCUSDT"])
    holding.take(["BTCUSDT"], [(keys.tick("BTCUSDT", 1), make_log(3, minutes=5))], at_most=5_000, wall_ms=T0)
    assert holding.outputs
    assert all('"cache_hit":false' in stamps_of(output) for output in holding.outputs)


def stamps_of(output: Output) -> str:
    assert output.s is not None
    return output.s.decode()
