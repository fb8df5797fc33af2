"""What the API key may do: without withdrawals and bound to an address, until a test wants to see the opposite."""

from typing import Any, Final

from phoenix95.paper.core.requests import Params
from phoenix95.paper.rest.desk import Desk

RESTRICTIONS: Final = {
    "ipRestrict": True,
    "enableReading": True,
    "enableWithdrawals": False,
    "enableInternalTransfer": False,
    "enableMargin": False,
    "enableFutures": True,
    "permitsUniversalTransfer": False,
    "enableVanillaOptions": False,
    "enableFixApiTrade": False,
    "enableFixReadOnly": False,
    "enableSpotAndMarginTrading": False,
    "enablePortfolioMarginTrading": False,
}
CREATED_MS: Final = 1_700_000_000_000


def restrictions(desk: Desk, params: Params) -> dict[str, Any]:
    """`GET /sapi/v1/account/apiRestrictions`."""
    told: dict[str, Any] = {"createTime": CREATED_MS}
    for name, default in RESTRICTIONS.items():
        kept = desk.exchange.store.meta(f"may:{name}")
        told[name] = default if kept is None else kept == "True"
    return told
