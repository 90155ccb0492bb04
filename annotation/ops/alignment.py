"""Motion of a picture from all its edges, where it has too few corners to follow: robust direct alignment.

A similarity (shift, turn, scale) is found that carries one picture onto another, by its own brightness: coarse to fine,
inverse compositional (Baker and Matthews 2004), reweighted so that what moves otherwise does not count (Odobez and
Bouthemy 1995). An edge says nothing of motion along it, but edges of several directions together do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_LEVELS = 3
_ITERATIONS = 6
_MOST_PIXELS = 1000
_FEWEST_PIXELS = 150
# Of all edges, what counts must have more: less is shoes and strands of hair that the mask of people missed.
_LEAST_SHARE = 0.1
# Grey levels per px below which a slope is noise or the coder's.
_SLOPE = 4.0
# Standard deviation of grey levels that noise and coding leave.
_NOISE = 2.5
# A pixel is explained when its brightness is off by no more than this many px of its own slope would make it.
_AGREE_PX = 0.5
# Correlation of blurred pictures of one view a frame apart; across cuts in real footage it is lower.
_SAME_VIEW = 0.9
_LITTLE = 0.1
_PLAIN = 12.0
# Motion that edges at rest contradict, in px: one that they cannot share.
_CLEAR_PX = 2.0
# Of the background's edges, so many must agree; of all edges more, because a body that moves is edges too.
_ENOUGH = 0.5
_ENOUGH_WITH_PEOPLE = 0.8
# More still when they ask for a motion that leads so far from the expected one, in px.
_NEAR_PX = 2.0
_ENOUGH_FAR = 0.8
_ENOUGH_FAR_WITH_PEOPLE = 0.9
_BACKGROUND_DECIDES = (1 - _ENOUGH_WITH_PEOPLE) / (1 - _ENOUGH)
# A motion near the expected one that explains so much is not doubted; one further off must explain so much more.
_SURE = 0.85
_CLEARLY_MORE = 0.1
# Share of the picture's width and height over which edges that agree must lie.
_SPREAD = 0.2
# Or nearly all of them agree, along a strip so long: the foot of a wall, say.
_LONG = 0.5
_ALL = 0.8
_FEWEST_TO_SOLVE = 20
_ENOUGH_FOR_MEDIANS = 250
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


@dataclass(frozen=True, slots=True)
class EdgeMotion:
    """As `Alignment`, from an `EdgePath`'s key picture. people: everybody's edges were asked, who may have moved."""

    motion_33: NDArray[np.float64]
    explained: float
    people: bool


class KeyPicture:
    """One picture with what aligning others to it needs, computed once."""

    def __init__(self, picture: list[NDArray[np.float32]], counts_HW: NDArray[np.uint8]) -> None:
        """picture: its pyramid. counts_HW: which pixels count, 0 or 1."""
        self._levels = [_Level(each_HW, counts_HW, picture[0].shape[0] / each_HW.shape[0]) for each_HW in picture]
        # Of the picture's edges, which is in what counts
        self.share = self._levels[0].share

    def align(self, other: list[NDArray[np.float32]], start_33: NDArray[np.float64]) -> Alignment | None:
        """other: a pyramid. start_33: where it is expected. None when the key picture has too few edges.

        A motion near the expected one is believed when it explains nearly all edges, or as many as one further off:
        planks and fences look alike a step aside.
        """
        if not self.enough_edges:
            return None
        near = self._judged(other, self._levels[0].refine(other[0], start_33))
        if near.explained > _SURE and near.spread:
            return near
        moved_33 = start_33
        for level, picture_HW in zip(reversed(self._levels), reversed(other), strict=True):
            if len(level.value_N) >= _FEWEST_TO_SOLVE:
                moved_33 = level.refine(picture_HW, moved_33)
        far = self._judged(other, moved_33)
        return far if far.explained > near.explained + _CLEARLY_MORE else near

    def _judged(self, other: list[NDArray[np.float32]], moved_33: NDArray[np.float64]) -> Alignment:
        finest, picture_HW = self._levels[0], other[0]
        reach_px = self.reach_px(moved_33, np.eye(3))
        if reach_px > _CLEAR_PX and finest.contradicted(picture_HW, moved_33):
            moved_33, reach_px = np.eye(3), 0.0
        return Alignment(moved_33, *finest.explained(picture_HW, moved_33), reach_px)

    @property
    def enough_edges(self) -> bool:
        """Whether there are enough edges outside the mask to align by."""
        return len(self._levels[0].value_N) >= _FEWEST_PIXELS and self.share > _LEAST_SHARE

    def reach_px(self, moved_33: NDArray[np.float64], from_33: NDArray[np.float64]) -> float:
        """How far the farthest corner is between two motions."""
        height, width = self._levels[0].size_hw
        corners_34 = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]], np.float64)
        return float(np.linalg.norm(((moved_33 - from_33) @ corners_34)[:2], axis=0).max())


class EdgePath:
    """Motion from one key picture to those after it, frame by frame: by the edges of the background where it has some
    that agree, by all edges, people's included, otherwise."""

    def __init__(
        self,
        key: list[NDArray[np.float32]],
        background_HW: Callable[[], NDArray[np.uint8]],
        step_33: NDArray[np.float64],
    ) -> None:
        """key: its pyramid. background_HW: asked once, where it shows no people, 1 or 0. step_33: how the camera moved
        up to the key."""
        # The frame before, to begin anew from
        self._last = _Anchor(key, background_HW, np.eye(3))
        self._background: _Anchor | None = self._last
        self._everything: _Anchor | None = None
        self._step_33 = step_33

    def look(self, picture: list[NDArray[np.float32]]) -> EdgeMotion | None:
        """Motion of the next frame; None when none is agreed on.

        What is compared with is as old as possible, for drift, and begun anew where it has become too unlike.
        """
        for anchor in dict.fromkeys((self._background or self._last, self._last)):
            motion = self._by(anchor, picture, people=False)
            if motion is not None:
                self._background, self._everything = anchor, None
                return motion
        # What failed is not asked again: the frame that is the last one by then is more alike.
        self._background = None
        # Where half of the background's edges do not agree, and these are many of all, too few of all can.
        if self._last.background.share > _BACKGROUND_DECIDES:
            self._everything = None
            return None
        for anchor in dict.fromkeys((self._everything or self._last, self._last)):
            motion = self._by(anchor, picture, people=True)
            if motion is not None:
                self._everything = anchor
                return motion
        self._everything = None
        return None

    def go_on(
        self,
        picture: list[NDArray[np.float32]],
        background_HW: Callable[[], NDArray[np.uint8]],
        motion_33: NDArray[np.float64] | None,
    ) -> None:
        """Makes this the last frame. motion_33: from the key picture, whoever measured it; None when nobody did."""
        if motion_33 is not None:
            self._step_33 = motion_33 @ np.linalg.inv(self._last.from_key_33)
        self._last = _Anchor(picture, background_HW, self._expected_33 if motion_33 is None else motion_33)

    @property
    def _expected_33(self) -> NDArray[np.float64]:
        """A camera goes on as it went."""
        return np.asarray(self._step_33 @ self._last.from_key_33)

    def _by(self, anchor: _Anchor, picture: list[NDArray[np.float32]], people: bool) -> EdgeMotion | None:
        key = anchor.everything if people else anchor.background
        expected_33 = self._expected_33 @ np.linalg.inv(anchor.from_key_33)
        found = key.align(picture, expected_33)
        if found is None or not found.spread:
            return None
        near = key.reach_px(found.motion_33, expected_33) < _NEAR_PX
        enough = (_ENOUGH_WITH_PEOPLE, _ENOUGH_FAR_WITH_PEOPLE) if people else (_ENOUGH, _ENOUGH_FAR)
        if found.explained < enough[0 if near else 1]:
            return None
        return EdgeMotion(found.motion_33 @ anchor.from_key_33, found.explained, people)


