"""The unit of looking: one video of a benchmark becomes one observation, kept beside the benchmark."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.evaluation.anchors import Watched, make_anchor
from pipelines.evaluation.observation import Observation, Observer, observer_fingerprint
from pipelines.sink import UnitStore
from pipelines.stages import Row, RowFunction, Stage, pick_runner
from schemas.errors import DataError, WorkerLost

OBSERVATIONS_DIR = "observations"
_NOTHING = pa.table({"member": pa.array([], pa.string()), "data": pa.array([], pa.large_binary())})


@dataclass(frozen=True, slots=True)
class ObserveStage:
    """Makes the row function of looking.

    Rows in: of `Watched`. Rows out: video_id, failure (why it failed, or None).
    """

    bench: Path
    units_dir: Path

    def __call__(self) -> RowFunction:
        units, observer = UnitStore(self.units_dir), Observer()

        def observe_one(row: Row) -> Row:
            watched = Watched(**row)
            try:
                seen = _look(self.bench, watched, observer)
            except DataError as error:
                return _failed(units, watched.video_id, str(error))
            units.commit(watched.video_id, [seen.tables()], {**seen.document(), "failure": None})
            return {"video_id": watched.video_id, "failure": None}

        return observe_one

    def lost(self, row: Row, error: WorkerLost) -> Row:
        """For `Stage.lost`."""
        return _failed(UnitStore(self.units_dir), str(row["video_id"]), str(error))


def _look(bench: Path, watched: Watched, observer: Observer) -> Observation:
    if watched.making is None:
        return observer.observe(bench / watched.path)
    with tempfile.TemporaryDirectory(prefix="motionloom-anchor-") as folder:
        made = Path(folder) / "anchor.mp4"
        make_anchor(bench, watched, made)
        return observer.observe(made)


def _failed(units: UnitStore, video_id: str, why: str) -> Row:
    units.commit(video_id, [_NOTHING], {"failure": why})
    return {"video_id": video_id, "failure": why}


class Observations:
    """Observations of BENCH/observations, those of the installed annotators, scorers and weights alone."""

    def __init__(self, bench: Path) -> None:
        """Raises: ResourceError when weights are given and incomplete."""
        self._bench = bench.resolve()
        self.folder = self._bench / OBSERVATIONS_DIR / observer_fingerprint()
        self._units = UnitStore(self.folder)

    def make(self, wanted: Iterable[Watched], runner: str = "local", workers: int = 0) -> None:
        """Looks at what was not looked at yet. What cannot be watched is noted, and tried again by the next call."""
        from pipelines.progress import track

        self._units.clear_partial()
        by_id: Mapping[str, Watched] = {each.video_id: each for each in wanted}
        rows = [each.row() for each in by_id.values() if self.failure(each) is not None]
        observing = ObserveStage(self._bench, self.folder)
        stage = Stage("observe", observing, lost=observing.lost)
        for _ in track(pick_runner(runner)(stage, rows, workers), "observe", len(rows)) if rows else ():
            pass

    def load(self, watched: Watched) -> Observation | None:
        """None where it could not be watched."""
        with self._units.open(watched.video_id) as unit:
            document: dict[str, Any] = unit.document
            return None if document["failure"] is not None else Observation.of_unit(unit.table(), document)

    def failure(self, watched: Watched) -> str | None:
        """Why there is no observation; None where there is one."""
        document = self._units.document(watched.video_id)
        return "it was not looked at" if document is None else document["failure"]
