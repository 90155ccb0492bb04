"""The third unit of curation: one input that was measured by another recipe, brought up to date.

Facts are stored, so only those of scorers that are new or changed are measured; cuts and scores are calculated from the
facts again. Where only rules of cutting changed, or scorers were left out, nothing is decoded.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from curation.catalog import COSTLY, WEIGHT_FILES
from curation.cuts import CutRules, cut_clips
from curation.measure import facts_from_table, facts_to_table, measure_video
from pipelines.clip_scoring import ClipScoring
from pipelines.curate_stage import done_row
from pipelines.sink import UnitStore
from pipelines.stage_clock import StageClock
from pipelines.stages import Row, RowFunction
from schemas.clip import FailureRecord, VideoRecord
from schemas.errors import DataError, DecodeError, WorkerLost
from schemas.policy import Policy
from schemas.scores import FrameFacts
from schemas.storage import Location, located


@dataclass(frozen=True, slots=True)
class UpdateStage:
    """Makes the row function that updates measured inputs. What the names mean is said by `CurateStage`.

    Rows in: video_id, made_by (what is noted of the recipe in the unit), missing (names of scorers to measure).
    Rows out: as of CurateStage.
    """

    units_dir: Location
    rules: CutRules
    scorer_names: tuple[str, ...] | None = None
    until_rejected: Policy | None = None

    def __call__(self) -> RowFunction:
        cv2.setNumThreads(1)
        scoring, units = ClipScoring(self.scorer_names, self.until_rejected), UnitStore(self.units_dir)

        def update_one(row: Row) -> Row:
            clock, video_id = StageClock(), str(row["video_id"])
            document = _document(units, video_id)
            video = VideoRecord(**document["video"])
            kept = [name for each in scoring.at_once if each.name not in row["missing"] for name in each.fact_names]
            facts = facts_from_table(units.table(video_id, ["pts_s", *kept]), video.duration_s)
            try:
                facts = _with_missing(facts, video, scoring, row["missing"])
                clock.lap("measure")
                document["clips"] = []
                document.pop("cut_with", None)
                if not (self.rules.cut_takes_together and video.take_id):
                    clips = cut_clips(video_id, video.uri, facts, self.rules)
                    document["clips"], facts = scoring.score(video, facts, clips, clock)
            except DataError as error:
                facts = _fail(document, error, video.uri)
                clock.lap("measure")
            document.update(made_by=row["made_by"], seconds=_sum(document["seconds"], clock.seconds))
            units.commit(video_id, facts_to_table(video_id, facts), document)
            return done_row(document, video.uri)

        return update_one

    def lost(self, row: Row, error: WorkerLost) -> Row:
        """Notes a failure of the whole input; for `Stage.lost`."""
        units, video_id = UnitStore(self.units_dir), str(row["video_id"])
        document = _document(units, video_id)
        uri = str(document["video"]["uri"])
        facts = _fail(document, error, uri)
        document["made_by"] = row["made_by"]
        units.commit(video_id, facts_to_table(video_id, facts), document)
        return done_row(document, uri)


def missing_scorers(before: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Names of the wanted scorers whose facts were not measured, or not as they would be now, sorted.

    before, wanted: what a recipe's measuring depends on (`made_by`): scorers with versions, weights with hashes,
    until_rejected.
    """
    weights_before, weights = before.get("weights", {}), wanted.get("weights", {})
    missing = set()
    for name, version in wanted["scorers"].items():
        files = {path.name for path in WEIGHT_FILES.get(name, tuple)()}
        if name in WEIGHT_FILES:
            # Which scorer read a file that is there no more, nobody knows.
            files |= set(weights_before) - set(weights)
        others = any(weights_before.get(file) != weights.get(file) for file in files)
        if before["scorers"].get(name) != version or others:
            missing.add(name)
        elif name in COSTLY and before.get("until_rejected") != wanted.get("until_rejected"):
            # They were measured in the clips that another policy left.
            missing.add(name)
    return sorted(missing)


def _with_missing(facts: FrameFacts, video: VideoRecord, scoring: ClipScoring, missing: Collection[str]) -> FrameFacts:
    scorers = [scorer for scorer in scoring.at_once if scorer.name in missing]
    if not scorers:
        return facts
    more, _ = measure_video(located(video.uri), video.rotation_deg, scorers, video.real_time_factor)
    if not np.array_equal(more.pts_s_T, facts.pts_s_T):
        raise DecodeError("its frames are others than those that were measured before: the file changed since")
    return FrameFacts(facts.pts_s_T, facts.end_s, {**facts.facts, **more.facts})


def _document(units: UnitStore, video_id: str) -> dict[str, Any]:
    document = units.document(video_id)
    if document is None:
        raise RuntimeError(f"unit {video_id} vanished while it was being updated")
    return document


def _fail(document: dict[str, Any], error: DataError, uri: str) -> FrameFacts:
    document.update(video=None, clips=[], failure=FailureRecord.of(error, uri, "measure").row())
    return FrameFacts(np.empty(0), 0.0, {})


def _sum(before: dict[str, dict[str, float]], now: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        stage: {
            clock: before.get(stage, {}).get(clock, 0.0) + now.get(stage, {}).get(clock, 0.0)
            for clock in ("wall_s", "cpu_s")
        }
        for stage in {**before, **now}
    }
