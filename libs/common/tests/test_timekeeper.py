"""Exchange time between measurements: carried at the exchange's rate, with an honest uncertainty."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from phoenix95.common.clock import Clock
from phoenix95.common.errors import TransientError
from phoenix95.common.settings import Settings
from phoenix95.common.timekeeper import Anchor, ExchangeClock, Reading, boot_clock_ns, exchange_clock

MS = 1_000_000  # ns
SECOND = 1000 * MS


class Exchange:
    """An exchange and our boot clock: each answer takes `there_ms` and `back_ms` of our time."""

    def __init__(self, server_ms: int = 1_000_000, rate: float = 1.0) -> None:
        self.ns = 0
        self.server_ms = float(server_ms)
        self.rate = rate
        self.there_ms = self.back_ms = 5
        self.away = False

    def pass_ms(self, ms: float) -> None:
        self.ns += int(ms * MS)
        self.server_ms += ms * self.rate

    def boot_ns(self) -> int:
        return self.ns

    async def fetch(self) -> Reading:
        if self.away:
            raise TransientError("refused")
        self.pass_ms(self.there_ms)
        reading = Reading(server_time=int(self.server_ms), rate=self.rate)
        self.pass_ms(self.back_ms)
        return reading


def clock_of(exchange: Exchange, every_s: float = 30.0) -> ExchangeClock:
    return ExchangeClock(exchange.fetch, every_s=every_s, boot_ns=exchange.boot_ns)


def error_ms(clock: ExchangeClock, exchange: Exchange) -> float:
    return abs(clock.now_ms() - exchange.server_ms)


def width_ms(clock: ExchangeClock) -> float:
    width = clock.uncertainty_ms()
    assert width is not None
    return width


def test_it_is_a_clock() -> None:
    clock: Clock = clock_of(Exchange())
    assert clock.uncertainty_ms() is None


def test_unmeasured_time_is_an_error_and_a_reason() -> None:
    clock = clock_of(Exchange())
    with pytest.raises(TransientError):
        clock.now_ms()
    with pytest.raises(TransientError):
        _ = clock.rate
    assert clock.reason() is not None


@pytest.mark.parametrize("rate", [1.0, 10.0, 0.0, 0.5])
async def test_time_is_carried_at_the_exchange_s_rate(rate: float) -> None:
    exchange = Exchange(rate=rate)
    clock = clock_of(exchange)
    await clock.measure()
    exchange.pass_ms(20_000)
    assert error_ms(clock, exchange) <= 1
    assert clock.rate == rate
    assert clock.reason() is None


@given(
    there=st.integers(0, 500),
    back=st.integers(0, 500),
    rate=st.sampled_from([0.0, 1.0, 10.0]),
    after=st.integers(0, 100_000),
)
def test_the_truth_lies_within_the_uncertainty(there: int, back: int, rate: float, after: int) -> None:
    exchange = Exchange(rate=rate)
    exchange.there_ms, exchange.back_ms = there, back
    clock = clock_of(exchange)
    asyncio.run(clock.measure())
    exchange.pass_ms(after)
    assert error_ms(clock, exchange) <= width_ms(clock) + 1  # now_ms cuts to whole ms


async def test_uncertainty_is_half_the_round_trip_and_grows() -> None:
    exchange = Exchange()
    clock = clock_of(exchange)
    await clock.measure()
    assert width_ms(clock) == pytest.approx(5.5, abs=0.01)
    exchange.pass_ms(60_000)
    assert width_ms(clock) == pytest.approx(11.5, abs=0.01)


async def test_a_measurement_older_than_two_minutes_says_nothing() -> None:
    exchange = Exchange()
    clock = clock_of(exchange)
    await clock.measure()
    exchange.ns += 120 * SECOND
    assert clock.uncertainty_ms() is not None
    exchange.ns += 1
    assert clock.uncertainty_ms() is None
    assert clock.reason() == "exchange time was not measured for 2 minutes"


async def test_a_slow_answer_does_not_spoil_a_good_one_but_confirms_it() -> None:
    exchange = Exchange()
    clock = clock_of(exchange)
    await clock.measure()
    exchange.pass_ms(100_000)
    before = width_ms(clock)
    exchange.there_ms, exchange.back_ms = 0, 900
    await clock.measure()
    assert width_ms(clock) == pytest.approx(before, abs=0.2)
    assert error_ms(clock, exchange) <= width_ms(clock) + 1
    exchange.pass_ms(100_000)
    assert clock.uncertainty_ms() is not None


async def test_an_exchange_that_stepped_is_believed() -> None:
    exchange = Exchange()
    clock = clock_of(exchange)
    await clock.measure()
    exchange.server_ms -= 5_000
    exchange.there_ms = exchange.back_ms = 50
    await clock.measure()
    assert error_ms(clock, exchange) <= 51


async def test_time_that_starts_to_run_is_followed_at_the_next_measurement() -> None:
    exchange = Exchange(rate=0.0)
    clock = clock_of(exchange)
    await clock.measure()
    exchange.pass_ms(10_000)
    exchange.rate = 10.0
    await clock.measure()
    exchange.pass_ms(1_000)
    assert error_ms(clock, exchange) <= 1
    assert clock.rate == 10.0


def test_an_anchor_reads_backwards_too() -> None:
    anchor = Anchor(server_ms=1000.0, boot_ns=5 * SECOND, rate=2.0, uncertainty_ms=1.0)
    assert anchor.at(4 * SECOND) == -1000.0
    assert anchor.uncertainty_at(4 * SECOND) == pytest.approx(1.2)


def test_the_boot_clock_moves() -> None:
    first = boot_clock_ns()
    assert boot_clock_ns() >= first > 0


# ---------------------------------------------------------------- keeping it


async def test_keep_measures_again_and_says_once_that_the_exchange_is_away() -> None:
    exchange, stop = Exchange(), asyncio.Event()
    exchange.away = True
    closed: list[bool] = []

    async def close() -> None:
        closed.append(True)

    clock = ExchangeClock(exchange.fetch, every_s=0.02, boot_ns=exchange.boot_ns, close=close)
    with capture_logs() as logged:
        keeping = asyncio.create_task(clock.keep(stop))
        await asyncio.sleep(0.1)
        exchange.away = False
        assert await clock.measured(stop)
        measured_at = exchange.ns
        await asyncio.sleep(0.1)
        assert exchange.ns > measured_at
        stop.set()
        await keeping
    assert [line["event"] for line in logged] == ["exchange_time_away", "exchange_time_back"]
    assert closed == [True]


async def test_the_first_measurement_pays_for_the_connection_and_is_bettered_at_once() -> None:
    exchange, stop = Exchange(), asyncio.Event()
    exchange.there_ms = exchange.back_ms = 250

    async def fetch() -> Reading:
        reading = await exchange.fetch()
        exchange.there_ms = exchange.back_ms = 5
        return reading

    clock = ExchangeClock(fetch, every_s=3_600, boot_ns=exchange.boot_ns)
    keeping = asyncio.create_task(clock.keep(stop))
    for _ in range(100):  # turns of the loop, not time
        await asyncio.sleep(0)
    uncertainty = clock.uncertainty_ms()
    assert uncertainty is not None
    assert uncertainty < 10
    stop.set()
    await keeping


async def test_doubt_makes_it_measure_again_at_once_but_not_endlessly() -> None:
    exchange, stop = Exchange(), asyncio.Event()
    clock = ExchangeClock(exchange.fetch, every_s=3_600, boot_ns=exchange.boot_ns)
    keeping = asyncio.create_task(clock.keep(stop))
    assert await clock.measured(stop)
    exchange.server_ms += 60_000  # our own clock was set back, say
    clock.doubt()
    await asyncio.sleep(0)
    assert error_ms(clock, exchange) > 50_000  # it was measured a moment ago
    exchange.pass_ms(2_000)
    clock.doubt()
    for _ in range(100):  # turns of the loop, not time
        await asyncio.sleep(0)
    assert error_ms(clock, exchange) < 1_000
    stop.set()
    await keeping


async def test_waiting_for_the_first_measurement_ends_with_the_stop() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, stop.set)
    assert await clock_of(Exchange()).measured(stop) is False


# ---------------------------------------------------------------- over HTTP

Answer = tuple[int, bytes]


@pytest.fixture
async def server() -> AsyncIterator[Callable[[dict[str, Answer]], str]]:
    """A real HTTP server on a free port; give it the pages, get its address."""
    pages: dict[str, Answer] = {}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
        status, body = pages.get(path, (404, b""))
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (status, len(body), body))
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)

    def serve(given: dict[str, Answer]) -> str:
        pages.update(given)
        return f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"

    yield serve
    listening.close()


async def test_paper_time_comes_with_its_rate(server: Callable[[dict[str, Answer]], str]) -> None:
    body = json.dumps({"serverTime": 1_721_347_200_000, "rate": 10.0, "originMs": 1_721_347_200_000}).encode()
    url = server({"/paper/v1/clock": (200, body)})
    clock = exchange_clock(Settings(exchange_rest_url=url))
    await clock.measure()
    assert clock.rate == 10.0
    assert 0 <= clock.now_ms() - 1_721_347_200_000 < 60_000
    await clock.aclose()


async def test_live_time_runs_at_our_rate(server: Callable[[dict[str, Answer]], str]) -> None:
    url = server({"/fapi/v1/time": (200, b'{"serverTime":1721347200000}')})
    settings = Settings(mode="live")
    msgspec.structs.force_setattr(settings, "exchange_rest_url", url)  # no live address may be one of this computer
    clock = exchange_clock(settings)
    await clock.measure()
    assert clock.rate == 1.0
    await clock.aclose()


@pytest.mark.parametrize(
    "answer", [(429, b"{}"), (500, b""), (200, b"<html>"), (200, b"{}"), (200, b'{"serverTime":"x"}')]
)
async def test_an_answer_that_is_none_is_transient_and_names_the_address(
    answer: Answer, server: Callable[[dict[str, Answer]], str]
) -> None:
    url = server({"/paper/v1/clock": answer})
    clock = exchange_clock(Settings(exchange_rest_url=url))
    with pytest.raises(TransientError, match="/paper/v1/clock"):
        await clock.measure()
    await clock.aclose()


async def test_an_exchange_that_is_away_is_transient(server: Callable[[dict[str, Answer]], str]) -> None:
    clock = exchange_clock(Settings(exchange_rest_url="http://127.0.0.1:1"))
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:1"):
        await clock.measure()
    await clock.aclose()
    await clock.aclose()
