"""Motion of the picture: what the camera does, and what moves against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from curation.ops.flow import dense_flow, split_motion
from curation.scorers.base import ClipValue, mean
from schemas.frames import FrameRequest, LumaBatch
from schemas.scores import Fact, FrameFacts, ScoreSpec

# Dense flow works on blocks of 8 px at a quarter of the size.
_SMALLEST_PX = 32


class Motion:
    """Speeds from optical flow eight times a second, in frame diagonals per second.

    Dividing by the time between the frames and by the diagonal makes them independent of frame rate and size.
    """

    name: ClassVar[str] = "motion"
    version: ClassVar[int] = 2
    needs: ClassVar[FrameRequest] = FrameRequest("motion", fps=8.0, short_side_px=144, pixels="luma")
    fact_names: ClassVar[tuple[str, ...]] = ("camera_diag_per_s", "residual_diag_per_s")
    specs: ClassVar[tuple[ScoreSpec, ...]] = (
        ScoreSpec("motion_amplitude_diag_per_s", "frame diagonals per second", "neutral", 1, "docs/scores.md"),
        ScoreSpec("camera_motion_diag_per_s", "frame diagonals per second", "neutral", 1, "docs/scores.md"),
    )

    def open(self) -> _MotionSession:
        return _MotionSession()

    def reduce(self, facts: FrameFacts) -> Mapping[str, ClipValue]:
        # A clip's first sample was measured against a frame before the clip: after a cut it says nothing about it.
        return {
            "motion_amplitude_diag_per_s": mean(facts.values("residual_diag_per_s")[1:]),
            "camera_motion_diag_per_s": mean(facts.values("camera_diag_per_s")[1:]),
        }


class _MotionSession:
    def __init__(self) -> None:
        self._previous: NDArray[np.uint8] | None = None
        self._previous_s = 0.0

    def measure(self, frames: LumaBatch) -> Mapping[str, Fact]:
        camera_T = np.zeros(len(frames), dtype=np.float32)
        residual_T = np.zeros(len(frames), dtype=np.float32)
        present_T = np.zeros(len(frames), dtype=np.bool_)
        for t, gray in enumerate(frames.luma_THW):
            now_s = float(frames.pts_s_T[t])
            if self._previous is not None and min(gray.shape) >= _SMALLEST_PX:
                split = split_motion(dense_flow(self._previous, gray))
                dt_s = now_s - self._previous_s
                camera_T[t], residual_T[t], present_T[t] = split.camera / dt_s, split.residual / dt_s, True
            self._previous, self._previous_s = gray, now_s
        return {"camera_diag_per_s": Fact(camera_T, present_T), "residual_diag_per_s": Fact(residual_T, present_T)}
