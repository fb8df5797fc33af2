"""The Litestar application: routes, guards, and how errors look."""

from typing import Final

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.handlers.base import BaseRouteHandler
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin

from phoenix95.gateway.api import (
    analyze,
    books,
    commands,
    control,
    dashboard,
    execute,
    look,
    machine,
    manual,
    market,
    openapi,
    sse,
    streams_read,
    trades,
    why,
)
from phoenix95.gateway.api.auth import Connection
from phoenix95.gateway.api.body import BODY_BYTES_MAX
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.api.problems import HANDLERS

# What a route needs stands in its `opt`; these are what it needs when that says nothing.
READS: Final = {"scope": "read", "free": True}
ACTS: Final = {"scope": "trade"}
ROUTES_READ: Final = (
    look.info,
    look.price,
    look.portfolio,
    look.metrics,
    market.price_history,
    market.feed,
    books.decisions,
    books.orders,
    books.positions,
    books.performance,
    machine.alerts,
    machine.host,
    machine.keys,
    commands.command,
    control.control,
    streams_read.read_stream,
    trades.trades_list,
    trades.trades_csv,
    why.why,
    why.why_page,
    openapi.openapi,
    sse.events,
)
ROUTES_ACT: Final = (
    analyze.analyze,
    execute.execute,
    execute.executed,
    manual.manual_trade,
    commands.subscribe,
    commands.unsubscribe,
    commands.close_position,
    commands.notify,
    control.halt,
    control.flatten,
    control.resume,
)


class _LeanLitestar(Litestar):
    """Without the plugins for Pydantic and attrs: Litestar loads both when some other package has installed them,
    which costs 8 MB for models that we have none of."""

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


def make_app(parts: Parts) -> Litestar:
    """The API over these parts. `/health` is open to all: probes carry no keys, and it tells no secrets."""

    def provide_parts() -> Parts:
        return parts

    def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        # Not the method itself: Litestar copies a route's guards, and a copied keyring learns no new key.
        parts.keyring.guard(connection, handler)

    guards = [guard]
    reading = Router(path="/", route_handlers=ROUTES_READ, guards=guards, opt=READS)
    acting = Router(path="/", route_handlers=ROUTES_ACT, guards=guards, opt=ACTS)
    return _LeanLitestar(
        [look.health, *dashboard.ROUTES, reading, acting],
        dependencies={"parts": Provide(provide_parts, sync_to_thread=False)},
        exception_handlers=HANDLERS,
        openapi_config=None,
        logging_config=None,
        request_max_body_size=BODY_BYTES_MAX,
        state=State({"version": parts.version}),
        debug=False,
    )
