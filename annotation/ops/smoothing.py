"""Zero-lag smoothing of tracks along time T."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

# Savitzky and Golay 1964, quadratic over five points: constant velocity and acceleration pass unchanged, so fast motion
# keeps its amplitude while frame-to-frame noise shrinks to about half its variance.
_WEIGHTS_5 = np.array([-3, 12, 17, 12, -3], np.float64) / 35


def runs(mask_T: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Half-open index ranges in which the mask is true, in order."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask_T, [False])).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        yield int(start), int(stop)


def smooth_present(values_TX: NDArray[np.float32], present_T: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Smooths each unbroken run of present frames; never reaches across a gap. Trailing axes are independent.

    The two frames at each end of a run, and runs under five frames, stay as measured.
    """
    smoothed = values_TX.copy()
    for start, stop in runs(present_T):
        if stop - start < len(_WEIGHTS_5):
            continue
        windows = np.lib.stride_tricks.sliding_window_view(values_TX[start:stop], len(_WEIGHTS_5), axis=0)
        smoothed[start + 2 : stop - 2] = windows @ _WEIGHTS_5
    return smoothed


def fill_short_gaps(
    values_TX: NDArray[np.float32], present_T: NDArray[np.bool_], pts_s_T: NDArray[np.float64], longest_s: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Puts values into gaps between two present frames that are at most longest_s apart.

    Monotone cubics (Fritsch and Carlson 1980) through the present frames of one stretch: what is put in never leaves
    the range of its two neighbours, so no motion is invented.
    Returns: values, and which frames were filled.
    """
    filled_T = np.zeros(len(present_T), np.bool_)
    values_TX = values_TX.copy()
    at_N = np.flatnonzero(present_T)
    if len(at_N) < 2:
        return values_TX, filled_T
    # A hair more than asked, so that timestamps may be rounded.
    far = np.flatnonzero(np.diff(pts_s_T[at_N]) > longest_s + 1e-3) + 1
    for stretch_N in np.split(at_N, far):
        inside = np.arange(stretch_N[0], stretch_N[-1] + 1)
        missing = inside[~present_T[inside]]
        if len(missing):
            curve = PchipInterpolator(pts_s_T[stretch_N], values_TX[stretch_N].astype(np.float64), axis=0)
            values_TX[missing] = curve(pts_s_T[missing])
            filled_T[missing] = True
    return values_TX, filled_T


def moving_mean(values_T: NDArray[np.float64], weights_T: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Weighted mean over `width` frames centred on each one (fewer at the ends); 0 where the weights are all 0."""
    kernel = np.ones(max(1, width) | 1)
    total = np.convolve(values_T * weights_T, kernel, "full")
    weight = np.convolve(weights_T, kernel, "full")
    half = len(kernel) // 2
    middle = slice(half, half + len(values_T))
    return np.asarray(np.divide(total[middle], weight[middle], out=np.zeros(len(values_T)), where=weight[middle] > 0))
