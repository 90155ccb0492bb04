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
_MOST_PIXELS = 1000
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
# Share of the picture's width and height over which edges that agree must lie.
_SPREAD = 0.2
_FEWEST_TO_SOLVE = 20
_CONVERGED_PX = 0.02
_DAMPING_55 = 1e-3 * np.eye(5, dtype=np.float32)
_SMALLEST_PX = 12


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


def pyramid(gray_HW: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """A picture as `KeyPicture` takes it, smoothed and halved twice; made once for all comparisons."""
    levels = [cv2.GaussianBlur(gray_HW, (3, 3), 0)]
    while len(levels) < _LEVELS and min(levels[-1].shape) >= 2 * _SMALLEST_PX:
        levels.append(cv2.pyrDown(levels[-1]))
    return [level.astype(np.float32) for level in levels]


class KeyPicture:
    """One picture with what aligning others to it needs, computed once."""

    def __init__(self, picture: list[NDArray[np.float32]], counts_HW: NDArray[np.uint8]) -> None:
        """picture: its pyramid. counts_HW: which pixels count, 0 or 1."""
        self._levels = [_Level(each_HW, counts_HW, picture[0].shape[0] / each_HW.shape[0]) for each_HW in picture]

    def align(self, other: list[NDArray[np.float32]], start_33: NDArray[np.float64]) -> Alignment | None:
        """other: a pyramid. start_33: a first guess. None when the key picture has too few edges."""
        if not self.enough_edges:
            return None
        moved_33 = start_33.copy()
        for level, picture_HW in zip(reversed(self._levels), reversed(other), strict=True):
            if len(level.value_N) >= _FEWEST_TO_SOLVE:
                moved_33 = level.refine(picture_HW, moved_33)
        finest, picture_HW = self._levels[0], other[0]
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
        return len(self._levels[0].value_N) >= _FEWEST_PIXELS

    def _reach_px(self, moved_33: NDArray[np.float64]) -> float:
        height, width = self._levels[0].size_hw
        corners_34 = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]], np.float64)
        return float(np.linalg.norm((moved_33 @ corners_34 - corners_34)[:2], axis=0).max())


