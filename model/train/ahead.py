"""Read the next batch while the network works on this one. Batches depend on the step alone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from model.conditions import Batch
from model.rng import StepRng


class Ahead:
    """Batches of the steps [step, end), each read once, in order; an error is raised where its batch is asked for."""

    def __init__(self, read_batch: Callable[[StepRng], Batch], seed: int, step: int, end: int) -> None:
        self._read_batch = read_batch
        self._seed = seed
        self._step, self._end = step, end
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reader")
        self._waiting: Future[Batch] | None = None

    def __enter__(self) -> Ahead:
        self._ask()
        return self

    def _ask(self) -> None:
        self._waiting = None
        if self._step < self._end:
            self._waiting = self._pool.submit(self._read_batch, StepRng(self._seed, self._step))
            self._step += 1

    def next(self) -> Batch:
        """Raises: IndexError beyond the end; what reading raised."""
        if self._waiting is None:
            raise IndexError("no further batch in this stage")
        batch = self._waiting.result()
        self._ask()
        return batch

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
