"""Server frames written by hand: one frame serves every connection, and many frames leave in one write."""

from typing import Final

TEXT: Final = 0x81  # a whole text message in one frame (RFC 6455, 5.2)


def text_frame(payload: bytes) -> bytes:
    """An unmasked text frame."""
    length = len(payload)
    if length < 126:
        return bytes((TEXT, length)) + payload
    if length < 1 << 16:
        return bytes((TEXT, 126)) + length.to_bytes(2, "big") + payload
    return bytes((TEXT, 127)) + length.to_bytes(8, "big") + payload
