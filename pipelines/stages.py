"""What a plan is made of: stages that turn a row into a row, wherever they run.

A row is a small mapping of JSON values; pixels and tracks never travel between machines. A stage's `make` runs once in
the worker that does the work, so that networks are loaded there; the function it returns is called for every row.
A row that says `unfinished` goes on to another stage, and is counted there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from schemas.errors import WorkerLost

STALLED_S = 300.0
Row = dict[str, Any]
RowFunction = Callable[[Row], Row]


@dataclass(frozen=True, slots=True)
class Stage:
    """One step: its name, how to make its row function, and the processors one worker of it takes.

    lost: what becomes of a row that ended its process: it notes the failure where the stage's failures are noted and
    gives the row that the function would have given. Without it the run ends there.
    cost: about how much work a row is, in any unit: the largest begin first, so that none is left at the end.
    stalled_s: seconds without a sign of life (schemas/pulse.py) after which a row counts as hung.
    """

    name: str
    make: Callable[[], RowFunction]
    num_cpus: float = 1.0
    lost: Callable[[Row, WorkerLost], Row] | None = None
    stalled_s: float = STALLED_S
    cost: Callable[[Row], float] | None = None


class Runner(Protocol):
    """Executes a stage over rows. Results come as they finish, in any order; a raised bug ends the run."""

    def __call__(self, stage: Stage, rows: Sequence[Row], workers: int) -> Iterator[Row]: ...


def keep_runner(name: str) -> contextlib.AbstractContextManager[None]:
    """Starts what a runner needs once for several stages: with Ray, one cluster."""
    if name == "local":
        return contextlib.nullcontext()
    from pipelines.run_ray import cluster

    return cluster()


def pick_runner(name: str) -> Runner:
    """`ray` or `local`; Ray is imported only when it is used."""
    if name == "local":
        from pipelines.run_local import run_local

        return run_local
    from pipelines.run_ray import run_ray

    return run_ray
