"""Expressions as events in clip time: when each begins, peaks and ends. docs/annotation lists them all.

Coefficients come from a network or from geometry (`FaceTrack.expression_names`); an expression whose coefficients the
track lacks is not looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.base import DENSE, ClipFrame
from annotation.camera_moves import Interval, interval
from annotation.ops.episodes import Episode, episodes, moving_median, noise
from annotation.ops.head import yaw_pitch_roll_rad
from schemas.tracks import FaceTrack

EXPRESSIONS_VERSION = "2"

Signal = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ExpressionEvent(Interval):
    """From onset (start_s) over the apex to the offset (end_s), where the face is at rest again."""

    apex_s: float

    def row(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "confidence": self.confidence,
            "onset_s": self.start_s,
            "apex_s": self.apex_s,
            "offset_s": self.end_s,
        }


@dataclass(frozen=True, slots=True)
class _Expression:
    """A label's signal, made of coefficients; it must reach `at_least` and rise `above_rest`.

    may_last: the face may hold it all through a clip; otherwise what it holds all through is how the face is made.
    micro:    whether a short one is a micro-expression, and where it could be mistaken for something else: in a mouth
              that speaks, in brows that go along with a blink.
    """

    label: str
    names: tuple[str, ...]
    combine: Callable[[NDArray[np.float64]], Signal]
    at_least: float
    above_rest: float
    may_last: bool
    micro: str | None = None


def _mean(columns_NT: NDArray[np.float64]) -> Signal:
    return np.asarray(columns_NT.mean(axis=0))


def _inner_or_outer(columns_NT: NDArray[np.float64]) -> Signal:
    return np.asarray(np.maximum(columns_NT[0], columns_NT[1:].mean(axis=0)))


_EXPRESSIONS = (
    _Expression("mouth_open", ("jawOpen",), _mean, 0.3, 0.2, may_last=True),
    _Expression("smile", ("mouthSmileLeft", "mouthSmileRight"), _mean, 0.4, 0.2, may_last=True, micro="mouth"),
    _Expression("frown", ("mouthFrownLeft", "mouthFrownRight"), _mean, 0.3, 0.2, may_last=True, micro="mouth"),
    _Expression("lips_pressed", ("mouthPressLeft", "mouthPressRight"), _mean, 0.4, 0.25, may_last=True),
    _Expression("pucker", ("mouthPucker",), _mean, 0.5, 0.3, may_last=False),
    _Expression(
        "brows_raised", ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), _inner_or_outer, 0.4, 0.25,
        may_last=False, micro="brows",
    ),
    _Expression("brows_lowered", ("browDownLeft", "browDownRight"), _mean, 0.3, 0.2, may_last=False, micro="brows"),
    _Expression("eyes_wide", ("eyeWideLeft", "eyeWideRight"), _mean, 0.3, 0.2, may_last=True),
)  # fmt: skip

# Every label that `expressions` may give.
EXPRESSION_LABELS = (
    *(each.label for each in _EXPRESSIONS),
    *(f"micro_{each.label}" for each in _EXPRESSIONS if each.micro),
    "blink", "eyes_closed", "wink_left", "wink_right",
)  # fmt: skip

# A clip's rest: what the face goes below in a fifth of the frames.
_REST_PERCENTILE = 20
_SHORTEST_S = 0.1
_EYES_SHUT, _SHUT_ABOVE_REST = 0.45, 0.2
# One eye is shut while the other stays this far from it: a wink.
_OTHER_EYE_OPEN = 0.25
# Longer than this, shut eyes are closed rather than blinking (Caffier et al. 2003: blinks last up to about 0.5 s).
_LONGEST_BLINK_S = 0.5
# Micro-expressions last up to half a second from onset to offset (Yan et al. 2013), and no less than a frame of video.
_MICRO_S = (0.04, 0.5)
# A micro-expression may be faint: this much, and this many standard deviations of frame-to-frame noise, above the
# median of the second around it.
_MICRO_RISE, _MICRO_NOISES, _MICRO_WINDOW_S = 0.1, 6.0, 1.0
# The jaw moves by this much within this time either way while a mouth speaks or eats.
_JAW_MOVES, _JAW_WITHIN_S = 0.1, 0.2
_BLINK_WITHIN_S = 0.1
# Landmarks of a head that turns faster than this shift a little over the face.
_HEAD_TURNS_RAD_PER_S = 0.6


# Outer corners of the eyes this far apart, in px of the frames that the networks see, leave two pixels for an open eye.
_EYES_APART_PX = 24
_EYE_CORNERS = (33, 263)
# Turned further away, the far half of a face is the network's guess. To compare one eye with the other, half of that.
_TURNED_RAD, _TURNED_FOR_WINKS_RAD = 0.8, 0.4


def expressions(face: FaceTrack, clip: ClipFrame) -> list[ExpressionEvent]:
    """Every expression of the table, blink, eyes_closed, wink_left, wink_right, and micro_LABEL; in order of start.

    Frames in which the face is too small or turned too far away to show an expression count as without a face.
    """
    face = replace(face, present_T=face.present_T & _legible(face, clip))
    if not face.present_T.any():
        return []
    column = {name: face.expression_TK[:, k].astype(np.float64) for k, name in enumerate(face.expression_names)}
    found, shut_T = _eyes(face, column)
    turning_T = _head_rad_per_s(face) > _HEAD_TURNS_RAD_PER_S
    blinking_T = _near(shut_T, round(_BLINK_WITHIN_S / _step_s(face)))
    mistakable = {
        "mouth": turning_T | (_range(column["jawOpen"], face, _JAW_WITHIN_S) > _JAW_MOVES)
        if "jawOpen" in column
        else turning_T,
        "brows": turning_T | blinking_T,
    }
    for expression in _EXPRESSIONS:
        if not set(expression.names) <= set(column):
            continue
        value_T = expression.combine(np.stack([column[name] for name in expression.names]))
        events = _events(expression, value_T, face, mistakable.get(expression.micro or ""))
        if expression.micro == "brows":
            events = [each for each in events if not _goes_along(each, face, blinking_T)]
        found += events
    return sorted(found, key=lambda each: (each.start_s, each.end_s, each.label))


def _events(
    expression: _Expression, value_T: Signal, face: FaceTrack, mistakable_T: NDArray[np.bool_] | None
) -> list[ExpressionEvent]:
    """Large movements by the table's thresholds, short ones among them as micro_LABEL; then the faint ones."""
    rest = float(np.percentile(value_T[face.present_T], _REST_PERCENTILE))
    if expression.may_last:
        rest = min(rest, expression.at_least - expression.above_rest)
    rise = max(expression.above_rest, expression.at_least - rest)
    ones_T = np.ones(len(value_T))
    found = []
    for each in episodes(value_T, rest * ones_T, rise * ones_T, face.present_T):
        # Half of the confidence is for reaching the threshold, all of it for twice as much.
        event = _event(expression.label, each, face, (value_T[each.apex] - rest) / (2 * rise))
        short = _is_micro(event, each, face, mistakable_T)
        if short:
            event = _event(f"micro_{expression.label}", each, face, event.confidence)
        if short or event.end_s - event.start_s >= _SHORTEST_S:
            found.append(event)
    if mistakable_T is None:
        return found
    around_T = np.zeros_like(value_T)
    around_T[face.present_T] = moving_median(value_T[face.present_T], round(_MICRO_WINDOW_S / _step_s(face)))
    rise = max(_MICRO_RISE, _MICRO_NOISES * noise(value_T[face.present_T]))
    for each in episodes(value_T, around_T, rise * ones_T, face.present_T):
        event = _event(f"micro_{expression.label}", each, face, (value_T[each.apex] - around_T[each.apex]) / (4 * rise))
        apart = all(event.end_s <= other.start_s or other.end_s <= event.start_s for other in found)
        if apart and _is_micro(event, each, face, mistakable_T):
            found.append(event)
    return found


