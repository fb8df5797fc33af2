"""What goes over the wire in each position mode and margin type, and what the exchange's refusals of them become."""

from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from phoenix95.common.errors import ConfigError, OutcomeUnknown, TransientError, VenueRejected
from phoenix95.executor.core.intents import Intent, Role
from phoenix95.executor.reading import AccountView
from phoenix95.executor.service import greet
from phoenix95.executor.venue.binance import Binance
from phoenix95.executor.venue.exchange import Requests
from phoenix95.executor.venue.truth import Truths

from .conftest import NOW_MS, Stub

Make = Callable[..., Intent]
DUAL, MARGIN = "/fapi/v1/positionSide/dual", "/fapi/v1/marginType"


def account(requests: Requests, **settings: Any) -> Binance:
    return Binance(requests, lambda: NOW_MS, 5_000, **settings)


@pytest.mark.parametrize(
    ("hedge", "role", "expected"),
    [
        (True, "entry", {"side": "BUY", "positionSide": "LONG"}),
        (True, "exit", {"side": "SELL", "positionSide": "LONG"}),
        (True, "stop", {"side": "SELL", "positionSide": "LONG"}),
        (False, "entry", {"side": "BUY", "positionSide": "BOTH"}),
        (False, "exit", {"side": "SELL", "positionSide": "BOTH", "reduceOnly": "true"}),
        (False, "stop", {"side": "SELL", "positionSide": "BOTH", "reduceOnly": "true"}),
        (False, "target", {"side": "SELL", "positionSide": "BOTH", "reduceOnly": "true"}),
    ],
)
async def test_a_position_side_or_reduce_only_but_never_both(
    stub: Stub, requests: Requests, an_intent: Make, hedge: bool, role: Role, expected: dict[str, str]
) -> None:
    venue, intent = account(requests, hedge=hedge), an_intent(role)
    with pytest.raises(OutcomeUnknown):  # the stub's empty answer
        await (venue.place_conditional(intent) if intent.conditional else venue.place(intent))
    sent = stub.asked[0].params
    assert {key: sent[key] for key in ("side", "positionSide", "reduceOnly") if key in sent} == expected
    assert (sent["timestamp"], sent["recvWindow"]) == (str(NOW_MS), "5000")  # what was stored, not what it is now


