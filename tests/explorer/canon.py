"""When two states have the same future, so that it has to be explored only once.

The protocol and the exchange know time only by differences, so times are taken relative to now. Left out is what
nothing reads any more: when a request was signed once it is answered, texts, average prices, how far back something
long past is. `test_explorer.py` checks this by running placements straight through, without any of it.
"""

from typing import Any

from phoenix95.executor.core.candidate import Modes
from phoenix95.executor.core.group import Group, Trade
from phoenix95.executor.core.intents import Intent
from phoenix95.executor.core.plan import REFUSED_PAUSE_MAX_MS
from phoenix95.executor.core.protection import FAILURES_MAX, MOVE_PAUSE_MS
from tests.explorer.executor import BOUNDS, WINDOW_MS
from tests.explorer.world import START_MS, Exchange, Memory, State, Zombie, replace

FAR_MS = 600_000
MOVES_PAUSE_MAX_MS = 2**FAILURES_MAX * MOVE_PAUSE_MS


class Canon:
    """Makes keys of states. Immutable parts are reduced once and remembered by identity."""

    def __init__(self, trades_late_ms: int) -> None:
        self._began: dict[int, tuple[State, int]] = {}
        self._lag_ms = trades_late_ms
        self._exchanges: dict[int, tuple[Exchange, int]] = {}
        self._groups: dict[int, tuple[Group, Any]] = {}
        self._intents: dict[int, tuple[Intent, int]] = {}
        self._trades: dict[int, tuple[Trade, int]] = {}
        self._parts: dict[Any, int] = {}

    def key(self, state: State) -> Any:
        """Equal for two states only if what can happen from them is the same."""
        now_ms, ledger, process = state.now_ms, state.ledger, state.process
        group = ledger.group
        stored: Any = min(now_ms - START_MS, 2_000)
        if group is not None:
            stored = self._group(group, now_ms)
        return (
            stored,
            ledger.offset,
            ledger.modes.account,
            tuple(ledger.modes.symbols.items()),
            ledger.ended,
            ledger.token == process.token,
            self._exchange(state),
            tuple([(due.at_ms - now_ms, due.what, due.intent and due.intent.client_id) for due in state.due]),
            process.phase,
            max(0, process.ready_ms - now_ms),
            process.sync,
            process.taken_over,
            self._memory(process.memory, stored, ledger.modes, now_ms),
            max(0, state.away_until_ms - now_ms),
            max(0, state.deaf_until_ms - now_ms),
            state.disturbed,
            state.woken,
            tuple([self._zombie(one, state) for one in state.zombies]) if state.zombies else (),
            state.problem,
        )

    def end(self, state: State) -> Any:
        """Of a run that is over: what a process that wakes then may still meet."""
        ledger = state.ledger
        group = None if ledger.group is None else self._group(ledger.group, state.now_ms)[0]
        modes = ledger.modes.account, tuple(ledger.modes.symbols.items())
        return (
            group,
            self._exchange(state)[0],
            ledger.offset,
            modes,
            ledger.ended,
            state.disturbed,
            state.woken,
            state.problem,
        )

    def _number(self, part: Any) -> int:
        """A small number that stands for a large part."""
        return self._parts.setdefault(part, len(self._parts))

    def _exchange(self, state: State) -> Any:
        exchange, now_ms = state.exchange, state.now_ms
        known = self._exchanges.get(id(exchange))
        if known is None:
            part = (
                tuple([(one.client_id, one.order_id, one.state, one.filled) for one in exchange.orders.values()]),
                tuple([(one.client_id, one.state, one.quantity) for one in exchange.algos.values()]),
                tuple([(one.order_id, one.side, one.quantity) for one in exchange.trades]),
                exchange.crossed,
                exchange.entries,
            )
            known = exchange, self._number(part)
            self._exchanges[id(exchange)] = known
        naked_ms = None if exchange.naked_ms is None else now_ms - exchange.naked_ms
        if self._lag_ms and exchange.trades:
            return known[1], naked_ms, tuple([max(-self._lag_ms, one.time_ms - now_ms) for one in exchange.trades])
        return known[1], naked_ms

    def _zombie(self, zombie: Zombie, state: State) -> Any:
        known = self._began.get(id(zombie.began))
        if known is None and zombie.began is not None:
            known = zombie.began, self._number(self.key(replace(zombie.began, zombies=())))
            self._began[id(zombie.began)] = known
        began = None if known is None else known[1]
        wakes_ms = None if zombie.wakes_ms is None else zombie.wakes_ms - state.now_ms
        since_ms = None if zombie.began is None else min(WINDOW_MS + 1, state.now_ms - zombie.began.now_ms)
        return began, wakes_ms, since_ms, zombie.script, zombie.token == state.ledger.token

    def _memory(self, memory: Memory, stored: Any, modes: Modes, now_ms: int) -> Any:
        known = None if memory.known is None else self._group(memory.known, now_ms)
        return (
            known if known != stored else True,
            memory.owed and memory.known is not None and now_ms - memory.known.entry.updated_ms,
            memory.urgent,
            memory.away,
            memory.close and memory.close[:2],
            tuple([self._said(say) for say in memory.says]),
            memory.modes == modes or (memory.modes.account, tuple(memory.modes.symbols.items())),
            memory.unknowns,
        )

    @staticmethod
    def _said(say: Any) -> Any:
        cells = [cell.cell_contents for cell in say.__closure__]
        return tuple([one for one in cells if isinstance(one, str | None)])

    def _group(self, group: Group, now_ms: int) -> Any:
        known = self._groups.get(id(group))
        if known is None:
            bare = (
                self._number(
                    (
                        self._trade(group.trade),
                        tuple([self._intent(one) for one in group.intents]),
                        tuple([one.trade_id for one in group.fills]),
                    )
                ),
                group.entry.state == "PLANNED",
                [one.deadline_ms for one in group.intents if one.state == "SENT" and one.deadline_ms is not None],
                [one.updated_ms for one in group.intents if one.state == "REJECTED"],
                [one.updated_ms for one in group.of("stop") if one.state in ("REJECTED", "ABSENT", "EXPIRED")]
                if group.trade.options.breakeven_r is not None
                else [],
            )
            known = group, bare
            self._groups[id(group)] = known
        number, waiting, deadlines, refusals, moves = known[1]
        trade = group.trade
        left_ms = None if trade.opened_ms is None else trade.opened_ms + trade.hold_ms - now_ms
        return (
            number,
            max(-1, trade.expires_ms - now_ms) if waiting else None,
            left_ms if left_ms is None else FAR_MS if left_ms > FAR_MS else max(-1, left_ms),
            None if trade.naked_since_ms is None else min(BOUNDS.naked_ms + 1, now_ms - trade.naked_since_ms),
            tuple([max(-BOUNDS.margin_ms - 1, one - now_ms) for one in deadlines]),
            tuple([min(REFUSED_PAUSE_MAX_MS, now_ms - one) for one in refusals]),
            tuple([min(MOVES_PAUSE_MAX_MS, now_ms - one) for one in moves]),
        )

    def _intent(self, intent: Intent) -> int:
        known = self._intents.get(id(intent))
        if known is None:
            bare = replace(
                intent,
                signed_ms=None,
                deadline_ms=None,
                updated_ms=0,
                average_price=None,
                reason=None,
                venue_id=intent.venue_id and "",
                filled_ms=None,
            )
            known = intent, self._number(bare)
            self._intents[id(intent)] = known
        return known[1]

    def _trade(self, trade: Trade) -> int:
        known = self._trades.get(id(trade))
        if known is None:
            known = trade, self._number(replace(trade, expires_ms=0, opened_ms=None, naked_since_ms=None, decided_ms=0))
            self._trades[id(trade)] = known
        return known[1]
