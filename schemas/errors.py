"""Every error that motionloom raises on purpose.

    MotionloomError
    ├─ RecipeError    the recipe or the call is wrong   → stop before work begins, exit 2
    ├─ DataError      this video, clip or shard is bad  → a row in failures/, the run continues within its budget
    │  └─ ProbeError · DecodeError · ClipTooShort · CorruptShard · SchemaError · WorkerLost
    ├─ TooManyFailures  more data is bad than the recipe tolerates → stop with the commonest reasons
    └─ ResourceError  weights, memory, storage          → stop with what to install or free

Anything else that escapes is a bug: it stops the job with its traceback.
"""

from __future__ import annotations

import errno


class MotionloomError(Exception):
    """Base of all errors with a message written for the person who runs motionloom.

    elsewhere: another process of the same run had it and says so; this one only ends with it.
    """

    elsewhere: bool = False


class RecipeError(MotionloomError):
    """The recipe, the arguments or the output folder do not fit; nothing was started."""


class DataError(MotionloomError):
    """One input cannot be processed; it becomes a row with a reason."""


class ProbeError(DataError):
    """The container cannot be opened, has no video stream, or states an unusable size."""


class DecodeError(DataError):
    """The container opened, but no frame could be decoded."""


class ClipTooShort(DataError):
    """Fewer frames than the measurement needs."""


class CorruptShard(DataError):
    """A shard, its index or one of its members does not hold what it promises."""


class SchemaError(DataError):
    """A value does not have the shape, type or range that its record promises."""


class WorkerLost(DataError):
    """Working on it ended the process: a crash in native code, no memory left, or nothing got on."""


class TooManyFailures(MotionloomError):
    """So many inputs failed that the run stopped before its end; finished work is kept."""


class ResourceError(MotionloomError):
    """Weights, an optional package, memory or storage are missing."""


def storage_is_full(error: OSError) -> ResourceError | None:
    """The error for a disk or a quota that is full; None for any other."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    where = f" at {error.filename}" if error.filename else ""
    return ResourceError(f"no space is left{where}: {error.strerror}; free some, then call again: what is done is kept")
