"""A short kill run for every commit; `make kill` is the long one."""

import pytest

from tests.kill.__main__ import failures, lane

KILLS = 8


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_killed_at_random_moments_it_never_doubles_an_entry_or_forgets_a_position() -> None:
    outcome = await lane(95, KILLS, 0.05, None)
    assert failures(outcome) == []
    assert outcome.kills.total() == KILLS
    assert outcome.trades["closed"] >= 3, outcome
