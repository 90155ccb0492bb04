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
    """Mean grey of 8 x 8 blocks."""
    gray_HW = cv2.cvtColor(np.ascontiguousarray(rgb_HWC), cv2.COLOR_RGB2GRAY).astype(np.float32)
    size_wh = (max(1, gray_HW.shape[1] // BLOCK_PX), max(1, gray_HW.shape[0] // BLOCK_PX))
    return np.asarray(cv2.resize(gray_HW, size_wh, interpolation=cv2.INTER_AREA), np.float32)


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
