"""A row function in a process of its own, so that no input takes more than itself along.

Media is untrusted and decoders are native code: one file may crash the process, fill the memory or never come back.
What is lost is the child, and with it the one row it worked on. That row is tried once more in a fresh child, alone,
because another process may have taken the memory; if that dies too, the row is lost and the stage says what becomes of
it. A child that gives no sign of life (schemas/pulse.py) is ended from outside and its row lost at once: what hung for
minutes would hang again.

Rows and results are JSON lines in both directions; the stage itself goes over once, pickled by us for us.
"""

from __future__ import annotations

import json
import os
import pickle
import selectors
import signal
import subprocess
import sys
import time
from typing import IO, Any

from pipelines.stages import Row, Stage
from schemas import errors
from schemas.codecs import decode_json
from schemas.errors import MotionloomError, ResourceError, WorkerLost

START_S = 300.0
"""Networks are loaded in that time."""
_TRIES = 2
_GONE_S = 10.0


class Bug(RuntimeError):
    """An exception of the row function that is none of ours, with the child's traceback."""


class Guarded:
    """`stage`'s row function; the child starts with the first row. One thread at a time."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._child: _Child | None = None

    def __call__(self, row: Row) -> Row:
        """Raises: MotionloomError that the function raised, as it was; Bug; WorkerLost where the stage has no word for
        lost rows."""
        for attempt in range(1, _TRIES + 1):
            if self._child is None:
                self._child = _Child(self._stage)
            try:
                return self._child.work(row, self._stage.stalled_s)
            except _Died as death:
                self.close()
                if attempt == _TRIES or death.stalled:
                    return self._lost(row, death, attempt)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Ends the child, whatever it does."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def _lost(self, row: Row, death: _Died, attempts: int) -> Row:
        tried = "" if attempts == 1 else f", {attempts} times, the last time in a process of its own"
        error = WorkerLost(f"{death}{tried}")
        if self._stage.lost is None:
            raise error
        return self._stage.lost(row, error)


class _Died(Exception):
    """The child ended, or was ended, before it answered."""

    def __init__(self, what: str, stalled: bool = False) -> None:
        super().__init__(what)
        self.stalled = stalled


class _Child:
    def __init__(self, stage: Stage) -> None:
        # Its own interpreter: a fork would inherit locks and threads of libraries that are at work here.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.guarded"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            # Ctrl-C in a terminal reaches the parent, which ends the child.
            start_new_session=True,
        )
        self._waiting = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe(), selectors.EVENT_READ)
        stage_bytes = pickle.dumps(stage)
        try:
            self._send(len(stage_bytes).to_bytes(8, "big") + stage_bytes)
            self._answer(START_S)
        except _Died as death:
            self.end()
            raise ResourceError(f"a worker's process could not start: {death}") from None
        except BaseException:
            self.end()
            raise

    def work(self, row: Row, stalled_s: float) -> Row:
        self._send(as_line(row))
        answer: Row = self._answer(stalled_s)["row"]
        return answer

    def end(self) -> None:
        self._selector.close()
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:
                pass  # what was still to be sent to a dead child

    def _pipe(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except OSError:
            raise _Died(self._death()) from None

    def _answer(self, stalled_s: float) -> dict[str, Any]:
        """The next message that is more than a sign of life."""
        while True:
            message = decode_json(self._line(stalled_s))
            if message["kind"] == "alive":
                continue
            if message["kind"] == "error":
                raise _known_error(message["error"], message["message"])
            if message["kind"] == "bug":
                raise Bug(message["message"])
            if message["kind"] == "memory":
                raise _Died("its process ran out of memory")
            answer: dict[str, Any] = message
            return answer

    def _line(self, stalled_s: float) -> bytes:
        until_s = time.monotonic() + stalled_s
        while b"\n" not in self._waiting:
            if not self._selector.select(max(0.0, until_s - time.monotonic())):
                raise _Died(f"nothing got on for {stalled_s:g} s (a decoder that hangs?)", stalled=True)
            data = os.read(self._pipe().fileno(), 1 << 16)
            if not data:
                raise _Died(self._death())
            self._waiting += data
        line, self._waiting = self._waiting.split(b"\n", 1)
        return line

    def _death(self) -> str:
        try:
            code = self._process.wait(_GONE_S)
        except subprocess.TimeoutExpired:
            return "its process stopped answering"
        if code == -signal.SIGKILL:
            return "its process was killed (out of memory?)"
        if code < 0:
            return f"its process crashed in native code ({signal.Signals(-code).name})"
        return f"its process ended with exit code {code}"


def as_line(value: Any) -> bytes:
    """One line of JSON; a number that JSON lacks is refused."""
    return json.dumps(value, allow_nan=False).encode() + b"\n"


def error_message(error: MotionloomError) -> dict[str, str]:
    """Class and message; of a class that schemas.errors does not know, the nearest above it that it does."""
    known = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    return {"error": known.__name__, "message": str(error)}


def _known_error(name: str, message: str) -> MotionloomError:
    known: MotionloomError = getattr(errors, name)(message)
    return known
