"""Trying again what may pass by itself: a server that answers 500 or slowly, a connection cut in the middle of a body.

Each time a while later; what will not pass (nothing there, no right) is not tried again.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

import pyarrow as pa

_T = TypeVar("_T")

TRIES = 6
FIRST_WAIT_S = 0.2
"""Doubled each time, and drawn between half and all of it, so that a thousand workers do not come back together."""


def retried(work: Callable[[], _T]) -> _T:
    """Does it again, later and later, while the error is one that may pass. Raises: OSError, the last one."""
    wait_s = FIRST_WAIT_S
    for attempt in range(1, TRIES + 1):
        try:
            return work()
        except (OSError, pa.ArrowException) as error:
            if attempt == TRIES or not may_pass(error):
                if isinstance(error, OSError):
                    raise
                raise OSError(str(error)) from error
            time.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s *= 2.0
    raise AssertionError("unreachable")


_LASTING = re.compile(
    r"(?i)no such|not found|NO_SUCH|404|access.?denied|forbidden|\b403\b|\b401\b|invalid access key|permission"
)


def may_pass(error: Exception) -> bool:
    """Whether trying again can help: not where nothing is there or nothing may be read."""
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return False
    return not _LASTING.search(str(error))
