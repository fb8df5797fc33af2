"""Recordings to run the whole system on, and an independent count of what is in them.

Nothing here uses the project's own reader: what it counts is the yardstick for it.
"""

import gzip
import json
import os
import random
import warnings
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

START_MS = 1_721_347_200_000
STRETCH_MS = 180_000
TRADES_A_SECOND = 12


class Recordings(NamedTuple):
    """`files` by symbol, and whether they are real."""

    files: dict[str, Path]
    real: bool


def find(folder: Path) -> Recordings:
    """The BTC and ETH recordings of 2024-07-19 from `P95_TEST_DATA`, else synthetic stretches written to `folder`."""
    data = os.environ.get("P95_TEST_DATA", "")
    files = {
        symbol: Path(data).resolve() / "recorded" / f"usdm_{symbol.lower()}_20240719.gz"
        for symbol in ("BTCUSDT", "ETHUSDT")
    }
    if data and all(path.is_file() for path in files.values()):
        return Recordings(files, real=True)
    warnings.warn("P95_TEST_DATA names no folder with recorded/: running on synthetic stretches", stacklevel=2)
    return Recordings(
        {
            symbol: _write(folder / f"{symbol.lower()}.gz", symbol, price, tick)
            for symbol, price, tick in (("BTCUSDT", "64000.0", "0.1"), ("ETHUSDT", "3420.00", "0.01"))
        },
        real=False,
    )


def _write(path: Path, symbol: str, first: str, tick_size: str) -> Path:
    """A seeded random walk in the recordings' format: bookTicker and trade frames of the combined stream."""
    chance = random.Random(symbol)
    price, tick, now, trade_id = Decimal(first), Decimal(tick_size), START_MS, 4_000_000
    with gzip.open(path, "wt") as out:

        def frame(stream: str, data: dict[str, object]) -> None:
            body = json.dumps({"stream": f"{symbol.lower()}@{stream}", "data": data}, separators=(",", ":"))
            out.write(f"{(now - 1270) * 1_000_000} {body}\n")

        while now < START_MS + STRETCH_MS:
            now += max(1, round(chance.expovariate(TRADES_A_SECOND) * 1000))
            price += tick * chance.choice((-3, -2, -1, -1, 0, 0, 0, 1, 1, 2, 3))
            bid, ask = str(price), str(price + tick)
            frame(
                "bookTicker",
                {
                    "e": "bookTicker",
                    "u": now,
                    "s": symbol,
                    "b": bid,
                    "B": "9.1",
                    "a": ask,
                    "A": "8.2",
                    "T": now,
                    "E": now,
                },
            )
            buyer_is_maker = chance.random() < 0.5
            for _ in range(chance.choice((1, 1, 1, 2, 3))):
                trade_id += 1
                frame(
                    "trade",
                    {
                        "e": "trade", "E": now, "T": now, "s": symbol, "t": trade_id,
                        "p": bid if buyer_is_maker else ask, "q": f"{chance.randint(1, 900) / 1000:.3f}",
                        "X": "MARKET", "m": buyer_is_maker,
                    },
                )  # fmt: skip
    return path


class Aggregate(NamedTuple):
    """One aggregate trade as the exchange would have sent it: prices and times exact, quantity summed."""

    price: Decimal
    quantity: Decimal
    buyer_is_maker: bool
    ms: int


def aggregates(path: Path) -> Iterator[Aggregate]:
    """Market trades of one price, maker side and millisecond that directly follow each other, as one each."""
    current: Aggregate | None = None
    with gzip.open(path, "rt") as lines:
        for line in lines:
            data = json.loads(line.partition(" ")[2]).get("data") or {}
            if data.get("e") != "trade" or data["X"] != "MARKET":
                continue
            trade = Aggregate(Decimal(data["p"]), Decimal(data["q"]), data["m"], data["T"])
            if current and (current.price, current.buyer_is_maker, current.ms) == (trade[0], trade[2], trade[3]):
                current = current._replace(quantity=current.quantity + trade.quantity)
                continue
            if current:
                yield current
            current = trade
    if current:
        yield current
