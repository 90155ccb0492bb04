"""How the body is held: standing, sitting, bent, leaning, on which legs. Each posture lasts 0.3 s or longer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotation.actions.motion import BodyMotion, Mask, Values
from annotation.actions.spans import states
from annotation.body import (
    LEFT_ANKLE,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    NOSE,
    RIGHT_ANKLE,
    RIGHT_HIP,
    RIGHT_KNEE,
    RIGHT_SHOULDER,
)
from annotation.camera_moves import Interval

_SHOULDERS, _HIPS = (LEFT_SHOULDER, RIGHT_SHOULDER), (LEFT_HIP, RIGHT_HIP)
_LEGS = (LEFT_HIP, RIGHT_HIP, LEFT_KNEE, RIGHT_KNEE, LEFT_ANKLE, RIGHT_ANKLE)
_STRAIGHT_KNEE_RAD = np.radians(145)
_BENT_KNEE_RAD = np.radians(115)
_BENT_FORWARD_RAD = np.radians(40)
_BENT_TRUNK_BH = 0.29 * 0.85
_LOW_HEAD_WIDTHS = 0.28
_FRONTAL = 0.7
_LEANING_RAD = np.radians(18)
_LYING_RAD = np.radians(60)
# A standing person's hips are 0.49 body heights above the ankles; half way down to a deep squat is 0.33.
_STANDING_HIPS_BH, _LOW_HIPS_BH = 0.38, 0.33
# Seated, the hips are behind the ankles by most of a thigh (0.245 of the height).
_SEATED_BEHIND_BH = 0.15
_RAISED_FOOT_BH = 0.12
_LUNGE_BH = 0.38


def torso_pitch_lean_rad(m: BodyMotion) -> NDArray[np.float64]:
    """(T, 2): the torso's angle from upright, forward, and to the person's left. Forward is 0 without depth."""
    if not m.in_space:
        up_T2 = m.middle(*_SHOULDERS) - m.middle(*_HIPS)
        return np.stack([np.zeros(len(up_T2)), np.arctan2(up_T2[:, 0], -up_T2[:, 1])], axis=1)
    up_T3 = m.own(m.space_bh_TJ3[:, _SHOULDERS].mean(axis=1) - m.space_bh_TJ3[:, _HIPS].mean(axis=1))
    return np.stack([np.arctan2(up_T3[:, 2], up_T3[:, 1]), np.arctan2(up_T3[:, 0], up_T3[:, 1])], axis=1)


def hips_above_ankles_bh(m: BodyMotion) -> Values:
    ankles_T2, hips_T2 = m.at_bh_TJ2[:, [LEFT_ANKLE, RIGHT_ANKLE]], m.middle(*_HIPS)
    return np.asarray(ankles_T2[..., 1].max(axis=1) - hips_T2[:, 1])


def postures(m: BodyMotion) -> list[Interval]:
    """stand, sit, squat, kneel, lie, bend_forward, lean_*, lunge, raise_*_leg."""
    pitch_T, lean_T = torso_pitch_lean_rad(m).T
    torso_T, legs_T = m.sees(*_SHOULDERS, *_HIPS), m.sees(*_SHOULDERS, *_LEGS)
    conf_torso_T, conf_legs_T = m.conf(*_SHOULDERS, *_HIPS), m.conf(*_SHOULDERS, *_LEGS)
    lying_T = torso_T & _lying(m)
    knees_T2 = np.stack(
        [m.angle(*leg) for leg in ((LEFT_HIP, LEFT_KNEE, LEFT_ANKLE), (RIGHT_HIP, RIGHT_KNEE, RIGHT_ANKLE))], axis=1
    )
    upright_T = (np.abs(pitch_T) < _BENT_FORWARD_RAD) & (np.abs(lean_T) < _BENT_FORWARD_RAD) & ~lying_T
    high_T = hips_above_ankles_bh(m)
    behind_T = _hips_behind_ankles_bh(m)
    kneeling_T = legs_T & ~lying_T & _kneeling(m)
    both_bent_T = legs_T & ~lying_T & ~kneeling_T & (knees_T2 < _BENT_KNEE_RAD + np.radians(20)).all(axis=1)
    # Seated legs hang or stand in front: seen from the front the thighs point at the camera, but the knees are bent.
    sitting_T = both_bent_T & (behind_T > _SEATED_BEHIND_BH) & (pitch_T < np.radians(55))
    lunge_T = legs_T & ~lying_T & ~kneeling_T & ~sitting_T & _lunging(m, knees_T2)
    squatting_T = (
        both_bent_T & ~sitting_T & ~lunge_T & (knees_T2 < _BENT_KNEE_RAD).all(axis=1) & (high_T < _LOW_HIPS_BH)
    )
    standing_T = legs_T & upright_T & (knees_T2 > _STRAIGHT_KNEE_RAD).all(axis=1) & (high_T > _STANDING_HIPS_BH)
    # A trunk bent forward is lower in the picture from every side; depth alone errs by tens of degrees.
    trunk_high_T = m.middle(*_HIPS)[:, 1] - m.middle(*_SHOULDERS)[:, 1]
    bent_T = torso_T & ~lying_T & ~sitting_T & (pitch_T > _BENT_FORWARD_RAD) & (trunk_high_T < _BENT_TRUNK_BH)
    # Seen from the side, to the left or right is along the line of sight.
    frontal_T = torso_T & ~lying_T & (np.abs(m.frame_T33[:, 0, 0]) > _FRONTAL)
    found: list[Interval] = states("bend_forward", _head_low(m), 0.6 * m.conf(*_SHOULDERS, NOSE), m.pts_s_T, 0.4)
    for label, active_T, conf_T in (
        ("stand", standing_T, conf_legs_T),
        ("sit", sitting_T, conf_legs_T),
        ("squat", squatting_T, conf_legs_T),
        ("kneel", kneeling_T, conf_legs_T),
        ("lie", lying_T, conf_torso_T),
        ("lunge", lunge_T, conf_legs_T),
        ("bend_forward", bent_T, conf_torso_T * _margin(pitch_T, _BENT_FORWARD_RAD)),
        ("lean_left", frontal_T & (lean_T > _LEANING_RAD), conf_torso_T * _margin(lean_T, _LEANING_RAD)),
        ("lean_right", frontal_T & (lean_T < -_LEANING_RAD), conf_torso_T * _margin(-lean_T, _LEANING_RAD)),
    ):
        found += states(label, active_T, conf_T, m.pts_s_T)
    rise_T = m.at_bh_TJ2[:, RIGHT_ANKLE, 1] - m.at_bh_TJ2[:, LEFT_ANKLE, 1]
    on_one_T = legs_T & ~lying_T & ~kneeling_T & ~sitting_T & ~squatting_T & ~lunge_T & upright_T
    found += states("raise_left_leg", on_one_T & (rise_T > _RAISED_FOOT_BH), conf_legs_T, m.pts_s_T)
    found += states("raise_right_leg", on_one_T & (rise_T < -_RAISED_FOOT_BH), conf_legs_T, m.pts_s_T)
    return found


def _head_low(m: BodyMotion) -> Mask:
    """With the hips out of the picture: the head hangs in front of the shoulders. Upright people who face the camera
    have the nose 0.4-0.6 shoulder widths above them (Drillis and Contini 1966: 0.42)."""
    width_T = np.abs(m.at_bh_TJ2[:, LEFT_SHOULDER, 0] - m.at_bh_TJ2[:, RIGHT_SHOULDER, 0])
    seen_T = m.sees(*_SHOULDERS, NOSE) & ~m.seen_TJ[:, list(_HIPS)].any(axis=1)
    frontal_T = width_T > 0.75 * (float(np.median(width_T[seen_T])) if seen_T.any() else 0.0)
    above_T = m.middle(*_SHOULDERS)[:, 1] - m.at_bh_TJ2[:, NOSE, 1]
    return np.asarray(seen_T & frontal_T & (above_T < _LOW_HEAD_WIDTHS * width_T))


def _margin(value_T: Values, threshold: float) -> Values:
    """0.5 at the threshold, rising to 1 at half as much again."""
    return np.asarray(np.clip(value_T / threshold, 0, 1.5) - 0.5)


def _hips_behind_ankles_bh(m: BodyMotion) -> Values:
    """Horizontal distance of the hips from the ankles' middle, in space; in the picture where depth is missing."""
    if m.in_space:
        ankles_T3 = m.space_bh_TJ3[:, [LEFT_ANKLE, RIGHT_ANKLE]].mean(axis=1)
        return np.asarray(np.linalg.norm(ankles_T3[:, [0, 2]], axis=1))
    return np.asarray(np.abs(m.middle(LEFT_ANKLE, RIGHT_ANKLE)[:, 0] - m.middle(*_HIPS)[:, 0]))


