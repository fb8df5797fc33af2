"""`phoenix95 report`: one day, tied to the exchange's income history."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from phoenix95.common.errors import ConfigError
from phoenix95.common.money import ZERO, plain
from phoenix95.common.settings import require
from phoenix95.executor.audit.looking import exchange_of
from phoenix95.executor.config import ExecutorSettings
from phoenix95.executor.ledger.connect import connect
from phoenix95.executor.ledger.daily import Day, Money, day_of, newest
from phoenix95.executor.ledger.evidence import Evidence
from phoenix95.executor.offline.table import table

TIED: Final = ("REALIZED_PNL", "COMMISSION", "FUNDING_FEE")
NAMES: Final = {"REALIZED_PNL": "realised", "COMMISSION": "commission", "FUNDING_FEE": "funding"}
DIGITS: Final = Decimal("0.00000001")  # the exchange's own


class Tie(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of money in one asset. `exchange` None: it was not asked; `difference` is the ledger's less its."""

    kind: str
    asset: str
    ledger: Decimal
    exchange: Decimal | None
    difference: Decimal | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`against` says what the ledger was compared with, or why with nothing."""

    date: date
    account: str
    day: Day
    ties: tuple[Tie, ...]
    against: str
    anchor: str

    @property
    def tied(self) -> bool:
        """Whether nothing differs."""
        return not any(one.difference for one in self.ties)


def tie(day: Day, exchange: Iterable[Money] | None) -> tuple[Tie, ...]:
    """The ledger's sums beside the exchange's. Realised results and commissions of the ledger are those of its fills;
    funding has no fill, so there it is what was stored of the income history."""
    ours = {(one.kind, one.asset): one.amount for one in (*_funding(day.by_income), *day.by_fills)}
    theirs = None if exchange is None else {(one.kind, one.asset): one.amount for one in exchange}
    found = []
    for kind, asset in sorted({*ours, *(theirs or {})}, key=lambda one: (TIED.index(one[0]), one[1])):
        booked = ours.get((kind, asset), ZERO)
        told = None if theirs is None else theirs.get((kind, asset), ZERO)
        difference = None if told is None else (booked - told).quantize(DIGITS) + ZERO
        found.append(Tie(kind=kind, asset=asset, ledger=booked, exchange=told, difference=difference))
    return tuple(found)


async def report(settings: ExecutorSettings, on: date | None) -> Report:
    """Read the day and compare it. Raises ConfigError, and TransientError when Postgres does not answer."""
    require(settings, "postgres_url")
    engine = connect(settings.postgres_url.reveal())
    try:
        ledger = Evidence(engine, settings.account)
        if settings.account not in await ledger.accounts():
            raise ConfigError(f"no account {settings.account!r} in the ledger")
        if on is None:
            last = await newest(engine, settings.account)
            on = (last or datetime.now(UTC)).astimezone(UTC).date()
        start = datetime.combine(on, time(), UTC)
        day = await day_of(engine, settings.account, start)
        told, against = await _told(settings, day, start)
        head = str(await ledger.head())
        return Report(
            date=on, account=settings.account, day=day, ties=tie(day, told), against=against, anchor=head
        )  # fmt: skip
    finally:
        await engine.dispose()


async def _told(settings: ExecutorSettings, day: Day, start: datetime) -> tuple[list[Money] | None, str]:
    """What the exchange says of the day; without its answer, what was stored of its income history."""
    async with AsyncExitStack() as held:
        exchange, reason = await held.enter_async_context(exchange_of(settings))
        if exchange is not None:
            first = round(start.timestamp() * 1000)
            rows = await exchange.income(first, first + 86_400_000 - 1)
            sums: dict[tuple[str, str], Decimal] = {}
            for row in rows:
                if row.income_type in TIED:
                    sums[row.income_type, row.asset] = sums.get((row.income_type, row.asset), ZERO) + row.income
            told = [Money(kind=kind, asset=asset, amount=amount) for (kind, asset), amount in sums.items()]
            return told, "the exchange's income history, asked now"
    stored = [one for one in day.by_income if one.kind in TIED]
    if stored:
        return stored, f"the income history as the ledger stored it ({reason})"
    return None, f"nothing: {reason}, and no income history is stored"


def as_text(made: Report) -> str:
    """The report for a terminal of 100 columns."""
    day = made.day
    rate = f"{day.wins / day.closed:.0%}" if day.closed else "-"
    until = made.date + timedelta(days=1)
    facts = (
        ("trades", f"{day.trades} accepted, {day.closed} closed: {day.wins} won, {day.losses} lost, win rate {rate}"),
        ("result", f"{plain(day.result)} after {plain(day.fees)} fees; funding {plain(day.funding)}"),
        ("equity", f"{_shown(day.equity_first)} to {_shown(day.equity_last)}, largest fall {_percent(day.drawdown)}"),
        ("decisions", f"{day.decisions}, {day.accepted} accepted"),
        ("refused by", ", ".join(f"{gate} {count}" for gate, count in day.refused_by.items()) or "-"),
        ("alerts", ", ".join(f"{severity} {count}" for severity, count in day.alerts.items()) or "none"),
        ("restarts", str(day.restarts)),
    )
    lines = [f"\n {made.date}, account {made.account} (exchange time, UTC, until {until})\n\n"]
    lines += [f" {name:<12}{words}\n" for name, words in facts]
    if made.ties:
        rows = [
            (NAMES[one.kind], one.asset, one.ledger, one.exchange, one.difference,
             "" if one.difference is None else "✓" if one.difference == 0 else "✗ DIFFERS")
            for one in made.ties
        ]  # fmt: skip
        numbers = ("ledger", "exchange", "difference")
        lines.append("\n" + table(("of the day", "asset", *numbers, "tied"), rows, numbers=numbers))
    lines.append(f"\n compared with {made.against}\n anchor of the chain: {made.anchor}\n")
    return "".join(lines)


def _funding(stored: Iterable[Money]) -> list[Money]:
    return [one for one in stored if one.kind == "FUNDING_FEE"]


def _shown(number: Decimal | None) -> str:
    return "-" if number is None else plain(number)


def _percent(share: Decimal | None) -> str:
    return "-" if share is None else f"{share:.3%}"
