"""Every indicator equals TA-Lib on the reference quotes, and keeps the contract that the registry relies on."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import talib

from phoenix95.common.events import Bar
from phoenix95.engine.core.indicators.atr import Atr
from phoenix95.engine.core.indicators.base import Indicator, registered, warm_after
from phoenix95.engine.core.indicators.bollinger import Bollinger
from phoenix95.engine.core.indicators.ema import FAST, SLOW, Ema
from phoenix95.engine.core.indicators.macd import Macd
from phoenix95.engine.core.indicators.rsi import NEUTRAL, Rsi

EXACT = 1e-9  # relative; what two ways of adding floats may differ by


def run(kind: type[Indicator], bars: list[Bar]) -> np.ndarray:
    """The values after each bar, one column an output; NaN where not known."""
    indicator, rows = kind(), []
    for bar in bars:
        indicator.update(bar)
        rows.append([np.nan if value is None else value for value in indicator.values()])
    return np.array(rows, dtype=float)


def column(bars: list[Bar], name: str) -> np.ndarray:
    return np.array([getattr(bar, name) for bar in bars], dtype=float)


def talib_values(kind: type[Indicator], bars: list[Bar]) -> list[np.ndarray]:
    close = column(bars, "close")
    if kind is Rsi:
        return [talib.RSI(close, 14)]
    if kind is Atr:
        return [talib.ATR(column(bars, "high"), column(bars, "low"), close, 14)]
    if kind is Ema:
        return [talib.EMA(close, FAST), talib.EMA(close, SLOW)]
    if kind is Macd:
        return list(talib.MACD(close, 12, 26, 9))
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
    return [lower, middle, upper]


@pytest.mark.parametrize("kind", [Rsi, Atr, Ema, Macd, Bollinger])
def test_equals_talib_from_the_first_value_on(kind: type[Indicator], quotes: list[Bar]) -> None:
    ours = run(kind, quotes)
    for at, reference in enumerate(talib_values(kind, quotes)):
        np.testing.assert_allclose(ours[:, at], reference, rtol=EXACT, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize(
    ("kind", "output", "file", "key"),
    [(Rsi, 0, "rsi.standard.json", "rsi"), (Bollinger, 1, "sma.standard.json", "sma")],
)
@pytest.mark.parametrize("quotes", ["default"], indirect=True)
def test_equals_the_published_results(
    kind: type[Indicator], output: int, file: str, key: str, reference_folder: Path, quotes: list[Bar]
) -> None:
    published = [row[key] for row in json.loads((reference_folder / "results" / file).read_text())]
    expected = np.array([np.nan if value is None else value for value in published], dtype=float)
    np.testing.assert_allclose(run(kind, quotes)[:, output], expected, rtol=1e-9, equal_nan=True)


@pytest.mark.parametrize("kind", registered(), ids=lambda kind: kind.name)
class TestContract:
    def test_is_known_exactly_when_it_says(self, kind: type[Indicator], quotes: list[Bar]) -> None:
        known = ~np.isnan(run(kind, quotes[:200])).any(axis=1)
        assert not known[: kind.warm_after - 1].any()
        assert known[kind.warm_after - 1 :].all()

    def test_names_as_many_outputs_as_it_gives(self, kind: type[Indicator], quotes: list[Bar]) -> None:
        assert len(kind.outputs) == len(kind().values()) == run(kind, quotes[:1]).shape[1]

    def test_goes_on_from_its_stored_form_as_if_nothing_had_happened(
        self, kind: type[Indicator], quotes: list[Bar]
    ) -> None:
        for cut in (0, 1, kind.warm_after - 1, kind.warm_after, 100):
            straight, stored = kind(), kind()
            for bar in quotes[:cut]:
                straight.update(bar)
                stored.update(bar)
            stored = msgspec.convert(msgspec.json.decode(msgspec.json.encode(stored)), kind)
            for bar in quotes[cut:150]:
                straight.update(bar)
                stored.update(bar)
            assert straight == stored

    def test_stays_finite_in_a_market_that_does_not_move(self, kind: type[Indicator], quotes: list[Bar]) -> None:
        flat = msgspec.structs.replace(quotes[0], high=1.0, low=1.0, open=1.0, close=1.0)
        values = run(kind, [flat] * 80)[kind.warm_after :]
        assert np.isfinite(values).all()

    def test_its_state_does_not_grow(self, kind: type[Indicator], quotes: list[Bar]) -> None:
        indicator, sizes = kind(), []
        for bar in quotes[:400]:
            indicator.update(bar)
            sizes.append(len(msgspec.json.encode(indicator)))
        assert max(sizes[200:]) < max(sizes[:200]) * 1.2


def test_output_names_are_unique() -> None:
    names = [name for kind in registered() for name in kind.outputs]
    assert len(set(names)) == len(names)
    assert "close" not in names


def test_all_indicators_of_the_issue_are_found() -> None:
    assert {kind.name for kind in registered()} >= {"rsi", "macd", "atr", "ema", "bollinger"}
    assert warm_after() == 34


def test_a_market_without_movement_is_neutral_to_rsi(quotes: list[Bar]) -> None:
    flat = msgspec.structs.replace(quotes[0], high=1.0, low=1.0, open=1.0, close=1.0)
    assert run(Rsi, [flat] * 20)[-1, 0] == NEUTRAL
