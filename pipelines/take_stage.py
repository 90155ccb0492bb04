"""The second unit of curation: one measured view of a take, cut where its siblings are cut too. Decodes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from curation.catalog import CUTTING, make_scorers
from curation.cuts import CutRules
from curation.measure import facts_from_table, facts_to_table
from curation.take_cuts import View, cut_take
from pipelines.clip_scoring import ClipScoring
from pipelines.sink import UnitStore
from pipelines.stage_clock import StageClock
from pipelines.stages import Row, RowFunction
from schemas.clip import FailureRecord, VideoRecord
from schemas.errors import DataError, WorkerLost
from schemas.fingerprint import fingerprint
from schemas.policy import Policy
from schemas.scores import FrameFacts
from schemas.storage import Location


@dataclass(frozen=True, slots=True)
class TakeStage:
    """Makes the row function that cuts views of takes. What the names mean is said by `CurateStage`.

    Rows in: of `views_to_cut`. Rows out: uri, failure (why it failed, or None).
    Only with until_rejected a file is decoded here: for the costly scores of the clips that are left.
    """

    units_dir: Location
    rules: CutRules
    scorer_names: tuple[str, ...] | None = None
    until_rejected: Policy | None = None

    def __call__(self) -> RowFunction:
        cv2.setNumThreads(1)
        scoring, units = ClipScoring(self.scorer_names, self.until_rejected), UnitStore(self.units_dir)
        measured = [name for scorer in scoring.at_once for name in scorer.fact_names]
        cutting = [name for scorer in make_scorers() if scorer.name in CUTTING for name in scorer.fact_names]

        def cut_one(row: Row) -> Row:
            clock, video_id = StageClock(), str(row["video_id"])
            document = _document(units, video_id)
            clock.seconds.update(document["seconds"])
            video = VideoRecord(**document["video"])
            views = [view for name in row["views"] if (view := _view(units, name, cutting)) is not None]
            clips = cut_take(str(video.take_id), views, self.rules)[video_id]
            facts = _facts(units, video, measured)
            try:
                document["clips"], facts = scoring.score(video, facts, clips, clock)
            except DataError as error:
                facts = _fail(document, error, video.uri)
                clock.lap("measure")
            document.update(cut_with=row["cut_with"], seconds=clock.seconds)
            units.commit(video_id, facts_to_table(video_id, facts), document)
            return _done(document, video.uri)

        return cut_one

    def lost(self, row: Row, error: WorkerLost) -> Row:
        """Notes a failure of the whole view; for `Stage.lost`."""
        units, video_id = UnitStore(self.units_dir), str(row["video_id"])
        document = _document(units, video_id)
        uri = str(document["video"]["uri"])
        facts = _fail(document, error, uri)
        document["cut_with"] = row["cut_with"]
        units.commit(video_id, facts_to_table(video_id, facts), document)
        return _done(document, uri)


def _fail(document: dict[str, Any], error: DataError, uri: str) -> FrameFacts:
    """Makes the document that of a failed input, which has no facts."""
    document.update(video=None, clips=[], failure=FailureRecord.of(error, uri, "measure").row())
    return FrameFacts(np.empty(0), 0.0, {})


def _done(document: dict[str, Any], uri: str) -> Row:
    failure = document["failure"]
    return {"uri": uri, "failure": failure and failure["message"]}


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


def _document(units: UnitStore, video_id: str) -> dict[str, Any]:
    document = units.document(video_id)
    if document is None:
        raise RuntimeError(f"unit {video_id} vanished while its take was being cut")
    return document


def _view(units: UnitStore, video_id: str, fact_names: list[str]) -> View | None:
    document = _document(units, video_id)
    if document["video"] is None:
        # It failed in this very stage; those that were already cut with it are cut again.
        return None
    video = VideoRecord(**document["video"])
    facts = _facts(units, video, fact_names)
    return View(video_id, video.uri, facts, video.offset_s or 0.0, video.real_time_factor)


def _facts(units: UnitStore, video: VideoRecord, names: list[str]) -> FrameFacts:
    return facts_from_table(units.table(video.video_id, ["pts_s", *names]), video.duration_s)
