"""What people are told: alerts of every service, and how trades went."""

from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from phoenix95.common.events import Alert, Decided, OrderChanged, OrderEvent, PositionChanged, Severity
from phoenix95.monitor.core.rows import EventSeverity, SystemEvent

BODY_MAX: Final = 1_000  # characters; channels cut or refuse what is much longer
URGENT: Final[frozenset[Severity]] = frozenset({"error", "critical"})
MESSAGE: Final = "message"  # the kind of an alert that a person sent
_NOT_FILLED: Final = frozenset({"CANCELED", "REJECTED", "ABSENT", "EXPIRED"})


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell. Two with the same `subject` say the same."""

    severity: Severity
    title: str
    body: str
    subject: str

    @property
    def urgent(self) -> bool:
        """Whether it is told even when there is much to tell."""
        return self.severity in URGENT


def notice_of_alert(alert: Alert) -> Notice:
    """An alert in words."""
    about = alert.kind.replace("_", " ") + (f" {alert.symbol}" if alert.symbol else "")
    return _notice(alert.severity, about, f"{alert.message} ({alert.service})", f"alert {alert.service} {alert.kind}")


def notice_of_message(message: str, severity: Severity) -> Notice:
    """What a person wants others to know."""
    return _notice(severity, MESSAGE, message, MESSAGE)


def notice_of_order(event: OrderEvent) -> Notice | None:
    """How a trade went, in words: success, failure or error. None for what is only a step on the way."""
    if isinstance(event, Decided):
        return _of_decision(event)
    if isinstance(event, PositionChanged):
        return _of_position(event)
    return _of_order(event)


def system_event(alert: Alert, entry_id: str) -> SystemEvent:
    """The row of an alert; `entry_id` is its id in the stream."""
    return SystemEvent(
        event_type=alert.kind,
        severity=_ledgers(alert.severity),
        message=alert.message,
        wall_ms=alert.ts_wall_ms,
        component=alert.service,
        symbol=alert.symbol,
        details={"alert": entry_id, "severity": alert.severity},
    )


def _of_decision(event: Decided) -> Notice | None:
    if event.action == "ERROR":
        return _notice("error", f"analysis failed {event.symbol}", event.reason, f"decision {event.analysis_id}")
    if event.accepted or not event.verdicts:
        return None  # what no gate was asked about was no trade
    what = f"{event.side} {event.symbol} refused by the gates: {event.reason}"
    return _notice("warning", f"trade refused {event.symbol}", what, f"decision {event.analysis_id}")


def _of_position(event: PositionChanged) -> Notice | None:
    subject = f"position {event.analysis_id} {event.state}"
    held = f"{event.side} {event.size} {event.symbol}"
    if event.state == "opened":
        return _notice("success", f"trade opened {event.symbol}", f"{held} at {event.entry_price}", subject)
    if event.state == "closed":
        result = f", result {event.realized_pnl} after fees" if event.realized_pnl else ""
        how = (event.exit_reason or "closed").replace("_", " ")
        body = f"{held} from {event.entry_price} to {event.exit_price or 'unknown'} by {how}{result}"
        severity: Severity = "warning" if _is_loss(event.realized_pnl) else "success"
        return _notice(severity, f"trade closed {event.symbol}", body, subject)
    return None


def _of_order(event: OrderChanged) -> Notice | None:
    subject = f"order {event.client_id} {event.state}"
    reason = event.reason or f"the exchange says {event.state}"
    what = f"{event.role} {event.side} {event.quantity} {event.symbol}: {reason}"
    if event.role == "entry":
        if event.state in _NOT_FILLED and not _is_positive(event.filled):
            return _notice("error", f"trade failed {event.symbol}", what, subject)
        return None
    if event.state == "REJECTED":
        return _notice("error", f"{event.role} refused {event.symbol}", what, subject)
    return None


def _notice(severity: Severity, about: str, body: str, subject: str) -> Notice:
    cut = body if len(body) <= BODY_MAX else f"{body[: BODY_MAX - 1]}…"
    return Notice(
        severity=severity, title=f"{severity.capitalize()}: {about}", body=cut, subject=f"{subject} {about} {cut}"
    )


def _ledgers(severity: Severity) -> EventSeverity:
    """The ledger has no word for good news."""
    return "info" if severity == "success" else severity


def _is_loss(text: str | None) -> bool:
    number = _number(text)
    return number is not None and number < 0


def _is_positive(text: str) -> bool:
    number = _number(text)
    return number is not None and number > 0


def _number(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        return None