class _Level:
    def __init__(self, picture_HW: NDArray[np.float32], counts_HW: NDArray[np.uint8], shrink: float) -> None:
        self._shrink = shrink
        self.size_hw = picture_HW.shape
        slope_x_HW = cv2.Scharr(picture_HW, cv2.CV_32F, 1, 0, scale=1 / 32)
        slope_y_HW = cv2.Scharr(picture_HW, cv2.CV_32F, 0, 1, scale=1 / 32)
        slope_HW = cv2.magnitude(slope_x_HW, slope_y_HW)
        counts_HW = np.asarray(cv2.resize(counts_HW, picture_HW.shape[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
        usable_HW = (slope_HW > _SLOPE) & (counts_HW > 0)
        usable_HW[[0, -1]], usable_HW[:, [0, -1]] = False, False
        index_N = np.flatnonzero(usable_HW)
        index_N = index_N[:: max(1, len(index_N) // _MOST_PIXELS)]
        row_N, column_N = np.divmod(index_N, self.size_hw[1])
        self.value_N = picture_HW.ravel()[index_N]
        gx_N, gy_N, self._slope_N = (each.ravel()[index_N] for each in (slope_x_HW, slope_y_HW, slope_HW))
        self._x_N, self._y_N = column_N.astype(np.float32), row_N.astype(np.float32)
        # Around the middle and in half frames, so that all parameters have the size of a pixel's motion.
        self._unit = max(picture_HW.shape) / 2
        self._center = complex(self.size_hw[1], self.size_hw[0]) / 2
        x_N, y_N = (self._x_N - self._center.real) / self._unit, (self._y_N - self._center.imag) / self._unit
        # Scale, turn, right, down, brightness
        self._jacobian_5N = np.stack([gx_N * x_N + gy_N * y_N, gy_N * x_N - gx_N * y_N, gx_N, gy_N, np.ones_like(x_N)])

    def refine(self, picture_HW: NDArray[np.float32], moved_33: NDArray[np.float64]) -> NDArray[np.float64]:
        # A similarity is one complex factor and a shift: arithmetic of numbers instead of small matrices.
        grow, shift = complex(moved_33[0, 0], moved_33[1, 0]), complex(moved_33[0, 2], moved_33[1, 2]) / self._shrink
        for _ in range(_ITERATIONS):
            off_N, inside_N = self._difference(picture_HW, grow, shift)
            off_inside_M = off_N[inside_N]
            if len(off_inside_M) < _FEWEST_TO_SOLVE:
                break
            middle = _median(off_inside_M)
            sigma = max(1.4826 * _median(np.abs(off_inside_M - middle)), _NOISE)
            weight_N = np.maximum(1 - ((off_N - middle) / np.float32(4.685 * sigma)) ** 2, 0) ** 2 * inside_N
            weighted_5N = self._jacobian_5N * weight_N
            normal_55 = weighted_5N @ self._jacobian_5N.T + _DAMPING_55
            _, found_51 = cv2.solve(normal_55, weighted_5N @ off_N, flags=cv2.DECOMP_CHOLESKY)
            scale, turn, right, down, _ = found_51[:, 0].tolist()
            # (z - center) * small + center + step, undone before the motion so far
            small, step = 1 + complex(scale, turn) / self._unit, complex(right, down)
            shift += grow * (self._center - (self._center + step) / small)
            grow /= small
            if max(abs(right), abs(down), abs(scale), abs(turn)) < _CONVERGED_PX:
                break
        shift *= self._shrink
        return np.array([[grow.real, -grow.imag, shift.real], [grow.imag, grow.real, shift.imag], [0, 0, 1]])

    def explained(self, picture_HW: NDArray[np.float32], moved_33: NDArray[np.float64]) -> tuple[float, bool]:
        """Of the finest level, whose px are those of the motion."""
        grow, shift = complex(moved_33[0, 0], moved_33[1, 0]), complex(moved_33[0, 2], moved_33[1, 2])
        off_N, inside_N = self._difference(picture_HW, grow, shift)
        inside = int(inside_N.sum())
        if not inside:
            return 0.0, False
        agrees_N = (np.abs(off_N - _median(off_N[inside_N])) < _AGREE_PX * self._slope_N) & inside_N
        agrees = int(agrees_N.sum())
        if agrees < _FEWEST_TO_SOLVE:
            return agrees / inside, False
        width, height = _reach(self._x_N[agrees_N]), _reach(self._y_N[agrees_N])
        return agrees / inside, min(width / self.size_hw[1], height / self.size_hw[0]) > _SPREAD

    def _difference(
        self, picture_HW: NDArray[np.float32], grow: complex, shift: complex
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        cos, sin = np.float32(grow.real), np.float32(grow.imag)
        x_N = cos * self._x_N - sin * self._y_N + np.float32(shift.real)
        y_N = sin * self._x_N + cos * self._y_N + np.float32(shift.imag)
        inside_N = (x_N >= 0) & (y_N >= 0) & (x_N <= self.size_hw[1] - 1) & (y_N <= self.size_hw[0] - 1)
        there_N1 = cv2.remap(picture_HW, x_N, y_N, cv2.INTER_LINEAR)
        return there_N1[:, 0] - self.value_N, inside_N


def _median(value_N: NDArray[np.float32]) -> float:
    """The upper of two middles: np.median takes ten times as long on a thousand values."""
    return float(np.partition(value_N, len(value_N) // 2)[len(value_N) // 2])


def _reach(at_N: NDArray[np.float32]) -> float:
    """From the fifth to the ninety-fifth hundredth."""
    low, high = len(at_N) // 20, len(at_N) - 1 - len(at_N) // 20
    ordered_N = np.partition(at_N, (low, high))
    return float(ordered_N[high] - ordered_N[low])


def similar(before_HW: NDArray[np.uint8], after_HW: NDArray[np.uint8]) -> bool:
    """Whether two pictures, blurred, correlate so well that no cut lies between them."""
    blurred = [cv2.GaussianBlur(each, (0, 0), 3).astype(np.float64) for each in (before_HW, after_HW)]
    before, after = (each - each.mean() for each in blurred)
    power = float(np.sqrt((before**2).sum() * (after**2).sum()))
    return power > 0 and float((before * after).sum()) / power > _SAME_VIEW
