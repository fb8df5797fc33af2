"""The exchange's rules and tiers: kept for an hour, read again when a refusal says so; what is told of a halt."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from phoenix95.common.clock import ManualClock
from phoenix95.common.errors import TransientError, VenueRejected
from phoenix95.executor.core.intents import Intent
from phoenix95.executor.core.listing import NEAR_MS, concern
from phoenix95.executor.core.sizing import Bracket, Lot, Rules
from phoenix95.executor.venue.binance import Binance
from phoenix95.executor.venue.reference import AGAIN_S, MAX_AGE_S
from phoenix95.executor.vigil import look_at_rules

from .conftest import NOW_MS, Stub

D = Decimal
INFO, TIERS = "/fapi/v1/exchangeInfo", "/fapi/v1/leverageBracket"
FAR_MS = 4_133_404_800_000


def symbol(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "symbol": name, "status": "TRADING", "contractType": "PERPETUAL", "deliveryDate": FAR_MS,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "556.80", "maxPrice": "4529764", "tickSize": "0.10"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001", "maxQty": "1000", "minQty": "0.001"},
            {"filterType": "MARKET_LOT_SIZE", "stepSize": "0.002", "maxQty": "120", "minQty": "0.001"},
            {"filterType": "MIN_NOTIONAL", "notional": "100"},
            {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500", "multiplierDown": "0.9500"},
            {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        ],
        **changes,
    }  # fmt: skip


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1_000.0]
    monkeypatch.setattr("phoenix95.executor.venue.reference.monotonic", lambda: now[0])
    return now


async def test_the_rules_say_all_that_an_order_has_to_keep_to(stub: Stub, venue: Binance) -> None:
    stub.say(
        "GET", INFO, 200, {"symbols": [symbol("BTCUSDT"), symbol("NEWUSDT", status="PENDING_TRADING", filters=[])]}
    )
    assert await venue.rules("BTCUSDT") == Rules(
        symbol="BTCUSDT", trading=True, price_tick=D("0.10"), quantity_step=D("0.002"), quantity_min=D("0.001"),
        quantity_max=D(120), notional_min=D(100), status="TRADING", contract_type="PERPETUAL", delivery_ms=FAR_MS,
        lot=Lot(step=D("0.001"), least=D("0.001"), most=D(1000)),
        market_lot=Lot(step=D("0.002"), least=D("0.001"), most=D(120)),
        price_min=D("556.80"), price_max=D(4529764), percent_down=D("0.95"), percent_up=D("1.05"),
    )  # fmt: skip
    assert await venue.rules("NEWUSDT") is None


async def test_tiers_come_lowest_first_and_exact(stub: Stub, venue: Binance) -> None:
    tier = {"bracket": 1, "initialLeverage": 125, "notionalCap": 50000, "notionalFloor": 0, "maintMarginRatio": 0.004}
    second = {**tier, "initialLeverage": 100, "notionalCap": 250000, "notionalFloor": 50000, "maintMarginRatio": 0.005}
    brackets = [{**second, "cum": 50.0}, {**tier, "cum": 0.0}]
    stub.say("GET", TIERS, 200, [{"symbol": "BTCUSDT", "brackets": brackets}])
    first, last = await venue.brackets("BTCUSDT")
    assert first == Bracket(leverage=125, floor=D(0), cap=D(50000), rate=D("0.004"), cum=D(0))
    assert (last.floor, last.rate, last.cum) == (D(50000), D("0.005"), D(50))
    assert await venue.brackets("NOUSDT") == ()
    assert len(stub.asked) == 1


async def test_rules_are_kept_for_an_hour_and_no_longer(stub: Stub, venue: Binance, seconds: list[float]) -> None:
    stub.say("GET", INFO, 200, {"symbols": [symbol("BTCUSDT")]})
    stub.say("GET", INFO, 200, {"symbols": [symbol("BTCUSDT", status="BREAK")]})
    stub.say("GET", INFO, 500)
    assert await venue.rules("BTCUSDT") == await venue.rules("BTCUSDT")
    seconds[0] += MAX_AGE_S
    await venue.rules("BTCUSDT")
    assert len(stub.asked) == 1
    seconds[0] += 1
    changed = await venue.rules("BTCUSDT")
    assert changed is not None
    assert (changed.trading, changed.status) == (False, "BREAK")
    seconds[0] += MAX_AGE_S + 1
    with pytest.raises(TransientError):  # rules that nobody confirms are not relied upon
        await venue.rules("BTCUSDT")


@pytest.mark.parametrize(("code", "again"), [(-4164, True), (-1111, True), (-1121, True), (-2019, False)])
async def test_a_refusal_that_speaks_of_the_rules_has_them_read_again(
    stub: Stub, venue: Binance, an_intent: Callable[..., Intent], seconds: list[float], code: int, again: bool
) -> None:
    stub.say("GET", INFO, 200, {"symbols": [symbol("BTCUSDT")]})
    stub.say("POST", "/fapi/v1/order", 400, {"code": code, "msg": "no"})
    await venue.rules("BTCUSDT")
    with pytest.raises(VenueRejected):
        await venue.place(an_intent())
    seconds[0] += AGAIN_S + 1
    await venue.rules("BTCUSDT")
    assert stub.paths().count(f"GET {INFO}") == (2 if again else 1)


async def test_a_symbol_that_is_not_there_is_looked_for_now_and_then(
    stub: Stub, venue: Binance, seconds: list[float]
) -> None:
    stub.say("GET", INFO, 200, {"symbols": []})
    for step_s in (0, AGAIN_S, 1):
        seconds[0] += step_s
        assert await venue.rules("BTCUSDT") is None
    assert len(stub.asked) == 2


# ---------------------------------------------------------------- halts and delistings


def rules_of(base: Rules, **changes: Any) -> Rules:
    changed: Rules = msgspec.structs.replace(base, **changes)
    return changed


def test_what_is_worth_telling_of_a_held_symbol(rules: Rules) -> None:
    def kind(found: Rules | None) -> str | None:
        told = concern("BTCUSDT", found, NOW_MS)
        return None if told is None else told.kind

    assert kind(rules_of(rules, delivery_ms=FAR_MS)) is None
    assert kind(rules_of(rules, delivery_ms=None)) is None
    assert kind(None) == "symbol_gone"
    assert kind(rules_of(rules, trading=False, status="SETTLING")) == "symbol_halted"
    assert kind(rules_of(rules, delivery_ms=NOW_MS + NEAR_MS + 1)) is None
    assert kind(rules_of(rules, delivery_ms=NOW_MS + NEAR_MS)) == "symbol_delisting"
    assert kind(rules_of(rules, delivery_ms=NOW_MS - 1)) == "symbol_delisting"


class Held:
    """The part of the ledger that is asked: one trade, and the alerts."""

    def __init__(self, group: Any) -> None:
        self.groups = (group,)
        self.alerts: list[tuple[str, str]] = []

    async def active_groups(self) -> tuple[Any, ...]:
        return self.groups

    async def alert(self, severity: str, kind: str, message: str, symbol: str | None) -> None:
        self.alerts.append((kind, message))


async def test_a_halt_of_a_held_symbol_is_told_once_and_again_when_it_returns(
    stub: Stub, venue: Binance, seconds: list[float], a_group: Any
) -> None:
    halted = {"symbols": [symbol("BTCUSDT", status="BREAK"), symbol("ETHUSDT", status="BREAK")]}
    for answer in (halted, halted, {"symbols": [symbol("BTCUSDT")]}, halted):
        stub.say("GET", INFO, 200, answer)
    stub.say("GET", TIERS, 200, [])
    ledger, told = Held(a_group), set[tuple[str, str]]()
    for expected in (1, 1, 1, 2):
        await look_at_rules(venue.reference, ledger, ManualClock(NOW_MS), told)  # type: ignore[arg-type]
        assert len(ledger.alerts) == expected
        seconds[0] += MAX_AGE_S + 1
    assert {kind for kind, _ in ledger.alerts} == {"symbol_halted"}
    assert "BREAK" in ledger.alerts[0][1]
