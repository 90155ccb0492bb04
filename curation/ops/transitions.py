"""Is a change of picture a change of scene? Comparisons of small thumbnails, and the blend model of a dissolve.

Axes: N pictures, P values of one thumbnail (luma and chroma, flattened).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# A thumbnail with less contrast than this (luma levels, standard deviation) shows nothing: black, white, one colour.
FLAT_LEVELS = 3.0
# The share of either side by which one picture may be shifted against the other before they count as unlike.
_SHIFT_SHARE = 0.2


def blend_fit(
    before_NP: NDArray[np.float32], between_NP: NDArray[np.float32], after_NP: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Each picture between as a mixture (1 - a) before + a after, by least squares.

    In a dissolve the residual is small half-way; motion makes no mixtures, and leaves most of the difference.

    Returns: a (N,), and the residual as a share of the distance between before and after (N,).
    """
    step_NP = after_NP - before_NP
    power_N = np.maximum(np.einsum("np,np->n", step_NP, step_NP), 1e-6)
    moved_NP = between_NP - before_NP
    share_N = np.einsum("np,np->n", moved_NP, step_NP) / power_N
    left_NP = moved_NP - share_N[:, None] * step_NP
    residual_N = np.sqrt(np.einsum("np,np->n", left_NP, left_NP) / power_N)
    return share_N.astype(np.float32), residual_N.astype(np.float32)


def unlikeness(first_HW: NDArray[np.float32], second_HW: NDArray[np.float32]) -> float:
    """How little two luma thumbnails show the same scene: 1 minus their best correlation under a shift.

    Exposure drops out of the correlation. A flat picture is unlike every one that is not flat.
    Returns: 0 for the same picture, about 1 for unrelated ones; never below 0 or above 1.
    """
    flat = [float(picture.std()) < FLAT_LEVELS for picture in (first_HW, second_HW)]
    if all(flat):
        return min(1.0, abs(float(first_HW.mean()) - float(second_HW.mean())) / 64)
    if any(flat):
        return 1.0
    height, width = first_HW.shape
    y, x = round(height * _SHIFT_SHARE), round(width * _SHIFT_SHARE)
    inner_HW = np.ascontiguousarray(first_HW[y : height - y, x : width - x])
    if inner_HW.size == 0 or float(inner_HW.std()) < 1e-3:
        inner_HW = first_HW
    best = float(np.nan_to_num(cv2.matchTemplate(second_HW, inner_HW, cv2.TM_CCOEFF_NORMED)).max())
    whole = float(np.nan_to_num(cv2.matchTemplate(second_HW, first_HW, cv2.TM_CCOEFF_NORMED)).max())
    return float(np.clip(1 - max(best, whole), 0, 1))
