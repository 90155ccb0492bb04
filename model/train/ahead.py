"""Read the next batches while the network works on this one. Batches depend on the step alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from model.conditions import Batch
from model.rng import StepRng


class Ahead:
    """Batches of the steps [step, end), each read once, handed out in order, up to `readers` of them in the making.

    An error is raised where its batch is asked for.
    """

    def __init__(
        self, read_batch: Callable[[StepRng], Batch], seed: int, step: int, end: int, readers: int = 1
    ) -> None:
        self._read_batch = read_batch
        self._seed = seed
        self._step, self._end = step, end
        self._readers = readers
        self._pool = ThreadPoolExecutor(max_workers=readers, thread_name_prefix="reader")
        self._waiting: deque[Future[Batch]] = deque()

    def __enter__(self) -> Ahead:
        self._ask()
        return self

    def _ask(self) -> None:
        while self._step < self._end and len(self._waiting) < self._readers:
            self._waiting.append(self._pool.submit(self._read_batch, StepRng(self._seed, self._step)))
            self._step += 1

    def next(self) -> Batch:
        """Raises: IndexError beyond the end; what reading raised."""
        if not self._waiting:
            raise IndexError("no further batch in this stage")
        batch = self._waiting.popleft().result()
        self._ask()
        return batch

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
