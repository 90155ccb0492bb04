"""What head and mouth do: nodding, shaking, looking aside, tilting, talking.

From the face's rotation where a face was found in most of the frames with a person, else from the body's head joints,
with wider thresholds: those jitter by several degrees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from annotation.actions.locomotion import facing_rad
from annotation.actions.motion import BodyMotion, Mask, Values
from annotation.actions.spans import bridged, held, labelled, states, swings
from annotation.base import ClipFrame
from annotation.body import LEFT_EAR, LEFT_SHOULDER, NOSE, RIGHT_EAR, RIGHT_SHOULDER
from annotation.camera_moves import Interval
from annotation.ops.head import yaw_pitch_roll_rad
from annotation.ops.smoothing import moving_mean
from schemas.tracks import FaceTrack

# Head gestures repeat at 0.5-5 times a second (Hadar et al. 1983); half a cycle, with room for slow motion.
_HALF_S = (0.08, 1.2)
_NOD_RAD, _SHAKE_RAD, _RHYTHM = np.radians(9), np.radians(12), 2.5
_LOOK_ASIDE_RAD, _LOOK_UP_RAD, _LOOK_DOWN_RAD, _TILT_RAD = (np.radians(a) for a in (28, 20, 26, 16))
_BY_BODY = 1.7
# From forehead to chin, in px of the frames that the networks see (480 px short side at most). A smaller face has its
# eyes' outer corners under 24 px apart: the landmarks tremble by more than lips move, and the angles by some degrees.
_FACE_PX, _SEEN_SHORT_SIDE_PX = 44, 480
_CALM_BH_PER_S, _CALM_RAD_PER_S = 0.25, 0.4
# Lips of a talking mouth open and close 3-8 times a second (Chandrasekaran et al. 2009: 2-7 Hz); slow motion halves it.
_TALK_GAP, _TALK_HALF_S, _TALK_AT_LEAST_S = 0.02, (0.03, 0.5), 1.0
# A face found again within this time was there in between.
_LOST_S = 0.15
_PROFILE_RAD = np.radians(40)
_INNER_LIPS, _FOREHEAD, _CHIN = (13, 14), 10, 152


@dataclass(frozen=True, slots=True)
class _Head:
    """Angles in rad over time: to the person's left, up, tilted to the left; where they were measured."""

    yaw_T: Values
    pitch_T: Values
    roll_T: Values
    known_T: Mask
    conf_T: Values
    coarse: float
    trembles: bool = False


def head_actions(m: BodyMotion | None, face: FaceTrack | None, clip: ClipFrame) -> list[Interval]:
    """nod, shake_head, look_*, tilt_head_*, talk."""
    found: list[Interval] = []
    if face is not None and len(face.pts_s_T) > 1 and float(face.present_T.mean()) > 0.3:
        seen_px_T = _heights_px(face) * min(1.0, _SEEN_SHORT_SIDE_PX / min(clip.width_px, clip.height_px))
        trembles = bool(np.median(seen_px_T[face.present_T]) < _FACE_PX)
        found += _gestures(replace(_by_face(face, m), trembles=trembles), face.pts_s_T)
        found += _talking(face, seen_px_T >= _FACE_PX)
    elif m is not None and m.in_space:
        found += _gestures(_by_body(m), m.pts_s_T)
    return found


def _by_face(face: FaceTrack, m: BodyMotion | None) -> _Head:
    # A face lost for a moment has the identity for its rotation, which would look like a jerk of the head.
    yaw_T, pitch_T, roll_T = (held(angle_T, face.present_T) for angle_T in yaw_pitch_roll_rad(face.head_rotation_T33).T)
    if m is not None and m.in_space:
        # A person who stands turned looks ahead, not aside; and one who leans does not tilt the head.
        seen_T = m.sees(LEFT_SHOULDER, RIGHT_SHOULDER)
        turned_T = moving_mean(facing_rad(m), seen_T.astype(np.float64), m.frames(0.5))
        yaw_T = np.where(seen_T, np.arctan2(np.sin(yaw_T - turned_T), np.cos(yaw_T - turned_T)), yaw_T)
        across_T2 = m.at_bh_TJ2[:, LEFT_SHOULDER] - m.at_bh_TJ2[:, RIGHT_SHOULDER]
        frontal_T = seen_T & (across_T2[:, 0] > 0.1)
        slope_T = np.arctan2(across_T2[:, 1], across_T2[:, 0])
        roll_T = np.where(frontal_T, roll_T - slope_T, roll_T)
    return _Head(yaw_T, pitch_T, roll_T, face.present_T.copy(), np.full(len(yaw_T), 0.9), 1.0)


