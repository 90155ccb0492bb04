"""What neighbouring pictures of a video say of each other: flicker, how the picture flows, how natural a step is.

Axes: T sampled frames, C cells of a GRID x GRID grid over the picture (row by row), F features of `frechet`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from curation.scorers.base import ClipValue
from schemas.frames import FrameRequest, LumaBatch
from schemas.scores import Fact, FrameFacts, ScoreSpec

GRID = 16
CELLS = GRID * GRID
BANDS = 4
"""Octaves of detail, from the finest."""
FEATURES = 3 * BANDS + 6
# Of a smaller picture nothing can be said cell by cell.
_SMALLEST_PX = 2 * GRID
# Added to an energy before its logarithm: a tenth of a luma level is nothing.
_NO_ENERGY = 0.01
Luma = NDArray[np.uint8]


class Steadiness:
    """Facts of sampled frames about the one before. At most 12 frames a second, so that the neighbours of videos of
    different rates are about equally far apart: exactly where 12 divides the rate, else by turns a frame more or less.

    warp_levels (C):   mean absolute difference, in luma levels, between the frame and the one before moved along the
                       optical flow.
    flow_diag (2C):    where each cell was in the frame before, as (x, y) in frame diagonals.
    midpoint_levels:   mean absolute difference, in luma levels, between the frame before and what lies between its
                       two neighbours at its time, along the flow between these.
    features (F):      log energies of detail (mean and spread over the cells) and of change in BANDS octaves; mean and
                       spread of luma and of both chroma.
    """

    name: ClassVar[str] = "steadiness"
    version: ClassVar[int] = 2
    needs: ClassVar[FrameRequest] = FrameRequest("steadiness", fps=12.0, short_side_px=144, pixels="yuv")
    fact_names: ClassVar[tuple[str, ...]] = ("warp_levels", "flow_diag", "midpoint_levels", "features")
    specs: ClassVar[tuple[ScoreSpec, ...]] = ()

    def open(self) -> _Session:
        return _Session()

    def reduce(self, facts: FrameFacts) -> Mapping[str, ClipValue]:
        """Nothing: metrics weigh the cells by where the people are."""
        return {}


class _Session:
    def __init__(self) -> None:
        self._lumas: list[Luma] = []
        self._times_s: list[float] = []
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def measure(self, frames: LumaBatch) -> Mapping[str, Fact]:
        steps = len(frames)
        warp_TC, flow_T2C = np.zeros((steps, CELLS), np.float32), np.zeros((steps, 2 * CELLS), np.float32)
        midpoint_T1, features_TF = np.zeros((steps, 1), np.float32), np.zeros((steps, FEATURES), np.float32)
        paired_T, tripled_T = np.zeros(steps, np.bool_), np.zeros(steps, np.bool_)
        assert frames.chroma_THW2 is not None
        for t, luma_HW in enumerate(frames.luma_THW):
            if min(luma_HW.shape) < _SMALLEST_PX:
                continue
            if self._lumas and self._lumas[-1].shape != luma_HW.shape:
                self._lumas.clear()
                self._times_s.clear()
            if self._lumas:
                paired_T[t] = True
                warp_TC[t], flow_T2C[t] = self._step(self._lumas[-1], luma_HW)
                features_TF[t] = _features(self._lumas[-1], luma_HW, frames.chroma_THW2[t])
            if len(self._lumas) == 2:
                tripled_T[t] = True
                first_s, middle_s = self._times_s
                share = (middle_s - first_s) / (float(frames.pts_s_T[t]) - first_s)
                midpoint_T1[t] = self._off_the_middle(self._lumas[0], self._lumas[1], luma_HW, share)
            self._lumas = [*self._lumas[-1:], luma_HW.copy()]
            self._times_s = [*self._times_s[-1:], float(frames.pts_s_T[t])]
        return {
            "warp_levels": Fact(warp_TC, paired_T),
            "flow_diag": Fact(flow_T2C, paired_T),
            "midpoint_levels": Fact(midpoint_T1[:, 0], tripled_T),
            "features": Fact(features_TF, paired_T),
        }

    def _step(self, before_HW: Luma, now_HW: Luma) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        flow_HW2 = self._flow.calc(now_HW, before_HW, None)
        change_HW = cv2.absdiff(now_HW, _moved(before_HW, flow_HW2))
        return _cells(change_HW), (_cells(flow_HW2) / np.float32(np.hypot(now_HW.shape[0], now_HW.shape[1]))).T.ravel()

    def _off_the_middle(self, first_HW: Luma, middle_HW: Luma, last_HW: Luma, share: float) -> float:
        """share: of the time from first to last, where the middle lies. The flow between the outer two is taken where
        it starts, a part of it for each: a middle without its holes."""
        flow_HW2 = self._flow.calc(first_HW, last_HW, None)
        before_HW = _moved(first_HW, flow_HW2 * np.float32(-share))
        after_HW = _moved(last_HW, flow_HW2 * np.float32(1 - share))
        between_HW = cv2.addWeighted(before_HW, 1 - share, after_HW, share, 0)
        return float(cv2.norm(middle_HW, between_HW, cv2.NORM_L1)) / middle_HW.size


def cell_centres() -> NDArray[np.float64]:
    """(C, 2): x and y as shares of the picture's sides."""
    y_HW, x_HW = np.mgrid[0:GRID, 0:GRID]
    centres_C2: NDArray[np.float64] = (np.stack([x_HW.ravel(), y_HW.ravel()], axis=1) + 0.5) / GRID
    return centres_C2


def _moved(picture_HW: Luma, flow_HW2: NDArray[np.float32]) -> Luma:
    """Every pixel taken from where its flow points to."""
    height, width = picture_HW.shape
    y_HW, x_HW = np.mgrid[0:height, 0:width].astype(np.float32)
    moved = cv2.remap(
        picture_HW, x_HW + flow_HW2[..., 0], y_HW + flow_HW2[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.uint8)


def _cells(values: NDArray[Any]) -> NDArray[np.float32]:
    """Means over the cells: (C,) of (H, W), (C, 2) of (H, W, 2)."""
    means = cv2.resize(values.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
    return np.asarray(means, np.float32).reshape(CELLS, *values.shape[2:])


def _features(before_HW: Luma, now_HW: Luma, chroma_HW2: NDArray[np.uint8]) -> list[float]:
    features: list[float] = []
    for picture_HW, is_change in (
        (now_HW.astype(np.float32), False),
        (cv2.subtract(now_HW, before_HW, dtype=cv2.CV_32F), True),
    ):
        level_HW = np.asarray(picture_HW, np.float32)
        for _ in range(BANDS):
            smooth_HW = cv2.GaussianBlur(level_HW, (5, 5), 1.0)
            energy_C = np.log10(_NO_ENERGY + _cells((level_HW - smooth_HW) ** 2))
            features += [float(energy_C.mean())] if is_change else [float(energy_C.mean()), float(energy_C.std())]
            level_HW = np.asarray(smooth_HW[::2, ::2])
    for plane_HW in (now_HW, chroma_HW2[..., 0], chroma_HW2[..., 1]):
        # A tenth of the range counts like a tenfold energy.
        features += [float(plane_HW.mean()) / 25.5, float(plane_HW.std()) / 25.5]
    return features
