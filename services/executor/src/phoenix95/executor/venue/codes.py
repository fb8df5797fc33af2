"""What the exchange's answers mean for an order: by its numeric code, never by the class of an exception.

Sources: https://developers.binance.com/docs/derivatives/usds-margined-futures/error-code and
.../general-info (HTTP return codes).
"""

from enum import Enum
from typing import Final


class Meaning(Enum):
    REFUSED = "definitely not done"
    UNKNOWN = "may have been done"
    UNKNOWN_ORDER = "no such order"
    LIMITED = "not looked at: too many requests"


# "Unknown error", "an unexpected response", "timeout waiting for response": the backend may have done it.
_UNKNOWN_CODES: Final = frozenset({-1000, -1006, -1007})
# The id is in use by an open order: our own request has arrived before.
_EXISTS_CODES: Final = frozenset({-4111, -4116})
_NO_ORDER_CODES: Final = frozenset({-2011, -2013})
_LIMIT_CODES: Final = frozenset({-1003, -1015})
# 503 with these texts is a definite failure, by the exchange's own word; any other 5xx is not.
_DEFINITE_5XX_CODES: Final = frozenset({-1001, -1008})
_DEFINITE_5XX_TEXTS: Final = ("service unavailable.", "internal error; unable to process")

WRONG_TIME: Final = frozenset({-1021, -5028})
CREDENTIALS: Final = frozenset({-1022, -2014, -2015})
# lot, tick, price band, notional, symbol or its status: the rules that we hold may be old
RULES_CHANGED: Final = frozenset(
    {-1111, -1121, -4001, -4002, -4003, -4004, -4005, -4013, -4014, -4016, -4023, -4024, -4140, -4141, -4164}
)
MODE_IN_USE: Final = frozenset({-4067, -4068})  # open orders, open positions
MARGIN_IN_USE: Final = frozenset({-4047, -4048})  # the same of a symbol
ALREADY_SO: Final = frozenset({-4046, -4059})  # margin type and position mode are what they should be


def meaning(status: int, code: int | None, message: str) -> Meaning:
    """Read an answer with HTTP `status` whose body gave `code` (None: it had none) and `message`."""
    if status in (418, 429) or code in _LIMIT_CODES:
        return Meaning.LIMITED
    if code in _NO_ORDER_CODES:
        return Meaning.UNKNOWN_ORDER
    if code in _UNKNOWN_CODES or code in _EXISTS_CODES:
        return Meaning.UNKNOWN
    if status >= 500:
        definite = code in _DEFINITE_5XX_CODES or message.lower().startswith(_DEFINITE_5XX_TEXTS)
        return Meaning.REFUSED if definite else Meaning.UNKNOWN
    return Meaning.REFUSED if code is not None else Meaning.UNKNOWN
