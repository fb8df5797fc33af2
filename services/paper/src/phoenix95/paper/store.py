"""The exchange's memory: one SQLite file, committed before an order is answered."""

import sqlite3
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from phoenix95.common.errors import ConfigError, TransientError
from phoenix95.common.money import ZERO, exact
from phoenix95.paper.core.account import Account, Setting
from phoenix95.paper.core.orders import Algo, Order, Trade
from phoenix95.paper.core.position import Position
from phoenix95.paper.core.source import ClosedBar

VERSION: Final = "1"
OPEN_STATES: Final = ("NEW", "PARTIALLY_FILLED")
ENDED: Final = 0
WAITING: Final = 1
FOLLOWED: Final = 2
LOCK_WAIT_S: Final = 1.0
INTEGER_MAX: Final = (1 << 63) - 1  # what a column holds; a larger volume is cut to it
SNAPSHOTS_KEPT: Final = 30  # minutes of trades that a restarted synthetic market can still tell
_SCHEMA: Final = """
create table if not exists meta (name text primary key, value text not null);
create table if not exists position (symbol text, side text, body blob not null, primary key (symbol, side));
create table if not exists setting (symbol text primary key, body blob not null);
create table if not exists orders (id integer primary key, client text not null, symbol text not null, ms integer not null, body blob not null);
create index if not exists orders_client on orders (client);
create table if not exists algo (id integer primary key, client text not null, symbol text not null, open integer not null, ms integer not null, body blob not null);
create index if not exists algo_client on algo (client);
create table if not exists fill (id integer primary key, order_id integer not null, symbol text not null, ms integer not null, body blob not null);
create table if not exists resting (id integer primary key);
create table if not exists income (id integer primary key, symbol text not null, kind text not null, ms integer not null, body blob not null);
create table if not exists funding (symbol text, ms integer, rate text not null, mark text not null, primary key (symbol, ms)) without rowid;
create table if not exists trail (id integer primary key, extreme text not null);
create table if not exists forced (symbol text, ms integer, until_ms integer not null, price text not null, primary key (symbol, ms)) without rowid;
create table if not exists fault (id integer primary key, ms integer not null, method text not null, path text not null, kind text not null, client text not null, detail text not null);
create table if not exists naked (id integer primary key, symbol text not null, side text not null, since_ms integer not null, until_ms integer);
create table if not exists bar (symbol text, open_ms integer, open integer, high integer, low integer, close integer, volume integer, quote_volume integer, trades integer, taker_volume integer, taker_quote integer, primary key (symbol, open_ms)) without rowid;
create table if not exists snapshot (symbol text, ms integer, body blob not null, primary key (symbol, ms)) without rowid;
"""  # noqa: E501 - one table a line reads best
_BARS: Final = """select open_ms, open, high, low, close, volume, quote_volume, trades, taker_volume, taker_quote
from bar where symbol = ? and open_ms between ? and ? order by open_ms"""
_OLDEST_BARS: Final = f"{_BARS} asc limit ?"
_NEWEST_BARS: Final = f"{_BARS} desc limit ?"


class Day(NamedTuple):
    """Closed minutes as one: prices in 1e-8 units, volumes as floats of them. `open` is None without any."""

    open: int | None
    high: int
    low: int
    volume: float
    quote_volume: float
    trades: int


