"""How the picture changes: from frame to frame, from scene to scene, by blending. Cuts are decided on these facts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from curation.ops.transitions import blend_fit, detail_energy, detail_kept, unlikeness
from curation.scorers.base import ClipValue
from schemas.frames import FrameRequest, LumaBatch
from schemas.scores import Fact, FrameFacts, ScoreSpec

_THUMB_WH = (32, 18)
# Half-lengths of the transitions that are looked for.
_HALF_S = (0.15, 0.3, 0.6, 1.1)
# What lies further away than this is never compared; the session holds back its facts for as long.
_REACH_S = 1.2
# A window on one scene is never longer than this many frames, however fast the footage.
_MOST_FRAMES = 400
# Soft transitions are looked for this often; they last at least three times as long.
_BLENDS_PER_S = 12
# Only frames above these are compared with care; decisions use higher thresholds, which live in CutRules.
_CANDIDATE_CHANGE, _CANDIDATE_RATIO = 5.0, 2.0
_CANDIDATE_BLEND, _CANDIDATE_STEP_LEVELS = 0.4, 6.0
# Scenes more unlike than this differ as much as any.
_UNLIKE = 0.4
_SAME = 0.1
# A flash or glitch returns to its scene within this; a cut away and back takes longer.
_AROUND_S = (0.0, 0.08, 0.16, 0.28)


class CutStrength:
    """Four facts of every frame.

    content_change: mean absolute change of luma plus that of both chroma planes against the frame before, 0-255 levels.
    scene_change: at a sudden change, how unlike the scenes before and after are for up to 0.28 s (0-1); 0 elsewhere.
    blend: how well the surroundings fit a dissolve or fade centred here between unlike scenes (0-1), 12 times a second.
    blend_half_s: half the length of that transition in seconds; 0 where blend is.
    """

    name: ClassVar[str] = "cut_strength"
    version: ClassVar[int] = 3
    needs: ClassVar[FrameRequest] = FrameRequest("cut_strength", fps=None, short_side_px=72, pixels="yuv")
    fact_names: ClassVar[tuple[str, ...]] = ("content_change", "scene_change", "blend", "blend_half_s")
    specs: ClassVar[tuple[ScoreSpec, ...]] = ()

    def open(self) -> _CutStrengthSession:
        return _CutStrengthSession()

    def reduce(self, facts: FrameFacts) -> Mapping[str, ClipValue]:
        return {}


class _CutStrengthSession:
    """Holds the thumbnails within reach, so that its memory does not grow with the video.

    A frame's facts need what comes after it: `measure` returns those that are due, `finish` the rest, in order.
    """

    def __init__(self) -> None:
        self._pts_s: list[float] = []
        self._luma: list[NDArray[np.float32]] = []
        self._thumb: list[NDArray[np.float32]] = []
        self._change: list[float] = []
        self._told = 0
        self._previous: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None

    def measure(self, frames: LumaBatch) -> Mapping[str, Fact]:
        assert frames.chroma_THW2 is not None
        for pts_s, luma_HW, chroma_HW2 in zip(frames.pts_s_T, frames.luma_THW, frames.chroma_THW2, strict=True):
            self._add(float(pts_s), luma_HW, chroma_HW2)
        last_s, due = self._pts_s[-1], self._told
        while due < len(self._pts_s) and (
            self._pts_s[due] + _REACH_S < last_s or len(self._pts_s) - due > _MOST_FRAMES
        ):
            due += 1
        return self._tell(due)

    def finish(self) -> Mapping[str, Fact]:
        return self._tell(len(self._pts_s))

    def _add(self, pts_s: float, luma_HW: NDArray[np.uint8], chroma_HW2: NDArray[np.uint8]) -> None:
        change = 0.0
        if self._previous is not None:
            luma_change = float(cv2.mean(cv2.absdiff(luma_HW, self._previous[0]))[0])
            change = luma_change + sum(cv2.mean(cv2.absdiff(chroma_HW2, self._previous[1]))[:2])
        self._previous = luma_HW.copy(), chroma_HW2.copy()
        thumb_HW = cv2.resize(luma_HW, _THUMB_WH, interpolation=cv2.INTER_AREA).astype(np.float32)
        colour_HW2 = cv2.resize(chroma_HW2, (16, 9), interpolation=cv2.INTER_AREA).astype(np.float32)
        self._pts_s.append(pts_s)
        self._luma.append(thumb_HW)
        self._thumb.append(np.concatenate([thumb_HW.ravel(), colour_HW2.ravel()]))
        self._change.append(change)

    def _tell(self, due: int) -> Mapping[str, Fact]:
        """Facts of the frames [told, due); lets go of what is out of reach behind them."""
        told = np.arange(self._told, due)
        scene_change = np.zeros(len(told))
        blend, half_s = np.zeros(len(told)), np.zeros(len(told))
        if len(told):
            pts_s_T = np.asarray(self._pts_s)
            for row, t in enumerate(told):
                scene_change[row] = self._scene_change(int(t), pts_s_T)
            self._fit_blends(told, pts_s_T, blend, half_s)
        values = (np.asarray(self._change)[told], scene_change, blend, half_s)
        facts = {name: Fact.full(v) for name, v in zip(CutStrength.fact_names, values, strict=True)}
        keep = 0
        while keep < due and (self._pts_s[keep] + _REACH_S < self._pts_s[due - 1] or due - keep > _MOST_FRAMES):
            keep += 1
        for kept in (self._pts_s, self._luma, self._thumb, self._change):
            del kept[:keep]
        self._told = due - keep
        return facts

    def _scene_change(self, t: int, pts_s_T: NDArray[np.float64]) -> float:
        """The least unlikeness of a picture before and one after: a flash or glitch returns to what was there."""
        around = [self._change[i] for i in (t - 2, t - 1, t + 1, t + 2) if 0 < i < len(self._change)]
        mean_around = sum(around) / len(around) if around else 0.0
        if t == 0 or self._change[t] < max(_CANDIDATE_CHANGE, _CANDIDATE_RATIO * mean_around):
            return 0.0
        before = {int(np.abs(pts_s_T - (pts_s_T[t - 1] - s)).argmin()) for s in _AROUND_S}
        after = {int(np.abs(pts_s_T - (pts_s_T[t] + s)).argmin()) for s in _AROUND_S}
        least = 1.0
        for a, b in itertools.product(sorted(before), sorted(after)):
            if a < t <= b:
                least = min(least, unlikeness(self._luma[a], self._luma[b]))
            # The same scene for certain: nothing further is asked.
            if least < _SAME:
                break
        return least

    def _fit_blends(
        self,
        told: NDArray[np.intp],
        pts_s_T: NDArray[np.float64],
        blend: NDArray[np.float64],
        half_s: NDArray[np.float64],
    ) -> None:
        # A grid in time and not in frames, so that windows of any size look at the same frames.
        slot_T = np.floor(pts_s_T * _BLENDS_PER_S + 1e-6)
        rows = np.array([row for row, t in enumerate(told) if t == 0 or slot_T[t] != slot_T[t - 1]], dtype=np.intp)
        if not len(rows):
            return
        thumb_TP, energy_T2C = np.stack(self._thumb), detail_energy(np.stack(self._luma))
        last = len(pts_s_T) - 1

        def at(offset_s: float) -> NDArray[np.intp]:
            found = np.searchsorted(pts_s_T, pts_s_T[told[rows]] + offset_s - 1e-6)
            return np.asarray(np.minimum(found, last), dtype=np.intp)

        for wide_s in _HALF_S:
            before, now, after = at(-wide_s), at(0.0), at(wide_s)
            first_NP, second_NP = thumb_TP[before], thumb_TP[after]
            step = np.sqrt(np.mean((second_NP - first_NP) ** 2, axis=1))
            fits = [blend_fit(first_NP, thumb_TP[at(s * wide_s)], second_NP) for s in (-0.5, 0.0, 0.5)]
            (early, early_left), (middle, middle_left), (late, late_left) = fits
            left = np.maximum(middle_left, 0.7 * np.maximum(early_left, late_left))
            lost = np.clip(1 - detail_kept(energy_T2C[before], energy_T2C[now], energy_T2C[after]), 0, 0.5)
            # Least half-way off: the peak lies in the transition's middle.
            score = (0.5 * np.clip(1 - left, 0, 1) + lost) * (1 - np.abs(middle - 0.5))
            # No whole window, no verdict: next to an end of the video only short transitions can be seen whole.
            middle_s = pts_s_T[told[rows]]
            whole = (middle_s - pts_s_T[before] > 0.75 * wide_s) & (pts_s_T[after] - middle_s > 0.75 * wide_s)
            possible = whole & (score > _CANDIDATE_BLEND) & (step > _CANDIDATE_STEP_LEVELS)
            possible &= (np.abs(middle - 0.5) < 0.3) & (early < middle) & (middle < late) & (after - before >= 4)
            for i in np.flatnonzero(possible):
                row = rows[i]
                if score[i] <= 0.9 * blend[row]:
                    continue
                unlike = unlikeness(self._luma[before[i]], self._luma[after[i]])
                fit = float(score[i]) * min(1.0, unlike / _UNLIKE)
                # A part of a transition fits as well as the whole: of about equal fits the widest tells its length.
                if fit > 0.9 * blend[row]:
                    # The mixture's slope through the middle gives the length of the whole.
                    slope = max(float(late[i] - early[i]), 0.2)
                    blend[row], half_s[row] = max(fit, blend[row]), min(0.5 * wide_s / slope, wide_s)
