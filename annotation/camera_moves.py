"""From a camera track to named moves in clip time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.ops.shake import shake_rad, shaking
from annotation.ops.smoothing import moving_mean, runs
from schemas.tracks import CameraTrack

MOVE_LABELS = (
    "static", "pan_left", "pan_right", "tilt_up", "tilt_down", "roll_cw", "roll_ccw", "zoom_in", "zoom_out", "handheld",
)  # fmt: skip

# Slower than this is not called a move: rad/s for pan, tilt and roll; natural logarithm of scale per second for zoom.
_RATE_AT_LEAST = {"pan": 0.006, "tilt": 0.006, "roll": 0.02, "zoom": 0.012}
# A whole move must reach this total, in rad or log scale.
_TOTAL_AT_LEAST = {"pan": 0.012, "tilt": 0.012, "roll": 0.02, "zoom": 0.02}
_NAMES = {
    "pan": ("pan_right", "pan_left"),
    "tilt": ("tilt_up", "tilt_down"),
    "roll": ("roll_cw", "roll_ccw"),
    "zoom": ("zoom_in", "zoom_out"),
}
AXIS_OF = {label: axis for axis, labels in _NAMES.items() for label in labels}
# How far roll (per rad) and zoom (per log scale) move a typical pixel, in long sides of the frame: to compare axes.
_PIXEL_REACH = {"pan": 1.0, "tilt": 1.0, "roll": 0.3, "zoom": 0.3}
# An axis that moves pixels less than this share of another axis' net motion in the same time is a side effect of it.
_SIDE_EFFECT = 0.25
# A hand's sway is no move: under shake an axis must carry the view this far, in rad or log scale.
_TOTAL_WHEN_UNSURE = {"pan": 0.06, "tilt": 0.06, "roll": 0.06, "zoom": 0.06}
# The same where only people show a motion, who may have moved themselves (inlier fraction, annotation/camera).
_UNSURE = 0.3
_SMOOTH_S = 0.4
_SHORTEST_S = 0.2


@dataclass(frozen=True, slots=True)
class Interval:
    """A label over [start_s, end_s) of clip time with a confidence of 0-1."""

    label: str
    start_s: float
    end_s: float
    confidence: float

    def row(self) -> dict[str, Any]:
        return asdict(self)


def interval(label: str, pts_s_T: NDArray[np.float64], start: int, stop: int, confidence: float) -> Interval:
    """Frames [start, stop) as time: the last frame lasts as long as the clip's typical frame."""
    step_s = float(np.median(np.diff(pts_s_T))) if len(pts_s_T) > 1 else 0.0
    end_s = float(pts_s_T[stop]) if stop < len(pts_s_T) else float(pts_s_T[-1]) + step_s
    return Interval(label, round(float(pts_s_T[start]), 3), round(end_s, 3), round(float(np.clip(confidence, 0, 1)), 3))


def segments(track: CameraTrack) -> list[tuple[int, int]]:
    """Half-open ranges of frames within which every step was measured: what could not be measured, a cut above all,
    is never bridged."""
    T = len(track.pts_s_T)
    # Step t leads from frame t-1 to t: an unmeasured one begins a new segment.
    starts = [0, *(t for t in range(1, T) if track.inlier_fraction_T[t] <= 0)]
    return [(start, stop) for start, stop in zip(starts, [*starts[1:], T], strict=True) if stop - start >= 2]


def camera_moves(track: CameraTrack) -> list[Interval]:
    """Moves in order of their start. Frames whose background was not measured carry no label, not even `static`."""
    if len(track.pts_s_T) < 2:
        return []
    step_s = float(np.median(np.diff(track.pts_s_T)))
    moves: list[Interval] = []
    for start, stop in segments(track):
        moves += _moves_between(track, start, stop, step_s)
    return sorted(moves, key=lambda move: (move.start_s, move.end_s, move.label))


def camera_shake_rad(track: CameraTrack) -> float | None:
    """How far the viewing direction swings about its path, root mean square in rad; None when not measured."""
    if len(track.pts_s_T) < 2:
        return None
    step_s = float(np.median(np.diff(track.pts_s_T)))
    parts = []
    for start, stop in segments(track):
        path_T2 = np.concatenate([np.zeros((1, 2)), track.pan_tilt_roll_rad_T3[start + 1 : stop, :2]]).cumsum(axis=0)
        parts.append((stop - start, shake_rad(path_T2, step_s)))
    frames = sum(count for count, _ in parts)
    return float(np.sqrt(sum(count * rad**2 for count, rad in parts) / frames)) if frames else None


def _moves_between(track: CameraTrack, first: int, end: int, step_s: float) -> list[Interval]:
    """Moves of one segment: frames [first, end), whose steps after the first are all measured."""
    T = end - first
    dt_s_T = np.diff(track.pts_s_T[first:end], prepend=0.0)
    # The step into the first frame does not exist or was not measured.
    weight_T = np.ones(T)
    dt_s_T[0], weight_T[0] = step_s, 0.0
    motion = {
        axis: track.pan_tilt_roll_rad_T3[first:end, column].astype(np.float64) * weight_T
        for column, axis in enumerate(("pan", "tilt", "roll"))
    }
    motion["zoom"] = np.log(np.maximum(track.zoom_T[first:end].astype(np.float64), 1e-6)) * weight_T
    width = round(_SMOOTH_S / step_s)
    rates = {axis: moving_mean(value_T / dt_s_T, weight_T, width) for axis, value_T in motion.items()}
    shaking_T = shaking(np.stack([motion["pan"], motion["tilt"]], axis=1).cumsum(axis=0), step_s)

    unsure_T = track.inlier_fraction_T[first:end] < _UNSURE

    def sure(start: int, stop: int) -> float:
        return float(track.inlier_fraction_T[first + max(1, start) : first + max(2, stop)].mean())

    moves: list[Interval] = []
    moving_T = np.zeros(T, np.bool_)
    for axis, rate_T in rates.items():
        for sign, label in zip((1, -1), _NAMES[axis], strict=True):
            for start, stop in runs(sign * rate_T > _RATE_AT_LEAST[axis]):
                reach = {each: abs(float(motion[each][start:stop].sum())) * _PIXEL_REACH[each] for each in motion}
                unsure = float((shaking_T | unsure_T)[start:stop].mean()) > 0.5
                at_least = (_TOTAL_WHEN_UNSURE if unsure else _TOTAL_AT_LEAST)[axis] * _PIXEL_REACH[axis]
                at_least = max(at_least, _SIDE_EFFECT * max(reach.values()))
                if reach[axis] < at_least or (stop - start) * step_s < _SHORTEST_S:
                    continue
                speed = float(np.abs(rate_T[start:stop]).mean()) / _RATE_AT_LEAST[axis]
                confidence = sure(start, stop) * min(1.0, 0.4 + 0.2 * speed)
                moves.append(interval(label, track.pts_s_T, first + start, first + stop, confidence))
                moving_T[start:stop] = True
    for label, state_T in (("handheld", shaking_T), ("static", ~shaking_T & ~moving_T)):
        for start, stop in runs(state_T):
            if (stop - start) * step_s >= _SHORTEST_S or stop - start == len(track.pts_s_T):
                moves.append(interval(label, track.pts_s_T, first + start, first + stop, sure(start, stop)))
    return moves
