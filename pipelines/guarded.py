"""The child of pipelines/guard.py: makes a stage's row function, answers row after row, ends with its parent."""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
import time
import traceback
from typing import IO, Any

_BEAT_S = 1.0


def main() -> int:
    """Reads a stage and rows from stdin, writes answers to stdout."""
    # Libraries print; what they print must not end up among the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    from pipelines.guard import as_line, error_message
    from schemas.codecs import decode_json
    from schemas.errors import MotionloomError, storage_is_full
    from schemas.pulse import watched_by

    writing = threading.Lock()

    def say(kind: str, **more: Any) -> None:
        with writing:
            answers.write(as_line({"kind": kind, **more}))
            answers.flush()

    def answer(work: Any, name: str) -> Any:
        """What the work gives, or None after it was said what went wrong."""
        try:
            return work()
        except MotionloomError as error:
            say("error", **error_message(error))
        except MemoryError:
            say("memory")
            os._exit(1)
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent raises it
            full = storage_is_full(error) if isinstance(error, OSError) else None
            if full is not None:
                say("error", **error_message(full))
            else:
                say("bug", message=f"in {name}\n{traceback.format_exc()}")
        return None

    # From the parent, through a pipe that nobody else has.
    stage = pickle.loads(requests.read(int.from_bytes(requests.read(8), "big")))  # noqa: S301
    function = answer(stage.make, stage.name)
    if function is None:
        return 1
    said_s = 0.0

    def beat() -> None:
        nonlocal said_s
        now_s = time.monotonic()
        if now_s - said_s >= _BEAT_S:
            said_s = now_s
            say("alive")

    watched_by(beat)
    say("ready")
    for line in _lines(requests):
        row = answer(lambda line=line: function(decode_json(line)), stage.name)
        if row is not None:
            say("row", row=row)
    return 0


def _lines(requests: IO[bytes]) -> Any:
    """Requests as they come. When the parent is gone there is nobody to answer: the process ends at once, even in the
    middle of a row."""
    waiting: queue.Queue[bytes] = queue.Queue()

    def read() -> None:
        for line in requests:
            waiting.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()


if __name__ == "__main__":
    sys.exit(main())
