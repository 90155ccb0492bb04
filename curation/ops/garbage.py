"""Pictures that a decoder made up: prediction carried on across lost data smears rows or columns over the picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# A coding block's side: prediction without its residual repeats one row or column of pixels over at least this length.
_RUN_PX = 16
_SAME_LEVELS, _EDGE_LEVELS = 3, 4


def smeared_share(luma_HW: NDArray[np.uint8]) -> float:
    """Share of pixels, 0-1, in bundles of unlike streaks: equal along 17 pixels one way, unlike across.

    The larger of the shares along columns and along rows, minus the smaller: a scene has some of both.
    Source: our definition, after how H.264 predicts blocks inside a picture (vertical and horizontal modes).
    """
    if min(luma_HW.shape) < 2 * _RUN_PX:
        return 0.0
    shares = []
    for axis in (0, 1):
        window = np.ones((_RUN_PX + 1, 1) if axis == 0 else (1, _RUN_PX + 1), dtype=np.uint8)
        spread_HW = cv2.subtract(cv2.dilate(luma_HW, window), cv2.erode(luma_HW, window))
        steps_HW = cv2.absdiff(luma_HW[:, 1:], luma_HW[:, :-1]) if axis == 0 else cv2.absdiff(luma_HW[1:], luma_HW[:-1])
        same_HW = spread_HW[:, 1:] if axis == 0 else spread_HW[1:]
        shares.append(float(((same_HW <= _SAME_LEVELS) & (steps_HW >= _EDGE_LEVELS)).mean()))
    return max(shares) - min(shares)


def streaked_share(luma_HW: NDArray[np.uint8]) -> float:
    """Share of pixels, 0-1, that equal the next one along an axis and differ across it; of the axis that has more."""
    down = cv2.absdiff(luma_HW[1:, 1:], luma_HW[:-1, 1:])
    across = cv2.absdiff(luma_HW[1:, 1:], luma_HW[1:, :-1])
    shares = [
        cv2.countNonZero(((a <= 1) & (b > _EDGE_LEVELS)).view(np.uint8)) for a, b in ((down, across), (across, down))
    ]
    return float(max(shares) / max(1, down.size))


class GarbageWatch:
    """Says of a video's frames, one after the other, which of them a decoder made up.

    Upright and level structures are streaks as well, so what counts is that they come from one sample to the next: a
    frame is garbage when its streaks are wide spread (`streaked_share` at least 0.09) and its long ones
    (`smeared_share`) are at least 0.006 and 8 times the median of the good frames so far, of which there must be two.
    """

    def __init__(self) -> None:
        self._usual: list[float] = []

    def sees(self, luma_HW: NDArray[np.uint8]) -> bool:
        """Whether this frame is garbage."""
        smeared = smeared_share(luma_HW)
        sudden = len(self._usual) >= 2 and smeared >= max(0.006, 8.0 * float(np.median(self._usual)))
        if sudden and streaked_share(luma_HW) >= 0.09:
            return True
        # The last minute is enough, and memory stays flat.
        self._usual = [*self._usual[-119:], smeared]
        return False
