"""Back-off is bounded and jittered, and waiting ends with the stop."""

import asyncio
import time
from itertools import islice

import pytest
from structlog.testing import capture_logs

from phoenix95.common.errors import ConfigError, TransientError
from phoenix95.common.health import Health
from phoenix95.common.retry import StopRequested, backoff, forever, pause


def test_waits_double_up_to_the_cap() -> None:
    waits = backoff(first_s=0.1, cap_s=1.0, chance=lambda: 1.0)
    assert list(islice(waits, 6)) == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


def test_waits_keep_to_their_upper_half_and_never_overflow() -> None:
    low = list(islice(backoff(first_s=0.1, cap_s=5.0, chance=lambda: 0.0), 2000))
    assert low[0] == pytest.approx(0.05)
    assert low[-1] == pytest.approx(2.5)
    assert len({round(wait, 9) for wait in islice(backoff(), 20, 40)}) > 10


async def test_a_pause_ends_with_the_stop_or_the_time() -> None:
    stop = asyncio.Event()
    assert await pause(stop, 0.01) is False
    asyncio.get_running_loop().call_later(0.01, stop.set)
    begun = time.monotonic()
    assert await pause(stop, 30) is True
    assert time.monotonic() - begun < 5
    assert await pause(stop, -1) is True


class Flaky:
    """Fails with each of `errors`, then gives 7."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def __call__(self) -> int:
        if self.errors:
            raise self.errors.pop(0)
        return 7


async def test_what_comes_back_is_returned_and_logged_once_each_way() -> None:
    health = Health()
    connect = Flaky(TransientError("loading"), ConnectionRefusedError("refused"), TimeoutError())
    with capture_logs() as logged:
        assert await forever(connect, name="redis", stop=asyncio.Event(), health=health, cap_s=0.01) == 7
    assert [(line["event"], line["dependency"]) for line in logged] == [
        ("waiting_for", "redis"),
        ("dependency_is_back", "redis"),
    ]
    assert logged[0]["reason"] == "loading"
    assert health.reasons() == {"redis": None}


async def test_what_answers_at_once_is_not_worth_a_line() -> None:
    with capture_logs() as logged:
        assert await forever(Flaky(), name="redis", stop=asyncio.Event()) == 7
    assert logged == []


async def test_health_names_what_is_waited_for() -> None:
    health, stop = Health(), asyncio.Event()

    async def away() -> None:
        raise TransientError("no socket at /x")

    waiting = asyncio.create_task(forever(away, name="postgres", stop=stop, health=health, cap_s=0.01))
    await asyncio.sleep(0.05)
    assert health.reasons() == {"postgres": "waiting for postgres: no socket at /x"}
    stop.set()
    with pytest.raises(StopRequested, match="postgres"):
        await waiting


async def test_a_driver_error_is_waited_out_only_when_it_was_named() -> None:
    stop = asyncio.Event()
    assert await forever(Flaky(LookupError()), name="x", stop=stop, also=(LookupError,), cap_s=0.01) == 7
    with pytest.raises(LookupError):
        await forever(Flaky(LookupError()), name="x", stop=stop)


async def test_a_wrong_setting_is_not_waited_out() -> None:
    with pytest.raises(ConfigError):
        await forever(Flaky(ConfigError("wrong password")), name="redis", stop=asyncio.Event())
