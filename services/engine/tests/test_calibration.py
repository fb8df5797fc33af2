"""The engine trades where its own outcomes show an edge, says how sure it is, and holds where there is none."""

from collections.abc import Callable

import pytest

from phoenix95.common.events import Analysis
from phoenix95.engine.core.config import Config
from phoenix95.engine.core.fold import fold_entries
from phoenix95.engine.core.state import new_state

MakeLog = Callable[..., list[tuple[str, dict[bytes, bytes]]]]
CONFIG = Config()
HISTORY, LIVE = 1_440, 120


def live_analyses(log: list[tuple[str, dict[bytes, bytes]]]) -> list[Analysis]:
    state = new_state("BTCUSDT", CONFIG)
    return [output.event for output in fold_entries(state, log).published if isinstance(output.event, Analysis)]


def executed(found: list[Analysis]) -> list[Analysis]:
    return [each for each in found if each.action == "EXECUTE"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_market_with_momentum_is_traded_soon_by_what_its_history_showed(make_log: MakeLog, seed: int) -> None:
    found = live_analyses(make_log(seed, seeds=HISTORY, minutes=LIVE, per_minute=6))
    trades = executed(found)
    assert any(each.action == "EXECUTE" for each in found[:30])
    for each in trades:
        assert each.win_samples >= CONFIG.min_samples
        assert each.win_probability is not None
        assert each.brier is not None
        assert each.confidence >= CONFIG.entry_confidence
        assert each.phoenix95_score >= 0.70
        assert 0 < each.position_fraction <= CONFIG.max_position_fraction
        assert each.stop_loss is not None
        assert each.take_profit is not None
        assert (each.stop_loss < each.price < each.take_profit) == (each.side == "BUY")
        assert each.side != "SELL" or each.take_profit < each.price < each.stop_loss
        assert each.risk_level != "critical"


def test_a_market_without_an_edge_is_left_alone_and_the_reason_says_so(make_log: MakeLog) -> None:
    traded = bars = 0
    reasons: set[str] = set()
    for seed in range(5):
        found = live_analyses(make_log(seed, seeds=HISTORY, minutes=LIVE, per_minute=6, drift=0.0))
        traded, bars = traded + len(executed(found)), bars + len(found)
        reasons |= {reason.partition(":")[0] for each in found for reason in each.reasoning}
    assert traded < bars * 0.02
    assert "no edge after costs" in reasons


def test_before_there_are_outcomes_the_engine_holds(make_log: MakeLog) -> None:
    found = live_analyses(make_log(1, seeds=60, minutes=60, per_minute=6))
    assert not executed(found)
    assert any(each.reasoning[0].startswith("not calibrated") for each in found)
    assert all(each.win_probability is None for each in found)


def test_right_behind_a_gap_the_engine_holds(make_log: MakeLog) -> None:
    log = make_log(1, seeds=HISTORY, minutes=LIVE, per_minute=6)
    torn = log[: HISTORY + 60] + log[HISTORY + 70 :]
    found = live_analyses(torn)
    behind = [each for each in found if each.quality.degraded_bars]
    assert len(behind) == CONFIG.gap_bars - 1
    assert not executed(behind)
    assert executed(found)
