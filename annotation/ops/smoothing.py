"""Zero-lag smoothing of tracks, and short gaps. Axes: T frames, J joints, D coordinates, X any others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.signal import savgol_coeffs, savgol_filter

# Half widths in seconds of the quadratic windows (Savitzky and Golay 1964) that a value may be smoothed with. The
# widest still follows a wave of 1 Hz; the narrowest is two frames at 25 per second.
_HALF_WIDTHS_S = (0.08, 0.16, 0.28, 0.48)
# How many deviations of the noise two estimates may differ by and still be of one value.
_AGREE = 2.5
# Third differences amplify white noise by sqrt(1 + 9 + 9 + 1); the median of its size is 0.6745 deviations.
_NOISE_PER_THIRD = 1 / (0.6745 * np.sqrt(20.0))


def runs(mask_T: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Half-open index ranges in which the mask is true, in order."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask_T, [False])).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        yield int(start), int(stop)


def smooth_present(
    values_TJD: NDArray[np.float32],
    present_T: NDArray[np.bool_],
    frame_s: float,
    read_T: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Smooths each unbroken run of present frames without lag; never reaches across a gap.

    Every joint's place in every frame is estimated with windows of growing width; the widest whose estimate agrees with
    all narrower ones within the noise is taken (the rule of intersecting confidence intervals: Goldenshluger and
    Nemirovski 1997, Katkovnik 1999). So what is still is smoothed over a second, and what moves fast hardly at all.
    The noise is each joint's own, from its third differences in the quieter half of the clip.

    values_TJD: T frames, J joints, D coordinates (judged together). frame_s: time from frame to frame. read_T: frames
    with a measurement of their own, which alone tell the noise; all when not given.
    """
    smoothed_TJD = values_TJD.copy()
    noise_J = _noise(values_TJD, present_T, present_T if read_T is None else read_T, frame_s)
    for start, stop in runs(present_T):
        smoothed_TJD[start:stop] = _smooth_run(values_TJD[start:stop].astype(np.float64), noise_J, frame_s)
    return smoothed_TJD


def _smooth_run(values_TJD: NDArray[np.float64], noise_J: NDArray[np.float64], frame_s: float) -> NDArray[np.float64]:
    T = len(values_TJD)
    halves = sorted({max(2, round(width_s / frame_s)) for width_s in _HALF_WIDTHS_S})
    estimates = [values_TJD]
    spreads = [1.0]
    for half in halves:
        length = 2 * half + 1
        if length > T:
            break
        estimates.append(np.asarray(savgol_filter(values_TJD, length, 2, axis=0, mode="interp")))
        spreads.append(float(np.linalg.norm(savgol_coeffs(length, 2))))
    chosen_TJ = np.zeros(values_TJD.shape[:2], np.intp)
    good_TJ = np.ones(values_TJD.shape[:2], np.bool_)
    for k in range(1, len(estimates)):
        for j in range(k):
            apart_TJ = np.linalg.norm(estimates[k] - estimates[j], axis=2)
            good_TJ &= apart_TJ <= _AGREE * noise_J * (spreads[k] + spreads[j])
        chosen_TJ[good_TJ] = k
    # A window that changes from frame to frame would be jitter of its own: each frame is the mean of what its own and
    # its two neighbours' windows say.
    blended_TJD = np.zeros_like(values_TJD)
    for shift in (-1, 0, 1):
        near_TJ = chosen_TJ[np.clip(np.arange(T) + shift, 0, T - 1)]
        blended_TJD += np.take_along_axis(np.stack(estimates), near_TJ[None, :, :, None], axis=0)[0] / 3
    return blended_TJD


def _noise(
    values_TJD: NDArray[np.float32], present_T: NDArray[np.bool_], read_T: NDArray[np.bool_], frame_s: float
) -> NDArray[np.float64]:
    """(J,) deviation of the noise of one coordinate: the lower quartile, over blocks of a second, of each block's."""
    block = max(8, round(1.0 / frame_s))
    noises: list[NDArray[np.float64]] = []
    for start, stop in runs(present_T):
        read_NJD = values_TJD[start:stop][read_T[start:stop]].astype(np.float64)
        third_TJD = np.abs(np.diff(read_NJD, n=3, axis=0)) if len(read_NJD) > 3 else read_NJD[:0]
        for first in range(0, max(1, len(third_TJD) - block + 1), block):
            if len(third_TJD[first : first + block]) >= 5:
                noises.append(np.median(third_TJD[first : first + block], axis=0).mean(axis=1) * _NOISE_PER_THIRD)
    if not noises:
        return np.zeros(values_TJD.shape[1])
    return np.asarray(np.quantile(np.stack(noises), 0.25, axis=0))


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


def between_reads(
    values_TX: NDArray[np.float32],
    present_T: NDArray[np.bool_],
    read_T: NDArray[np.bool_],
    pts_s_T: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Puts present frames without a measurement of their own between those around them in the same unbroken run.

    What lies behind a run's last measurement keeps its value.
    """
    values_TX = values_TX.copy()
    for start, stop in runs(present_T):
        part = slice(start, stop)
        if not read_T[part].all():
            values_TX[part], _ = fill_short_gaps(values_TX[part], read_T[part], pts_s_T[part], np.inf)
    return values_TX


def moving_mean(values_T: NDArray[np.float64], weights_T: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Weighted mean over `width` frames centred on each one (fewer at the ends); 0 where the weights are all 0."""
    kernel = np.ones(max(1, width) | 1)
    total = np.convolve(values_T * weights_T, kernel, "full")
    weight = np.convolve(weights_T, kernel, "full")
    half = len(kernel) // 2
    middle = slice(half, half + len(values_T))
    return np.asarray(np.divide(total[middle], weight[middle], out=np.zeros(len(values_T)), where=weight[middle] > 0))
