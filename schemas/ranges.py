"""Parts of files as Python reads files: of an open one, or of a remote one over connections that break."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Callable
from typing import IO, Any

from schemas.retries import retried

BLOCK_BYTES = 4 << 20
"""Read at a time: a request costs about as much as a megabyte."""


class SeekableBytes(io.RawIOBase):
    """A file for reading of which a subclass knows how to get bytes from a place."""

    def __init__(self, size_bytes: int) -> None:
        self._size, self._at = size_bytes, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readall(self) -> bytes:
        # Python's own asks for 8 KiB at a time.
        parts = []
        while data := self._next(BLOCK_BYTES):
            parts.append(data)
        return b"".join(parts)

    def readinto(self, buffer: Any) -> int:
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _next(self, most: int) -> bytes:
        wanted = min(most, max(0, self._size - self._at))
        data = self._read_at(self._at, wanted) if wanted else b""
        self._at += len(data)
        return data

    @abstractmethod
    def _read_at(self, offset: int, wanted: int) -> bytes:
        """Bytes from offset on: `wanted` of them, or fewer where the file ends early."""


class FilePart(SeekableBytes):
    """Bytes [offset, offset + size_bytes) of an open file, as a file; closing it closes the other."""

    def __init__(self, file: IO[bytes], offset: int, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self._file, self._offset = file, offset

    def _read_at(self, offset: int, wanted: int) -> bytes:
        self._file.seek(self._offset + offset)
        return self._file.read(wanted)

    def close(self) -> None:
        self._file.close()
        super().close()


class Ranges(SeekableBytes):
    """A file of another machine: every read is a request of its own, which can be made again."""

    def __init__(self, location: str, open_file: Callable[[], Any]) -> None:
        """open_file: the file as pyarrow has it, anew each time; location names it in messages. Raises: OSError."""
        self._location, self._open = location, open_file
        self._file = retried(self._open)
        super().__init__(int(self._file.size()))

    def are_given(self) -> bool:
        """Whether the server answers for a part of a file; fsspec says by a ValueError that it does not."""
        try:
            retried(lambda: self._file.read_at(1, self._size // 2))
        except ValueError:
            return False
        return True

    def _read_at(self, offset: int, wanted: int) -> bytes:
        def read() -> bytes:
            try:
                data = bytes(self._file.read_at(wanted, offset))
            except OSError:
                # The connection may be what is broken.
                self._file = self._open()
                raise
            if len(data) != wanted:
                raise ConnectionError(f"{self._location}: {len(data)} of {wanted} bytes came")
            return data

        return retried(read)
