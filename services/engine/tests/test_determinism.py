"""The same log gives the same bytes: in any batches, from any checkpoint, whatever was asked in between."""

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phoenix95.common.events import Analysis, Event, Gap, Request, Resume, Seed, Trade
from phoenix95.common.ids import StreamId
from phoenix95.common.wire import encode
from phoenix95.engine.core.answer import answer
from phoenix95.engine.core.config import Config, checked
from phoenix95.engine.core.fold import Published, Unreadable, fold_entries
from phoenix95.engine.core.state import SymbolState, adopt, decode_state, encode_state, new_state

LogEntry = tuple[str, dict[bytes, bytes]]
MakeLog = Callable[..., list[LogEntry]]
CONFIG = checked(Config(bar_ms=(5_000, 60_000, 300_000)))
T0 = 1_721_347_200_000


def as_bytes(outputs: list[Published]) -> list[tuple[str, bytes]]:
    return [(str(output.id), encode(output.event)) for output in outputs]


def in_batches(state: SymbolState, log: list[LogEntry], sizes: list[int]) -> list[tuple[str, bytes]]:
    """Fold in batches of these sizes, again and again; store and load the state after every batch of size 1."""
    found, at, turn = [], 0, 0
    while at < len(log):
        size = sizes[turn % len(sizes)]
        found += as_bytes(fold_entries(state, log[at : at + size]).published)
        if size == 1:
            state = decode_state(encode_state(state))
        at, turn = at + size, turn + 1
    return [*found, ("state", encode_state(state))]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), sizes=st.lists(st.integers(1, 400), min_size=1, max_size=8))
def test_batches_of_any_size_give_the_same_bytes(make_log: MakeLog, seed: int, sizes: list[int]) -> None:
    log = make_log(seed, seeds=60, minutes=20)
    whole = in_batches(new_state("BTCUSDT", CONFIG), log, [len(log)])
    assert len(whole) > 40
    assert in_batches(new_state("BTCUSDT", CONFIG), log, sizes) == whole


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), share=st.floats(0, 1), behind=st.integers(0, 300))
def test_a_restart_from_an_older_state_gives_again_what_is_stored(
    make_log: MakeLog, seed: int, share: float, behind: int
) -> None:
    log = make_log(seed, seeds=60, minutes=20)
    whole = dict(in_batches(new_state("BTCUSDT", CONFIG), log, [len(log)]))
    kept = max(0, int(share * len(log)) - behind)
    before = new_state("BTCUSDT", CONFIG)
    fold_entries(before, log[:kept])
    again = dict(in_batches(decode_state(encode_state(before)), log[kept:], [17, 1, 250]))
    assert again["state"] == whole["state"]
    assert again.items() <= whole.items()


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
def test_a_change_of_config_gives_the_same_bytes_wherever_it_is_stored(make_log: MakeLog, seed: int) -> None:
    log = make_log(seed, seeds=60, minutes=10)
    other = Config(max_spread_bps=11.0)
    results = []
    for sizes in ([50], [1, 7]):
        state = new_state("BTCUSDT", CONFIG)
        found = in_batches(state, log[:100], [100])
        state = decode_state(found.pop()[1])
        adopt(state, other)
        results.append(found + in_batches(decode_state(encode_state(state)), log[100:], sizes))
    assert results[0] == results[1]


def test_asking_changes_nothing(make_log: MakeLog) -> None:
    log = make_log(3, seeds=60, minutes=10)
    state = new_state("BTCUSDT", CONFIG)
    fold_entries(state, log)
    before = encode_state(state)
    for side in (None, "BUY", "SELL"):
        answer(state, StreamId(T0, 1), Request(symbol="BTCUSDT", requested_at=state.ms, side=side, confidence=0.9))
    assert encode_state(state) == before


def test_a_reply_can_be_given_again_from_the_log_and_its_as_of(make_log: MakeLog) -> None:
    log = make_log(3, seeds=60, minutes=10)
    request = Request(symbol="BTCUSDT", requested_at=T0, side="BUY", confidence=0.9)
    state = new_state("BTCUSDT", CONFIG)
    fold_entries(state, log[:400])
    given_then = answer(state, StreamId(T0, 1), request)
    cut = [entry_id for entry_id, _ in log].index(given_then.as_of)
    again = new_state("BTCUSDT", CONFIG)
    fold_entries(again, log[: cut + 1])
    assert encode(answer(again, StreamId(T0, 1), request)) == encode(given_then)


numbers = st.sampled_from(["1", "0.5", "100", "99.5", "0", "-1", "nan", "1e3", "x", "", "1e400", "9" * 30])
prices = st.sampled_from(["100", "100.5", "99", "101.25", "50", "1e-3", "nan", "-5", "1e13"])
ticks: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        Trade,
        price=prices,
        quantity=numbers,
        buyer_is_maker=st.booleans(),
        received_ms=st.integers(0, 10),
        bid=st.none() | prices,
        ask=st.none() | prices,
        mark=st.none() | prices,
        funding=st.none() | numbers,
    ),
    st.builds(Gap, first=st.integers(0, 9), last=st.integers(0, 9)),
    st.builds(Resume, after=st.just("0-0")),
    st.builds(
        Seed,
        open_time=st.integers(0, 40).map(lambda minute: T0 + minute * 60_000),
        length_ms=st.sampled_from([60_000, 0, -1, 30_000]),
        open=prices,
        high=prices,
        low=prices,
        close=prices,
        volume=numbers,
    ),
)
steps = st.tuples(st.integers(0, 90_000), st.integers(0, 3), ticks | st.none())


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(steps, max_size=60))
def test_no_log_however_strange_breaks_the_fold_or_its_determinism(steps: list[tuple[int, int, Event | None]]) -> None:
    log, ms, seq = [], T0, 0
    for wait, jump, tick in steps:
        ms, seq = ms + wait, (0 if isinstance(tick, Seed | Resume) else seq + jump)
        log.append((f"{ms}-{seq}", {b"d": b"{}" if tick is None else encode(tick)}))
    whole = in_batches(new_state("X", CONFIG), log, [len(log) + 1])
    assert in_batches(new_state("X", CONFIG), log, [1, 3]) == whole
    dead: list[Unreadable] = fold_entries(new_state("X", CONFIG), log).unreadable
    assert {entry_id for entry_id, _, _ in dead} <= {entry_id for entry_id, _ in log}


def test_outputs_are_stored_in_the_order_of_their_ids(make_log: MakeLog) -> None:
    state = new_state("BTCUSDT", CONFIG)
    found = fold_entries(state, make_log(9, seeds=60, minutes=30)).published
    ids = [output.id for output in found]
    assert ids == sorted(set(ids))
    assert all(isinstance(output.event, Analysis) and output.event.cause == str(output.cause) for output in found)
