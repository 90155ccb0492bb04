"""A measured input as later stages of curation find it: its document, its stored facts, and how it is written back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.cuts import CutRules
from curation.measure import facts_from_table, facts_to_table
from curation.segments import Segment, segments_from
from pipelines.sink import UnitStore
from pipelines.stages import Row
from schemas.clip import FailureRecord, VideoRecord
from schemas.errors import DataError
from schemas.policy import Policy
from schemas.scores import FrameFacts
from schemas.storage import Location


@dataclass(frozen=True, slots=True)
class CurationStage:
    """What all stages of curation are made of. scorer_names, until_rejected: as `ClipScoring` has them."""

    units_dir: Location
    rules: CutRules
    scorer_names: tuple[str, ...] | None = None
    until_rejected: Policy | None = None


class MeasuredUnit:
    """One unit of the store; changes to `document` are written by `commit`."""

    def __init__(self, units: UnitStore, video_id: str) -> None:
        document = units.document(video_id)
        if document is None:
            raise RuntimeError(f"unit {video_id} vanished while its run was at work")
        self._units, self._video_id = units, video_id
        self.document: dict[str, Any] = document
        # Of a failed one the failure names it.
        self.uri = str((document["video"] or document["failure"])["uri"])

    @property
    def video(self) -> VideoRecord | None:
        """None for an input that failed."""
        stored = self.document["video"]
        return None if stored is None else VideoRecord(**stored)

    @property
    def segments(self) -> list[Segment]:
        """In which it was measured."""
        return segments_from(self.document.get("segments", [0.0]))

    def facts(self, names: Sequence[str]) -> FrameFacts:
        """Stored facts of these names; those that it lacks are left out."""
        video = self.video
        assert video is not None
        return facts_from_table(self._units.table(self._video_id, ["pts_s", *names]), video.duration_s)

    def fail(self, error: DataError) -> FrameFacts:
        """Makes it one of a failed input, which has no facts: these."""
        self.document.pop("segments", None)
        failure = FailureRecord.of(error, self.uri, "measure").row()
        self.document.update(video=None, clips=[], failure=failure)
        return FrameFacts(np.empty(0), 0.0, {})

    def commit(self, facts: FrameFacts) -> Row:
        """Writes it back. Returns: what its stage says of it."""
        self._units.commit(self._video_id, [facts_to_table(self._video_id, facts)], self.document)
        return done_row(self.document, self._video_id, self.uri)


def done_row(document: dict[str, Any], video_id: str, uri: str) -> Row:
    """What a stage of curation says of an input that it finished.

    Returns: video_id, uri, failure (why it failed, or None), clips (how many), footage_s.
    """
    failure, video = document["failure"], document["video"]
    return {
        "video_id": video_id,
        "uri": uri,
        "failure": failure and failure["message"],
        "clips": len(document["clips"]),
        "footage_s": video["duration_s"] if video is not None else 0.0,
    }
