"""Parts of a picture: where to look closer, and what changed. Axes: H rows, W columns, C red-green-blue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Sides of the square parts, in long sides of the picture: people down to a fifth of it are a third of such a part.
PARTS = (0.6, 0.4)
BLOCK_PX = 8
# Largest change of a block's mean grey since a region was read: below the first the picture is the same; below the
# second what moved did by about a pixel, which is what two reads of one picture differ by, and the region is read again
# after this time all the same.
_SAME_LEVEL = 1.0
_CALM_LEVEL, _CALM_S = 8.0, 0.1


def overlapping_parts(width_px: int, height_px: int) -> list[tuple[int, int, int, int]]:
    """Overlapping parts (left, top, right, bottom) that cover the picture, largest first; none of a tiny picture."""
    parts = []
    for share in PARTS:
        side_px = int(share * max(width_px, height_px))
        if side_px < 64:
            continue
        spans = []
        for length in (width_px, height_px):
            size = min(side_px, length)
            # Half overlapping: who is cut by one part's edge is whole in the next.
            steps = 1 if size == length else int(np.ceil((length - size) / (size / 2))) + 1
            starts = [0] if steps == 1 else [round((length - size) * k / (steps - 1)) for k in range(steps)]
            spans.append([(start, start + size) for start in starts])
        parts += [(left, top, right, bottom) for top, bottom in spans[1] for left, right in spans[0]]
    return parts


class SteadyRegion:
    """Keeps the region in which a network reads from trembling: what it reads depends a little on where it looks.

    One-euro filter (Casiez, Roussel and Vogel 2012) of centre, size and angle, with the parameters that MediaPipe uses
    for the same points (modules/pose_landmark/pose_landmark_filtering.pbtxt): at rest almost nothing passes, a body
    that moves by its size in a second is followed at once.
    """

    _MIN_CUTOFF_HZ, _BETA, _SPEED_CUTOFF_HZ = 0.01, 10.0, 1.0

    def __init__(self) -> None:
        self._value_4: NDArray[np.float64] | None = None
        self._speed_4 = np.zeros(4)

    def follow(
        self, center_px_2: NDArray[np.float64], rim_px_2: NDArray[np.float64], dt_s: float
    ) -> NDArray[np.float64]:
        """(4,): filtered centre and a filtered point on the rim, px."""
        new_4 = np.concatenate([center_px_2, rim_px_2])
        if self._value_4 is None or dt_s <= 0:
            self._value_4 = new_4
            return new_4
        size_px = max(2 * float(np.linalg.norm(rim_px_2 - center_px_2)), 1e-6)
        speed_4 = (new_4 - self._value_4) / size_px / dt_s
        self._speed_4 += _one_euro_alpha(dt_s, self._SPEED_CUTOFF_HZ) * (speed_4 - self._speed_4)
        cutoff_4 = self._MIN_CUTOFF_HZ + self._BETA * np.abs(self._speed_4)
        self._value_4 = self._value_4 + _one_euro_alpha(dt_s, cutoff_4) * (new_4 - self._value_4)
        return self._value_4


def _one_euro_alpha(dt_s: float, cutoff_hz: Any) -> Any:
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * dt_s))


def block_means(rgb_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean grey of the whole 8 x 8 blocks from the upper left, to half a level."""
    shape_hw = [max(1, size // BLOCK_PX) for size in rgb_HWC.shape[:2]]
    # Whole pixels per block and one channel: an eighth of the time of an exact size and three.
    gray_HW = cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2GRAY)[: shape_hw[0] * BLOCK_PX, : shape_hw[1] * BLOCK_PX]
    return np.asarray(cv2.resize(gray_HW, shape_hw[::-1], interpolation=cv2.INTER_AREA), np.float32)


def covered_blocks(boxes: Sequence[NDArray[np.float64]], shape_hw: tuple[int, ...]) -> NDArray[np.bool_]:
    """(H, W): blocks that a box (left, top, right, bottom in px of the picture) touches."""
    covered_HW = np.zeros(shape_hw, np.bool_)
    for box_4 in boxes:
        x0, y0 = np.maximum(box_4[:2] / BLOCK_PX, 0).astype(int)
        x1, y1 = np.ceil(np.maximum(box_4[2:] / BLOCK_PX, 0)).astype(int)
        covered_HW[y0:y1, x0:x1] = True
    return covered_HW


def largest_change(
    before_HW: NDArray[np.float32],
    now_HW: NDArray[np.float32],
    center_px_2: NDArray[np.float64],
    side_px: float,
) -> float:
    """By how many grey levels the block that changed most did, within an upright square; infinite outside the picture.

    An edge of contrast 64 that moves by one pixel changes its block of eight by 8.
    """
    box_4 = np.concatenate([center_px_2 - side_px / 2, center_px_2 + side_px / 2])
    inside_HW = covered_blocks([box_4], now_HW.shape)
    return float(np.abs(now_HW - before_HW)[inside_HW].max(initial=0)) if inside_HW.any() else float("inf")


def hardly_changed(change_level: float, since_s: float) -> bool:
    """Whether a network may be spared: what it would read lies between its last read and its next.

    change_level: `largest_change` since the last read, which was since_s ago.
    """
    return change_level <= _SAME_LEVEL or (change_level <= _CALM_LEVEL and since_s <= _CALM_S)


def free_share(part: tuple[int, int, int, int], boxes: Sequence[NDArray[np.float64]]) -> float:
    """Share of the part (left, top, right, bottom) that no box of the same form covers, to a 256th."""
    left, top, right, bottom = part
    free_HW = np.ones((16, 16), np.bool_)
    x_W = left + (np.arange(16) + 0.5) * (right - left) / 16
    y_H = top + (np.arange(16) + 0.5) * (bottom - top) / 16
    for box_4 in boxes:
        inside_W, inside_H = (x_W >= box_4[0]) & (x_W <= box_4[2]), (y_H >= box_4[1]) & (y_H <= box_4[3])
        free_HW &= ~(inside_H[:, None] & inside_W)
    return float(free_HW.mean())
