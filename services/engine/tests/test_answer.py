"""What a request from outside is told, warm and cold, and what is plainly wrong."""

from collections.abc import Callable
from typing import Any

import pytest

from phoenix95.common.events import Analysis, Request, Trade
from phoenix95.common.ids import StreamId
from phoenix95.engine.core.answer import answer
from phoenix95.engine.core.config import Config
from phoenix95.engine.core.fold import fold, fold_entries
from phoenix95.engine.core.state import SymbolState, new_state

MakeLog = Callable[..., list[tuple[str, dict[bytes, bytes]]]]
T0 = 1_721_347_200_000
ASKED = StreamId(T0 + 777, 3)
CONFIG = Config()


def cold(price: str = "100", **quote: str) -> SymbolState:
    """A symbol of which one trade is known."""
    state = new_state("BTCUSDT", CONFIG)
    tick = Trade(
        price=price, quantity="1", buyer_is_maker=False, received_ms=0, **(quote or {"bid": "99.99", "ask": "100.01"})
    )
    fold(state, StreamId(T0, 5), tick)
    return state


def ask(state: SymbolState, **fields: Any) -> Analysis:
    return answer(state, ASKED, Request(symbol="BTCUSDT", **{"requested_at": T0 + 500, **fields}))


def test_a_confident_outsider_is_executed_even_cold() -> None:
    found = ask(cold(), side="BUY", confidence=0.9, trade=True)
    assert (found.action, found.side, found.confidence) == ("EXECUTE", "BUY", 0.9)
    assert found.phoenix95_score >= 0.70
    assert (found.stop_loss, found.take_profit) == (99.0, 102.0)
    assert (found.position_fraction, found.win_probability, found.win_samples) == (0.01, None, 0)
    assert 1 <= found.leverage <= 20
    assert found.risk_level != "critical"
    assert found.trade
    assert (found.id, found.request, found.as_of) == (f"momentum-BTCUSDT-r{ASKED}", str(ASKED), f"{T0}-5")
    assert (found.ts, found.expires_at) == (T0 + 500, T0 + 2000)
    assert "stop and target by default" in found.reasoning


def test_a_short_has_its_stop_above() -> None:
    found = ask(cold(), side="SELL", confidence=0.9)
    assert (found.stop_loss, found.take_profit) == (101.0, 98.0)
    assert not found.trade


def test_without_a_given_confidence_the_evidence_speaks() -> None:
    assert ask(cold(), side="BUY").confidence == 0.5
    assert ask(cold(), side="BUY", rsi=70.0).confidence == 1.0
    assert ask(cold(), side="SELL", rsi=70.0).confidence == 0.0


def test_given_barriers_and_time_replace_the_engines_own() -> None:
    found = ask(cold(), side="BUY", confidence=0.9, stop_loss=97.0, take_profit=106.0, hold_ms=5_000)
    assert (found.action, found.stop_loss, found.take_profit, found.hold_ms) == ("EXECUTE", 97.0, 106.0, 5_000)
    only_stop = ask(cold(), side="BUY", confidence=0.9, stop_loss=97.0)
    assert (only_stop.stop_loss, only_stop.take_profit) == (97.0, 102.0)
    assert ask(cold(), side="BUY", confidence=0.9, stop_loss=80.0).leverage == 2


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"side": "BUY", "stop_loss": 100.0}, "stop_loss 100.0 is on the wrong side"),
        ({"side": "BUY", "stop_loss": 101.0}, "stop_loss 101.0 is on the wrong side"),
        ({"side": "SELL", "stop_loss": 99.0}, "stop_loss 99.0 is on the wrong side"),
        ({"side": "SELL", "take_profit": 101.0}, "take_profit 101.0 is on the wrong side"),
        ({"side": "SELL", "stop_loss": 200.0}, "stop_loss 200.0 is on the wrong side"),
        ({"side": "BUY", "confidence": 1.01}, "confidence 1.01 is not in [0, 1]"),
        ({"side": "BUY", "confidence": -0.01}, "confidence -0.01 is not in [0, 1]"),
        ({"side": "BUY", "confidence": float("nan")}, "confidence nan is not finite"),
        ({"side": "BUY", "rsi": float("inf")}, "rsi inf is not finite"),
        ({"side": "BUY", "hold_ms": 0}, "hold_ms 0 is not in"),
        ({"side": "BUY", "price": 0.0}, "price 0.0 is not above 0"),
    ],
)
def test_a_request_that_contradicts_itself_is_an_error(fields: dict[str, Any], reason: str) -> None:
    found = ask(cold(), **fields)
    assert found.action == "ERROR"
    assert found.reasoning[0].startswith(reason)
    assert (found.position_fraction, found.stop_loss) == (0.0, None)


def test_a_symbol_without_a_trade_is_an_error() -> None:
    found = ask(new_state("BTCUSDT", CONFIG), side="BUY", confidence=0.9)
    assert (found.action, found.price, found.as_of) == ("ERROR", 0.0, "0-0")
    assert found.reasoning == ("no trade of this symbol is known",)


@pytest.mark.parametrize(
    ("fields", "quote", "action"),
    [
        ({"requested_at": T0 + 60_000}, {}, "EXECUTE"),
        ({"requested_at": T0 + 60_001}, {}, "HOLD"),
        ({"requested_at": T0 - 60_000}, {}, "EXECUTE"),
        ({"requested_at": T0 - 60_001}, {}, "HOLD"),
        ({"price": 105.0}, {}, "EXECUTE"),
        ({"price": 105.01}, {}, "HOLD"),
        ({"price": 94.99}, {}, "HOLD"),
        ({}, {"bid": "99.75", "ask": "100.25"}, "EXECUTE"),
        ({}, {"bid": "99.74", "ask": "100.26"}, "HOLD"),
    ],
)
def test_the_market_may_speak_against_it(fields: dict[str, Any], quote: dict[str, str], action: str) -> None:
    found = ask(cold(**quote), side="BUY", confidence=0.9, **fields)
    assert found.action == action
    assert (found.position_fraction > 0) == (action == "EXECUTE")


def test_asked_for_its_own_opinion_the_engine_gives_it(make_log: MakeLog) -> None:
    state = new_state("BTCUSDT", CONFIG)
    (last, *_) = reversed(fold_entries(state, make_log(5, seeds=600, minutes=20)).published)
    assert isinstance(last.event, Analysis)
    found = answer(state, ASKED, Request(symbol="BTCUSDT", requested_at=state.ms))
    assert (found.side, found.confidence, found.factors) == (
        last.event.side, last.event.confidence, last.event.factors,
    )  # fmt: skip
    assert found.quality.warm


def test_asked_cold_for_its_own_opinion_the_engine_holds() -> None:
    found = ask(cold())
    assert (found.action, found.side, found.reasoning) == ("HOLD", None, ("warming up: 0 bars",))


def test_barriers_come_from_the_average_range_once_it_is_known(make_log: MakeLog) -> None:
    state = new_state("BTCUSDT", CONFIG)
    fold_entries(state, make_log(5, seeds=100, minutes=3))
    found = answer(state, ASKED, Request(symbol="BTCUSDT", requested_at=state.ms, side="BUY", confidence=0.9))
    atr = found.indicators["atr"]
    assert atr is not None
    assert found.stop_loss == pytest.approx(found.price - CONFIG.stop_atr * atr, rel=1e-6)
    assert found.take_profit == pytest.approx(found.price + CONFIG.target_atr * atr, rel=1e-6)
