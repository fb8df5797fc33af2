"""What a person may demand of the executor, checked."""

from typing import Final, Literal

import msgspec

from phoenix95.gateway.core.asking import Refused, checked_symbol

Mode = Literal["RUN", "REDUCE_ONLY", "HALT", "FLATTEN"]
ACCOUNT: Final = "account"
REASON_MAX: Final = 500  # characters


class ControlBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`symbol` None means the whole account. The reason is kept with the name of the caller's key."""

    reason: str
    symbol: str | None = None


class ResumeBody(ControlBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`mode` is what is allowed again: everything, or less than everything."""

    mode: Literal["RUN", "REDUCE_ONLY", "HALT"] = "RUN"


def checked(body: ControlBody) -> tuple[str, str]:
    """The scope and the reason. Raises Refused naming the field."""
    reason = body.reason.strip()
    if not 0 < len(reason) <= REASON_MAX or "\0" in reason:
        raise Refused("reason", f"must have 1 to {REASON_MAX} characters: it is kept with your name")
    return (ACCOUNT if body.symbol is None else checked_symbol(body.symbol)), reason
