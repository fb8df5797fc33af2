"""What the exchange and the market do by themselves in a run, whatever the faults are."""

from decimal import Decimal
from typing import Any, NamedTuple

from phoenix95.common.events import Side
from phoenix95.executor.core.intents import PositionSide
from phoenix95.executor.core.options import Wish, Wishes
from tests.explorer.world import World, replace

LONG_AGO_MS = 3_600_000  # a time barrier that no run comes near to


class Scenario(NamedTuple):
    """`turns` are what happens so many ms after the entry was executed: the price goes through the stop or the target
    and stays there, or a person's or the system's doing.

    `parts` is how much of an order of a role is filled when it is carried out (1 where nothing is said); the rest
    expires, or the rest of an entry is filled after `rest_ms`. `at_once`: the price goes through the trigger of this
    role the moment its first order rests. `trades_late_ms`: the list of trades lags behind so much.
    """

    name: str
    ends: tuple[str, ...]
    turns: tuple[tuple[int, str], ...] = ()
    hold_ms: int = LONG_AGO_MS
    position_side: PositionSide = "LONG"
    parts: tuple[tuple[str, Decimal], ...] = ()
    rest_ms: int | None = None
    at_once: str | None = None
    trades_late_ms: int = 0
    wishes: Wishes = Wishes()

    @property
    def opening(self) -> Side:
        return "BUY" if self.position_side == "LONG" else "SELL"

    @property
    def closing(self) -> Side:
        return "SELL" if self.position_side == "LONG" else "BUY"

    def take(self, role: str, quantity: Decimal) -> Decimal:
        """How much of an order is filled at once."""
        return quantity * dict(self.parts).get(role, Decimal(1))

    def happens(self, world: World, what: str) -> None:
        """A turn that is not the price's."""
        stored = world.state.ledger
        if what == "flatten":
            world.put(ledger=replace(stored, modes=replace(stored.modes, account="FLATTEN")))
        elif what == "best":  # the reconciliation keeps the best price that was seen
            group = stored.group
            if group is not None and group.trade.stage not in ("CLOSED", "FAILED"):
                best = replace(group, trade=replace(group.trade, best_price=BEST))
                world.put(ledger=replace(stored, group=best))
        elif what == "takeover":
            world.put(process=replace(world.state.process, phase="replaced"))
        else:
            raise AssertionError(what)


HALF = Decimal("0.5")
BEST = Decimal(1_015)


def _all() -> dict[str, Scenario]:
    fallback: Any = (6_000, "stop")  # where the first stop never rests, the price comes all the same
    made = (
        Scenario("entry filled, stop hit", ("stop_loss",), turns=((600, "stop"),)),
        Scenario("stop hit at once", ("stop_loss",), turns=(fallback,), at_once="stop"),
        Scenario("stop hit, filled in part", ("stop_loss",), turns=((600, "stop"),), parts=(("stop", HALF),)),
        Scenario("short, target hit", ("take_profit",), turns=((600, "target"),), position_side="SHORT"),
        Scenario("time barrier", ("time_barrier",), hold_ms=200),
        Scenario("entry filled in part", ("stop_loss",), turns=(fallback,), at_once="stop", parts=(("entry", HALF),)),
        Scenario(
            "entry filled in two", ("stop_loss",), turns=((1_000, "stop"),), parts=(("entry", HALF),), rest_ms=500
        ),
        Scenario("entry never filled", ("the entry is EXPIRED",), parts=(("entry", Decimal(0)),)),
        Scenario("flatten", ("flatten",), turns=((600, "flatten"),)),
        Scenario("second executor takes over", ("stop_loss",), turns=((0, "takeover"), (600, "stop"))),
        Scenario("list of trades lags", ("stop_loss",), turns=(fallback,), at_once="stop", trades_late_ms=1_000),
        Scenario(
            "stop moved to break-even", ("stop_loss",), turns=((100, "best"), (1_600, "stop")),
            wishes=Wishes(breakeven_r=Decimal(1)),
        ),
        Scenario(
            "two targets, one hit", ("stop_loss",), turns=((100, "near"), (600, "stop")),
            wishes=Wishes(targets=(Wish(HALF, Decimal(1)), Wish(HALF, Decimal(3)))),
        ),
    )  # fmt: skip
    return {one.name: one for one in made}


SCENARIOS = _all()
