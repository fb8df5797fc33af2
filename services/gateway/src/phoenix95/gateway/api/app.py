"""The Litestar application: routes, guards, and how errors look."""

from typing import Final

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin

from phoenix95.gateway.api import commands, dashboard, execute, look, sse
from phoenix95.gateway.api.body import BODY_BYTES_MAX
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.api.problems import HANDLERS

ROUTES_READ: Final = (look.info, look.price, look.portfolio, look.metrics, sse.events)
ROUTES_ACT: Final = (
    execute.execute,
    execute.executed,
    commands.subscribe,
    commands.unsubscribe,
    commands.close_position,
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

    reading = Router(path="/", route_handlers=ROUTES_READ, guards=[parts.keyring.may_read])
    acting = Router(path="/", route_handlers=ROUTES_ACT, guards=[parts.keyring.must_have_key])
    return _LeanLitestar(
        [look.health, *dashboard.ROUTES, reading, acting],
        dependencies={"parts": Provide(provide_parts, sync_to_thread=False)},
        exception_handlers=HANDLERS,
        openapi_config=None,
        logging_config=None,
        request_max_body_size=BODY_BYTES_MAX,
        debug=False,
    )