@pytest.mark.parametrize(
    ("role", "changes", "expected"),
    [
        ("stop", {"trigger_price": Decimal("990.0")}, {"type": "STOP_MARKET", "triggerPrice": "990"}),
        ("target", {"trigger_price": Decimal(1020)}, {"type": "TAKE_PROFIT_MARKET", "triggerPrice": "1020"}),
        (
            "trail",
            {"trigger_price": None, "callback_rate": Decimal("1.20")},
            {"type": "TRAILING_STOP_MARKET", "callbackRate": "1.2"},
        ),
        (
            "trail",
            {"trigger_price": Decimal(1010), "callback_rate": Decimal(20)},
            {"type": "TRAILING_STOP_MARKET", "callbackRate": "20", "activatePrice": "1010"},
        ),
    ],
)
async def test_what_sets_a_conditional_order_off(
    stub: Stub, requests: Requests, an_intent: Make, role: Role, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    intent = msgspec.structs.replace(an_intent("stop"), role=role, **changes)
    assert intent.conditional
    with pytest.raises(OutcomeUnknown):  # the stub's empty answer
        await account(requests).place_conditional(intent)
    (sent,) = stub.asked
    names = ("type", "triggerPrice", "callbackRate", "activatePrice")
    assert (sent.path, {key: sent.params[key] for key in names if key in sent.params}) == (
        "/fapi/v1/algoOrder",
        expected,
    )


async def test_a_one_way_position_is_long_or_short_by_its_sign(stub: Stub, requests: Requests) -> None:
    row = {"entryPrice": "1", "markPrice": "1", "unRealizedProfit": "0", "positionSide": "BOTH"}
    amounts = {"BTCUSDT": "0.5", "ETHUSDT": "-2", "BNBUSDT": "0"}
    stub.say("GET", "/fapi/v3/positionRisk", 200, [{**row, "symbol": s, "positionAmt": a} for s, a in amounts.items()])
    found = {one.symbol: (one.position_side, one.size) for one in await account(requests, hedge=False).positions()}
    assert found == {"BTCUSDT": ("LONG", Decimal("0.5")), "ETHUSDT": ("SHORT", Decimal(2))}


@pytest.mark.parametrize("hedge", [True, False])
async def test_the_position_mode_is_set_only_when_it_is_another(stub: Stub, requests: Requests, hedge: bool) -> None:
    stub.say("GET", DUAL, 200, {"dualSidePosition": hedge})
    await account(requests, hedge=hedge).use_position_mode()
    assert stub.paths() == [f"GET {DUAL}"]
    await account(requests, hedge=not hedge).use_position_mode()
    assert stub.asked[-1].method == "POST"
    assert stub.asked[-1].params["dualSidePosition"] == str(not hedge).lower()


@pytest.mark.parametrize("code", [-4067, -4068])
async def test_a_mode_that_positions_or_orders_forbid_names_the_setting(
    stub: Stub, requests: Requests, code: int
) -> None:
    stub.say("GET", DUAL, 200, {"dualSidePosition": True})
    stub.say("POST", DUAL, 400, {"code": code, "msg": "Position side cannot be changed."})
    with pytest.raises(ConfigError, match="P95_EXECUTOR_HEDGE_MODE is false, but the account is in hedge mode"):
        await account(requests, hedge=False).use_position_mode()


@pytest.mark.parametrize(("margin", "expected"), [("isolated", "ISOLATED"), ("cross", "CROSSED")])
async def test_margin_type_and_leverage_before_an_entry(
    stub: Stub, requests: Requests, margin: Any, expected: str
) -> None:
    venue = account(requests, margin=margin)
    stub.say("POST", MARGIN, 400, {"code": -4046, "msg": "No need to change margin type."})
    await venue.prepare("BTCUSDT", 5)
    await venue.prepare("BTCUSDT", 5)
    assert stub.paths() == [f"POST {MARGIN}", "POST /fapi/v1/leverage"]
    assert (stub.asked[0].params["marginType"], stub.asked[1].params["leverage"]) == (expected, "5")


@pytest.mark.parametrize("code", [-4047, -4048])
async def test_a_margin_type_that_positions_or_orders_forbid_names_the_setting(
    stub: Stub, requests: Requests, code: int
) -> None:
    stub.say("POST", MARGIN, 400, {"code": code, "msg": "Margin type cannot be changed."})
    with pytest.raises(VenueRejected, match="P95_EXECUTOR_MARGIN_TYPE is cross"):
        await account(requests, margin="cross").prepare("BTCUSDT", 5)


@pytest.mark.parametrize(
    ("leverage", "margin", "again"), [(5, "ISOLATED", False), (20, "ISOLATED", True), (5, "CROSSED", True)]
)
async def test_settings_that_somebody_changed_are_set_again_before_the_next_entry(
    stub: Stub, requests: Requests, venue: Binance, leverage: int, margin: str, again: bool
) -> None:
    truths = Truths(requests, venue.stamp, venue.settings_seen)
    listed = [{"symbol": "BTCUSDT", "marginType": margin, "leverage": leverage}]
    stub.say("GET", "/fapi/v1/symbolConfig", 200, listed)
    await venue.prepare("BTCUSDT", 5)
    await truths.configs()
    await venue.prepare("BTCUSDT", 5)
    assert stub.paths().count("POST /fapi/v1/leverage") == (2 if again else 1)
    assert stub.paths().count(f"POST {MARGIN}") == (2 if again else 1)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(-1021, TransientError), (-1008, TransientError), (-4068, ConfigError), (-2015, ConfigError), (-4059, None)],
)
async def test_only_what_a_person_must_mend_ends_the_start(
    stub: Stub, requests: Requests, venue: Binance, code: int, expected: type[Exception] | None
) -> None:
    clock: Any = SimpleNamespace(now_ms=lambda: NOW_MS)
    figures = dict.fromkeys(
        ("totalMarginBalance", "totalWalletBalance", "availableBalance", "totalInitialMargin", "totalMaintMargin",
         "totalUnrealizedProfit"),
        "1",
    )  # fmt: skip
    stub.say("GET", "/fapi/v3/account", 200, {**figures, "assets": [], "positions": []})
    stub.say("GET", DUAL, 200, {"dualSidePosition": False})
    stub.say("POST", DUAL, 400, {"code": code, "msg": "said so"})
    if expected is None:
        await greet(AccountView(venue, clock), venue)
        return
    with pytest.raises(expected, match=str(code)):
        await greet(AccountView(venue, clock), venue)
