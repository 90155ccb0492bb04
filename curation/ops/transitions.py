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


# Compression noise in the energy of detail: keeps flat cells from deciding.
_ENERGY_FLOOR = 2.0


def blend_fit(
    before_NP: NDArray[np.float32], between_NP: NDArray[np.float32], after_NP: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Each picture between as a mixture (1 - a) before + a after, by least squares.

    In a dissolve of still shots the residual is near 0; a picture that has nothing to do with either leaves 0.87.

    Returns: a (N,), and the residual as a share of the distance between before and after (N,).
    """
    step_NP = after_NP - before_NP
    moved_NP = between_NP - before_NP
    power_N = np.maximum(np.einsum("np,np->n", step_NP, step_NP), 1e-6)
    share_N = np.einsum("np,np->n", moved_NP, step_NP) / power_N
    # |moved - a step|^2 without building the difference.
    left_N = np.einsum("np,np->n", moved_NP, moved_NP) - share_N**2 * power_N
    return share_N.astype(np.float32), np.sqrt(np.maximum(left_N, 0) / power_N).astype(np.float32)


def detail_energy(luma_THW: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, 2, 12): mean squared differences down and across, in 3 x 4 cells of each thumbnail."""
    energies = []
    for axis in (1, 2):
        square_THW = np.diff(luma_THW, axis=axis) ** 2
        rows, columns = square_THW.shape[1] // 3, square_THW.shape[2] // 4
        cells = square_THW[:, : 3 * rows, : 4 * columns].reshape(len(luma_THW), 3, rows, 4, columns)
        energies.append(cells.mean(axis=(2, 4)).reshape(len(luma_THW), 12))
    return np.asarray(np.stack(energies, axis=1) + _ENERGY_FLOOR, dtype=np.float32)


def detail_kept(
    before_N2C: NDArray[np.float32], middle_N2C: NDArray[np.float32], after_N2C: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The middle's detail energy against the mean of both sides, median over cells: 0.5 half-way in a dissolve or fade.

    Two unrelated pictures blended half and half keep half of their variance, however both move; motion alone keeps it
    all. Blur by a pan takes detail along one direction only: the direction that keeps more counts.

    Source: the parabola of the variance of a dissolve (Alattar 1993); cells and directions are ours. Returns: (N,).
    """
    kept_N2 = np.median(2 * middle_N2C / (before_N2C + after_N2C), axis=2)
    return np.asarray(kept_N2.max(axis=1), dtype=np.float32)


def unlikeness(first_HW: NDArray[np.float32], second_HW: NDArray[np.float32]) -> float:
    """How little two luma thumbnails show the same scene: 1 minus their best correlation under a shift.

    Exposure drops out of the correlation. A flat picture is unlike every one that is not flat.
    Returns: 0 for the same picture, about 1 for unrelated ones; never below 0 or above 1.
    """
    means, deviations = zip(*(_mean_and_deviation(picture) for picture in (first_HW, second_HW)), strict=True)
    if max(deviations) < FLAT_LEVELS:
        return float(min(1.0, abs(means[0] - means[1]) / 64))
    if min(deviations) < FLAT_LEVELS:
        return 1.0
    height, width = first_HW.shape
    y, x = round(height * _SHIFT_SHARE), round(width * _SHIFT_SHARE)
    inner_HW = np.ascontiguousarray(first_HW[y : height - y, x : width - x])
    best = float(cv2.matchTemplate(second_HW, first_HW, cv2.TM_CCOEFF_NORMED)[0, 0])
    if inner_HW.size and _mean_and_deviation(inner_HW)[1] >= 1e-3:
        _, shifted, _, _ = cv2.minMaxLoc(cv2.matchTemplate(second_HW, inner_HW, cv2.TM_CCOEFF_NORMED))
        best = max(best, shifted)
    return min(1.0, max(0.0, 1 - best))


def _mean_and_deviation(picture_HW: NDArray[np.float32]) -> tuple[float, float]:
    mean, deviation = cv2.meanStdDev(picture_HW)
    return float(mean[0, 0]), float(deviation[0, 0])