def _goes_along(event: ExpressionEvent, face: FaceTrack, blinking_T: NDArray[np.bool_]) -> bool:
    """Brows that move for as long as a blink, around one, move with it."""
    within_T = (face.pts_s_T >= event.start_s - 1e-3) & (face.pts_s_T < event.end_s - 1e-3)
    return event.end_s - event.start_s <= _LONGEST_BLINK_S and bool(blinking_T[within_T].any())


def _is_micro(
    event: ExpressionEvent, episode: Episode, face: FaceTrack, mistakable_T: NDArray[np.bool_] | None
) -> bool:
    """Short, with both its beginning and its end seen, and nothing else going on."""
    if mistakable_T is None or mistakable_T[episode.onset : episode.offset].any():
        return False
    whole = episode.onset > 0 and episode.offset < len(face.present_T)
    whole = whole and bool(face.present_T[episode.onset - 1] and face.present_T[episode.offset])
    # Times are rounded to milliseconds.
    return whole and _MICRO_S[0] - 1e-3 <= event.end_s - event.start_s <= _MICRO_S[1] + 1e-3


def _eyes(face: FaceTrack, column: Mapping[str, Signal]) -> tuple[list[ExpressionEvent], NDArray[np.bool_]]:
    """blink, eyes_closed, wink_left, wink_right; and the frames in which an eye is shut."""
    shut_T = np.zeros(len(face.present_T), np.bool_)
    if not {"eyeBlinkLeft", "eyeBlinkRight"} <= set(column):
        return [], shut_T
    left_T, right_T = column["eyeBlinkLeft"], column["eyeBlinkRight"]
    signals = {
        "eyes_closed": np.minimum(left_T, right_T),
        "wink_left": np.where(right_T <= left_T - _OTHER_EYE_OPEN, left_T, 0),
        "wink_right": np.where(left_T <= right_T - _OTHER_EYE_OPEN, right_T, 0),
    }
    ones_T = np.ones(len(left_T))
    found: list[ExpressionEvent] = []
    frontal_T = np.abs(yaw_pitch_roll_rad(face.head_rotation_T33)[:, 0]) <= _TURNED_FOR_WINKS_RAD
    for label, value_T in signals.items():
        seen_T = face.present_T if label == "eyes_closed" else face.present_T & frontal_T
        rest = min(float(np.median(value_T[face.present_T])), _EYES_SHUT - _SHUT_ABOVE_REST)
        rise = _EYES_SHUT - rest
        for each in episodes(value_T, rest * ones_T, rise * ones_T, seen_T):
            event = _event(label, each, face, (value_T[each.apex] - rest) / (2 * rise))
            shut_s = interval(label, face.pts_s_T, each.start, each.stop, 0)
            if label == "eyes_closed":
                if shut_s.end_s - shut_s.start_s <= _LONGEST_BLINK_S:
                    event = _event("blink", each, face, event.confidence)
            elif event.end_s - event.start_s < _SHORTEST_S or any(
                event.start_s < other.end_s and other.start_s < event.end_s for other in found
            ):
                # One lid runs ahead of the other in many blinks.
                continue
            shut_T[each.onset : each.offset] = True
            found.append(event)
    return found, shut_T


