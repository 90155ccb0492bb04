"""Runs a stage as a Ray Data job. The only file that knows Ray."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.guard import Guarded, error_message
from pipelines.stages import Row, Stage
from schemas import errors
from schemas.codecs import decode_json, encode_json
from schemas.errors import MotionloomError, ResourceError

NODE_BACK_S = 60.0
"""A cluster that replaces lost nodes has so long to do it."""
LOOK_EVERY_S = 5.0
# A job holds its rows in memory. One of a million rows is many jobs, each long enough that its beginning and end, when
# workers wait, do not matter.
_WAVE_ROWS, _WAVE_ROWS_PER_CPU = 10_000, 100
# A worker takes a block at a time: with few rows in each none is left with many when the others are done.
_BLOCKS = 1000


class _Worker:
    """An actor's body: applies the row function to every row, in a process of its own.

    An error with a message for the user travels as a row: raised, it would reach the user wrapped in Ray's tracebacks.
    """

    def __init__(self, stage: Stage) -> None:
        self._function = Guarded(stage)
        self._metrics = _Metrics(stage.name)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        # Rows travel as JSON text: Arrow would guess other types for empty lists and nulls.
        began_s = time.monotonic()
        try:
            made = self._function(decode_json(row["row"]))
        except MotionloomError as error:
            return {"index": row["index"], "row": None, **error_message(error)}
        self._metrics.add(made, time.monotonic() - began_s)
        return {"index": row["index"], "row": encode_json(made), "error": None, "message": None}


class _Metrics:
    """What a worker did, for Ray's own exporter to Prometheus (as ray_motionloom_...), by stage."""

    def __init__(self, stage: str) -> None:
        from ray.util.metrics import Counter

        tags = ("stage", "outcome")
        self._stage = stage
        self._rows = Counter("motionloom_rows", "rows finished: inputs of curate, clips of annotate", tag_keys=tags)
        self._footage = Counter("motionloom_footage_seconds", "seconds of footage in finished rows", tag_keys=tags)
        self._seconds = Counter("motionloom_worker_seconds", "seconds that workers took for them", tag_keys=tags)

    def add(self, row: Row, seconds: float) -> None:
        if row.get("unfinished"):
            return
        tags = {"stage": self._stage, "outcome": "failed" if row.get("failure") is not None else "done"}
        for counter, value in (
            (self._rows, 1.0), (self._footage, float(row.get("footage_s") or 0.0)), (self._seconds, seconds)
        ):  # fmt: skip
            if value > 0:
                counter.inc(value, tags=tags)


def run_ray(stage: Stage, rows: Sequence[Row], workers: int) -> Iterator[Row]:
    """Joins the cluster of RAY_ADDRESS (as in a submitted job), or starts one on this machine for the run.

    workers is the most that run at once; with 0, as many as the cluster has processors.
    Raises: MotionloomError that the stage raised, as it was; anything else as Ray wraps it.
    """
    import ray

    with cluster():
        size = max(_WAVE_ROWS, _WAVE_ROWS_PER_CPU * int(ray.cluster_resources().get("CPU", 1.0)))
        for first in range(0, len(rows), size):
            yield from _wave(stage, rows[first : first + size], workers)


def _wave(stage: Stage, rows: Sequence[Row], workers: int) -> Iterator[Row]:
    ordered = rows if stage.cost is None else sorted(rows, key=stage.cost, reverse=True)
    left = {index: encode_json(row) for index, row in enumerate(ordered)}
    while left:
        try:
            for item in _watched(_job(stage, left, workers)):
                if item["error"] is not None:
                    raise getattr(errors, item["error"])(item["message"])
                del left[item["index"]]
                yield decode_json(item["row"])
        except _NodeLost:
            # What was done is done; the rest begins anew on the nodes that are left.
            continue


def _job(stage: Stage, left: dict[int, bytes], workers: int) -> Any:
    """One Ray Data job over the rows that are left."""
    import ray

    total_cpus = float(ray.cluster_resources().get("CPU", 1.0))
    most = max(1, min(workers or int(total_cpus), len(left)))
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # The library's notes on its own execution; ours is the progress bar, and errors are raised.
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    items = [{"index": index, "row": row} for index, row in left.items()]
    return ray.data.from_items(items, override_num_blocks=min(len(items), max(_BLOCKS, 4 * most))).map(
        _Worker,
        fn_constructor_args=(stage,),
        compute=ray.data.ActorPoolStrategy(size=most),
        num_cpus=_cpus_per_worker(stage.num_cpus, most, total_cpus),
    )


class _NodeLost(Exception):
    """A node is gone and no other came: workers that were on it would be waited for without end."""


def _watched(job: Any) -> Iterator[dict[str, Any]]:
    """Passes a job's results on, and looks now and then whether the nodes are there that the job began with.

    Ray starts the workers of a lost node elsewhere when there is room, and otherwise waits until there is.
    Raises: _NodeLost when there has been less room for NODE_BACK_S.
    """
    import ray

    began_cpus = float(ray.cluster_resources().get("CPU", 1.0))
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=1)
    given_up = threading.Event()

    def put(kind: str, what: Any) -> None:
        while not given_up.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put((kind, what), timeout=1.0)
                return

    def read() -> None:
        try:
            for item in job.iter_rows():
                put("item", item)
                if given_up.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - raised where the results are read
            put("error", error)
        else:
            put("end", None)

    threading.Thread(target=read, daemon=True).start()
    short_since_s: float | None = None
    try:
        while True:
            try:
                kind, what = waiting.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                is_short = float(ray.cluster_resources().get("CPU", 0.0)) < began_cpus
                short_since_s = (short_since_s or time.monotonic()) if is_short else None
                if short_since_s is not None and time.monotonic() - short_since_s > NODE_BACK_S:
                    raise _NodeLost from None
                continue
            if kind == "error":
                raise what
            if kind == "end":
                return
            yield what
    finally:
        given_up.set()
        # Ends workers and threads of the job. Ray has no public name for it but the end of the connection.
        if job._current_executor is not None:
            job._current_executor.shutdown(force=True)


def _cpus_per_worker(wanted: float, workers: int, total_cpus: float) -> float:
    """Lowers the request so that one processor (half of a single one) stays free for the tasks that feed the workers.

    A pool of actors that together take every processor leaves none for reading: the job would hang without an error.
    """
    free = 1.0 if total_cpus >= 2 else 0.5 * total_cpus
    return min(wanted, int(100 * (total_cpus - free) / workers) / 100 or 0.01)


@contextlib.contextmanager
def cluster() -> Iterator[None]:
    """A connection to Ray. A cluster that we start has its own folder and ports, and is gone afterwards."""
    import ray

    if ray.is_initialized():
        yield
        return
    # Ray 2.60 logs an "error" about its own actors' constructors on every start; failures reach us as exceptions.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
        try:
            yield
        finally:
            ray.shutdown()
        return
    # Unix sockets have short names: the folder must not lie deep.
    folder = tempfile.mkdtemp(prefix="mloom-")
    try:
        try:
            ray.init(address="local", include_dashboard=False, _temp_dir=folder, **quiet)
        except Exception as error:
            # Ray gives up after 30 s, by a bare Exception, where a busy machine has not started its processes.
            ray.shutdown()
            raise ResourceError(
                f"Ray cannot start on this machine: {error} Try again when it is less busy, or with --runner local"
            ) from error
        try:
            yield
        finally:
            ray.shutdown()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
