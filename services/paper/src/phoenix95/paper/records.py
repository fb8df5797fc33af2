"""What the exchange writes down beside orders: income, funding, faults that happened, positions without a stop."""

from typing import Any, Final

import msgspec

from phoenix95.paper.core.orders import Algo, Income, Order, Trade
from phoenix95.paper.store import Store

_INCOME: Final = """select body from income
where ms between ? and ? and (? = '' or symbol = ?) and (? = '' or kind = ?) order by id"""
_OLDEST_INCOME: Final = f"{_INCOME} asc limit ? offset ?"
_NEWEST_INCOME: Final = f"{_INCOME} desc limit ? offset ?"
_FUNDING: Final = """select symbol, ms, rate, mark from funding
where (? = '' or symbol = ?) and ms between ? and ? order by ms"""
_OLDEST_FUNDING: Final = f"{_FUNDING} asc, symbol limit ?"
_NEWEST_FUNDING: Final = f"{_FUNDING} desc, symbol limit ?"


class Records:
    """Rows of the store; writes join its open transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._income_id = store.last_id("income")

    # ------------------------------------------------------------ income

    def earn(
        self, kind: str, symbol: str, amount: str, asset: str, ms: int, *, info: str = "", trade: str = ""
    ) -> None:
        """A change of the wallet."""
        self._income_id += 1
        row = Income(
            symbol=symbol,
            income_type=kind,
            income=amount,
            asset=asset,
            info=info,
            time=ms,
            tran_id=self._income_id,
            trade_id=trade,
        )
        self._store.execute(
            "insert into income values (?, ?, ?, ?, ?)", (self._income_id, symbol, kind, ms, msgspec.json.encode(row))
        )

    def income(
        self, symbol: str, kind: str, start_ms: int | None, end_ms: int, *, limit: int, page: int = 1
    ) -> list[Income]:
        """Rows in a window, the oldest first: from `start_ms` on, without it the newest. Empty words match all."""
        rows = self._store.execute(
            _NEWEST_INCOME if start_ms is None else _OLDEST_INCOME,
            (start_ms or 0, end_ms, symbol, symbol, kind, kind, limit, (page - 1) * limit),
        )
        found = [msgspec.json.decode(body, type=Income) for (body,) in rows]
        return found if start_ms is not None else found[::-1]

    # ------------------------------------------------------------ funding

    def fund(self, symbol: str, ms: int, rate: str, mark: str) -> None:
        """A funding time that passed."""
        self._store.execute("insert or replace into funding values (?, ?, ?, ?)", (symbol, ms, rate, mark))

    def funding(self, symbol: str, start_ms: int | None, end_ms: int, limit: int) -> list[dict[str, Any]]:
        """`GET /fapi/v1/fundingRate`: past funding times, the oldest first; the newest without a start."""
        rows = self._store.execute(
            _NEWEST_FUNDING if start_ms is None else _OLDEST_FUNDING,
            (symbol, symbol, start_ms or 0, end_ms, limit),
        )
        found = [
            {"symbol": name, "fundingTime": ms, "fundingRate": rate, "markPrice": mark} for name, ms, rate, mark in rows
        ]
        return found if start_ms is not None else found[::-1]

    # ------------------------------------------------------------ for those who test

    def forced(self, symbol: str, start_ms: int, until_ms: int, price: str) -> None:
        """A market that was moved."""
        self._store.execute("insert or replace into forced values (?, ?, ?, ?)", (symbol, start_ms, until_ms, price))

    def all_forced(self) -> list[tuple[str, int, int, str]]:
        """(symbol, start, until, price) of every time that a market was moved, the oldest first."""
        return list(self._store.execute("select symbol, ms, until_ms, price from forced order by ms"))

    def fault(self, ms: int, method: str, path: str, kind: str, client: str, detail: str) -> None:
        """A fault that happened, with the client id of the order that met it."""
        self._store.execute(
            "insert into fault (ms, method, path, kind, client, detail) values (?, ?, ?, ?, ?, ?)",
            (ms, method, path, kind, client, detail),
        )

    def faults(self) -> list[dict[str, Any]]:
        """The oldest first."""
        names = ("ms", "method", "path", "kind", "clientId", "detail")
        rows = self._store.execute("select ms, method, path, kind, client, detail from fault order by id")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def bare(self, symbol: str, side: str, ms: int) -> None:
        """From now on a position is not wholly covered by stops."""
        self._store.execute("insert into naked (symbol, side, since_ms) values (?, ?, ?)", (symbol, side, ms))

    def covered(self, symbol: str, side: str, ms: int) -> None:
        """From now on it is covered, or gone."""
        self._store.execute(
            "update naked set until_ms = ? where symbol = ? and side = ? and until_ms is null", (ms, symbol, side)
        )

    def open_bare(self) -> set[tuple[str, str]]:
        """Positions that are not covered now."""
        return {
            (symbol, side)
            for symbol, side in self._store.execute("select symbol, side from naked where until_ms is null")
        }

    def nakedness(self) -> list[dict[str, Any]]:
        """When which position was without its whole stop; `untilMs` None while it is."""
        names = ("symbol", "positionSide", "sinceMs", "untilMs")
        rows = self._store.execute("select symbol, side, since_ms, until_ms from naked order by id")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def all_orders(self) -> list[Order]:
        """Every order there ever was, the oldest first."""
        rows = self._store.execute("select body from orders order by id")
        return [msgspec.json.decode(body, type=Order) for (body,) in rows]

    def all_algos(self) -> list[Algo]:
        """Every conditional order that was not forgotten, the oldest first."""
        rows = self._store.execute("select body from algo order by id")
        return [msgspec.json.decode(body, type=Algo) for (body,) in rows]

    def all_fills(self) -> list[Trade]:
        """Every fill, the oldest first."""
        rows = self._store.execute("select body from fill order by id")
        return [msgspec.json.decode(body, type=Trade) for (body,) in rows]
