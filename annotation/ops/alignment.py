"""Motion of a picture from all its edges, where it has too few corners to follow: robust direct alignment.

A similarity (shift, turn, scale) is found that carries one picture onto another, by its own brightness: coarse to fine,
inverse compositional (Baker and Matthews 2004), reweighted so that what moves otherwise does not count (Odobez and
Bouthemy 1995). An edge says nothing of motion along it, but edges of several directions together do.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_LEVELS = 3
_ITERATIONS = 6
_MOST_PIXELS = 1500
_FEWEST_PIXELS = 150
# Grey levels per px below which a slope is noise or the coder's.
_SLOPE = 4.0
# Standard deviation of grey levels that noise and coding leave.
_NOISE = 2.5
# A pixel is explained when its brightness is off by no more than this many px of its own slope would make it.
_AGREE_PX = 0.5
# Correlation of blurred pictures of one view a frame apart; across cuts in real footage it is lower.
_SAME_VIEW = 0.9
# Motion that edges at rest contradict, in px: one that they cannot share.
_CLEAR_PX = 2.0


@dataclass(frozen=True, slots=True)
class Alignment:
    """motion_33 carries px of the key picture to px of the other (pixel centres at whole numbers).

    explained:  share (0-1) of the key picture's edges that this motion accounts for.
    spread:     these lie all over the picture.
    reach_px:   how far it carries the farthest corner.
    """

    motion_33: NDArray[np.float64]
    explained: float
    spread: bool
    reach_px: float


class KeyPicture:
    """One picture with what aligning others to it needs, computed once."""

    def __init__(self, gray_HW: NDArray[np.uint8], counts_HW: NDArray[np.uint8]) -> None:
        """counts_HW: which pixels count, 0 or 1."""
        self._levels: list[_Level] = []
        smooth_HW = cv2.GaussianBlur(gray_HW, (3, 3), 0)
        for level in range(_LEVELS):
            if level:
                smooth_HW = cv2.pyrDown(smooth_HW)
            if min(smooth_HW.shape) < 12:
                break
            self._levels.append(_Level(smooth_HW, counts_HW, gray_HW.shape[0] / smooth_HW.shape[0]))

    def align(self, other_HW: NDArray[np.uint8], start_33: NDArray[np.float64]) -> Alignment | None:
        """start_33: a first guess. None when the key picture has too few edges."""
        if not self.enough_edges:
            return None
        pyramid = [cv2.GaussianBlur(other_HW, (3, 3), 0)]
        while len(pyramid) < len(self._levels):
            pyramid.append(cv2.pyrDown(pyramid[-1]))
        moved_33 = start_33.copy()
        for level, picture_HW in zip(reversed(self._levels), reversed(pyramid), strict=True):
            if len(level.value_N) >= 20:
                moved_33 = level.refine(picture_HW.astype(np.float32), moved_33)
        finest, picture_HW = self._levels[0], pyramid[0].astype(np.float32)
        explained, spread = finest.explained(picture_HW, moved_33)
        reach_px = self._reach_px(moved_33)
        if reach_px > _CLEAR_PX:
            # While the camera moves nothing stands still: edges at rest, half as many as the moving ones, mean that
            # something in front moves.
            at_rest, rest_spread = finest.explained(picture_HW, np.eye(3))
            if at_rest >= 0.5 * explained:
                moved_33, explained, spread, reach_px = np.eye(3), at_rest, rest_spread, 0.0
        return Alignment(moved_33, explained, spread, reach_px)

    @property
    def enough_edges(self) -> bool:
        """Whether there are enough edges outside the mask to align by."""
        return bool(self._levels) and len(self._levels[0].value_N) >= _FEWEST_PIXELS

    def _reach_px(self, moved_33: NDArray[np.float64]) -> float:
        height, width = self._levels[0].size_hw
        corners_34 = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]], np.float64)
        return float(np.linalg.norm((moved_33 @ corners_34 - corners_34)[:2], axis=0).max())


class _Level:
    def __init__(self, gray_HW: NDArray[np.uint8], counts_HW: NDArray[np.uint8], shrink: float) -> None:
        self._shrink = shrink
        self.size_hw = gray_HW.shape
        picture_HW = gray_HW.astype(np.float32)
        slope_x_HW = cv2.Scharr(picture_HW, cv2.CV_32F, 1, 0) / 32
        slope_y_HW = cv2.Scharr(picture_HW, cv2.CV_32F, 0, 1) / 32
        counts_HW = cv2.resize(counts_HW, gray_HW.shape[::-1], interpolation=cv2.INTER_NEAREST)
        usable_HW = (np.hypot(slope_x_HW, slope_y_HW) > _SLOPE) & (counts_HW > 0)
        usable_HW[[0, -1]], usable_HW[:, [0, -1]] = False, False
        row_N, column_N = np.nonzero(usable_HW)
        step = max(1, len(row_N) // _MOST_PIXELS)
        row_N, column_N = row_N[::step], column_N[::step]
        self.value_N = picture_HW[row_N, column_N].astype(np.float64)
        gx_N, gy_N = slope_x_HW[row_N, column_N], slope_y_HW[row_N, column_N]
        self._slope_N = np.hypot(gx_N, gy_N).astype(np.float64)
        self._x_N, self._y_N = column_N.astype(np.float64), row_N.astype(np.float64)
        # Around the middle and in half frames, so that all parameters have the size of a pixel's motion.
        self._unit = max(gray_HW.shape) / 2
        x_N, y_N = (self._x_N - self.size_hw[1] / 2) / self._unit, (self._y_N - self.size_hw[0] / 2) / self._unit
        # Scale, turn, right, down, brightness
        self._jacobian_N5 = np.stack(
            [gx_N * x_N + gy_N * y_N, gy_N * x_N - gx_N * y_N, gx_N, gy_N, np.ones_like(x_N)], 1
        )

    def refine(self, picture_HW: NDArray[np.float32], moved_33: NDArray[np.float64]) -> NDArray[np.float64]:
        moved_33 = self._scaled(moved_33, 1 / self._shrink)
        for _ in range(_ITERATIONS):
            off_N, inside_N = self._difference(picture_HW, moved_33)
            if inside_N.sum() < 20:
                break
            middle = float(np.median(off_N[inside_N]))
            sigma = max(1.4826 * float(np.median(np.abs(off_N[inside_N] - middle))), _NOISE)
            weight_N = np.clip(1 - ((off_N - middle) / (4.685 * sigma)) ** 2, 0, None) ** 2 * inside_N
            weighted_N5 = self._jacobian_N5 * weight_N[:, None]
            normal_55 = weighted_N5.T @ self._jacobian_N5 + 1e-3 * np.eye(5)
            scale, turn, right, down, _ = np.linalg.solve(normal_55, weighted_N5.T @ off_N)
            scale, turn = scale / self._unit, turn / self._unit
            center_2 = np.array([self.size_hw[1], self.size_hw[0]]) / 2
            small_33 = np.array([[1 + scale, -turn, right], [turn, 1 + scale, down], [0, 0, 1]])
            small_33[:2, 2] += center_2 - small_33[:2, :2] @ center_2
            moved_33 = moved_33 @ np.linalg.inv(small_33)
            if max(abs(right), abs(down), abs(scale) * self._unit, abs(turn) * self._unit) < 0.01:
                break
        return self._scaled(moved_33, self._shrink)

    def explained(self, picture_HW: NDArray[np.float32], moved_33: NDArray[np.float64]) -> tuple[float, bool]:
        off_N, inside_N = self._difference(picture_HW, moved_33)
        if not inside_N.any():
            return 0.0, False
        off_N = off_N - np.median(off_N[inside_N])
        agrees_N = (np.abs(off_N) < _AGREE_PX * self._slope_N) & inside_N
        share = float(agrees_N.sum() / inside_N.sum())
        if agrees_N.sum() < 20:
            return share, False
        width = np.ptp(np.percentile(self._x_N[agrees_N], (5, 95))) / self.size_hw[1]
        height = np.ptp(np.percentile(self._y_N[agrees_N], (5, 95))) / self.size_hw[0]
        return share, bool(min(width, height) > 0.2)

    def _difference(
        self, picture_HW: NDArray[np.float32], moved_33: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        x_N = moved_33[0, 0] * self._x_N + moved_33[0, 1] * self._y_N + moved_33[0, 2]
        y_N = moved_33[1, 0] * self._x_N + moved_33[1, 1] * self._y_N + moved_33[1, 2]
        inside_N = (x_N >= 0) & (y_N >= 0) & (x_N <= self.size_hw[1] - 1) & (y_N <= self.size_hw[0] - 1)
        there_N1 = cv2.remap(picture_HW, x_N.astype(np.float32), y_N.astype(np.float32), cv2.INTER_LINEAR)
        return there_N1[:, 0].astype(np.float64) - self.value_N, inside_N

    def _scaled(self, moved_33: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
        scaled_33 = moved_33.copy()
        scaled_33[:2, 2] *= factor
        return scaled_33


def similar(before_HW: NDArray[np.uint8], after_HW: NDArray[np.uint8]) -> bool:
    """Whether two pictures, blurred, correlate so well that no cut lies between them."""
    blurred = [cv2.GaussianBlur(each, (0, 0), 3).astype(np.float64) for each in (before_HW, after_HW)]
    before, after = (each - each.mean() for each in blurred)
    power = float(np.sqrt((before**2).sum() * (after**2).sum()))
    return power > 0 and float((before * after).sum()) / power > _SAME_VIEW
