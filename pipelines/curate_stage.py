"""The unit of curation: one input file, measured, cut and reduced in one worker; views of takes are cut later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import cv2
import pyarrow as pa

from curation.catalog import CUTTING, make_scorers
from curation.clock import frame_intervals
from curation.cuts import cut_clips
from curation.measure import common_schema, facts_to_table, in_schema, measure_video
from curation.probe import header_is_wrong, probe, real_time_factor
from curation.segments import segments_of
from curation.takes import split_key, split_of
from pipelines.clip_scoring import ClipScoring
from pipelines.measured_unit import CurationStage, done_row
from pipelines.segment_stage import MeasuredVideo, found, segment_store
from pipelines.sink import UnitStore
from pipelines.stage_clock import StageClock
from pipelines.stages import Row, RowFunction
from schemas.clip import ClipSpan, FailureRecord, SourceNote, VideoRecord
from schemas.errors import DataError, ProbeError, WorkerLost
from schemas.scores import FrameFacts
from schemas.storage import located, sha256_of


class CurateStage(CurationStage):
    """Makes the row function of curation.

    Rows in: uri, video_id, stamp, note, refused (a reason, or None), made_by (what measuring depends on, of the
    recipe); segments_s where `SegmentStage` has measured it. Rows out: of `done_row`, or of `found` for a video that is
    to be measured in segments first.
    A view of a take that is to be cut together with its siblings gets no clips yet: `TakeStage` makes them from the
    facts that are stored here.
    """

    __slots__ = ()

    def __call__(self) -> RowFunction:
        # Videos are spread over processors already; on pictures this small OpenCV's threads mostly wait for each other.
        cv2.setNumThreads(1)
        scoring, units = ClipScoring(self.scorer_names, self.until_rejected), UnitStore(self.units_dir)
        cutting = [name for scorer in make_scorers() if scorer.name in CUTTING for name in scorer.fact_names]

        def curate_one(row: Row) -> Row:
            clock = StageClock()
            path, uri, video_id = located(row["uri"]), str(row["uri"]), str(row["video_id"])
            document = {**_document(row), "seconds": clock.seconds}
            stage = "probe"
            try:
                if row["refused"] is not None:
                    raise ProbeError(row["refused"])
                note = SourceNote(**row["note"])
                header = probe(path)
                factor = real_time_factor(path, note.capture_fps)
                truth_sha256 = _truth_sha256(note)
                clock.lap(stage)
                stage = "measure"
                segments = segments_of(header.header_duration_s, header.container)
                if len(segments) == 1:
                    facts, result = measure_video(path, header.rotation_deg, scoring.at_once, factor)
                    parts, schema = iter([facts]), pa.schema([])
                elif "segments_s" not in row:
                    return found(row, segments, header, factor)
                else:
                    measured = MeasuredVideo(row, segment_store(self.units_dir), clock)
                    facts, result = measured.facts(cutting), measured.result
                    parts, schema = measured.parts(), measured.schema
                    document["segments"] = row["segments_s"]
                clock.lap(stage)
                fps, intervals = _measured_fps(facts) or header.fps, frame_intervals(facts.pts_s_T)
                together = split_key(note.take_id, video_id)
                video = VideoRecord(
                    video_id=video_id,
                    uri=uri,
                    size_bytes=header.size_bytes,
                    codec=header.codec,
                    pixel_format=header.pixel_format,
                    width_px=header.width_px,
                    height_px=header.height_px,
                    fps=fps,
                    duration_s=result.end_s,
                    rotation_deg=header.rotation_deg,
                    frames=result.frames,
                    status="ok" if result.error is None else "partial",
                    status_message=result.error,
                    **{**asdict(note), "split": note.split or split_of(together)},
                    ground_truth_sha256=truth_sha256,
                    split_key=together,
                    real_time_factor=factor,
                    pixel_aspect=header.pixel_aspect,
                    field_order=header.field_order,
                    bits_per_component=header.bits_per_component,
                    transfer=header.transfer,
                    is_hdr=header.is_hdr,
                    start_s=header.start_s,
                    header_fps=header.fps or None,
                    header_duration_s=header.header_duration_s,
                    header_frames=header.header_frames,
                    header_wrong=header_is_wrong(header, fps, result.end_s, result.frames, result.error is None),
                    vfr=intervals.vfr,
                    frame_interval_min_s=intervals.min_s,
                    frame_interval_max_s=intervals.max_s,
                    frame_interval_cv=intervals.cv,
                )
                clips: list[ClipSpan] = []
                if not (self.rules.cut_takes_together and note.take_id):
                    clips = cut_clips(video_id, uri, facts, self.rules)
                document["video"] = video.row()
                scored = scoring.score_parts(video, parts, clips, clock)
                units.commit(video_id, _tables(document, scored, schema), document)
            except DataError as error:
                document.pop("segments", None)
                document.update(video=None, clips=[], failure=FailureRecord.of(error, uri, stage).row())
                clock.lap(stage)
                units.commit(video_id, [_NO_FRAMES], document)
            return done_row(document, video_id, uri)

        return curate_one

    def lost(self, row: Row, error: WorkerLost) -> Row:
        """Notes a failure of the whole input; for `Stage.lost`."""
        document = _document(row)
        document["failure"] = FailureRecord.of(error, str(row["uri"]), "measure").row()
        UnitStore(self.units_dir).commit(str(row["video_id"]), [_NO_FRAMES], document)
        return done_row(document, str(row["video_id"]), str(row["uri"]))


_NO_FRAMES = pa.table({"video_id": pa.array([], pa.string()), "pts_s": pa.array([], pa.float64())})


def _document(row: Row) -> dict[str, Any]:
    """Of an input of which nothing is known yet."""
    known = {"stamp": row["stamp"], "made_by": row["made_by"]}
    return {**known, "video": None, "clips": [], "failure": None, "seconds": {}}


def _tables(
    document: dict[str, Any], scored: Iterable[tuple[list[dict[str, Any]], FrameFacts]], schema: pa.Schema
) -> Iterator[pa.Table]:
    """Tables of a video's parts; the document gets the rows of its clips. schema: what the parts have in common."""
    for rows, facts in scored:
        document["clips"] += rows
        table = facts_to_table(document["video"]["video_id"], facts)
        schema = common_schema([schema, table.schema])
        yield in_schema(table, schema)


def _truth_sha256(note: SourceNote) -> str | None:
    """Raises: ProbeError when the side file went away since the manifest was read."""
    if note.ground_truth is None:
        return None
    try:
        return sha256_of(located(note.ground_truth))
    except OSError as error:
        raise ProbeError(f"ground_truth {note.ground_truth} cannot be read: {error.strerror or error}") from error


def _measured_fps(facts: FrameFacts) -> float:
    """Frames per second of presentation time; headers are often wrong about it. 0 for a single frame."""
    span_s = facts.end_s - (float(facts.pts_s_T[0]) if len(facts.pts_s_T) else 0.0)
    return len(facts.pts_s_T) / span_s if len(facts.pts_s_T) > 1 and span_s > 0 else 0.0
