"""From a camera track to named moves in clip time, and to a sentence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
# How far roll (per rad) and zoom (per log scale) move a typical pixel, in long sides of the frame: to compare axes.
_PIXEL_REACH = {"pan": 1.0, "tilt": 1.0, "roll": 0.3, "zoom": 0.3}
# An axis that moves pixels less than this share of another axis' net motion in the same time is a side effect of it.
_SIDE_EFFECT = 0.25
# A hand's sway is no pan: under shake, pan and tilt must carry the view this far, in rad.
_TOTAL_UNDER_SHAKE = 0.06
_SMOOTH_S = 0.4
_SHAKE_WINDOW_S = 0.5
# Root mean square deviation of pan and tilt from their half-second mean path that a hand shows and a tripod does not.
_SHAKE_RAD = 0.0015
# Changes of side per second, pan and tilt together, that make it a shake; calmer moments up to this long belong to it.
_SHAKE_TURNS_PER_S = 1.8
_SHAKE_PAUSE_S = 0.5
_SHORTEST_S = 0.2
# A gap in the measurement up to this long does not break `static`.
_BRIDGED_S = 0.5

_PHRASES = {
    "static": "holds still",
    "pan_left": "pans left",
    "pan_right": "pans right",
    "tilt_up": "tilts up",
    "tilt_down": "tilts down",
    "roll_cw": "rolls clockwise",
    "roll_ccw": "rolls counter-clockwise",
    "zoom_in": "zooms in",
    "zoom_out": "zooms out",
    "handheld": "is handheld",
}


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


def camera_moves(track: CameraTrack) -> list[Interval]:
    """Moves in order of their start. Frames whose background was not measured carry no label, not even `static`."""
    pts_s_T = track.pts_s_T
    T = len(pts_s_T)
    measured_T = track.inlier_fraction_T > 0
    if T < 2 or not measured_T.any():
        return []
    # The step into frame 0 does not exist; give it the state of the first step.
    measured_T[0] = measured_T[1]
    dt_s_T = np.diff(pts_s_T, prepend=2 * pts_s_T[0] - pts_s_T[1])
    step_s = float(np.median(dt_s_T[1:]))
    weight_T = measured_T.astype(np.float64)
    weight_T[0] = 0
    width = round(_SMOOTH_S / step_s)
    motion = {
        "pan": track.pan_tilt_roll_rad_T3[:, 0].astype(np.float64),
        "tilt": track.pan_tilt_roll_rad_T3[:, 1].astype(np.float64),
        "roll": track.pan_tilt_roll_rad_T3[:, 2].astype(np.float64),
        "zoom": np.log(np.maximum(track.zoom_T.astype(np.float64), 1e-6)),
    }
    rates = {axis: moving_mean(value_T / dt_s_T, weight_T, width) for axis, value_T in motion.items()}
    seen_T = moving_mean(weight_T, np.ones(T), width) > 0.5
    shaking_T = _shaking(motion, weight_T, step_s)
    moves: list[Interval] = []
    moving_T = np.zeros(T, np.bool_)
    for axis, rate_T in rates.items():
        for sign, label in zip((1, -1), _NAMES[axis], strict=True):
            active_T = (sign * rate_T > _RATE_AT_LEAST[axis]) & seen_T
            for start, stop in runs(active_T):
                totals = {each: float((motion[each] * weight_T)[start:stop].sum()) for each in motion}
                reach = {each: abs(total) * _PIXEL_REACH[each] for each, total in totals.items()}
                at_least = _TOTAL_AT_LEAST[axis] * _PIXEL_REACH[axis]
                if axis in ("pan", "tilt") and float(shaking_T[start:stop].mean()) > 0.5:
                    at_least = _TOTAL_UNDER_SHAKE
                at_least = max(at_least, _SIDE_EFFECT * max(reach.values()))
                if reach[axis] < at_least or (stop - start) * step_s < _SHORTEST_S:
                    continue
                speed = float(np.abs(rate_T[start:stop]).mean()) / _RATE_AT_LEAST[axis]
                inliers = float(track.inlier_fraction_T[max(1, start) : stop].mean())
                moves.append(interval(label, pts_s_T, start, stop, inliers * min(1.0, 0.4 + 0.2 * speed)))
                moving_T[start:stop] = True
    still_T = seen_T & ~shaking_T & ~moving_T
    for start, stop in runs(~still_T):
        # Stillness before and after a moment that could not be measured was stillness in between.
        unmeasured = not (seen_T & (shaking_T | moving_T))[start:stop].any()
        if unmeasured and start > 0 and stop < T and (stop - start) * step_s <= _BRIDGED_S:
            still_T[start:stop] = True
    for label, state_T in (("handheld", shaking_T & seen_T), ("static", still_T)):
        for start, stop in runs(state_T):
            if (stop - start) * step_s >= _SHORTEST_S or stop - start == T:
                inliers = float(track.inlier_fraction_T[max(1, start) : max(2, stop)].mean())
                moves.append(interval(label, pts_s_T, start, stop, inliers))
    return sorted(moves, key=lambda move: (move.start_s, move.end_s, move.label))


def _shaking(motion: dict[str, NDArray[np.float64]], weight_T: NDArray[np.float64], step_s: float) -> NDArray[np.bool_]:
    """Where the viewing direction swings about its own half-second mean path, judged over a second.

    Swinging means both far enough (root mean square) and to and fro: the start of a pan leaves the mean path once.
    """
    T = len(weight_T)
    a_second = max(1, round(1.0 / step_s)) | 1
    square_T, turns_T = np.zeros(T), np.zeros(T)
    for axis in ("pan", "tilt"):
        path_T = np.cumsum(motion[axis] * weight_T)
        width = round(_SHAKE_WINDOW_S / step_s)
        deviation_T = path_T - moving_mean(path_T, np.ones(T), width)
        # The mean path leans at the clip's ends, where it sees one side only.
        half = max(1, width) // 2
        deviation_T[:half] = 0
        deviation_T[max(0, T - half) :] = 0
        square_T += deviation_T**2
        swings = np.flatnonzero(np.abs(deviation_T) > _SHAKE_RAD / 3)
        turned = swings[1:][np.diff(np.sign(deviation_T[swings])) != 0]
        turns_T[turned] += 1
    rms_T = np.sqrt(moving_mean(square_T, np.ones(T), a_second))
    turns_per_s_T = moving_mean(turns_T, np.ones(T), a_second) / step_s
    shaking_T = (rms_T > _SHAKE_RAD) & (turns_per_s_T >= _SHAKE_TURNS_PER_S)
    for start, stop in runs(~shaking_T):
        if start > 0 and stop < T and (stop - start) * step_s < _SHAKE_PAUSE_S:
            shaking_T[start:stop] = True
    return shaking_T


def camera_text(moves: list[Interval], duration_s: float) -> str:
    """One sentence, in time order; moves shorter than a tenth of the clip are left out. Empty when nothing is known."""
    told = [m for m in moves if m.end_s - m.start_s >= 0.1 * duration_s and m.label != "handheld"]
    labels = [move.label for move in told]
    phrases = [_PHRASES[label] for label, last in zip(labels, [None, *labels], strict=False) if label != last]
    handheld_s = sum(move.end_s - move.start_s for move in moves if move.label == "handheld")
    subject = "The handheld camera" if handheld_s > 0.5 * duration_s else "The camera"
    if not phrases:
        return "The camera is handheld." if handheld_s > 0.5 * duration_s else ""
    if len(phrases) > 4:
        phrases = [*phrases[:3], f"finally {phrases[-1]}"]
    return f"{subject} {', then '.join(phrases)}."
