"""Each gate at its edge, one step past it, and with the sign turned; and what holds for every gate by being one."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec
import pytest

from phoenix95.common.events import Analysis, Quality, Verdict
from phoenix95.executor.core import gates as folder
from phoenix95.executor.core.candidate import Book, Candidate, Entered, Exposure, Modes, candidate
from phoenix95.executor.core.gates import STAGES, gates, verdicts
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.sizing import Bracket, Sized
from phoenix95.executor.gate_table import page

D = Decimal
NOW_MS = 1_721_347_200_000
EDGE, PAST, TURNED = "at the edge", "one step past it", "with the sign turned"
SHORT: Final = {"side": "SELL", "stop_loss": 1_010.0, "take_profit": 980.0}
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
CROSS: Final = Limits(margin_mode="cross")


class Case(NamedTuple):
    """What is other than in the good candidate of `conftest.py`, by what it belongs to. `sized` replaces the size that
    would come out. `refused`: by this gate; the others may say what they want."""

    gate: str
    kind: str
    refused: bool
    analysis: Mapping[str, Any] = NOTHING
    market: Mapping[str, Any] = NOTHING
    book: Mapping[str, Any] = NOTHING
    rules: Mapping[str, Any] | None = NOTHING
    limits: Limits = Limits()
    now_ms: int = NOW_MS
    uncertainty_ms: float | None = 5.0
    sized: Sized | None = None
    brackets: tuple[Bracket, ...] | None = None


def held(symbol: str, *, size: str = "1", entry: str = "1000", stop: str = "990", **others: Any) -> Exposure:
    return msgspec.convert(
        {"symbol": symbol, "position_side": "LONG", "size": D(size), "entry_price": D(entry), "stop_price": D(stop)}
        | others,
        Exposure,
    )


def entered(at_ms: int, *, side: Any = "BUY", **others: Any) -> Entered:
    fields: dict[str, Any] = {"analysis_id": "earlier", "symbol": "BTCUSDT", "side": side, "at_ms": at_ms}
    return Entered(**(fields | others))


def many(count: int, at_ms: int) -> tuple[Entered, ...]:
    return tuple(entered(at_ms, symbol=f"S{n}USDT", analysis_id=f"a{n}") for n in range(count))


def quality(**changes: Any) -> Quality:
    return Quality(**({"warm": True, "bars": 100, "degraded_bars": 0, "spread_bps": 1.0} | changes))


def notional(quantity: str, price: int = 1_000) -> Sized:
    return Sized(quantity=D(quantity), notional=D(quantity) * price, raised=False)


LIVE: Final = Limits(mode="live")
FULL: Final = {"floor": D(0), "cap": D(300_000), "cum": D(0)}
NINE = tuple(held(f"S{n}USDT", size="0.01") for n in range(9))

CASES: Final[tuple[Case, ...]] = (
    # ------------------------------------------------------------ signal
    Case("confidence", EDGE, False, {"confidence": 0.75}),
    Case("confidence", EDGE, False, {"confidence": 1.0}),
    Case("confidence", PAST, True, {"confidence": 0.7499}),
    Case("confidence", PAST, True, {"confidence": 1.0001}),
    Case("confidence", PAST, True, {"confidence": float("nan")}),
    Case("confidence", TURNED, True, {"confidence": -0.75}),
    Case("score", EDGE, False, {"phoenix95_score": 0.70}),
    Case("score", PAST, True, {"phoenix95_score": 0.6999}),
    Case("score", PAST, True, {"phoenix95_score": float("nan")}),
    Case("score", TURNED, True, {"phoenix95_score": -0.70}),
    Case("risk_level", EDGE, False, {"risk_level": "high"}),
    Case("risk_level", PAST, True, {"risk_level": "critical"}),
    Case("risk_level", TURNED, True, {"risk_level": "critical", **SHORT}),
    Case("side", EDGE, False, {"side": "BUY"}),
    Case("side", PAST, True, {"side": None}),
    Case("side", TURNED, False, SHORT),
    Case("fresh", EDGE, False, now_ms=NOW_MS + 1_500),
    Case("fresh", PAST, True, now_ms=NOW_MS + 1_501),
    Case("fresh", EDGE, False, {"expires_at": NOW_MS + 99_999}, now_ms=NOW_MS + 60_000),
    Case("fresh", PAST, True, {"expires_at": NOW_MS + 99_999}, now_ms=NOW_MS + 60_001),
    Case("fresh", TURNED, False, now_ms=NOW_MS - 1_000),
    Case("fresh", TURNED, True, now_ms=NOW_MS - 1_001),
    Case("symbol", EDGE, False, limits=Limits(symbols=frozenset({"BTCUSDT", "ETHUSDT"}))),
    Case("symbol", PAST, True, limits=Limits(symbols=frozenset({"ETHUSDT"}))),
    Case("symbol", PAST, True, rules=None),
    Case("symbol", TURNED, True, SHORT, limits=Limits(symbols=frozenset({"ETHUSDT"}))),
    Case("trading", EDGE, False, rules={"delivery_ms": NOW_MS + 60_000 + 86_400_000}),
    Case("trading", PAST, True, rules={"delivery_ms": NOW_MS + 60_000 + 86_399_999}),
    Case("trading", PAST, True, rules={"trading": False, "status": "SETTLING"}),
    Case("trading", PAST, True, rules={"contract_type": "CURRENT_QUARTER"}),
    Case("trading", PAST, True, rules=None),
    Case("trading", TURNED, True, SHORT, rules={"delivery_ms": NOW_MS - 1}),
    Case("price", EDGE, False, {"price": 1_005.0}),
    Case("price", PAST, True, {"price": 1_005.1}),
    Case("price", TURNED, False, {"price": 995.0}),
    Case("price", TURNED, True, {"price": 994.9}),
    Case("price", EDGE, False, market={"last_ms": NOW_MS - 10_000}),
    Case("price", PAST, True, market={"last_ms": NOW_MS - 10_001}),
    Case("price", TURNED, True, market={"last_ms": NOW_MS + 1_001}),
    Case("price", PAST, True, market={"last": None, "last_ms": None}),
    Case("price", TURNED, True, {"price": -1_000.0}),
    Case("quality", EDGE, False, {"quality": quality()}),
    Case("quality", PAST, True, {"quality": quality(degraded_bars=1)}),
    Case("quality", PAST, True, {"quality": quality(warm=False)}),
    Case("quality", EDGE, False, {"quality": quality(warm=False), "request": "5-0"}),
    Case("quality", PAST, True, {"quality": quality(degraded_bars=1), "request": "5-0"}),
    Case("quality", EDGE, False, market={"mark_ms": NOW_MS - 10_000, "book_ms": NOW_MS - 10_000}),
    Case("quality", PAST, True, market={"mark_ms": NOW_MS - 10_001}),
    Case("quality", PAST, True, market={"book_ms": NOW_MS - 10_001}),
    Case("quality", PAST, True, market={"last_ms": NOW_MS - 10_001}),
    Case("quality", PAST, True, market={"mark_ms": None}),
    Case("quality", TURNED, True, market={"mark_ms": NOW_MS + 1_001}),
    Case("duplicate", EDGE, False, book={"entries": (entered(NOW_MS - 2_000),)}),
    Case("duplicate", PAST, True, book={"entries": (entered(NOW_MS - 1_999),)}),
    Case("duplicate", PAST, True, book={"entries": (entered(NOW_MS - 9_000, cause=f"{NOW_MS}-1"),)}),
    Case("duplicate", PAST, True, {"request": "5-0"}, book={"entries": (entered(NOW_MS - 9_000, request="5-0"),)}),
    Case("duplicate", EDGE, False, book={"entries": (entered(NOW_MS - 9_000, request=None),)}),
    Case("duplicate", EDGE, False, book={"entries": (entered(NOW_MS, symbol="ETHUSDT"),)}),
    Case("duplicate", EDGE, False, book={"entries": (entered(NOW_MS, analysis_id="momentum-BTCUSDT-1.0"),)}),
    Case("duplicate", TURNED, False, book={"entries": (entered(NOW_MS, side="SELL", cause=f"{NOW_MS}-1"),)}),
    # ------------------------------------------------------------ position
    Case("size", EDGE, False, {"position_fraction": 0.02}),
    Case("size", PAST, True, {"position_fraction": 0.0201}),
    Case("size", EDGE, False, sized=notional("0.2")),
    Case("size", PAST, True, sized=notional("0.201")),
    Case("size", PAST, True, {"position_fraction": 0.0}),
    Case("size", TURNED, True, {"position_fraction": -0.01}),
    Case("filters", EDGE, False, rules={"notional_min": D(100)}, sized=notional("0.102")),
    Case("filters", PAST, True, rules={"notional_min": D(100)}, sized=notional("0.101")),  # the bid is lower
    Case("filters", PAST, True, rules={"notional_min": D(100)}, sized=notional("0.102"), market={"mark": D(990)}),
    Case("filters", EDGE, False, sized=notional("120")),
    Case("filters", PAST, True, sized=notional("120.001")),
    Case("filters", PAST, True, sized=notional("0.1005")),
    Case("filters", EDGE, False, rules={"quantity_min": D("0.2")}, sized=notional("0.2")),
    Case("filters", PAST, True, rules={"quantity_min": D("0.201")}, sized=notional("0.2")),
    Case("filters", EDGE, False, rules={"price_min": D(990), "price_max": D(1_020)}),
    Case("filters", PAST, True, rules={"price_min": D("990.1")}),
    Case("filters", PAST, True, rules={"price_max": D("1019.9")}),
    Case("filters", EDGE, False, rules={"percent_down": D("0.95"), "percent_up": D("1.0001")}),
    Case("filters", PAST, True, rules={"percent_down": D("0.95"), "percent_up": D("1.00009")}),
    Case("filters", PAST, True, rules=None),
    Case("filters", TURNED, False, SHORT, rules={"percent_down": D("0.9999"), "percent_up": D(1)}),
    Case("filters", TURNED, True, SHORT, rules={"percent_down": D("0.99991"), "percent_up": D(1)}),
    Case("filters", TURNED, True, sized=notional("-0.2")),
    Case("leverage", EDGE, False, {"leverage": 20}),
    Case("leverage", PAST, True, {"leverage": 21}),
    Case("leverage", EDGE, False, {"leverage": 5}, brackets=(Bracket(leverage=5, rate=D("0.1"), **FULL),)),
    Case("leverage", PAST, True, {"leverage": 6}, brackets=(Bracket(leverage=5, rate=D("0.1"), **FULL),)),
    Case("leverage", PAST, True, brackets=()),
    Case("leverage", EDGE, False, book={"exposures": (held("BTCUSDT", size="2999.799"),)}),
    Case("leverage", PAST, True, book={"exposures": (held("BTCUSDT", size="2999.8"),)}),  # the last tier's cap
    Case("leverage", TURNED, True, {"leverage": -5}),
    Case("leverage", TURNED, True, {"leverage": 0}),
    Case("stop", EDGE, False, {"stop_loss": 999.9}),
    Case("stop", PAST, True, {"stop_loss": 1_000.0}),
    Case("stop", PAST, True, {"stop_loss": None}),
    Case("stop", PAST, True, {"stop_loss": 999.0}, market={"last": D(999)}),
    Case("stop", TURNED, False, {**SHORT, "stop_loss": 1_000.1}),
    Case("stop", TURNED, True, {**SHORT, "stop_loss": 1_000.0}),
    Case("stop", TURNED, True, {**SHORT, "stop_loss": 1_001.0}, market={"last": D(1_001)}),
    Case("stop", TURNED, True, {"stop_loss": -990.0}),
    Case("stop_distance", EDGE, False, {"stop_loss": 999.5}),
    Case("stop_distance", PAST, True, {"stop_loss": 999.6}),
    Case("stop_distance", EDGE, False, {"stop_loss": 970.0}, rules={"price_tick": D(10)}),
    Case("stop_distance", PAST, True, {"stop_loss": 980.0}, rules={"price_tick": D(10)}),
    Case("stop_distance", EDGE, False, {"stop_loss": 960.0}),  # exactly twice the position's risk
    Case("stop_distance", PAST, True, {"stop_loss": 959.9}),
    Case("stop_distance", TURNED, False, {**SHORT, "stop_loss": 1_040.0}),
    Case("stop_distance", TURNED, True, {**SHORT, "stop_loss": 1_040.1}),
    Case("stop_distance", TURNED, True, {**SHORT, "stop_loss": 990.0}),
    Case("target", EDGE, False, {"take_profit": 1_000.1}),
    Case("target", EDGE, False, {"take_profit": None}),
    Case("target", PAST, True, {"take_profit": 1_000.0}),
    Case("target", PAST, True, {"take_profit": 1_001.0}, market={"last": D(1_001)}),
    Case("target", TURNED, False, {**SHORT, "take_profit": 999.9}),
    Case("target", TURNED, True, {**SHORT, "take_profit": 1_000.0}),
    # at leverage 20 and 0.4 %: (1000 - 50) / 0.996 = 953.8 is 46.1847 away
    Case("liquidation", EDGE, False, {"leverage": 20, "stop_loss": 963.1}),
    Case("liquidation", PAST, True, {"leverage": 20, "stop_loss": 963.0}),
    # (1000 + 50) / 1.004 = 1045.8 is 45.8167 away
    Case("liquidation", TURNED, False, {**SHORT, "leverage": 20, "stop_loss": 1_036.6}),
    Case("liquidation", TURNED, True, {**SHORT, "leverage": 20, "stop_loss": 1_036.7}),
    Case("liquidation", PAST, True, brackets=()),
    # crossed: 0.2 at 1000 covered by 10: (200 - 10) / (0.2 * 0.996) = 953.8; by 9.99 it is nearer
    Case("liquidation", EDGE, False, {"stop_loss": 963.1}, book={"wallet": D(10)}, limits=CROSS),
    Case("liquidation", PAST, True, {"stop_loss": 963.1}, book={"wallet": D("9.9")}, limits=CROSS),
    Case("liquidation", PAST, True, {"stop_loss": 963.1}, book={"wallet": D(10), "maintenance": D(1)}, limits=CROSS),
    Case("liquidation", PAST, True, {"stop_loss": 963.1}, book={"wallet": D(10), "unrealized": D(-1)}, limits=CROSS),
    Case("liquidation", PAST, True, book={"maintenance": None}, limits=CROSS),
    Case("liquidation", TURNED, True, SHORT, book={"wallet": D(-300)}, limits=CROSS),  # under water already
    Case("spread", EDGE, False, market={"bid": D("999.5"), "ask": D("1000.5")}),
    Case("spread", PAST, True, market={"bid": D("999.5"), "ask": D("1000.6")}),
    Case("spread", PAST, True, market={"bid": None}),
    Case("spread", EDGE, False, market={"book_ms": NOW_MS - 10_000}),
    Case("spread", PAST, True, market={"book_ms": NOW_MS - 10_001}),
    Case("spread", TURNED, True, market={"bid": D("1000.1"), "ask": D(1_000)}),
    Case("existing_position", EDGE, False, book={"exposures": (held("ETHUSDT"),)}),
    Case("existing_position", PAST, True, book={"exposures": (held("BTCUSDT", size="0.001"),)}),
    Case("existing_position", TURNED, True, SHORT, book={"exposures": (held("BTCUSDT", size="0.001"),)}),
    Case("cooldown", EDGE, False, book={"stopped_out_ms": NOW_MS - 60_000}),
    Case("cooldown", PAST, True, book={"stopped_out_ms": NOW_MS - 59_999}),
    Case("cooldown", TURNED, True, SHORT, book={"stopped_out_ms": NOW_MS + 1}),
    # ------------------------------------------------------------ portfolio
    Case("equity", EDGE, False, book={"told_ms": NOW_MS - 15_000}),
    Case("equity", PAST, True, book={"told_ms": NOW_MS - 15_001}),
    Case("equity", PAST, True, book={"told_ms": None}),
    Case("equity", PAST, True, book={"equity": None}),
    Case("equity", PAST, True, book={"equity": D(0)}),
    Case("equity", TURNED, True, book={"equity": D(-1)}),
    Case("equity", TURNED, True, book={"told_ms": NOW_MS + 1_001}),
    # 0.2 * (10 + 1000 * 0.002) = 2.4 are new, 1000 may be lost
    Case("portfolio_risk", EDGE, False, book={"exposures": (held("ETHUSDT", stop="4.4"),)}),
    Case("portfolio_risk", PAST, True, book={"exposures": (held("ETHUSDT", stop="4.3"),)}),
    Case("portfolio_risk", PAST, True, book={"equity": None}),
    # a stop in profit risks nothing, whatever the size
    Case("portfolio_risk", TURNED, False, book={"exposures": (held("ETHUSDT", size="9", stop="1200"),)}),
    Case(
        "portfolio_risk", TURNED, True,
        book={"exposures": (held("ETHUSDT", stop="1995.7", position_side="SHORT"),)},
    ),
    Case("exposure", EDGE, False, book={"exposures": (held("ETHUSDT", size="9.8"),)}),
    Case("exposure", PAST, True, book={"exposures": (held("ETHUSDT", size="9.801"),)}),
    Case("exposure", PAST, True, book={"equity": None}),
    # the other side adds to it all the same
    Case("exposure", TURNED, True, book={"exposures": (held("ETHUSDT", size="9.801", position_side="SHORT"),)}),
    Case("symbol_exposure", EDGE, False, book={"exposures": (held("BTCUSDT", size="1.8"),)}),
    Case("symbol_exposure", PAST, True, book={"exposures": (held("BTCUSDT", size="1.801"),)}),
    Case("symbol_exposure", EDGE, False, book={"exposures": (held("ETHUSDT", size="9"),)}),
    Case("symbol_exposure", TURNED, True, book={"exposures": (held("BTCUSDT", size="1.801", position_side="SHORT"),)}),
    Case("active_positions", EDGE, False, book={"exposures": NINE}),
    Case("active_positions", PAST, True, book={"exposures": (*NINE, held("ETHUSDT"))}),
    Case("active_positions", TURNED, True, SHORT, book={"exposures": (*NINE, held("ETHUSDT", position_side="SHORT"))}),
    # equity is 10,000: the day began with 10,500 when 500 are lost
    Case("daily_loss", EDGE, False, book={"equity": D(9_500), "day_realized": D(-300), "unrealized": D(-200)}),
    Case("daily_loss", PAST, True, book={"equity": D(9_499), "day_realized": D(-301), "unrealized": D(-200)}),
    Case("daily_loss", PAST, True, book={"equity": D(9_499), "day_realized": D(-300), "unrealized": D(-201)}),
    Case("daily_loss", PAST, True, book={"unrealized": None}),
    Case("daily_loss", TURNED, False, book={"equity": D(11_000), "day_realized": D(1_000)}),
    # an old loss that is closed today is no loss of today
    Case("daily_loss", TURNED, False, book={"day_realized": D(-900), "day_unrealized_before": D(-900)}),
    Case("daily_loss", TURNED, True, book={"unrealized": D(0), "day_unrealized_before": D(900)}),
    Case("drawdown", EDGE, False, book={"peak_equity": D(12_500)}),
    Case("drawdown", PAST, True, book={"peak_equity": D("12500.1")}),
    Case("drawdown", PAST, True, book={"equity": None}),
    Case("drawdown", TURNED, False, book={"peak_equity": D(9_000)}),
    # 0.2 * 1000 / 5 and two fees of 0.1 are needed, 500 must stay
    Case("free_margin", EDGE, False, book={"available": D("540.2")}),
    Case("free_margin", PAST, True, book={"available": D("540.1")}),
    Case("free_margin", PAST, True, book={"available": None}),
    Case("free_margin", TURNED, True, book={"available": D(-10)}),
    Case(
        "free_margin", EDGE, False,
        book={"available": D("741.3"), "told_ms": NOW_MS, "exposures": (held("E", leverage=5, entered_ms=NOW_MS - 1),)},
    ),
    Case(
        "free_margin", PAST, True,
        book={"available": D("741.1"), "told_ms": NOW_MS, "exposures": (held("E", leverage=5, entered_ms=NOW_MS - 1),)},
    ),
    Case(
        "free_margin", EDGE, False,
        book={"available": D("540.2"), "exposures": (held("E", leverage=5, entered_ms=NOW_MS - 2_000),)},
    ),
    Case("order_rate", EDGE, False, book={"entries": many(9, NOW_MS)}),
    Case("order_rate", PAST, True, book={"entries": many(10, NOW_MS - 9_999)}),
    Case("order_rate", EDGE, False, book={"entries": many(10, NOW_MS - 10_000)}),
    Case("order_rate", EDGE, False, book={"entries": many(29, NOW_MS - 59_999)}),
    Case("order_rate", PAST, True, book={"entries": many(30, NOW_MS - 59_999)}),
    Case("order_rate", EDGE, False, book={"entries": many(30, NOW_MS - 60_000)}),
    Case("order_rate", TURNED, True, SHORT, book={"entries": many(10, NOW_MS + 5)}),
    Case("clock", EDGE, False, uncertainty_ms=250.0),
    Case("clock", PAST, True, uncertainty_ms=250.1),
    Case("clock", PAST, True, uncertainty_ms=None),
    Case("clock", PAST, True, uncertainty_ms=float("nan")),
    Case("clock", TURNED, True, uncertainty_ms=-1.0),
    Case("control", EDGE, False, book={"modes": Modes(symbols={"ETHUSDT": "HALT"})}),
    Case("control", PAST, True, book={"modes": Modes(symbols={"BTCUSDT": "HALT"})}),
    Case("control", PAST, True, book={"modes": Modes(account="REDUCE_ONLY")}),
    Case("control", PAST, True, book={"modes": Modes(account="HALT")}),
    Case("control", PAST, True, book={"modes": Modes(account="FLATTEN")}),
    Case("control", PAST, True, book={"not_ready": "the recovery has not finished"}),
    Case("control", TURNED, True, SHORT, book={"modes": Modes(account="HALT")}),
    Case("staged", EDGE, False, book={"live_trades": 19}, sized=notional("0.2"), limits=LIVE),
    Case("staged", PAST, True, book={"live_trades": 19}, sized=notional("0.201"), limits=LIVE),
    Case("staged", EDGE, False, book={"live_trades": 20}, sized=notional("0.201"), limits=LIVE),
    Case("staged", EDGE, False, book={"live_trades": 0}, sized=notional("9")),
    Case("staged", TURNED, True, SHORT, book={"live_trades": 0}, sized=notional("0.201"), limits=LIVE),
)  # fmt: skip


def changed(struct: Any, changes: Mapping[str, Any]) -> Any:
    return msgspec.structs.replace(struct, **changes)


@pytest.fixture
def judged(an_analysis: Callable[..., Analysis], surroundings: dict[str, Any]) -> Callable[[Case], dict[str, Verdict]]:
    def made(case: Case) -> dict[str, Verdict]:
        book = changed(surroundings["book"], case.book)
        found = candidate(
            an_analysis(**case.analysis),
            now_ms=case.now_ms,
            uncertainty_ms=case.uncertainty_ms,
            rules=None if case.rules is None else changed(surroundings["rules"], case.rules),
            brackets=surroundings["brackets"] if case.brackets is None else case.brackets,
            market=changed(surroundings["market"], case.market),
            book=book,
            limits=case.limits,
        )
        if case.sized is not None:
            found = changed(found, {"sized": case.sized})
        return {one.gate: one for one in verdicts(found, book, case.limits)}

    return made


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.gate} {case.kind}")
def test_each_gate_refuses_only_past_its_limit(case: Case, judged: Callable[[Case], dict[str, Verdict]]) -> None:
    verdict = judged(case)[case.gate]
    assert (verdict.reason is not None) == case.refused, verdict


@pytest.mark.parametrize("analysis", [{}, SHORT], ids=["BUY", "SELL"])
def test_a_good_candidate_passes_every_gate(analysis: dict[str, Any], judged: Any) -> None:
    said = judged(Case("", "", False, analysis))
    assert {name: one.reason for name, one in said.items()} == dict.fromkeys(one.name for one in gates())


@pytest.mark.parametrize("path", sorted(Path(folder.__file__).parent.glob("[!_]*.py")), ids=lambda path: path.stem)
def test_every_file_is_a_gate_of_its_name_with_its_three_cases(path: Path) -> None:
    assert [one.name for one in gates() if one.name == path.stem] == [path.stem]
    mine = [case for case in CASES if case.gate == path.stem]
    assert {case.kind for case in mine} == {EDGE, PAST, TURNED}
    assert all(not case.refused for case in mine if case.kind == EDGE)
    assert all(case.refused for case in mine if case.kind == PAST)


# ---------------------------------------------------------------- what holds for every gate, by being one


EXTREMES = (float("nan"), float("inf"), -1.0, 0.0, 1e18)
BOOKS = (
    {},
    {"equity": None, "available": None, "wallet": None, "unrealized": None, "told_ms": None},
    {"equity": D(0), "available": D(0), "wallet": D(0)},
)


@pytest.mark.parametrize("number", EXTREMES)
def test_no_gate_fails_on_strange_numbers(number: float, judged: Callable[[Case], dict[str, Verdict]]) -> None:
    for field in ("price", "confidence", "phoenix95_score", "position_fraction", "stop_loss", "take_profit"):
        for book in BOOKS:
            for market in ({}, {"last": None, "bid": None, "ask": None, "mark": None}):
                for limits in (Limits(), CROSS):
                    said = judged(Case("", "", False, {field: number}, market=market, book=book, limits=limits))
                    assert set(said) == {one.name for one in gates()}
                    for one in said.values():
                        assert all(isinstance(value, str) for value in one.numbers.values())
                        assert one.reason is None or one.reason


def test_strange_numbers_never_pass_all_gates(judged: Callable[[Case], dict[str, Verdict]]) -> None:
    for field in ("price", "confidence", "phoenix95_score", "position_fraction", "stop_loss"):
        for number in (float("nan"), -1.0, 0.0):
            said = judged(Case("", "", False, {field: number}))
            assert any(one.reason for one in said.values()), (field, number)


def test_gates_are_asked_stage_by_stage() -> None:
    order = [STAGES.index(one.stage) for one in gates()]
    assert order == sorted(order)
    assert set(order) == {0, 1, 2}
    assert len({one.name for one in gates()}) == len(order)


def test_the_page_of_all_gates_is_up_to_date() -> None:
    assert all(one.asks.endswith(".") for one in gates())
    kept = Path(__file__).parents[3] / "docs" / "gates.md"
    assert kept.read_text() == page(), "run `python -m phoenix95.executor.gate_table > docs/gates.md`"


def test_a_person_is_not_asked_for_an_opinion(a_candidate: Callable[..., Candidate], book: Book) -> None:
    by_hand = changed(a_candidate(confidence=0.0, phoenix95_score=0.0), {"by_hand": True})
    opinions = {one.name for one in gates() if one.of_opinion}
    assert opinions == {"confidence", "score", "risk_level", "quality"}
    assert {one.gate for one in verdicts(by_hand, book, Limits())} == {one.name for one in gates()} - opinions
