"""Motion of the picture: what the camera does, and what moves against it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from curation.ops.flow import split_motion
from curation.scorers.base import ClipValue
from schemas.frames import FrameRequest, LumaBatch
from schemas.scores import Fact, FrameFacts, ScoreSpec

# Smaller pictures hold too few blocks for dense flow.
_SMALLEST_PX = 32
_WINDOW_S = 0.2
# Pairs that a window is measured in, by speed (camera and rest together, in frame diagonals per second): flow loses
# fast motion between far frames, and slow motion does not stand above its noise between near ones.
_FAST_PAIRS, _PAIRS, _SLOW_PAIRS = 4, 2, 1
_FAST_DIAG_PER_S, _SLOW_DIAG_PER_S = 0.24, 0.09
# The pair that tells the speed is near, so that it cannot lose what moves fast and call it slow.
_PROBE_S = 0.03
# A speed is believed for this many windows, unless the picture changes this much faster: things speed up.
_BELIEVED_WINDOWS, _SPEED_UP = 3, 1.15
_SAME_TIME_S = 1e-3


class Motion:
    """Speeds from optical flow, in frame diagonals per second.

    Windows of a fifth of a second cover the clip without gaps, so that a jump or a repeated frame counts for as long as
    it lasts. Dividing by time and diagonal makes the values independent of frame rate and size.
    """

    name: ClassVar[str] = "motion"
    version: ClassVar[int] = 4
    needs: ClassVar[FrameRequest] = FrameRequest("motion", fps=None, short_side_px=144, pixels="luma")
    fact_names: ClassVar[tuple[str, ...]] = ("camera_diag_per_s", "residual_diag_per_s", "motion_span_s")
    specs: ClassVar[tuple[ScoreSpec, ...]] = (
        ScoreSpec("motion_amplitude_diag_per_s", "frame diagonals per second", "neutral", 3, "docs/scores.md"),
        ScoreSpec("camera_motion_diag_per_s", "frame diagonals per second", "neutral", 3, "docs/scores.md"),
    )

    def open(self) -> _MotionSession:
        return _MotionSession()

    def reduce(self, facts: FrameFacts) -> Mapping[str, ClipValue]:
        pts_s_T, span_s_T = facts.series("motion_span_s")
        if not len(pts_s_T):
            return {}
        # A window that began before the clip says nothing about it: a cut may lie in it.
        inside = pts_s_T - span_s_T >= facts.pts_s_T[0] - _SAME_TIME_S
        seconds = float(span_s_T[inside].sum())
        if seconds <= 0:
            return dict.fromkeys((spec.name for spec in self.specs), None)
        moved = {name: float(facts.values(name)[inside] @ span_s_T[inside]) for name in self.fact_names[:2]}
        return {
            "motion_amplitude_diag_per_s": moved["residual_diag_per_s"] / seconds,
            "camera_motion_diag_per_s": moved["camera_diag_per_s"] / seconds,
        }


class _MotionSession:
    def __init__(self) -> None:
        self._window = _Window()
        self._pairs, self._believed, self._change_per_s = _PAIRS, 0, 0.0

    def measure(self, frames: LumaBatch) -> Mapping[str, Fact]:
        camera_T, residual_T, span_s_T = np.zeros((3, len(frames)), dtype=np.float32)
        for t, luma_HW in enumerate(frames.luma_THW):
            self._window.add(float(frames.pts_s_T[t]), luma_HW)
            span_s = self._window.span_s
            if span_s + _SAME_TIME_S < _WINDOW_S:
                continue
            if min(luma_HW.shape) >= _SMALLEST_PX:
                camera, residual = self._moved(self._window)
                camera_T[t], residual_T[t], span_s_T[t] = camera / span_s, residual / span_s, span_s
            self._window = self._window.next()
        present_T = span_s_T > 0
        facts = dict(zip(Motion.fact_names, (camera_T, residual_T, span_s_T), strict=True))
        return {name: Fact(values_T, present_T) for name, values_T in facts.items()}

    def _moved(self, window: _Window) -> tuple[float, float]:
        """How far the camera and the rest moved within the window, in frame diagonals."""
        self._believed -= 1
        if self._believed < 0 or window.change_per_s > _SPEED_UP * self._change_per_s:
            speed = window.speed_at_greatest_change()
            self._pairs = (
                _FAST_PAIRS if speed > _FAST_DIAG_PER_S else _SLOW_PAIRS if speed < _SLOW_DIAG_PER_S else _PAIRS
            )
            self._believed = 0 if self._pairs == _FAST_PAIRS else _BELIEVED_WINDOWS
            self._change_per_s = window.change_per_s
        splits = [split_motion(*pair) for pair in window.pairs(max(1, round(self._pairs * window.span_s / _WINDOW_S)))]
        return sum(split.camera for split in splits), sum(split.residual for split in splits)


class _Window:
    """Frames in a row, and how much the picture changed at each, in luma levels per pixel."""

    def __init__(self) -> None:
        self._times_s: list[float] = []
        self._lumas: list[NDArray[np.uint8]] = []
        self._changes: list[float] = []

    def add(self, time_s: float, luma_HW: NDArray[np.uint8]) -> None:
        before_HW = self._lumas[-1] if self._lumas else luma_HW
        self._changes.append(cv2.norm(luma_HW, before_HW, cv2.NORM_L1) / luma_HW.size)
        self._times_s.append(time_s)
        self._lumas.append(luma_HW)

    def next(self) -> _Window:
        """The window that begins with this one's last frame."""
        following = _Window()
        following.add(self._times_s[-1], self._lumas[-1])
        return following

    @property
    def span_s(self) -> float:
        return self._times_s[-1] - self._times_s[0]

    @property
    def change_per_s(self) -> float:
        return sum(self._changes) / self.span_s

    def speed_at_greatest_change(self) -> float:
        """Camera and rest together, in frame diagonals per second."""
        to = int(np.argmax(self._changes[1:])) + 1
        since = to - 1
        while since > 0 and self._times_s[to] - self._times_s[since] + _SAME_TIME_S < _PROBE_S:
            since -= 1
        split = split_motion(self._lumas[since], self._lumas[to])
        return (split.camera + split.residual) / (self._times_s[to] - self._times_s[since])

    def pairs(self, count: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """At most `count` pairs of frames that together reach from the first to the last; none where nothing changes.

        Every pair has about an equal part of the change. Equal times would put one pair within a repeated picture,
        where it shows nothing, and leave too much to the next.
        """
        changed_T = np.cumsum(self._changes)
        shares = np.linspace(0, changed_T[-1], count + 1)[:, None]
        marks = np.unique(np.abs(changed_T - shares).argmin(axis=1))
        for since, to in itertools.pairwise(marks):
            yield self._lumas[since], self._lumas[to]
