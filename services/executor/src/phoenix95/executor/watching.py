"""The prices of what is held, as far as a trade's options need them: how far has it gone in our favour?

The feed's latest price each second; the mark price of each reconciliation counts too, so that without Redis only the
pace is lost. What was seen is stored: a restart decides the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Final

import structlog

from phoenix95.common.errors import TransientError
from phoenix95.common.money import exact
from phoenix95.common.retry import pause
from phoenix95.executor.ledger.store import PostgresLedger

EVERY_S: Final = 1.0
Read = Callable[[str], Awaitable[Mapping[str, str] | None]]


async def watch_prices(ledger: PostgresLedger, read: Read, hint: Callable[[str], None], stop: asyncio.Event) -> None:
    """Keep the best price of each open trade that has options until `stop`; `hint` its symbol when it got better."""
    silent = False
    while not await pause(stop, EVERY_S):
        try:
            for symbol in await ledger.watched():
                told = last_trade(await read(symbol))
                if told is not None and await ledger.seen(symbol, *told):
                    hint(symbol)
            silent = False
        except TransientError as error:
            if not silent:
                structlog.get_logger().warning("prices_not_watched", reason=str(error))
            silent = True


def last_trade(fields: Mapping[str, str] | None) -> tuple[Decimal, int] | None:
    """Price and exchange time (ms) of the last trade among the fields of a price; None when they do not tell."""
    if fields is None:
        return None
    try:
        price, time_ms = exact(fields["price"]), int(fields["trade_time"])
    except (KeyError, ValueError):
        return None
    return (price, time_ms) if price > 0 else None