class Store:
    """Writes join the open transaction; `commit` makes them last."""

    def __init__(self, path: str) -> None:
        """Open or create; an empty path keeps everything in memory. Raises ConfigError that names the file."""
        try:
            if path:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path or ":memory:", timeout=LOCK_WAIT_S)
            self._db.execute("pragma locking_mode=exclusive")  # two exchanges on one state would undo each other
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=normal")  # survives the process; the machine is only simulated money
            self._db.execute("pragma cache_size=-1000")
            self._db.executescript(_SCHEMA)
            self.set_meta("opened", 1)
            self._db.commit()
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"P95_PAPER_STATE: cannot use {path}: {error}") from error

    def commit(self) -> None:
        """Make the writes last. Raises TransientError when the disk refuses."""
        try:
            self._db.commit()
        except sqlite3.Error as error:
            raise TransientError(f"P95_PAPER_STATE: {error}") from error

    def close(self) -> None:
        self._db.commit()
        self._db.close()

    def meta(self, name: str) -> str | None:
        row = self._db.execute("select value from meta where name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def set_meta(self, name: str, value: object) -> None:
        self._db.execute("insert or replace into meta values (?, ?)", (name, str(value)))

    # ------------------------------------------------------------ the account

    def load_account(self, fresh: Account) -> Account:
        """The stored account, or the fresh one, which is stored then."""
        wallet = self.meta("wallet")
        if wallet is None:
            self.save_account(fresh)
            return fresh
        updated_ms = int(self.meta("wallet_ms") or 1)
        account = Account(exact(wallet), hedge=self.meta("hedge") == "True", updated_ms=updated_ms)
        for (body,) in self._db.execute("select body from position"):
            position = msgspec.json.decode(body, type=Position)
            account.positions[position.symbol, position.side] = position
        for symbol, body in self._db.execute("select symbol, body from setting"):
            account.settings[symbol] = msgspec.json.decode(body, type=Setting)
        account.orders.update((order.order_id, order) for order in self.resting_orders())
        return account

    def save_account(self, account: Account, *changed: Position) -> None:
        self.set_meta("wallet", account.wallet)
        self.set_meta("wallet_ms", account.updated_ms)
        self.set_meta("hedge", account.hedge)
        for position in changed:
            body = msgspec.json.encode(position)
            self._db.execute("insert or replace into position values (?, ?, ?)", (position.symbol, position.side, body))

    def save_setting(self, symbol: str, setting: Setting) -> None:
        self._db.execute("insert or replace into setting values (?, ?)", (symbol, msgspec.json.encode(setting)))

    # ------------------------------------------------------------ orders

    def save_order(self, order: Order) -> None:
        row = (order.order_id, order.client_order_id, order.symbol, order.time, msgspec.json.encode(order))
        self._db.execute("insert or replace into orders values (?, ?, ?, ?, ?)", row)
        rests = order.status in OPEN_STATES
        words = "insert or ignore into resting values (?)" if rests else "delete from resting where id = ?"
        self._db.execute(words, (order.order_id,))

    def resting_orders(self) -> list[Order]:
        """Open orders, the oldest first."""
        rows = self._db.execute("select body from orders where id in (select id from resting) order by id")
        return [msgspec.json.decode(body, type=Order) for (body,) in rows]

    def order(self, symbol: str, order_id: int | None, client_id: str | None) -> Order | None:
        """By the exchange's id or, the newest first, by the client's."""
        row = self._db.execute(
            "select body from orders where symbol = ? and (id = ? or client = ?) order by id desc limit 1",
            (symbol, order_id, None if order_id is not None else client_id),
        ).fetchone()
        return msgspec.json.decode(row[0], type=Order) if row else None

    def orders(self, symbol: str, first_id: int, start_ms: int, end_ms: int, limit: int) -> list[Order]:
        """The newest orders in a window, the oldest first."""
        return [
            msgspec.json.decode(body, type=Order)
            for body in self._window("orders", symbol, first_id, start_ms, end_ms, limit)
        ]

    def save_algo(self, algo: Algo, state: int) -> None:
        """`state` is ENDED, WAITING for its price, or FOLLOWED through the order that it became."""
        body = msgspec.json.encode(algo)
        row = (algo.algo_id, algo.client_algo_id, algo.symbol, state, algo.create_time, body)
        self._db.execute("insert or replace into algo values (?, ?, ?, ?, ?, ?)", row)

    def drop_algo(self, algo_id: int) -> None:
        """Forget it as if it had never been."""
        self._db.execute("delete from algo where id = ?", (algo_id,))
        self.set_meta("last_algo", max(algo_id, self.last_id("algo")))

    def save_trail(self, algo_id: int, extreme: Decimal) -> None:
        self._db.execute("insert or replace into trail values (?, ?)", (algo_id, str(extreme)))

    def trail(self, algo_id: int) -> Decimal:
        """How far a trailing stop's market has gone; zero when it sleeps."""
        row = self._db.execute("select extreme from trail where id = ?", (algo_id,)).fetchone()
        return Decimal(row[0]) if row else ZERO

    def algo(self, algo_id: int | None, client_id: str | None) -> Algo | None:
        row = self._db.execute(
            "select body from algo where id = ? or client = ? order by open desc, id desc limit 1",
            (algo_id, None if algo_id is not None else client_id),
        ).fetchone()
        return msgspec.json.decode(row[0], type=Algo) if row else None

    def algos_in(self, state: int) -> list[Algo]:
        """The oldest first."""
        rows = self._db.execute("select body from algo where open = ? order by id", (state,))
        return [msgspec.json.decode(body, type=Algo) for (body,) in rows]

    def algos(self, symbol: str, first_id: int, start_ms: int, end_ms: int, limit: int) -> list[Algo]:
        """The newest conditional orders in a window, the oldest first."""
        return [
            msgspec.json.decode(body, type=Algo)
            for body in self._window("algo", symbol, first_id, start_ms, end_ms, limit)
        ]

    def _window(self, table: str, symbol: str, first_id: int, start_ms: int, end_ms: int, limit: int) -> list[bytes]:
        rows = self._db.execute(
            f"select body from {table} where symbol = ? and id >= ? and ms between ? and ?"  # noqa: S608 - fixed words
            " order by id desc limit ?",
            (symbol, first_id, start_ms, end_ms, limit),
        )
        return [body for (body,) in rows][::-1]

    def save_fill(self, trade: Trade) -> None:
        row = (trade.id, trade.order_id, trade.symbol, trade.time, msgspec.json.encode(trade))
        self._db.execute("insert or replace into fill values (?, ?, ?, ?, ?)", row)

    def fills(
        self, symbol: str, *, order_id: int | None, first_id: int | None, start_ms: int | None, end_ms: int, limit: int
    ) -> list[Trade]:
        """Fills in a window, the oldest first: from `first_id` or `start_ms` on, without either the newest `limit`."""
        where, values = "symbol = ? and ms between ? and ?", [symbol, start_ms or 0, end_ms]
        if order_id is not None:
            where, values = f"{where} and order_id = ?", [*values, order_id]
        if first_id is not None:
            where, values = f"{where} and id >= ?", [*values, first_id]
        newest = first_id is None and start_ms is None
        rows = self._db.execute(
            f"select body from fill where {where} order by id {'desc' if newest else 'asc'} limit ?",  # noqa: S608
            [*values, limit],
        )
        found = [msgspec.json.decode(body, type=Trade) for (body,) in rows]
        return found[::-1] if newest else found

    def last_id(self, table: Literal["orders", "algo", "fill", "income"]) -> int:
        """The highest id that was given out; 0 for none. A forgotten conditional order's id is not given again."""
        last = self._db.execute(f"select coalesce(max(id), 0) from {table}").fetchone()[0]  # noqa: S608 - fixed words
        return max(int(last), int(self.meta(f"last_{table}") or 0))

    def execute(self, words: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """For the tables of which others know: see records.py."""
        return self._db.execute(words, values)

    # ------------------------------------------------------------ the market

    def save_bars(self, symbol: str, bars: Iterable[ClosedBar]) -> None:
        self._db.executemany(
            "insert or replace into bar values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ((symbol, *(min(number, INTEGER_MAX) for number in bar)) for bar in bars),
        )

    def bars(self, symbol: str, start_ms: int, end_ms: int, limit: int, *, newest: bool) -> list[ClosedBar]:
        """Closed minutes with open times in [start_ms, end_ms], the oldest first."""
        rows = self._db.execute(_NEWEST_BARS if newest else _OLDEST_BARS, (symbol, start_ms, end_ms, limit)).fetchall()
        found = [ClosedBar(*row) for row in rows]
        return found[::-1] if newest else found

    def day(self, symbol: str, start_ms: int) -> Day:
        """The closed minutes since `start_ms`. Sums are floats: 24 hours of a cheap coin overflow 64 bits."""
        window = (symbol, start_ms)
        first = self._db.execute(
            "select open from bar where symbol = ? and open_ms >= ? order by open_ms limit 1", window
        ).fetchone()
        sums = self._db.execute(
            "select coalesce(max(high), 0), coalesce(min(low), 0), total(volume), total(quote_volume),"
            " coalesce(sum(trades), 0) from bar where symbol = ? and open_ms >= ?",
            window,
        ).fetchone()
        return Day(first[0] if first else None, *sums)

    def save_snapshots(self, snapshots: Sequence[tuple[str, int, bytes]]) -> None:
        self._db.executemany("insert or replace into snapshot values (?, ?, ?)", snapshots)
        for symbol, ms, _ in snapshots:
            oldest = ms - SNAPSHOTS_KEPT * 60_000
            self._db.execute("delete from snapshot where symbol = ? and ms < ?", (symbol, oldest))

    def oldest_snapshots(self, until_ms: int) -> dict[str, tuple[int, bytes]]:
        """The oldest kept state of each symbol, all of one moment not after `until_ms`; empty when there is none."""
        row = self._db.execute("select min(ms) from snapshot where ms <= ?", (until_ms,)).fetchone()
        rows = self._db.execute("select symbol, ms, body from snapshot where ms = ?", (row[0],))
        return {symbol: (ms, body) for symbol, ms, body in rows}
