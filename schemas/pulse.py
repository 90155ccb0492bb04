"""Signs of life from long work: whoever watches this process from outside learns that it gets on.

A decoder that hangs in native code cannot be told from one that is slow, except by the frames that it no longer gives.
"""

from __future__ import annotations

from collections.abc import Callable


def _nobody() -> None:
    pass


_watcher: Callable[[], None] = _nobody


def watched_by(watcher: Callable[[], None]) -> None:
    """From now on `pulse` calls it. One for the process: it works on one row at a time."""
    global _watcher
    _watcher = watcher


def pulse() -> None:
    """Says that something was finished: a frame, usually. Costs nothing where nobody watches."""
    _watcher()
