"""One call at a time changes a folder. The operating system frees the lock when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from pipelines.logs import tell
from schemas.errors import RecipeError

LOCK_FILE = ".lock"


@contextlib.contextmanager
def only_one(folder: Path, command: str) -> Iterator[None]:
    """Holds the folder's lock file while the block runs, and removes it afterwards.

    command: who holds it, for the message that others get. A file that a killed call left behind stops nobody. Where
    the file system has no locks it warns and goes on.
    Raises: RecipeError while another call holds it, or when the folder cannot be written to; nothing is changed then.
    """
    path = folder / LOCK_FILE
    descriptor = _opened(path)
    while not _is_ours(descriptor, path, folder):
        # Whoever held the lock until now removed the file that we had opened.
        os.close(descriptor)
        descriptor = _opened(path)
    try:
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"motionloom {command} (process {os.getpid()} on {socket.gethostname()})".encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RecipeError(f"{path.parent} cannot be written to: {error.strerror or error}") from error


def _is_ours(descriptor: int, path: Path, folder: Path) -> bool:
    """Locks the open file; False when it is no longer the one at that path. Raises: RecipeError when it is held."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace") or "another call"
        os.close(descriptor)
        raise RecipeError(f"{holder} is at work in {folder}; nothing was done here, try again when it ends") from None
    except OSError as error:
        tell("warning", f"{folder} cannot be locked ({error.strerror}): run one call at a time there")
        return True
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False
