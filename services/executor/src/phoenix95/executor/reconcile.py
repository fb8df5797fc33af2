"""Exchange truth against the ledger, again and again: the shell around core/reconcile.py."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec
import structlog

from phoenix95.common.errors import Fenced, TransientError, VenueRejected
from phoenix95.executor.core.adoption import adopted
from phoenix95.executor.core.book import exposures
from phoenix95.executor.core.candidate import Book
from phoenix95.executor.core.flatten import Held, Resting
from phoenix95.executor.core.group import Group
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.losses import breaches
from phoenix95.executor.core.pnl import unrealized
from phoenix95.executor.core.reconcile import (
    AccountMode,
    Config,
    Finding,
    Policy,
    Truth,
    compare,
    compare_income,
)  # fmt: skip
from phoenix95.executor.desk import Desk
from phoenix95.executor.ledger.adopting import adopt
from phoenix95.executor.ledger.income import Row, booked, since_ms, store_income
from phoenix95.executor.ledger.reports import store_portfolio
from phoenix95.executor.ledger.store import PostgresLedger
from phoenix95.executor.ledger.writing import Writer
from phoenix95.executor.ports import Ports, VenueAccount, VenuePosition
from phoenix95.executor.venue.truth import Truths

CERTAIN_LOOKS: Final = 2  # between two answers of the exchange a trade may have begun or ended
DIFFERENT_LOOKS: Final = 3  # the same difference in so many looks is none that looking resolves
FILLS_BACK_MS: Final = 7 * 86_400_000  # how far the exchange's list of trades is read for an adoption


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """How it is to be done: `stop_share` is the distance of an adopted position's stop, as a share of its price."""

    policy: Policy
    wanted: AccountMode
    stop_share: Decimal
    limits: Limits