def _by_body(m: BodyMotion) -> _Head:
    ears_T3 = m.space_bh_TJ3[:, [LEFT_EAR, RIGHT_EAR]].mean(axis=1)
    ahead_T3 = m.own(m.space_bh_TJ3[:, NOSE] - ears_T3)
    across_T3 = m.own(m.space_bh_TJ3[:, LEFT_EAR] - m.space_bh_TJ3[:, RIGHT_EAR])
    # A trunk that lies across the picture turns all three angles.
    known_T = m.sees(NOSE, LEFT_EAR, RIGHT_EAR, LEFT_SHOULDER, RIGHT_SHOULDER) & m.upright()
    # On a person who walks or turns, the body's few head joints say too little of the head alone.
    ones_T, half_second = np.ones(len(known_T)), m.frames(0.5)
    turning_T = np.abs(np.gradient(moving_mean(facing_rad(m), ones_T, half_second), m.pts_s_T))
    going_T = m.speed(m.still_bh_TJ2[:, [LEFT_SHOULDER, RIGHT_SHOULDER]].mean(axis=1))
    restless_T = (turning_T > _CALM_RAD_PER_S) | (
        moving_mean(going_T, np.ones(len(known_T)), m.frames(0.5)) > _CALM_BH_PER_S
    )
    known_T = known_T & ~restless_T
    yaw_T = np.arctan2(ahead_T3[:, 0], ahead_T3[:, 2])
    pitch_T = np.arctan2(ahead_T3[:, 1], np.hypot(ahead_T3[:, 0], ahead_T3[:, 2]))
    # The nose is below the ears by an angle of the person's own: what is usual in the clip is straight ahead.
    level = float(np.median(pitch_T[known_T])) if known_T.any() else 0.0
    roll_T = np.arctan2(-across_T3[:, 1], across_T3[:, 0])
    smooth = [
        moving_mean(each_T, known_T.astype(np.float64), m.frames(0.12)) for each_T in (yaw_T, pitch_T - level, roll_T)
    ]
    return _Head(smooth[0], smooth[1], smooth[2], known_T, 0.6 * m.conf(NOSE, LEFT_EAR, RIGHT_EAR), _BY_BODY)


def _gestures(head: _Head, pts_s_T: Values) -> list[Interval]:
    step_s = float(np.median(np.diff(pts_s_T)))
    known_T = bridged(head.known_T, int(_LOST_S / step_s))
    rough = _BY_BODY if head.trembles else head.coarse
    found: list[Interval] = []
    for label, value_T, other_T, swing in (
        ("nod", head.pitch_T, head.yaw_T, _NOD_RAD),
        ("shake_head", head.yaw_T, head.pitch_T, _SHAKE_RAD),
    ):
        spans = [
            (start, stop)
            for start, stop in swings(value_T, known_T, pts_s_T, swing * rough, _HALF_S, 3, _RHYTHM)
            if np.ptp(value_T[start:stop]) > 1.5 * np.ptp(other_T[start:stop])
        ]
        found += labelled(label, spans, head.conf_T, pts_s_T)
    calm = {
        "look_left": head.yaw_T > _LOOK_ASIDE_RAD * head.coarse,
        "look_right": head.yaw_T < -_LOOK_ASIDE_RAD * head.coarse,
        "look_up": head.pitch_T > _LOOK_UP_RAD * head.coarse,
        "look_down": head.pitch_T < -_LOOK_DOWN_RAD * head.coarse,
        "tilt_head_left": (head.roll_T > _TILT_RAD * head.coarse) & (np.abs(head.yaw_T) < _LOOK_ASIDE_RAD),
        "tilt_head_right": (head.roll_T < -_TILT_RAD * head.coarse) & (np.abs(head.yaw_T) < _LOOK_ASIDE_RAD),
    }
    for label, active_T in calm.items():
        found += states(label, active_T & head.known_T, 0.9 * head.conf_T, pts_s_T, 0.4)
    return found


def _heights_px(face: FaceTrack) -> Values:
    """(T,) forehead to chin."""
    at = face.landmarks_3d_TL3.astype(np.float64)
    return np.asarray(np.maximum(np.linalg.norm(at[:, _FOREHEAD] - at[:, _CHIN], axis=1), 1e-6))


def _talking(face: FaceTrack, large_T: Mask) -> list[Interval]:
    """The gap between the lips, as a share of the face's height, opens and closes again and again."""
    at = face.landmarks_3d_TL3.astype(np.float64)
    gap_T = np.linalg.norm(at[:, _INNER_LIPS[0]] - at[:, _INNER_LIPS[1]], axis=1) / _heights_px(face)
    # Of a mouth in profile the landmarks are guessed.
    yaw_T = yaw_pitch_roll_rad(face.head_rotation_T33)[:, 0]
    step_s = float(np.median(np.diff(face.pts_s_T)))
    gap_T = held(gap_T, face.present_T)
    seen_T = bridged(face.present_T & large_T & (np.abs(yaw_T) < _PROFILE_RAD), int(_LOST_S / step_s))
    spans = swings(gap_T, seen_T, face.pts_s_T, _TALK_GAP, _TALK_HALF_S, 4)
    active_T = np.zeros(len(gap_T), np.bool_)
    for start, stop in spans:
        active_T[start:stop] = True
    # Between words the mouth rests for a moment.
    active_T = bridged(active_T, int(0.8 / step_s))
    return states("talk", active_T, np.full(len(gap_T), 0.8), face.pts_s_T, _TALK_AT_LEAST_S)
