"""The unit of curation: one input file, measured, cut and reduced in one worker."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import pyarrow as pa

from curation.catalog import COSTLY, choose_scorers, make_scorers
from curation.clock import frame_intervals
from curation.cuts import CutRules, cut_clips
from curation.decide import decide, without_columns
from curation.measure import facts_to_table, measure_video
from curation.probe import header_is_wrong, probe, real_time_factor
from curation.reduce import reduce_clips
from curation.takes import split_key, split_of
from pipelines.run_tables import clips_schema
from pipelines.sink import UnitStore
from pipelines.stage_clock import StageClock
from pipelines.stages import Row, RowFunction
from schemas.clip import FailureRecord, SourceNote, VideoRecord
from schemas.errors import DataError, ProbeError
from schemas.fingerprint import file_sha256
from schemas.policy import Policy
from schemas.scores import FrameFacts


@dataclass(frozen=True, slots=True)
class CurateStage:
    """Makes the row function of curation.

    Rows in: uri, video_id, stamp, note, refused (a reason, or None). Rows out: uri, failed.
    scorer_names: the scorers that measure, None for all.
    until_rejected: what a policy asks of cheap scores (`cheap_part`); clips that it rejects are spared the costly
    scorers, whose scores are null there. None measures everything of every clip.
    """

    units_dir: Path
    rules: CutRules
    scorer_names: tuple[str, ...] | None = None
    until_rejected: Policy | None = None

    def __call__(self) -> RowFunction:
        # Videos are spread over processors already; on pictures this small OpenCV's threads mostly wait for each other.
        cv2.setNumThreads(1)
        scorers, units = choose_scorers(self.scorer_names), UnitStore(self.units_dir)
        costly = [scorer for scorer in scorers if self.until_rejected is not None and scorer.name in COSTLY]
        at_once = [scorer for scorer in scorers if scorer not in costly]

        def curate_one(row: Row) -> Row:
            clock = StageClock()
            path, uri, video_id = Path(row["uri"]), str(row["uri"]), str(row["video_id"])
            document: dict[str, Any] = {"stamp": row["stamp"], "video": None, "clips": [], "failure": None}
            table = pa.table({"video_id": pa.array([], pa.string()), "pts_s": pa.array([], pa.float64())})
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
                facts, result = measure_video(path, header.rotation_deg, at_once, factor)
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
                clips = cut_clips(video_id, uri, facts, self.rules)
                document["clips"] = reduce_clips(video, facts, clips, at_once)
                left = self._left(document["clips"]) if costly else []
                if left:
                    clock.lap("clip")
                    # A second decode, but of few videos, and without networks for what is rejected anyway.
                    more, _ = measure_video(path, header.rotation_deg, costly, factor, left)
                    facts = FrameFacts(facts.pts_s_T, facts.end_s, {**facts.facts, **more.facts})
                    document["clips"] = reduce_clips(video, facts, clips, scorers)
                    clock.lap(stage)
                document["video"] = video.row()
                table = facts_to_table(video_id, facts)
                clock.lap("clip")
            except DataError as error:
                document["failure"] = FailureRecord.of(error, uri, stage).row()
                clock.lap(stage)
            document["seconds"] = clock.seconds
            units.commit(video_id, table, document)
            return {"uri": uri, "failed": document["failure"] is not None}

        return curate_one

    def _left(self, rows: list[dict[str, Any]]) -> list[tuple[float, float]]:
        """Intervals of the clips that the cheap part of the policy does not reject, in rising order."""
        assert self.until_rejected is not None
        table = pa.Table.from_pylist(rows, schema=clips_schema())
        kept = decide(table, self.until_rejected).column("kept").to_pylist()
        return sorted((row["start_s"], row["end_s"]) for row, is_kept in zip(rows, kept, strict=True) if is_kept)


def cheap_part(policy: Policy) -> Policy:
    """What a policy asks of everything but the costly scorers' scores."""
    costly = {spec.name for scorer in make_scorers() if scorer.name in COSTLY for spec in scorer.specs}
    return without_columns(policy, costly)


def _truth_sha256(note: SourceNote) -> str | None:
    """Raises: ProbeError when the side file went away since the manifest was read."""
    if note.ground_truth is None:
        return None
    try:
        return file_sha256(Path(note.ground_truth))
    except OSError as error:
        raise ProbeError(f"ground_truth {note.ground_truth} cannot be read: {error.strerror or error}") from error


def _measured_fps(facts: FrameFacts) -> float:
    """Frames per second of presentation time; headers are often wrong about it. 0 for a single frame."""
    span_s = facts.end_s - (float(facts.pts_s_T[0]) if len(facts.pts_s_T) else 0.0)
    return len(facts.pts_s_T) / span_s if len(facts.pts_s_T) > 1 and span_s > 0 else 0.0