def _lying(m: BodyMotion) -> Mask:
    """The torso lies across the picture, and the knees, where seen, are no lower than a quarter of the height."""
    along_T2 = m.middle(*_SHOULDERS) - m.middle(*_HIPS)
    flat_T = np.abs(np.arctan2(along_T2[:, 0], -along_T2[:, 1])) > _LYING_RAD
    long_T = np.linalg.norm(along_T2, axis=1) > 0.15
    knees_T = m.middle(LEFT_KNEE, RIGHT_KNEE)[:, 1] - m.middle(*_HIPS)[:, 1]
    return np.asarray(flat_T & long_T & ((knees_T < 0.15) & m.sees(LEFT_KNEE, RIGHT_KNEE)))


def _kneeling(m: BodyMotion) -> Mask:
    """A knee as low as an ankle, and hips well above it."""
    found_T = np.zeros(len(m.pts_s_T), np.bool_)
    lowest_T = m.at_bh_TJ2[:, [LEFT_ANKLE, RIGHT_ANKLE], 1].max(axis=1)
    for hip, knee in ((LEFT_HIP, LEFT_KNEE), (RIGHT_HIP, RIGHT_KNEE)):
        knee_T = m.at_bh_TJ2[:, knee, 1]
        found_T |= (lowest_T - knee_T < 0.07) & (knee_T - m.at_bh_TJ2[:, hip, 1] > 0.12)
    return found_T


def _lunging(m: BodyMotion, knees_T2: Values) -> Mask:
    """Feet far apart and level, hips lowered; one foot ahead of the other, or one leg bent and the other straighter."""
    apart_T3 = m.from_to(RIGHT_ANKLE, LEFT_ANKLE) if m.in_space else np.zeros((len(m.pts_s_T), 3))
    if not m.in_space:
        apart_T3[:, 0] = m.at_bh_TJ2[:, LEFT_ANKLE, 0] - m.at_bh_TJ2[:, RIGHT_ANKLE, 0]
    far_T = np.hypot(apart_T3[:, 0], apart_T3[:, 2]) > _LUNGE_BH
    level_T = np.abs(m.at_bh_TJ2[:, LEFT_ANKLE, 1] - m.at_bh_TJ2[:, RIGHT_ANKLE, 1]) < 0.15
    uneven_T = (np.abs(apart_T3[:, 2]) > 0.3) | (np.ptp(knees_T2, axis=1) > np.radians(25))
    low_T = hips_above_ankles_bh(m) < 0.42
    return np.asarray(far_T & level_T & uneven_T & low_T & (knees_T2.min(axis=1) < _BENT_KNEE_RAD + np.radians(5)))
