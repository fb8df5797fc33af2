"""A person's trade as the gates see it: an analysis that nobody analysed, and the exact amount where one was said."""

from decimal import Decimal
from typing import Final

from phoenix95.common.errors import BadMessage
from phoenix95.common.events import Analysis, PlaceTrade, Quality
from phoenix95.common.ids import MANUAL, command_analysis_id
from phoenix95.common.keys import COMMAND
from phoenix95.common.money import exact, plain

HOLD_MS_MAX: Final = 7 * 24 * 3_600_000  # the time barrier where the person named none
_UNSEEN: Final = Quality(warm=False, bars=0, degraded_bars=0, spread_bps=None)


def as_analysis(
    command: PlaceTrade, command_id: str, *, price: Decimal | None, equity: Decimal | None, stop_share: Decimal
) -> tuple[Analysis, Decimal | None]:
    """The analysis that stands for a command, and the quantity that was asked for; None: a share of equity was.

    `price` None (nobody knows one) becomes 0, and an unknown `equity` a size of 0: the gates refuse both. Confidence
    and score are 0, for there are none; the gates that judge an opinion are not asked. Raises BadMessage for numbers
    that are none.
    """
    amount, share = _number(command, "amount"), _number(command, "equity_fraction")
    if (amount is None) == (share is None):
        raise BadMessage(COMMAND, "a trade needs either an amount or a share of equity")
    known = price if price is not None else Decimal(0)
    if share is None:
        share = amount * known / equity if amount is not None and equity else Decimal(0)
    stop = _number(command, "stop_loss")
    said = "stop as asked for"
    if stop is None and known > 0:
        stop = known * (1 - stop_share if command.side == "BUY" else 1 + stop_share)
        said = f"stop at the default distance of {plain(stop_share * 100)} %"
    target = _number(command, "take_profit")
    analysis = Analysis(
        id=command_analysis_id(command.symbol, command_id),
        strategy=MANUAL,
        symbol=command.symbol,
        action="EXECUTE",
        side=command.side,
        cause=command_id,
        ts=command.requested_at,
        expires_at=command.expires_at,
        price=float(known),
        confidence=0.0,
        phoenix95_score=0.0,
        risk_level="medium",
        win_probability=None,
        win_samples=0,
        brier=None,
        position_fraction=float(share),
        leverage=command.leverage,
        stop_loss=None if stop is None else float(stop),
        take_profit=None if target is None else float(target),
        hold_ms=HOLD_MS_MAX if command.hold_ms is None else command.hold_ms,
        bar=None,
        indicators={},
        factors=(),
        quality=_UNSEEN,
        reasoning=("asked for by a person, not analysed", said),
        config=MANUAL,
        request=command_id,
    )
    return analysis, amount


def _number(command: PlaceTrade, field: str) -> Decimal | None:
    text: str | None = getattr(command, field)
    if text is None:
        return None
    try:
        value = exact(text)
    except ValueError as error:
        raise BadMessage(COMMAND, f"{field}: {error}") from error
    if value <= 0:
        raise BadMessage(COMMAND, f"{field}: {text} is not above 0")
    return value
