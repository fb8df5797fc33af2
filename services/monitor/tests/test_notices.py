"""What people are told in which words, and how much of it."""

import pytest

from phoenix95.common.events import Alert, Decided, OrderChanged, PositionChanged, Verdict
from phoenix95.monitor.core.bucket import CAPACITY, RESERVE, Bucket, take
from phoenix95.monitor.core.notices import (
    BODY_MAX,
    notice_of_alert,
    notice_of_message,
    notice_of_order,
    system_event,
)
from phoenix95.monitor.core.repeats import REMEMBERED, Repeats

VERDICT = Verdict(gate="confidence", stage="signal", reason="0.6 is below 0.75", numbers={})


def decided(**changes):
    values = {"action": "EXECUTE", "side": "BUY", "accepted": False, "reason": "confidence: 0.6", **changes}
    return Decided(analysis_id="a", symbol="BTCUSDT", ts=1, **values)


def order(**changes):
    values = {"role": "entry", "state": "REJECTED", "side": "BUY", "quantity": "0.5", **changes}
    return OrderChanged(analysis_id="a", symbol="BTCUSDT", ts=1, client_id="c", **values)


def position(state, **changes):
    values = {"side": "long", "size": "0.5", "entry_price": "100", **changes}
    return PositionChanged(analysis_id="a", symbol="BTCUSDT", ts=1, state=state, **values)


CLOSED = {"exit_price": "98", "exit_reason": "stop_loss", "fees": "0.1"}


@pytest.mark.parametrize(
    ("event", "severity", "title", "body"),
    [
        (position("opened"), "success", "trade opened BTCUSDT", "long 0.5 BTCUSDT at 100"),
        (
            position("closed", realized_pnl="-1.1", **CLOSED),
            "warning",
            "trade closed BTCUSDT",
            "long 0.5 BTCUSDT from 100 to 98 by stop loss, result -1.1 after fees",
        ),
        (
            position("closed", realized_pnl="0", **CLOSED),
            "success",
            "trade closed BTCUSDT",
            "long 0.5 BTCUSDT from 100 to 98 by stop loss, result 0 after fees",
        ),
        (position("closed"), "success", "trade closed BTCUSDT", "long 0.5 BTCUSDT from 100 to unknown by closed"),
        (order(reason="-2019: no margin"), "error", "trade failed BTCUSDT", "entry BUY 0.5 BTCUSDT: -2019: no margin"),
        (order(state="ABSENT"), "error", "trade failed BTCUSDT", "entry BUY 0.5 BTCUSDT: the exchange says ABSENT"),
        (order(role="stop", side="SELL"), "error", "stop refused BTCUSDT", None),
        (decided(verdicts=(VERDICT,)), "warning", "trade refused BTCUSDT", None),
        (decided(action="ERROR", side=None, reason="no tick"), "error", "analysis failed BTCUSDT", "no tick"),
    ],
)
def test_success_failure_and_error_of_a_trade_are_told(event, severity, title, body):
    notice = notice_of_order(event)
    assert (notice.severity, notice.title) == (severity, f"{severity.capitalize()}: {title}")
    assert body is None or notice.body == body
    assert notice.urgent == (severity == "error")


@pytest.mark.parametrize(
    "event",
    [
        position("protected"),
        order(state="SENT"),
        order(state="FILLED", filled="0.5"),
        order(state="EXPIRED", filled="0.1"),  # partly filled is a position, which is told of
        order(role="stop", state="CANCELED"),
        decided(accepted=True, verdicts=(VERDICT,)),
        decided(reason="only an analysis was asked for"),
        decided(action="HOLD", side=None),
    ],
)
def test_steps_on_the_way_are_not_told(event):
    assert notice_of_order(event) is None


def test_an_alert_names_its_service_and_symbol():
    alert = Alert(
        ts_wall_ms=5, service="executor", severity="critical", kind="exit_refused", message="no", symbol="BTCUSDT"
    )
    notice = notice_of_alert(alert)
    assert (notice.title, notice.body) == ("Critical: exit refused BTCUSDT", "no (executor)")
    assert notice.urgent
    row = system_event(alert, "7-0")
    assert (row.event_type, row.severity, row.component, row.symbol) == (
        "exit_refused", "critical", "executor", "BTCUSDT",
    )  # fmt: skip
    assert (row.wall_ms, row.details["alert"]) == (5, "7-0")


def test_good_news_is_information_in_the_ledger():
    row = system_event(Alert(ts_wall_ms=5, service="monitor", severity="success", kind="uptime", message="up"), "7-0")
    assert (row.severity, row.details["severity"]) == ("info", "success")


def test_what_is_too_long_is_cut():
    assert notice_of_message("x" * BODY_MAX, "info").body == "x" * BODY_MAX
    assert notice_of_message("x" * (BODY_MAX + 1), "info").body == "x" * (BODY_MAX - 1) + "…"


# ---------------------------------------------------------------- how much


def test_a_bucket_empties_keeps_a_reserve_for_what_is_urgent_and_fills_again():
    bucket = Bucket(float(CAPACITY), 0)
    taken = 0
    while (answer := take(bucket, 0, urgent=False))[0]:
        taken, bucket = taken + 1, answer[1]
    assert taken == CAPACITY - RESERVE
    for _ in range(RESERVE):
        allowed, bucket = take(bucket, 0, urgent=True)
        assert allowed
    assert not take(bucket, 2_999, urgent=True)[0]
    assert take(bucket, 3_000, urgent=True)[0]  # twenty a minute
    assert take(bucket, 10**9, urgent=True)[1].tokens == CAPACITY - 1


def test_the_same_is_told_again_after_its_time():
    repeats = Repeats(100)
    assert [repeats.is_new("a", now) for now in (0, 99, 100, 101, 200)] == [True, False, True, False, True]
    assert repeats.is_new("b", 200)


def test_what_was_told_is_remembered_up_to_a_bound():
    repeats = Repeats(10**9)
    for number in range(REMEMBERED + 1):
        assert repeats.is_new(str(number), 0)
    assert repeats.is_new("0", 0)  # forgotten
    assert not repeats.is_new(str(REMEMBERED), 0)
