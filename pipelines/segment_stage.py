"""The unit of curation for long videos: one segment of one, measured. Its facts are kept until the video has all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import cv2
import pyarrow as pa

from curation.decode import DecodeResult
from curation.measure import (
    common_schema,
    facts_from_table,
    facts_to_table,
    join_facts,
    join_results,
    measure_video,
)
from curation.probe import ProbeResult
from curation.segments import Segment, segments_from
from pipelines.clip_scoring import ClipScoring
from pipelines.measured_unit import CurationStage
from pipelines.output_folder import SEGMENTS_DIR
from pipelines.sink import UnitStore
from pipelines.stage_clock import StageClock
from pipelines.stages import Row, RowFunction
from schemas.clip import FailureRecord
from schemas.errors import DataError, DecodeError, WorkerLost
from schemas.scores import FrameFacts
from schemas.storage import Location, folder_of, joined, located


class SegmentStage(CurationStage):
    """Makes the row function that measures segments.

    Rows in: of `segments_to_measure`. Rows out: video_id, uri, failure (why it failed, or None), clips (0), footage_s.
    """

    __slots__ = ()

    def __call__(self) -> RowFunction:
        cv2.setNumThreads(1)
        scorers = ClipScoring(self.scorer_names, self.until_rejected).at_once
        store = segment_store(self.units_dir)

        def measure_one(row: Row) -> Row:
            clock, document, table = StageClock(), _document(row), _no_facts()
            segment, path = Segment(row["start_s"], row["end_s"]), located(row["uri"])
            try:
                how = row["rotation_deg"], scorers, row["real_time_factor"]
                facts, result = measure_video(path, *how, segment=segment, header_fps=row["header_fps"])
                table, document["decoded"] = facts_to_table(row["video_id"], facts), asdict(result)
            except DataError as error:
                document["failure"] = FailureRecord.of(error, row["uri"], "measure").row()
            clock.lap("measure")
            document["seconds"] = clock.seconds
            store.commit(_name(row["video_id"], row["start_s"]), [table], document)
            return _done(row, document)

        return measure_one

    def lost(self, row: Row, error: WorkerLost) -> Row:
        """Notes a failure of the segment; for `Stage.lost`."""
        document = _document(row)
        document["failure"] = FailureRecord.of(error, row["uri"], "measure").row()
        segment_store(self.units_dir).commit(_name(row["video_id"], row["start_s"]), [_no_facts()], document)
        return _done(row, document)


def segment_store(units_dir: Location) -> UnitStore:
    """Where segments wait for each other, beside the finished units."""
    return UnitStore(joined(folder_of(units_dir), SEGMENTS_DIR))


def found(row: Row, segments: Sequence[Segment], header: ProbeResult, real_time_factor: float) -> Row:
    """What curation says of a video that it leaves to `SegmentStage`: its row, and how it is to be measured."""
    how = {"rotation_deg": header.rotation_deg, "real_time_factor": real_time_factor, "header_fps": header.fps or None}
    return {**row, **how, "segments_s": [segment.start_s for segment in segments], "failure": None, "unfinished": True}


def segments_to_measure(videos: Sequence[Row], store: UnitStore) -> list[Row]:
    """The segments of these videos (rows of `found`) that are not measured, of this file and by this recipe.

    Those that failed are measured again, as failed inputs are.
    """
    same = ("stamp", "made_by", "start_s", "end_s")
    names = ("uri", "video_id", "stamp", "made_by", "rotation_deg", "real_time_factor", "header_fps")
    rows: list[Row] = []
    for video in videos:
        for segment in segments_from(video["segments_s"]):
            row = {**{name: video[name] for name in names}, **asdict(segment)}
            known = store.document(_name(row["video_id"], row["start_s"]))
            if known is None or known["failure"] is not None or any(known[name] != row[name] for name in same):
                rows.append(row)
    return rows


class MeasuredVideo:
    """A video's facts, where they are: `result` is what decoding found; memory holds what is asked for.

    Raises: WorkerLost, DecodeError when a segment failed: the others wait until it is tried again.
    """

    def __init__(self, row: Row, store: UnitStore, clock: StageClock) -> None:
        """row: of `found`. The seconds of its segments are booked on the clock."""
        self._video_id, self._store = row["video_id"], store

        def results() -> Iterator[DecodeResult]:
            for start_s in row["segments_s"]:
                name = _name(self._video_id, start_s)
                document = store.document(name)
                if document is None:
                    raise RuntimeError(f"segment {name} vanished while its run was at work")
                clock.book(document["seconds"])
                if (failure := document["failure"]) is not None:
                    kind = WorkerLost if failure["error_class"] == WorkerLost.__name__ else DecodeError
                    raise kind(f"in the segment from {start_s:g} s on: {failure['message']}")
                self._ends_s.append(document["decoded"]["end_s"])
                yield DecodeResult(**document["decoded"])

        self._ends_s: list[float] = []
        self.result, kept = join_results(results())
        self._kept = [(_name(self._video_id, row["segments_s"][number]), self._ends_s[number]) for number in kept]

    def facts(self, names: Sequence[str]) -> FrameFacts:
        """Those of these names, of the whole video."""
        return join_facts(list(self._read(("pts_s", *names))), self.result.end_s)

    def parts(self) -> Iterator[FrameFacts]:
        """All facts, one segment after the other."""
        return self._read(None)

    @property
    def schema(self) -> pa.Schema:
        """Of the table of all segments."""
        return common_schema(self._store.schema(name) for name, _ in self._kept)

    def _read(self, columns: Sequence[str] | None) -> Iterator[FrameFacts]:
        return (facts_from_table(self._store.table(name, columns), end_s) for name, end_s in self._kept)


def forget_segments(videos: Sequence[Row], units: UnitStore, store: UnitStore) -> None:
    """Removes the segments of those of these videos (rows of `found`) that are finished, and a folder without any."""
    for video in videos:
        document = units.document(video["video_id"])
        if document is not None and document["failure"] is None:
            for start_s in video["segments_s"]:
                store.remove(_name(video["video_id"], start_s))
    store.remove_if_empty()


def _name(video_id: str, start_s: float) -> str:
    return f"{video_id}-{start_s:.0f}"


def _document(row: Row) -> dict[str, Any]:
    what = {name: row[name] for name in ("stamp", "made_by", "start_s", "end_s")}
    return {**what, "decoded": None, "failure": None, "seconds": {}}


def _no_facts() -> pa.Table:
    return pa.table({"pts_s": pa.array([], pa.float64())})


def _done(row: Row, document: dict[str, Any]) -> Row:
    failure, decoded = document["failure"], document["decoded"]
    footage_s = 0.0 if decoded is None or not decoded["frames"] else max(0.0, decoded["end_s"] - row["start_s"])
    ids = {name: row[name] for name in ("video_id", "uri")}
    return {**ids, "failure": failure and failure["message"], "clips": 0, "footage_s": footage_s}
