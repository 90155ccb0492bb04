"""The second unit of curation: one measured view of a take, cut where its siblings are cut too. Decodes nothing."""

from __future__ import annotations

from typing import Any

import cv2

from curation.catalog import CUTTING, make_scorers
from curation.take_cuts import View, cut_take
from pipelines.clip_scoring import ClipScoring
from pipelines.measured_unit import CurationStage, MeasuredUnit
from pipelines.sink import UnitStore
from pipelines.stage_clock import StageClock
from pipelines.stages import Row, RowFunction
from schemas.errors import DataError, WorkerLost
from schemas.fingerprint import fingerprint


class TakeStage(CurationStage):
    """Makes the row function that cuts views of takes.

    Rows in: of `views_to_cut`. Rows out: of `done_row`.
    Only with until_rejected a file is decoded here: for the costly scores of the clips that are left.
    """

    __slots__ = ()

    def __call__(self) -> RowFunction:
        cv2.setNumThreads(1)
        scoring, units = ClipScoring(self.scorer_names, self.until_rejected), UnitStore(self.units_dir)
        measured = [name for scorer in scoring.at_once for name in scorer.fact_names]
        cutting = [name for scorer in make_scorers() if scorer.name in CUTTING for name in scorer.fact_names]

        def cut_one(row: Row) -> Row:
            clock, unit = StageClock(), MeasuredUnit(units, str(row["video_id"]))
            clock.seconds.update(unit.document["seconds"])
            video = unit.video
            assert video is not None
            views = [view for name in row["views"] if (view := _view(units, name, cutting)) is not None]
            clips = cut_take(str(video.take_id), views, self.rules)[video.video_id]
            facts = unit.facts(measured)
            try:
                unit.document["clips"], facts = scoring.score(video, facts, clips, clock)
            except DataError as error:
                facts = unit.fail(error)
                clock.lap("measure")
            unit.document.update(cut_with=row["cut_with"], seconds=clock.seconds)
            return unit.commit(facts)

        return cut_one

    def lost(self, row: Row, error: WorkerLost) -> Row:
        """Notes a failure of the whole view; for `Stage.lost`."""
        unit = MeasuredUnit(UnitStore(self.units_dir), str(row["video_id"]))
        facts = unit.fail(error)
        unit.document["cut_with"] = row["cut_with"]
        return unit.commit(facts)


def views_to_cut(units: UnitStore) -> list[Row]:
    """Measured views that are not cut yet together with those that their take has now.

    Returns: rows of video_id, views (video_ids of the take's readable views, itself among them) and cut_with, which
    names these views and the state of their files.
    """
    takes: dict[str, dict[str, dict[str, Any]]] = {}
    for video_id in units.ids():
        document = units.document(video_id)
        if document is not None and document["video"] is not None and document["video"]["take_id"]:
            state = {name: document.get(name) for name in ("stamp", "cut_with")}
            takes.setdefault(document["video"]["take_id"], {})[video_id] = state
    rows: list[Row] = []
    for _, views in sorted(takes.items()):
        cut_with = fingerprint([[video_id, state["stamp"]] for video_id, state in views.items()])
        for video_id, state in views.items():
            if state["cut_with"] != cut_with:
                rows.append({"video_id": video_id, "views": list(views), "cut_with": cut_with})
    return rows


def _view(units: UnitStore, video_id: str, fact_names: list[str]) -> View | None:
    unit = MeasuredUnit(units, video_id)
    video = unit.video
    if video is None:
        # It failed in this very stage; those that were already cut with it are cut again.
        return None
    return View(video_id, video.uri, unit.facts(fact_names), video.offset_s or 0.0, video.real_time_factor)
