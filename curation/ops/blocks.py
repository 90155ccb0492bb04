"""Borders of coding blocks, and the spread of luma."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Coding block side of H.264 macroblock transforms and of MPEG-1/2/4 and JPEG.
_BLOCK_PX = 8


def blockiness(luma_HW: NDArray[np.uint8]) -> float:
    """Share of coding block borders that stand out as isolated steps, beyond other grid positions; 0 for none.

    A border pixel stands out when its luma step is more than twice both neighbouring steps plus two levels. Texture
    and edges stand out equally often at all eight positions of the grid, block borders only at theirs (a crop moves
    it, so the position is searched). The strongest line per position is left out: a picture edge is no block border.
    Source: our definition, after the border-against-inside comparison of Wang, Sheikh, Bovik 2002.
    """
    excess = 0.0
    for lines_HW in (luma_HW, cv2.transpose(luma_HW)):
        if lines_HW.shape[1] <= 3 * _BLOCK_PX:
            continue
        steps = cv2.absdiff(lines_HW[:, 1:], lines_HW[:, :-1])
        # Sums saturate at 255, which no step exceeds: there nothing stands out, as it should be.
        beside = cv2.max(steps[:, :-2], steps[:, 2:])
        bound = cv2.add(cv2.add(beside, beside), 2.0)
        stands_out = cv2.compare(steps[:, 1:-1], bound, cv2.CMP_GT)
        columns = cv2.reduce(stands_out, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel() / (255.0 * len(stands_out))
        shares = [float(np.sort(columns[p::_BLOCK_PX])[:-1].mean()) for p in range(_BLOCK_PX)]
        excess += max(shares) - float(np.median(shares))
    return excess / 2


def contrast(histogram_256: NDArray[np.float32]) -> float:
    """Spread between the 5th and 95th percentile of luma, as a share of full range, 0-1."""
    below = np.cumsum(histogram_256, dtype=np.float64)
    if not below[-1]:
        return 0.0
    low, high = np.searchsorted(below, (0.05 * below[-1], 0.95 * below[-1]))
    return float(high - low) / 255.0
