"""`phoenix95 analyze`: ask the engine what it thinks, and trade nothing."""

import math
import time
from typing import Annotated, Any, Final, Literal

import msgspec
import typer

from phoenix95.cli.gateway import DATA_DEFAULT, Gateway, find_gateway, segment
from phoenix95.cli.options import AsJson, Data, Url
from phoenix95.cli.show import BAD, GOOD, add_row, amount, cell, facts, make_console, percent, print_json, side, table
from phoenix95.cli.show import waiting as spinning
from phoenix95.common.errors import TransientError
from phoenix95.common.events import Analysis

EXIT_ERROR: Final = 1
LOOK_S: Final = 0.25
ACTIONS: Final = {"EXECUTE": f"bold {GOOD}", "HOLD": "yellow", "EXIT": "yellow", "ERROR": f"bold {BAD}"}
Action = Literal["buy", "sell", "long", "short"]


class _Asked(msgspec.Struct):
    request_id: str
    analysis: Analysis | None = None


def analyze(
    *,
    symbol: Annotated[str, typer.Option(help="as the exchange spells it: BTCUSDT")],
    price: Annotated[float | None, typer.Option(help="the signal's price; far from the market's it is refused")] = None,
    confidence: Annotated[float | None, typer.Option(help="the signal's own, from 0 to 1")] = None,
    rsi: Annotated[float | None, typer.Option(help="instead of the engine's own")] = None,
    macd: Annotated[float | None, typer.Option(help="the histogram, instead of the engine's own")] = None,
    volume: Annotated[float | None, typer.Option(help="the signal's volume")] = None,
    action: Annotated[Action | None, typer.Option(help="the signal's side; without it the engine's")] = None,
    wait: Annotated[float, typer.Option(min=0, help="seconds to wait for the answer")] = 10.0,
    url: Url = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Ask the engine about a signal, or about a symbol without one. Nothing is traded. Exit 1 when it cannot say."""
    _finite({"--price": price, "--confidence": confidence, "--rsi": rsi, "--macd": macd, "--volume": volume})
    gateway = find_gateway(url, data)
    signal = {"price": price, "confidence": confidence, "rsi": rsi, "macd": macd, "volume": volume, "action": action}
    with spinning(f"asking about {symbol}"):
        analysis = _ask(gateway, {"symbol": symbol, **signal}, wait)
    if as_json:
        print_json(analysis)
    else:
        _print(analysis)
    if analysis.action == "ERROR":
        raise typer.Exit(EXIT_ERROR)


def _finite(numbers: dict[str, float | None]) -> None:
    """JSON has no words for what is not."""
    for name, number in numbers.items():
        if number is not None and not math.isfinite(number):
            raise typer.BadParameter("must be a finite number", param_hint=name)


def _ask(gateway: Gateway, body: dict[str, Any], wait_s: float) -> Analysis:
    deadline_s = time.monotonic() + wait_s
    asked = gateway.act("POST", "/api/analyze", _Asked, body)
    while asked.analysis is None:
        if time.monotonic() >= deadline_s:
            raise TransientError(f"the engine has not answered yet; ask later for {asked.request_id}")
        time.sleep(LOOK_S)
        asked = gateway.get(f"/api/execute/{segment(asked.request_id)}", _Asked)
    return asked.analysis


def _print(found: Analysis) -> None:
    console = make_console()
    chance = "not known yet" if found.win_probability is None else percent(found.win_probability)
    console.print(
        facts(
            (
                ("action", cell(found.action, ACTIONS[found.action])),
                ("side", side(found.side)),
                ("price", amount(found.price, 4)),
                ("confidence", percent(found.confidence)),
                ("score", percent(found.phoenix95_score)),
                ("risk level", found.risk_level),
                ("chance to win", f"{chance}, from {found.win_samples} like it"),
                ("size", f"{percent(found.position_fraction, 2)} of equity at {found.leverage}x"),
                ("stop", amount(found.stop_loss, 4)),
                ("target", amount(found.take_profit, 4)),
                ("at most", f"{found.hold_ms // 60_000} min"),
                ("why", "; ".join(found.reasoning)),
            ),
            f"{found.symbol}  {found.strategy}",
            ACTIONS[found.action],
        )
    )
    evidence = table("evidence", "value", "weight", "from", numbers=("value", "weight"))
    for each in found.factors:
        inputs = ", ".join(f"{name} {value:g}" for name, value in each.inputs.items())
        add_row(evidence, (each.name, f"{each.value:+.2f}", f"{each.weight:.2f}", inputs))
    if found.factors:
        console.print(evidence)