class _Anchor:
    """A frame that others are compared with; what that takes is computed when it is asked for."""

    def __init__(
        self,
        picture: list[NDArray[np.float32]],
        background_HW: Callable[[], NDArray[np.uint8]],
        from_key_33: NDArray[np.float64],
    ) -> None:
        self._picture, self._background_HW = picture, background_HW
        self._keys: dict[bool, KeyPicture] = {}
        self.from_key_33 = from_key_33

    @property
    def background(self) -> KeyPicture:
        if False not in self._keys:
            self._keys[False] = KeyPicture(self._picture, self._background_HW())
        return self._keys[False]

    @property
    def everything(self) -> KeyPicture:
        if True not in self._keys:
            self._keys[True] = KeyPicture(self._picture, np.ones(self._picture[0].shape, np.uint8))
        return self._keys[True]


class _Level:
    def __init__(self, picture_HW: NDArray[np.float32], counts_HW: NDArray[np.uint8], shrink: float) -> None:
        self._shrink = shrink
        self.size_hw = picture_HW.shape
        slope_x_HW = cv2.Scharr(picture_HW, cv2.CV_32F, 1, 0, scale=1 / 32)
        slope_y_HW = cv2.Scharr(picture_HW, cv2.CV_32F, 0, 1, scale=1 / 32)
        slope_HW = cv2.magnitude(slope_x_HW, slope_y_HW)
        counts_HW = np.asarray(cv2.resize(counts_HW, picture_HW.shape[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
        edge_HW = slope_HW > _SLOPE
        edge_HW[[0, -1]], edge_HW[:, [0, -1]] = False, False
        index_N = np.flatnonzero(edge_HW & (counts_HW > 0))
        self.share = len(index_N) / max(1, np.count_nonzero(edge_HW))
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
            some_M = off_inside_M[:: 1 + len(off_inside_M) // _ENOUGH_FOR_MEDIANS]
            middle = _median(some_M)
            sigma = max(1.4826 * _median(np.abs(some_M - middle)), _NOISE)
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
        agrees_N, inside_N = self._agrees(picture_HW, moved_33)
        inside, agrees = int(inside_N.sum()), int(agrees_N.sum())
        if agrees < _FEWEST_TO_SOLVE:
            return agrees / max(1, inside), False
        width, height = _reach(self._x_N[agrees_N]), _reach(self._y_N[agrees_N])
        narrow, wide = sorted((width / self.size_hw[1], height / self.size_hw[0]))
        return agrees / inside, narrow > _SPREAD or (wide > _LONG and agrees / inside > _ALL)

    def contradicted(self, picture_HW: NDArray[np.float32], moved_33: NDArray[np.float64]) -> bool:
        """While the camera moves nothing stands still: edges at rest, half as many as the moving ones, mean that
        something in front moves. Only edges across the motion tell rest from it."""
        shift_2N = moved_33[:2, :2] @ np.stack([self._x_N, self._y_N]) + moved_33[:2, 2:] - (self._x_N, self._y_N)
        across_N = np.abs(self._jacobian_5N[2] * shift_2N[0] + self._jacobian_5N[3] * shift_2N[1])
        telling_N = across_N > 2 * _AGREE_PX * self._slope_N
        moving_N, resting_N = self._agrees(picture_HW, moved_33)[0], self._agrees(picture_HW, np.eye(3))[0]
        return int((resting_N & telling_N).sum()) >= 0.5 * max(1, int((moving_N & telling_N).sum()))

    def _agrees(
        self, picture_HW: NDArray[np.float32], moved_33: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        grow, shift = complex(moved_33[0, 0], moved_33[1, 0]), complex(moved_33[0, 2], moved_33[1, 2])
        off_N, inside_N = self._difference(picture_HW, grow, shift)
        if not inside_N.any():
            return inside_N, inside_N
        return (np.abs(off_N - _median(off_N[inside_N])) < _AGREE_PX * self._slope_N) & inside_N, inside_N

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


def similar(before_HW: NDArray[np.uint8], after_HW: NDArray[np.uint8], background_HW: NDArray[np.uint8]) -> bool:
    """Whether two pictures, blurred, correlate so well that no cut lies between them.

    background_HW: where no people are, 1 or 0: somebody who crosses a close-up is no cut. All of it counts where that
    leaves little, or a plain wall.
    """
    weight_HW = background_HW.astype(np.float64)
    if weight_HW.mean() < _LITTLE or float(before_HW[background_HW > 0].std()) < _PLAIN:
        weight_HW = np.ones_like(weight_HW)
    blurred = [cv2.GaussianBlur(each, (0, 0), 3).astype(np.float64) for each in (before_HW, after_HW)]
    before, after = (each - np.average(each, weights=weight_HW) for each in blurred)
    power = float(np.sqrt((weight_HW * before**2).sum() * (weight_HW * after**2).sum()))
    return power > 0 and float((weight_HW * before * after).sum()) / power > _SAME_VIEW
