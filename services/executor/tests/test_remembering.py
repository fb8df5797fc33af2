"""What the ledger's memory keeps, and what it lets go."""

from typing import Any

import pytest

from phoenix95.common.errors import Fenced, TransientError
from phoenix95.executor.protocol.remembering import Remembering
from tests.explorer.executor import ANALYSIS_ID, Executor, first
from tests.explorer.scenarios import SCENARIOS
from tests.explorer.world import replace


class Storing:
    """Raises what it is told to when something is to be said; knows one trade."""

    def __init__(self, group: Any = None) -> None:
        self.error: Exception | None = None
        self.stored = group
        self.said: list[str] = []

    async def alert(self, _severity: str, kind: str, _message: str, _symbol: str | None) -> None:
        if self.error is not None:
            raise self.error
        self.said.append(kind)

    async def group(self, _analysis_id: str) -> Any:
        return self.stored


def entered() -> Any:
    scenario = SCENARIOS["flatten"]
    executor, state = Executor(scenario), first(scenario)
    while state.ledger.group is None:
        state = executor.step(state).state
    return state.ledger.group


async def test_an_owed_word_that_can_never_be_stored_is_logged_and_holds_nothing_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ledger: Any = Storing(entered())
    remembering = Remembering(ledger)
    ledger.error = TransientError("away")
    for kind in ("first", "second"):
        await remembering.alert("error", kind, "text", None)
    ledger.error = ValueError("no such thing")
    assert await remembering.group(ANALYSIS_ID) == ledger.stored
    assert capsys.readouterr().out.count("owed_word_lost") == 2
    ledger.error = None
    await remembering.group(ANALYSIS_ID)
    assert ledger.said == []  # not tried again
    ledger.error = TransientError("away")
    await remembering.alert("error", "third", "text", None)
    ledger.error = Fenced("FENCED_OWNER", "account test")
    with pytest.raises(Fenced):
        await remembering.group(ANALYSIS_ID)


@pytest.mark.parametrize("stage", ["CLOSED", "FAILED"])
async def test_a_trade_that_is_over_is_forgotten_when_it_is_read_as_such(stage: str) -> None:
    group = entered()
    ledger: Any = Storing(group)
    remembering: Any = Remembering(ledger)
    await remembering.group(ANALYSIS_ID)
    assert ANALYSIS_ID in remembering._known
    ledger.stored = replace(group, trade=replace(group.trade, stage=stage))
    await remembering.group(ANALYSIS_ID)
    assert remembering._known == {}
