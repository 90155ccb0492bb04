"""What an unsteady hand adds to a camera's path: swings to and fro about the path it was meant to take."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The intended path is a parabola over half a second (Grundmann et al. 2011: steady shots are made of still, straight
# and parabolic pieces). Sway slower than about 2 Hz belongs to the path; a hand's tremor of 2-10 Hz does not.
PATH_WINDOW_S = 0.5
# A swing counts when it goes this far from the path, in rad: a quarter of a pixel in a picture 500 px wide.
_SWING_RAD = 0.0005
# While the view travels, a swing smaller than this share of the way is unevenness of the move, or of its measurement.
_SWING_OF_TRAVEL = 0.015
# Swings no further apart than this belong to one shake, and a shake lasts: the start of a pan swings too, once.
_PAUSE_S = 0.35
_LASTS_S = 1.0
_SWINGS_PER_S = 3.0


def deviation_from_path(value_T: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """value_T less its local parabola: least squares over `width` frames around each, fewer to one side at the ends.

    0 throughout when there are fewer than five frames to fit.
    """
    T = len(value_T)
    width = min(width | 1, T if T % 2 else T - 1)
    if width < 5:
        return np.zeros(T)
    basis = np.vander(np.arange(width) - width // 2, 3).astype(np.float64)
    project = basis @ np.linalg.pinv(basis)
    windows = np.lib.stride_tricks.sliding_window_view(value_T, width)
    half = width // 2
    smooth_T = np.empty(T)
    smooth_T[half : T - half] = windows @ project[half]
    smooth_T[:half] = project[:half] @ value_T[:width]
    smooth_T[T - half :] = project[half + 1 :] @ value_T[T - width :]
    return value_T - smooth_T


def shaking(path_rad_T2: NDArray[np.float64], step_s: float) -> NDArray[np.bool_]:
    """Where the viewing direction (pan and tilt summed up, unbroken, one entry per step_s) swings as a hand does."""
    T = len(path_rad_T2)
    width = round(PATH_WINDOW_S / step_s)
    turns: list[int] = []
    for axis in range(2):
        deviation_T = deviation_from_path(path_rad_T2[:, axis], width)
        half = max(1, width // 2)
        padded_T = np.pad(path_rad_T2[:, axis], half, mode="edge")
        travel_T = np.abs(padded_T[2 * half :] - padded_T[: -2 * half])
        far = np.flatnonzero(np.abs(deviation_T) > np.maximum(_SWING_RAD, _SWING_OF_TRAVEL * travel_T))
        turns += far[1:][np.diff(np.sign(deviation_T[far])) != 0].tolist()
    shaking_T = np.zeros(T, np.bool_)
    if not turns:
        return shaking_T
    turns.sort()
    breaks = np.flatnonzero(np.diff(turns) * step_s > _PAUSE_S) + 1
    for chain in np.split(np.array(turns), breaks):
        lasts_s = float(chain[-1] - chain[0]) * step_s
        if lasts_s >= min(_LASTS_S, 0.6 * T * step_s) and len(chain) >= _SWINGS_PER_S * lasts_s:
            margin = round(_PAUSE_S / step_s)
            shaking_T[max(0, chain[0] - margin) : chain[-1] + margin + 1] = True
    return shaking_T


def shake_rad(path_rad_T2: NDArray[np.float64], step_s: float) -> float:
    """Root mean square distance of the viewing direction from its path, in rad; 0 for a tripod."""
    width = round(PATH_WINDOW_S / step_s)
    deviation_2T = [deviation_from_path(path_rad_T2[:, axis], width) for axis in range(2)]
    return float(np.sqrt(np.square(deviation_2T).sum(axis=0).mean())) if len(path_rad_T2) else 0.0
