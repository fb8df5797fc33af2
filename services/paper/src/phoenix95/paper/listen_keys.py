"""The key of the user stream: one at a time, valid for an hour since it was last kept alive."""

import secrets
import time
from collections.abc import Callable
from typing import Final

from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.store import Store

VALID_S: Final = 3600.0
META: Final = "listen_key"


class ListenKeys:
    """Kept in the store, so that a key survives a restart of the exchange."""

    def __init__(self, store: Store, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._key = store.meta(META) or ""
        self._until = monotonic() + VALID_S

    def create(self) -> str:
        """The active key, renewed; a new one when there is none."""
        if not self.active(self._key):
            self._set(secrets.token_hex(32))
        return self.keep()

    def keep(self) -> str:
        """Renew the active key. Raises -1125 when there is none."""
        if not self.active(self._key):
            raise RefusedError(-1125)
        self._until = self._monotonic() + VALID_S
        return self._key

    def delete(self) -> None:
        """Raises -1125 when there is none."""
        self.keep()
        self._set("")

    def run_out(self) -> None:
        """Let the active key's hour be over."""
        self._until = self._monotonic()

    @property
    def current(self) -> str:
        """The key given out last; empty when there is none."""
        return self._key

    def active(self, key: str) -> bool:
        """Whether a key opens the user stream now."""
        return bool(key) and key == self._key and self._monotonic() < self._until

    def is_over(self) -> bool:
        """Whether a key that was given out has run out."""
        return bool(self._key) and self._monotonic() >= self._until

    def expired(self) -> str | None:
        """The key that ran out since the last call, or None."""
        if self.is_over():
            key = self._key
            self._set("")
            return key
        return None

    def _set(self, key: str) -> None:
        self._key = key
        self._until = self._monotonic() + VALID_S
        self._store.set_meta(META, key)
        self._store.commit()
