"""What `p95:symbols` notes of a symbol, so that a restart begins where the first start would have begun."""

import msgspec

from phoenix95.common.ids import StreamId


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`since` is exchange time in ms from which trades are wanted, read before the subscription was sent.

    `after` is set when the symbol was here before: the last id of its earlier stretch.
    """

    since: int
    after: str = ""


_decoder = msgspec.json.Decoder(Note)


def read_note(text: bytes) -> Note | None:
    """None when nothing usable was noted, as when a person added the symbol by hand."""
    try:
        return _decoder.decode(text)
    except msgspec.MsgspecError:
        return None


def write_note(note: Note) -> bytes:
    """The note as it stands in the hash."""
    return msgspec.json.encode(note)


def resumes(note: Note, top: StreamId | None) -> bool:
    """Whether the stream still ends where the earlier stretch did, so that the new one has to be opened."""
    return top is not None and note.after == str(top)
