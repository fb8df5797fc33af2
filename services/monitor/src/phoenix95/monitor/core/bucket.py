"""How many people are told in a time: a token bucket, with the time passed in."""

from typing import Final

import msgspec

CAPACITY: Final = 20  # notices at once
PER_MINUTE: Final = 20  # what a chat takes from a bot in a minute
RESERVE: Final = 5  # of the capacity, for what is urgent


class Bucket(msgspec.Struct, frozen=True):
    """`tokens` as of the monotonic time `at_ms`."""

    tokens: float
    at_ms: int


def take(bucket: Bucket, now_ms: int, *, urgent: bool) -> tuple[bool, Bucket]:
    """Whether one more may be told now, and the bucket after it. What is not urgent leaves the reserve alone."""
    grown = bucket.tokens + (now_ms - bucket.at_ms) * PER_MINUTE / 60_000
    tokens = min(float(CAPACITY), grown)
    least = 1 if urgent else 1 + RESERVE
    allowed = tokens >= least
    return allowed, Bucket(tokens - 1 if allowed else tokens, now_ms)
