"""Chance that is a function of its place: the n-th draw of a stream is the same in every run and after a restart."""

import math
from hashlib import blake2b
from typing import Final

_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_UNIT: Final = 2.0**-53


def stream_key(*parts: object) -> int:
    """The key of a stream of draws, for example `stream_key(seed, symbol, "live")`."""
    text = "|".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def uniform(key: int, n: int) -> float:
    """The n-th draw of a stream, uniform in (0, 1). splitmix64 (Steele, Lea, Flood 2014) as a counter."""
    z = (key + (n + 1) * _GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return (((z ^ (z >> 31)) >> 11) + 0.5) * _UNIT


def normal(key: int, n: int) -> float:
    """A standard normal from the draws n and n + 1 (Box and Muller 1958)."""
    return math.sqrt(-2.0 * math.log(uniform(key, n))) * math.cos(2.0 * math.pi * uniform(key, n + 1))
