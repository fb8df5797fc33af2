"""/readyz: a service is ready when nothing speaks against it, and says what does."""

import json

import pytest

from phoenix95.common.health import Health


def test_it_is_not_ready_before_anything_was_checked() -> None:
    health = Health("toy")
    assert not health.ready
    assert health.reasons() == {"starting": "starting"}


def test_each_check_is_asked_each_time() -> None:
    health = Health("toy", "paper")
    away: list[str] = ["redis is away"]
    health.check("redis", lambda: away[0] if away else None)
    health.check("exchange", lambda: None)
    ready, body = health.as_json()
    assert not ready
    assert json.loads(body)["checks"] == {"redis": "redis is away", "exchange": "ok"}
    away.clear()
    ready, body = health.as_json()
    assert ready
    assert json.loads(body) == {
        "service": "toy",
        "mode": "paper",
        "ready": True,
        "checks": {"redis": "ok", "exchange": "ok"},
        "progress_s_ago": {},
    }


def test_a_check_that_raises_is_a_reason() -> None:
    health = Health()

    def broken() -> str | None:
        raise KeyError("x")

    health.check("broken", broken)
    assert health.reasons() == {"broken": "check failed: KeyError: 'x'"}


def test_a_reason_that_was_set_holds_until_it_is_taken_back() -> None:
    health = Health()
    health.set("redis", "waiting")
    assert not health.ready
    health.set("redis", None)
    assert health.ready


def test_a_stopping_service_is_not_ready() -> None:
    health = Health()
    health.set("redis", None)
    health.stopping = True
    assert health.reasons() == {"redis": None, "stopping": "asked to stop"}


def test_progress_is_counted_from_its_last_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("phoenix95.common.health.time.monotonic", lambda: now[0])
    health = Health()
    assert health.progress_age_s("ticks") is None
    health.progress("ticks")
    now[0] += 2.5
    assert health.progress_age_s("ticks") == 2.5
    assert json.loads(health.as_json()[1])["progress_s_ago"] == {"ticks": 2.5}
    health.progress("ticks")
    assert health.progress_age_s("ticks") == 0.0


def test_heartbeats_see_the_wall_time_of_the_last_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = [1_000_000_000]
    monkeypatch.setattr("phoenix95.common.health.time.time_ns", lambda: wall[0])
    health = Health()
    assert health.progress_wall_ms() == 1000
    wall[0] = 2_000_000_000
    assert health.progress_wall_ms() == 1000
    health.progress("ticks")
    assert health.progress_wall_ms() == 2000
