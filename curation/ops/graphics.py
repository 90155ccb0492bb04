"""Computer graphics against camera pictures: exactly flat areas, and hard edges between them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_BLOCK_PX = 8
# Larger pictures are thinned (not averaged: flat stays flat and hard edges stay hard) to about this shorter side.
_SHORT_SIDE_PX = 300
_STRONG_EDGE, _BLACK_LUMA = 240.0, 24


def flatness_and_screen(luma_HW: NDArray[np.uint8]) -> tuple[float, float]:
    """Two shares, 0-1: flat blocks, and how far the picture looks like a screen or a slide.

    flat:   8x8 blocks whose pixels are within one luma level of each other and not black. Drawn areas are flat to the
            last level; what a lens sees has noise or shading, unless hard compression wiped it.
    screen: min(1, flat / 0.35) * min(1, aligned / 0.7); aligned is the share of strong edges (Sobel response over
            240) whose direction is within 4 degrees of an axis; 0 without strong edges.
    Source: our definition.
    """
    if min(luma_HW.shape) < _BLOCK_PX:
        return 0.0, 0.0
    every = max(1, min(luma_HW.shape) // _SHORT_SIDE_PX)
    luma_HW = np.ascontiguousarray(luma_HW[::every, ::every])
    flat = _flat_share(luma_HW)
    across, down = cv2.spatialGradient(luma_HW, borderType=cv2.BORDER_REFLECT_101)
    strong = cv2.max(cv2.max(across, -across), cv2.max(down, -down)) > _STRONG_EDGE
    across, down = np.abs(across[strong]), np.abs(down[strong])
    if not len(across):
        return flat, 0.0
    aligned = float((np.minimum(across, down) < 0.07 * np.maximum(across, down)).mean())
    return flat, min(1.0, flat / 0.35) * min(1.0, aligned / 0.7)


def _flat_share(luma_HW: NDArray[np.uint8]) -> float:
    rows, columns = (side // _BLOCK_PX for side in luma_HW.shape)
    if not rows or not columns:
        return 0.0
    window = np.ones((_BLOCK_PX, _BLOCK_PX), dtype=np.uint8)
    # The window's anchor is its middle: sampled there, each value is one block's.
    at = slice(_BLOCK_PX // 2, None, _BLOCK_PX)
    high = cv2.dilate(luma_HW, window)[at, at][:rows, :columns]
    low = cv2.erode(luma_HW, window)[at, at][:rows, :columns]
    return float((((high - low) <= 1) & (high >= _BLACK_LUMA)).mean())
