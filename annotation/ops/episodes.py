"""Rises of a signal above its rest: where each begins, peaks and has died away. T frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotation.ops.smoothing import runs

# An episode ends where the signal is half way between rest and the threshold that began it ...
_HOLD = 0.5
# ... and the movement from and to rest is followed until a tenth of the peak is left of it.
_LEFT_OF_PEAK = 0.1


@dataclass(frozen=True, slots=True)
class Episode:
    """Frame numbers: moving from onset, above the threshold or nearly so in [start, stop), at rest again at offset."""

    onset: int
    start: int
    apex: int
    stop: int
    offset: int


def episodes(
    value_T: NDArray[np.float64], rest_T: NDArray[np.float64], rise_T: NDArray[np.float64], present_T: NDArray[np.bool_]
) -> Iterator[Episode]:
    """Every time the signal rises above rest by `rise` or more, in order; never across frames that are absent.

    Hysteresis: noise at the threshold does not cut an episode in two.
    """
    above_T = value_T - rest_T
    for first, end in runs(present_T):
        taken = first
        for start, stop in runs(above_T[first:end] >= _HOLD * rise_T[first:end]):
            start, stop = start + first, stop + first
            if not (above_T[start:stop] >= rise_T[start:stop]).any():
                continue
            apex = start + int(np.argmax(value_T[start:stop]))
            left = _LEFT_OF_PEAK * above_T[apex]
            onset, offset = start, stop
            while onset > taken and left < above_T[onset - 1] <= above_T[onset]:
                onset -= 1
            while offset < end and left < above_T[offset] <= above_T[offset - 1]:
                offset += 1
            taken = offset
            yield Episode(onset, start, apex, stop, offset)


def noise(value_T: NDArray[np.float64]) -> float:
    """Standard deviation of frame-to-frame noise, from second differences, which steady motion does not have; 0 under
    three frames."""
    if len(value_T) < 3:
        return 0.0
    # 1.4826 makes the median absolute deviation of a normal distribution its standard deviation.
    return float(1.4826 * np.median(np.abs(np.diff(value_T, 2))) / np.sqrt(6))


def moving_median(value_T: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Median over `width` frames (made odd) centred on each one; at the ends over what there is of them."""
    half = max(1, width) // 2
    padded = np.pad(value_T, half, constant_values=np.nan)
    windows_TW = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    return np.asarray(np.nanmedian(windows_TW, axis=1))
