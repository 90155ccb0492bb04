"""The third unit of curation: one input that was measured by another recipe, brought up to date.

Facts are stored, so only those of scorers that are new or changed are measured; cuts and scores are calculated from the
facts again. Where only rules of cutting changed, or scorers were left out, nothing is decoded.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import cv2
import numpy as np

from curation.catalog import COSTLY, WEIGHT_FILES, fact_weights
from curation.cuts import cut_clips
from curation.measure import measure_in_segments
from pipelines.clip_scoring import ClipScoring
from pipelines.measured_unit import CurationStage, MeasuredUnit
from pipelines.sink import UnitStore
from pipelines.stage_clock import StageClock
from pipelines.stages import Row, RowFunction
from schemas.errors import DataError, DecodeError, RecipeError, WorkerLost
from schemas.scores import FrameFacts
from schemas.storage import located


class UpdateStage(CurationStage):
    """Makes the row function that updates measured inputs.

    Rows in: video_id, made_by (what is noted of the recipe in the unit), missing (names of scorers to measure).
    Rows out: of `done_row`.
    """

    __slots__ = ()

    def __call__(self) -> RowFunction:
        cv2.setNumThreads(1)
        scoring, units = ClipScoring(self.scorer_names, self.until_rejected), UnitStore(self.units_dir)

        def update_one(row: Row) -> Row:
            clock, unit = StageClock(), MeasuredUnit(units, str(row["video_id"]))
            document, video = unit.document, unit.video
            assert video is not None
            clock.seconds.update(document["seconds"])
            kept = [name for each in scoring.at_once if each.name not in row["missing"] for name in each.fact_names]
            facts = unit.facts(kept)
            try:
                facts = _with_missing(facts, unit, scoring, row["missing"])
                clock.lap("measure")
                document["clips"] = []
                document.pop("cut_with", None)
                if not (self.rules.cut_takes_together and video.take_id):
                    clips = cut_clips(video.video_id, video.uri, facts, self.rules)
                    document["clips"], facts = scoring.score(video, facts, clips, clock)
            except DataError as error:
                facts = unit.fail(error)
                clock.lap("measure")
            document.update(made_by=row["made_by"], seconds=clock.seconds)
            return unit.commit(facts)

        return update_one

    def lost(self, row: Row, error: WorkerLost) -> Row:
        """Notes a failure of the whole input; for `Stage.lost`."""
        unit = MeasuredUnit(UnitStore(self.units_dir), str(row["video_id"]))
        facts = unit.fail(error)
        unit.document["made_by"] = row["made_by"]
        return unit.commit(facts)


def update_of(document: dict[str, Any], identity: dict[str, Any], before: dict[str, Any]) -> Row | None:
    """The row that brings a unit up to date, or None when it is.

    identity: what measuring depends on, of the recipe. before: the same of the recipe that the folder was begun with,
    which units of an earlier version do not name themselves.
    """
    made_by, video = document.get("made_by", before), document["video"]
    if video is None or made_by == identity:
        return None
    return {"video_id": video["video_id"], "made_by": identity, "missing": missing_scorers(made_by, identity)}


def check_weights_are_here(before: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Measured anew without weights that went (a forgotten MOTIONLOOM_WEIGHTS), good scores would become nulls.

    before, wanted: as of `missing_scorers`. Raises: RecipeError.
    """
    readers = sorted(set(WEIGHT_FILES) & set(wanted["scorers"]))
    went = sorted(set(before.get("weights", {})) - set(fact_weights())) if readers else []
    if went:
        raise RecipeError(
            f"this run was measured with weights that are not in the weights folder: {', '.join(went)}; put them back, "
            f"leave {' and '.join(readers)} out, or choose another --output"
        )


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


def _with_missing(facts: FrameFacts, unit: MeasuredUnit, scoring: ClipScoring, missing: Collection[str]) -> FrameFacts:
    video = unit.video
    assert video is not None
    scorers = [scorer for scorer in scoring.at_once if scorer.name in missing]
    if not scorers:
        return facts
    path, factor = located(video.uri), video.real_time_factor
    more = measure_in_segments(path, video.rotation_deg, scorers, factor, unit.segments, video.header_fps)
    if not np.array_equal(more.pts_s_T, facts.pts_s_T):
        raise DecodeError("its frames are others than those that were measured before: the file changed since")
    return FrameFacts(facts.pts_s_T, facts.end_s, {**facts.facts, **more.facts})