def _event(label: str, episode: Episode, face: FaceTrack, confidence: float) -> ExpressionEvent:
    whole = interval(label, face.pts_s_T, episode.onset, episode.offset, float(confidence))
    return ExpressionEvent(
        label, whole.start_s, whole.end_s, whole.confidence, round(float(face.pts_s_T[episode.apex]), 3)
    )


def _step_s(face: FaceTrack) -> float:
    return float(np.median(np.diff(face.pts_s_T))) if len(face.pts_s_T) > 1 else 1.0


def _legible(face: FaceTrack, clip: ClipFrame) -> NDArray[np.bool_]:
    assert DENSE.short_side_px is not None
    seen_per_px = min(1.0, DENSE.short_side_px / min(clip.width_px, clip.height_px))
    right, left = _EYE_CORNERS
    # In depth too: a head turned aside is as large as one that faces the camera.
    apart_T = np.linalg.norm(face.landmarks_3d_TL3[:, right] - face.landmarks_3d_TL3[:, left], axis=1) * seen_per_px
    yaw_T, pitch_T, _ = yaw_pitch_roll_rad(face.head_rotation_T33).T
    facing_T = (np.abs(yaw_T) <= _TURNED_RAD) & (np.abs(pitch_T) <= _TURNED_RAD)
    return np.asarray((apart_T >= _EYES_APART_PX) & facing_T)


def _head_rad_per_s(face: FaceTrack) -> Signal:
    """(T,): how fast the head turns, over two frames around each; 0 at the ends and beside absent frames."""
    speed_T = np.zeros(len(face.present_T))
    if len(speed_T) < 3:
        return speed_T
    trace_T = np.einsum("tij,tij->t", face.head_rotation_T33[2:], face.head_rotation_T33[:-2])
    angle_T = np.arccos(np.clip((trace_T - 1) / 2, -1, 1))
    both_T = face.present_T[2:] & face.present_T[:-2]
    speed_T[1:-1] = np.where(both_T, angle_T / (face.pts_s_T[2:] - face.pts_s_T[:-2]), 0)
    return speed_T


def _range(value_T: Signal, face: FaceTrack, within_s: float) -> Signal:
    """(T,): greatest minus least within that time either way."""
    half = max(1, round(within_s / _step_s(face)))
    windows_TW = np.lib.stride_tricks.sliding_window_view(np.pad(value_T, half, mode="edge"), 2 * half + 1)
    return np.asarray(np.ptp(windows_TW, axis=1))


def _near(mask_T: NDArray[np.bool_], frames: int) -> NDArray[np.bool_]:
    """True also up to that many frames away."""
    return np.convolve(mask_T, np.ones(2 * frames + 1), "same") > 0.5
