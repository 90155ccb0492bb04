"""Zero-lag smoothing of tracks along time T."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

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


def moving_mean(values_T: NDArray[np.float64], weights_T: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Weighted mean over `width` frames centred on each one (fewer at the ends); 0 where the weights are all 0."""
    kernel = np.ones(max(1, width) | 1)
    total = np.convolve(values_T * weights_T, kernel, "full")
    weight = np.convolve(weights_T, kernel, "full")
    half = len(kernel) // 2
    middle = slice(half, half + len(values_T))
    return np.asarray(np.divide(total[middle], weight[middle], out=np.zeros(len(values_T)), where=weight[middle] > 0))
