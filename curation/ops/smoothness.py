"""Rhythm of a series of changes. change_T[t] >= 0 is the change that arrived with frame t, at time pts_s_T[t]."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Mean luma change below which a frame shows the same picture again; encoders leave up to about this much.
SAME_PICTURE_LUMA = 0.12
# A repeated frame changes less than this share of what its neighbours change.
_REPEAT_SHARE = 0.15
_NEIGHBOUR_S = 0.25
_FREEZE_S = 0.5
# SPARC's cut-off: human movement has next to nothing above 10 Hz (Balasubramanian et al. 2015).
_CUTOFF_HZ = 10.0
_AMPLITUDE_FLOOR = 0.05


def freeze_share(pts_s_T: NDArray[np.float64], change_T: NDArray[np.float32]) -> float:
    """Share of time inside still stretches of at least half a second."""
    if len(pts_s_T) < 2:
        return 0.0
    steps_s = np.diff(pts_s_T, prepend=2 * pts_s_T[0] - pts_s_T[1])
    still_T = change_T < SAME_PICTURE_LUMA
    frozen_s, run_s = 0.0, 0.0
    for still, step_s in zip([*still_T.tolist(), False], [*steps_s.tolist(), 0.0], strict=True):
        if still:
            run_s += step_s
        else:
            frozen_s += run_s if run_s >= _FREEZE_S else 0.0
            run_s = 0.0
    return float(frozen_s / steps_s.sum())


def repeated_frames(pts_s_T: NDArray[np.float64], change_T: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Frames that repeat the picture while the scene around them moves."""
    repeated_T = np.zeros(len(change_T), dtype=np.bool_)
    starts = np.searchsorted(pts_s_T, pts_s_T - _NEIGHBOUR_S)
    ends = np.searchsorted(pts_s_T, pts_s_T + _NEIGHBOUR_S, side="right")
    for t, (start, end) in enumerate(zip(starts, ends, strict=True)):
        around = float(np.percentile(change_T[start:end], 75))
        repeated_T[t] = around > 2 * SAME_PICTURE_LUMA and change_T[t] < _REPEAT_SHARE * around
    return repeated_T


def judder_share(pts_s_T: NDArray[np.float64], change_T: NDArray[np.float32]) -> float:
    """Share of frames that repeat the one before in the middle of motion; 0 for an even cadence or a still clip."""
    return float(repeated_frames(pts_s_T, change_T).mean()) if len(change_T) else 0.0


def smoothness(pts_s_T: NDArray[np.float64], change_T: NDArray[np.float32]) -> float | None:
    """Spectral smoothness of the motion profile in 0-1; None for a still clip or one under half a second.

    The profile is change per second on an even time grid; its spectral arc length up to 10 Hz (SPARC: negative,
    nearer 0 is smoother, about -1.6 for one minimum-jerk movement) is mapped by exp of its excess per second.
    Source: Balasubramanian, Melendez-Calderon, Roby-Brami, Burdet 2015, "On the analysis of movement smoothness".
    """
    if len(pts_s_T) < 8 or pts_s_T[-1] - pts_s_T[0] < 0.5:
        return None
    duration_s = float(pts_s_T[-1] - pts_s_T[0])
    rate_hz = 2.5 * _CUTOFF_HZ
    grid_s = np.arange(pts_s_T[0], pts_s_T[-1], 1.0 / rate_hz)
    step_s = float(np.median(np.diff(pts_s_T)))
    speed = np.interp(grid_s, pts_s_T, change_T / step_s)
    if float(speed.max()) * step_s < SAME_PICTURE_LUMA:
        return None
    arc = spectral_arc_length(speed, rate_hz)
    # A longer clip holds more movements and so a longer arc: compare per second.
    return float(np.exp(-max(0.0, -arc - 1.6) / (4.0 * max(1.0, duration_s))))


def spectral_arc_length(speed_T: NDArray[np.float64], rate_hz: float) -> float:
    """SPARC of a speed profile sampled evenly at rate_hz: minus the length of its normalised amplitude spectrum."""
    padded = 1 << (int(np.ceil(np.log2(len(speed_T)))) + 4)
    amplitude = np.abs(np.fft.rfft(speed_T, padded))
    amplitude /= max(float(amplitude.max()), 1e-12)
    frequency_hz = np.fft.rfftfreq(padded, 1.0 / rate_hz)
    inside = frequency_hz <= _CUTOFF_HZ
    amplitude, frequency_hz = amplitude[inside], frequency_hz[inside]
    strong = np.flatnonzero(amplitude >= _AMPLITUDE_FLOOR)
    amplitude, frequency_hz = amplitude[: strong[-1] + 1], frequency_hz[: strong[-1] + 1]
    if len(amplitude) < 2:
        return 0.0
    span_hz = float(frequency_hz[-1] - frequency_hz[0])
    return -float(np.sum(np.hypot(np.diff(frequency_hz) / span_hz, np.diff(amplitude))))
