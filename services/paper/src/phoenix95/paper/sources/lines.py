"""Lines of a recording, plain or gzip, also of one that was cut off while it was written."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from phoenix95.common.errors import ConfigError

CHUNK: Final = 1 << 16
LINE_MAX: Final = 1 << 22  # no frame of the exchange comes near; a longer line is cut into junk
GZIP_MAGIC: Final = b"\x1f\x8b"
GZIP_WINDOW: Final = 31  # zlib's window bits for a gzip header


class Lines:
    """Iterates over the lines of one file without holding it. `damage` says what was wrong with it, if anything."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises ConfigError that names it."""
        self.path = path
        self.damage: str | None = None
        try:
            self._file: BinaryIO = path.open("rb")
            zipped = self._file.read(2) == GZIP_MAGIC
            self._file.seek(0)
        except OSError as error:
            raise ConfigError(f"recording {path}: {error.strerror or error}") from error
        self._lines = self._split(self._unpacked() if zipped else self._chunks())

    def __iter__(self) -> Iterator[bytes]:
        return self._lines

    def close(self) -> None:
        """Let go of the file; iteration ends."""
        self._file.close()

    def _chunks(self) -> Iterator[bytes]:
        while not self._file.closed:
            try:
                chunk = self._file.read(CHUNK)
            except OSError as error:
                self.damage = error.strerror or str(error)
                return
            if not chunk:
                return
            yield chunk

    def _unpacked(self) -> Iterator[bytes]:
        """What gzip members hold, as far as they are readable."""
        inflate = zlib.decompressobj(GZIP_WINDOW)
        for chunk in self._chunks():
            rest = chunk
            while rest:
                if inflate.eof:  # another member follows, or padding
                    if not rest.startswith(GZIP_MAGIC[:1]):
                        return
                    inflate = zlib.decompressobj(GZIP_WINDOW)
                try:
                    yield inflate.decompress(rest, CHUNK * 16)
                except zlib.error as error:
                    self.damage = f"not readable to its end ({error})"
                    return
                rest = inflate.unconsumed_tail or inflate.unused_data
        if not inflate.eof:
            yield inflate.flush()
            self.damage = "cut off before its end"

    def _split(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        rest = b""
        for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
            if len(rest) > LINE_MAX:
                yield rest
                rest = b""
        if rest:
            yield rest
