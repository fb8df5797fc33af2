"""API keys: how one looks, and what its scope allows."""

import re
from typing import Final, Literal

import msgspec

Scope = Literal["read", "trade", "admin"]
SCOPES: Final[tuple[Scope, ...]] = ("read", "trade", "admin")
"""From the least to the most: each allows what those before it do."""

PREFIX: Final = "p95"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")
_KEY: Final = re.compile(rf"{PREFIX}_([a-z2-7]{{8}})_[a-z2-7]{{52}}")


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is stored: `digest` is the SHA-256 of the whole key, which nobody can read back."""

    id: str
    name: str
    scope: Scope
    digest: bytes


def key_id(text: str) -> str | None:
    """The public part of a key, or None for what is no key of the table at all."""
    found = _KEY.fullmatch(text)
    return found.group(1) if found else None


def key_of(id: str, secret: str) -> str:  # noqa: A002
    """The key that its owner gets: `p95_<id>_<secret>`, both in lower-case base32."""
    return f"{PREFIX}_{id}_{secret}"


def allows(has: Scope, needs: Scope) -> bool:
    """Whether a key of scope `has` may do what needs `needs`."""
    return SCOPES.index(has) >= SCOPES.index(needs)
