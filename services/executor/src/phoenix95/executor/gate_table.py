"""The page of all gates, made from the gates themselves.

`python -m phoenix95.executor.gate_table` writes `docs/gates.md`.
"""

import sys
from typing import Final

from phoenix95.common.settings_registry import SETTINGS, variable
from phoenix95.executor.core.gates import STAGES, Gate, gates

_HEAD: Final = """\
# Gates

Made by `python -m phoenix95.executor.gate_table > docs/gates.md`; a test fails when it is old.

An analysis that says EXECUTE and may be traded comes before the gates, all of them, in three stages: what the signal
is worth, what the position would be, and what the account can bear. One refusal is enough to enter nothing; the others
are asked all the same, and each verdict is stored with the numbers that it compared (`ledger.signals.verdicts`, the
`decided` events, `phoenix95 why ID`). A gate that does not know what it needs refuses. Everything is told once for all
gates: the ledger in one statement, the market from the feed's price hash, the account and the exchange's rules and
margin tiers from what was last told; the control modes are read again in the transaction that stores the decision.

Gates are for entries. Nothing that gets out of a position, neither a stop, a target, a time barrier nor a person's
word, ever comes here. A person's own trade is not asked for an opinion: the gates marked with a * are left out.

Times are exchange time. Names that end in `_percent` are shares: 0.02 is 2 %. A gate is one file in
`services/executor/src/phoenix95/executor/core/gates`; it is found by being there.
"""
_TITLES: Final = {"signal": "Stage 1: signal", "position": "Stage 2: position", "portfolio": "Stage 3: portfolio"}


def page() -> str:
    """The whole page, with a table for each stage."""
    parts = [_HEAD]
    for stage in STAGES:
        parts += [f"## {_TITLES[stage]}\n", "| gate | what it asks | settings and defaults |\n| --- | --- | --- |"]
        parts.append("\n".join(_row(one) for one in gates() if one.stage == stage) + "\n")
    return "\n".join(parts)


def _row(one: Gate) -> str:
    names = [variable("executor", key) for key in one.settings]
    told = "<br>".join(f"`{name}` {SETTINGS[name].default or 'empty'}" for name in names)
    return f"| {one.name}{'*' if one.of_opinion else ''} | {one.asks} | {told or 'none'} |"


if __name__ == "__main__":
    sys.stdout.write(page())
