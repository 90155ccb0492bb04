"""A remote file as Python reads files: seekable, in ranges, over connections that break."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from schemas.retries import retried

BLOCK_BYTES = 4 << 20
"""Read at a time: a request costs about as much as a megabyte."""


class Ranges(io.RawIOBase):
    """A file of another machine: every read is a request of its own, which can be made again."""

    def __init__(self, location: str, open_file: Callable[[], Any]) -> None:
        """open_file: the file as pyarrow has it, anew each time; location names it in messages. Raises: OSError."""
        self._location, self._open = location, open_file
        self._file = retried(self._open)
        self._size, self._at = int(self._file.size()), 0

    def are_given(self) -> bool:
        """Whether the server answers for a part of a file; fsspec says by a ValueError that it does not."""
        try:
            retried(lambda: self._file.read_at(1, self._size // 2))
        except ValueError:
            return False
        return True

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
        if wanted == 0:
            return b""

        def read() -> bytes:
            try:
                data = bytes(self._file.read_at(wanted, self._at))
            except OSError:
                # The connection may be what is broken.
                self._file = self._open()
                raise
            if len(data) != wanted:
                raise ConnectionError(f"{self._location}: {len(data)} of {wanted} bytes came")
            return data

        data = retried(read)
        self._at += len(data)
        return data
