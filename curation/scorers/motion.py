"""Motion of the picture: what the camera does, and what moves against it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from curation.ops.flow import MotionSplit, split_motion
from curation.scorers.base import ClipValue, mean
from schemas.frames import FrameRequest, LumaBatch
from schemas.scores import Fact, FrameFacts, ScoreSpec

# Smaller pictures hold too few blocks for dense flow.
_SMALLEST_PX = 32
_EVERY_S = 0.125
# Time between the two frames of a pair, by speed (camera and rest together, in frame diagonals per second): near frames
# for fast motion, which flow would lose between far ones; far frames for slow motion, to stand above flow's noise.
_FAST_PAIR_S, _PAIR_S, _SLOW_PAIR_S = 1 / 30, 1 / 15, 0.2
_FAST_DIAG_PER_S, _SLOW_DIAG_PER_S = 0.24, 0.09
# A far pair is trusted for this many samples, unless the near change has grown by this factor since: things speed up.
_TRUSTED_SAMPLES, _SPEED_UP = 3, 1.15
_SAME_TIME_S = 1e-3


class Motion:
    """Speeds from optical flow eight times a second, in frame diagonals per second.

    Dividing by the time between the frames and by the diagonal makes them independent of frame rate and size.
    """

    name: ClassVar[str] = "motion"
    version: ClassVar[int] = 3
    needs: ClassVar[FrameRequest] = FrameRequest("motion", fps=None, short_side_px=144, pixels="luma")
    fact_names: ClassVar[tuple[str, ...]] = ("camera_diag_per_s", "residual_diag_per_s", "motion_span_s")
    specs: ClassVar[tuple[ScoreSpec, ...]] = (
        ScoreSpec("motion_amplitude_diag_per_s", "frame diagonals per second", "neutral", 2, "docs/scores.md"),
        ScoreSpec("camera_motion_diag_per_s", "frame diagonals per second", "neutral", 2, "docs/scores.md"),
    )

    def open(self) -> _MotionSession:
        return _MotionSession()

    def reduce(self, facts: FrameFacts) -> Mapping[str, ClipValue]:
        pts_s_T, span_s_T = facts.series("motion_span_s")
        if not len(pts_s_T):
            return {}
        # A pair that began before the clip says nothing about it: a cut may lie between its frames.
        inside = pts_s_T - span_s_T >= facts.pts_s_T[0] - _SAME_TIME_S
        return {
            "motion_amplitude_diag_per_s": mean(facts.values("residual_diag_per_s")[inside]),
            "camera_motion_diag_per_s": mean(facts.values("camera_diag_per_s")[inside]),
        }


class _MotionSession:
    def __init__(self) -> None:
        self._earlier: deque[tuple[float, NDArray[np.uint8]]] = deque()
        self._due_s = 0.0
        self._pair_s, self._change, self._trusted = _PAIR_S, 0.0, 0

    def measure(self, frames: LumaBatch) -> Mapping[str, Fact]:
        camera_T, residual_T, span_s_T = np.zeros((3, len(frames)), dtype=np.float32)
        for t, luma_HW in enumerate(frames.luma_THW):
            now_s = float(frames.pts_s_T[t])
            if self._earlier and now_s + _SAME_TIME_S >= self._due_s and min(luma_HW.shape) >= _SMALLEST_PX:
                self._due_s = max(self._due_s + _EVERY_S, now_s + _EVERY_S / 2)
                split, span_s_T[t] = self._split(luma_HW, now_s)
                camera_T[t], residual_T[t] = split.camera / span_s_T[t], split.residual / span_s_T[t]
            self._earlier.append((now_s, luma_HW))
            while len(self._earlier) > 1 and self._earlier[1][0] < now_s - 1.5 * _SLOW_PAIR_S:
                self._earlier.popleft()
        present_T = span_s_T > 0
        facts = dict(zip(Motion.fact_names, (camera_T, residual_T, span_s_T), strict=True))
        return {name: Fact(values_T, present_T) for name, values_T in facts.items()}

    def _split(self, luma_HW: NDArray[np.uint8], now_s: float) -> tuple[MotionSplit, float]:
        """Motion since a frame chosen by how fast things move, and the seconds since then.

        The near pair comes first: a far one may lose what moves fast, and then look slow.
        """
        near_s, near_HW = self._nearest(now_s - _FAST_PAIR_S)
        change = cv2.norm(luma_HW, near_HW, cv2.NORM_L1) / luma_HW.size / (now_s - near_s)
        self._trusted -= 1
        if self._trusted < 0 or change > _SPEED_UP * self._change:
            split, span_s = split_motion(near_HW, luma_HW), now_s - near_s
            speed = (split.camera + split.residual) / span_s
            if speed > _FAST_DIAG_PER_S:
                self._trusted = 0
                return split, span_s
            self._pair_s = _SLOW_PAIR_S if speed < _SLOW_DIAG_PER_S else _PAIR_S
            self._trusted, self._change = _TRUSTED_SAMPLES, change
            if self._nearest(now_s - self._pair_s)[0] == near_s:
                return split, span_s
        far_s, far_HW = self._nearest(now_s - self._pair_s)
        return split_motion(far_HW, luma_HW), now_s - far_s

    def _nearest(self, time_s: float) -> tuple[float, NDArray[np.uint8]]:
        return min(self._earlier, key=lambda frame: abs(frame[0] - time_s))
