"""The chain of what was done: each record's hash covers the record and the hash before it.

Who changes, removes, inserts or reorders a record breaks every hash behind it; who cuts the end off is found by any
head that was noted before. The database function `ledger.keep` computes the same bytes.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final

import msgspec

GENESIS: Final = "0" * 64  # what the first record points back to


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One fact. `n` counts from 1 within an account. `ts_ms` is exchange time, of alerts the host's. `body` is
    canonical JSON as text; `analysis_id` None: it belongs to no analysis."""

    account: str
    n: int
    ts_ms: int
    kind: str
    analysis_id: str | None
    body: str
    prev_hash: str
    hash: str


class Head(msgspec.Struct, frozen=True):
    """Where a chain ends: its last number and hash. Noted somewhere else, it is the anchor of all before it."""

    n: int = 0
    hash: str = GENESIS

    def __str__(self) -> str:
        return f"{self.n}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read `<n>:<64 hex digits>`. Raises ValueError on anything else."""
        number, _, digest = text.strip().partition(":")
        if not (number.isascii() and number.isdigit() and len(digest) == len(GENESIS)):
            raise ValueError(f"{text!r} is no anchor of the form n:hash")
        int(digest, 16)
        return cls(int(number), digest.lower())


BEGINNING: Final = Head()


def digest(
    prev_hash: str, *, account: str, n: int, ts_ms: int, kind: str, analysis_id: str | None, body: str
) -> str:  # fmt: skip
    """sha256 over every field, each with its length in bytes before it, so that no two records share their bytes."""
    parts = (prev_hash, account, str(n), str(ts_ms), kind, analysis_id or "", body)
    hashed = sha256()
    for part in parts:
        raw = part.encode()
        hashed.update(b"%d:" % len(raw))
        hashed.update(raw)
    return hashed.hexdigest()


def link(head: Head, *, account: str, ts_ms: int, kind: str, analysis_id: str | None, body: str) -> Record:
    """The record that comes behind `head`."""
    n = head.n + 1
    made = digest(head.hash, account=account, n=n, ts_ms=ts_ms, kind=kind, analysis_id=analysis_id, body=body)
    return Record(
        account=account, n=n, ts_ms=ts_ms, kind=kind, analysis_id=analysis_id, body=body,
        prev_hash=head.hash, hash=made,
    )  # fmt: skip


class Break(msgspec.Struct, frozen=True):
    """Where the chain does not hold. `kind`: missing, order, link, content, tail or anchor."""

    n: int
    kind: str
    words: str


def walk(records: Iterable[Record], start: Head = BEGINNING) -> Iterator[Break | Head]:
    """Follow records in the order of their numbers: a Break wherever it does not hold, then the head reached.

    Behind a break the walk goes on from what the record itself says, so that one change is told once.
    """
    head = start
    for record in records:
        expected = head.n + 1
        if record.n > expected:
            last = record.n - 1
            gone = f"record {expected} is" if last == expected else f"records {expected} to {last} are"
            yield Break(expected, "missing", f"{gone} missing")
        elif record.n < expected:
            yield Break(record.n, "order", f"record {record.n} comes behind record {head.n}")
        elif record.prev_hash != head.hash:
            yield Break(record.n, "link", f"record {record.n} does not follow record {head.n}: its prev_hash differs")
        made = digest(
            record.prev_hash, account=record.account, n=record.n, ts_ms=record.ts_ms, kind=record.kind,
            analysis_id=record.analysis_id, body=record.body,
        )  # fmt: skip
        if made != record.hash:
            yield Break(record.n, "content", f"record {record.n} ({record.kind}) was changed: its hash does not match")
        head = Head(record.n, record.hash)
    yield head