class Reconciler:
    """Remembers from look to look what it saw before. The first look of a start is acted on at once: no entry is
    allowed before it."""

    def __init__(
        self, ports: Ports, ledger: PostgresLedger, writer: Writer, desk: Desk, truths: Truths, means: Means
    ) -> None:
        self._ports, self._ledger, self._writer, self._desk = ports, ledger, writer, desk
        self._truths, self._means = truths, means
        self._looks: dict[Finding, int] = {}
        self._told: set[Finding] = set()  # whose action failed for a reason that nobody foresaw
        self._first = True
        self._configs: dict[str, Config] | None = None

    async def look(self, *, fully: bool) -> VenueAccount:
        """One reconciliation; `fully`: settings and income too. Raises TransientError when somebody cannot be asked."""
        ports, ledger = self._ports, self._ledger
        before = await ledger.active_groups()
        positions = await ports.venue.positions()
        orders = await self._truths.orders()
        account = await ports.venue.account()
        hedged = await self._settings() if fully else None
        groups = await ledger.active_groups()
        now_ms = ports.clock.now_ms()
        truth = Truth(
            positions=tuple(as_held(one) for one in positions),
            orders=orders,
            configs=self._configs if fully else None,
            hedged=hedged,
        )
        await self._keep_up(groups, positions, now_ms)
        findings = compare(truth, groups, self._means.policy, self._means.wanted, also=before)
        if fully:
            findings += await self._income(now_ms)
        failed = await self._act_on(findings, truth, fully)
        await store_portfolio(self._writer, account, exposures(groups), now_ms)
        await self._losses(account, now_ms)
        if failed is not None:
            raise failed
        self._first = False
        return account

    async def _losses(self, account: VenueAccount, now_ms: int) -> None:
        """A day's loss or a drawdown beyond its limit stops entries, once a day: a person may resume in spite of it."""
        figures = await self._ledger.figures("", now_ms=now_ms, since_ms=now_ms, staged=0)
        book = Book(
            equity=account.equity,
            available=account.available,
            unrealized=account.unrealized,
            day_realized=figures.day_realized,
            day_unrealized_before=figures.day_unrealized_before,
            peak_equity=figures.peak_equity,
        )
        for cause, reason in breaches(book, self._means.limits):
            await self._ledger.tighten_once_a_day("REDUCE_ONLY", cause, reason, now_ms)

    async def _settings(self) -> bool:
        self._configs = await self._truths.configs()
        return await self._truths.hedged()

    async def _keep_up(self, groups: Iterable[Group], positions: Iterable[VenuePosition], now_ms: int) -> None:
        places = {(one.symbol, one.position_side): one for one in positions}
        for group in groups:
            # one that nobody drives: its decision was stored, but the reply of the commit was lost
            self._desk.start(group.trade.analysis_id, group.trade.symbol)
            one = places.get((group.trade.symbol, group.trade.position_side))
            if one is not None and one.size == group.held > 0:
                result = unrealized(one.size, one.entry_price, one.mark_price, one.position_side)
                await self._ledger.mark(group.trade.analysis_id, one.mark_price, result, now_ms)

    async def _act_on(self, findings: tuple[Finding, ...], truth: Truth, fully: bool) -> TransientError | None:
        """Act on each, whatever became of those before it. What failed counts as not seen, so that it is done again."""
        # what was found by a full look only is not forgotten by the next small one
        kept = {} if fully else {one: n for one, n in self._looks.items() if _only_in_full(one)}
        looks = kept | {one: self._looks.get(one, 0) + 1 for one in findings}
        failed: TransientError | None = None
        for finding in findings:
            try:
                await self._act(finding, looks[finding], truth)
            except (TransientError, VenueRejected) as error:
                structlog.get_logger().warning("finding_not_mended", finding=finding.text, reason=str(error))
                looks[finding] -= 1
                failed = failed or TransientError(f"{finding.text}: {error}")
            except Fenced:
                raise
            except Exception as error:  # one that nobody foresaw must not keep the others from being seen to
                structlog.get_logger().exception("finding_not_mended", finding=finding.text)
                looks[finding] -= 1
                await self._tell_unforeseen(finding, error)
        self._looks = looks
        return failed

    async def _tell_unforeseen(self, finding: Finding, error: Exception) -> None:
        if finding not in self._told:
            text = f"{finding.text}: nothing could be done about it: {type(error).__name__}: {error}"
            await self._ledger.alert("critical", "finding_not_mended", text[:1000], finding.symbol or None)
            self._told.add(finding)

    async def _act(self, finding: Finding, looks: int, truth: Truth) -> None:
        certain = looks == (1 if self._first else CERTAIN_LOOKS)
        if finding.action in ("wait", "look"):
            if finding.analysis_id is not None:
                self._desk.resync(finding.analysis_id)
            if finding.action == "look" and looks == DIFFERENT_LOOKS:
                await self._ledger.tighten("REDUCE_ONLY", "ledger_mismatch", finding.text, None)
        elif finding.action == "cancel" and looks >= CERTAIN_LOOKS:
            await self._cancel(finding, truth.orders)
        elif finding.action == "tell" and certain:
            if finding.kind == "position_mode":
                await self._ledger.tighten("REDUCE_ONLY", "position_mode", finding.text, None)
            else:
                await self._ledger.alert("warning", finding.kind, finding.text, finding.symbol or None)
        elif finding.kind == "foreign_position" and certain:
            await self._take_in(finding, truth)

    async def _take_in(self, finding: Finding, truth: Truth) -> None:
        position = next(
            one for one in truth.positions
            if one.symbol == finding.symbol and (one.amount > 0) == (finding.position_side == "LONG")
        )  # fmt: skip
        reason = f"{finding.symbol} {finding.exchange}: a position that this system did not open"
        rules = await self._ports.venue.rules(finding.symbol)
        if finding.action != "adopt" or rules is None:
            await self._ledger.tighten("REDUCE_ONLY", "foreign_position", reason, finding.symbol)
            return
        now_ms = self._ports.clock.now_ms()
        if self._configs is None:
            self._configs = await self._truths.configs()
        config = self._configs.get(finding.symbol)
        fills = await self._ports.venue.fills(finding.symbol, since_ms=now_ms - FILLS_BACK_MS, after_id=None)
        group = adopted(
            position, fills, account=self._ports.account, now_ms=now_ms,
            leverage=1 if config is None else config.leverage, rules=rules, stop_share=self._means.stop_share,
            recv_window_ms=self._ports.recv_window_ms,
        )  # fmt: skip
        if await adopt(self._writer, group, reason):
            structlog.get_logger().warning("adopted", analysis_id=group.trade.analysis_id, found=finding.exchange)
            self._desk.start(group.trade.analysis_id, finding.symbol)

    async def _cancel(self, finding: Finding, orders: Iterable[Resting]) -> None:
        await self._truths.cancel(next(one for one in orders if one.client_id == finding.client_id))

    async def _income(self, now_ms: int) -> tuple[Finding, ...]:
        """Fetch, keep and book what is new, then compare. An exchange that tells no income makes no difference."""
        since = await since_ms(self._writer)
        if since is None:
            return ()
        try:
            told = await self._truths.income(since)
        except TransientError as error:
            structlog.get_logger().info("income_not_told", reason=str(error))
            return ()
        rows = [
            Row(one.income_type, one.tran_id, one.symbol, one.asset, one.income, one.time, one.trade) for one in told
        ]
        await store_income(self._writer, rows)
        async with self._writer.read("income") as session:
            return compare_income(*await booked(session, self._writer.account, now_ms))


def as_held(one: VenuePosition) -> Held:
    """A position as the pure comparison takes it."""
    return Held(
        symbol=one.symbol,
        position_side=one.position_side,
        amount=one.size if one.position_side == "LONG" else -one.size,
        entry_price=one.entry_price,
        mark_price=one.mark_price,
        unrealized=one.unrealized,
    )


def _only_in_full(finding: Finding) -> bool:
    return finding.kind in (
        "leverage", "margin_mode", "position_mode", "realised", "commission", "income_of_nobody"
    )  # fmt: skip
