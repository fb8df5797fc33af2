"""What an API key may do besides trading. One that could move money away is not traded with."""

from typing import Final

import msgspec

from phoenix95.common.errors import VenueRejected
from phoenix95.common.modes import Mode
from phoenix95.executor.venue.exchange import Requests, decoded

ACCOUNT_URL: Final = "https://api.binance.com"


def account_url(mode: Mode, rest_url: str) -> str | None:
    """Where an exchange tells what a key may do. None: demo trading has no such endpoint."""
    return {"live": ACCOUNT_URL, "paper": rest_url, "demo": None}[mode]


class Permissions(msgspec.Struct, rename="camel"):
    """`GET /sapi/v1/account/apiRestrictions`, the part that matters. What is not told is no permission to trade."""

    ip_restrict: bool
    enable_withdrawals: bool
    enable_internal_transfer: bool
    permits_universal_transfer: bool
    enable_futures: bool

    def faults(self) -> tuple[str, ...]:
        """Why this key must not be used; empty when nothing speaks against it."""
        said = (
            (self.enable_withdrawals, "it may withdraw (enableWithdrawals)"),
            (self.permits_universal_transfer, "it may transfer to other accounts (permitsUniversalTransfer)"),
            (self.enable_internal_transfer, "it may transfer to other users (enableInternalTransfer)"),
            (not self.ip_restrict, "it works from every address (ipRestrict is false)"),
            (not self.enable_futures, "it may not trade futures (enableFutures is false)"),
        )
        return tuple(text for wrong, text in said if wrong)


async def key_faults(requests: Requests, stamp: dict[str, int]) -> tuple[str, ...]:
    """Ask what the key may do and say why it must not be used. Raises TransientError for what is no clear answer.

    A key that is refused is a fault too.
    """
    try:
        answer = await requests.permissions(stamp)
    except VenueRejected as refusal:
        return (f"the exchange refuses it, or P95_EXECUTOR_API_SECRET is not its secret ({refusal})",)
    found: Permissions = decoded(Permissions, answer, "key permissions")
    return found.faults()
