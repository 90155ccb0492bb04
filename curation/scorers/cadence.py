"""Whether motion runs evenly: frozen stretches, repeated frames, smooth or jerky change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from curation.ops.smoothness import freeze_share, judder_share, smoothness
from curation.scorers.base import ClipValue
from schemas.frames import FrameRequest, LumaBatch
from schemas.scores import Fact, FrameFacts, ScoreSpec


class Cadence:
    """Mean absolute luma change of every frame against the one before, and what its rhythm says."""

    name: ClassVar[str] = "cadence"
    version: ClassVar[int] = 2
    needs: ClassVar[FrameRequest] = FrameRequest("cadence", fps=None, short_side_px=144, pixels="luma")
    fact_names: ClassVar[tuple[str, ...]] = ("frame_change",)
    specs: ClassVar[tuple[ScoreSpec, ...]] = (
        ScoreSpec("freeze_fraction", "share of time", "lower_is_better", 1, "docs/scores.md"),
        ScoreSpec("judder_fraction", "share of frames", "lower_is_better", 1, "docs/scores.md"),
        ScoreSpec("motion_fluency", "0-1", "higher_is_better", 1, "SPARC, Balasubramanian et al. 2015"),
    )

    def open(self) -> _CadenceSession:
        return _CadenceSession()

    def reduce(self, facts: FrameFacts) -> Mapping[str, ClipValue]:
        pts_s_T, change_T = facts.series("frame_change")
        # The first frame's change belongs to the clip before.
        if len(pts_s_T) < 3:
            return {}
        pts_s_T, change_T = pts_s_T[1:], change_T[1:]
        judder = judder_share(pts_s_T, change_T)
        smooth = smoothness(pts_s_T, change_T)
        return {
            "freeze_fraction": freeze_share(pts_s_T, change_T),
            "judder_fraction": judder,
            "motion_fluency": None if smooth is None else smooth * (1.0 - judder),
        }


class _CadenceSession:
    def __init__(self) -> None:
        self._previous: NDArray[np.uint8] | None = None

    def measure(self, frames: LumaBatch) -> Mapping[str, Fact]:
        change_T = np.zeros(len(frames), dtype=np.float32)
        for t, luma_HW in enumerate(frames.luma_THW):
            if self._previous is not None:
                change_T[t] = cv2.norm(luma_HW, self._previous, cv2.NORM_L1) / luma_HW.size
            self._previous = luma_HW
        return {"frame_change": Fact.full(change_T)}
