"""What the arms do: raised, waving, pointing, at the face or the hips, crossed, clapping, punching, throwing.

A rule looks at the wrists where the body says so; the fingers of the hands track decide where they are seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from annotation.actions.arm import STRAIGHT_ELBOW_RAD, Arm, arm_of, palms_apart_bh
from annotation.actions.motion import BodyMotion, Mask, Values
from annotation.actions.spans import labelled, states, swings, turning_points, without
from annotation.actions.strokes import gesturing, shrugging, strokes
from annotation.body import (
    LEFT_ELBOW,
    LEFT_HIP,
    LEFT_SHOULDER,
    LEFT_WRIST,
    NOSE,
    RIGHT_ELBOW,
    RIGHT_HIP,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
)
from annotation.camera_moves import Interval
from annotation.gestures import pointing_hands
from annotation.ops.smoothing import moving_mean
from schemas.tracks import HandsTrack

_LEVEL_BH = 0.17
_FEEDING_DEPTH_BH, _REACH_TO_MOUTH_BH = 0.15, 0.13
_MOUTHS, _EYES = (9, 10), (2, 5)
_AT_MOUTH_BH, _TIPS_AT_MOUTH_BH, _AT_FACE_BH, _AT_EYES_BH = 0.045, 0.065, 0.09, 0.055
_WAVE_RAD, _WAVE_HALF_S = np.radians(18), (0.08, 0.75)
# A forearm that waves swings up to some 45 degrees either way, about as far each time.
_WAVE_AT_MOST_RAD, _WAVE_EVEN = np.radians(100), 2.5
_CLAP_BH, _CLAP_WIDE_BH, _CLAP_HALF_S = 0.07, 0.45, (0.06, 0.5)
_RHYTHM = 2.2
_CLASPED_BH = 0.11


def arm_actions(m: BodyMotion, hands: HandsTrack | None, going: Sequence[Interval]) -> list[Interval]:
    """All labels of the group "arms" in the vocabulary. going: locomotion, during which arms merely swing."""
    arms = (arm_of(m, 0), arm_of(m, 1))
    found = _at_the_head(m, arms, hands)
    found += _raised(m, arms, found)
    found += _waving(m, arms)
    found += _clapping(m, arms)
    found += _folded(m, arms, found)
    found += _extended(m, arms, hands, found)
    found += strokes(m, arms, found)
    found += shrugging(m)
    gestures = gesturing(m, arms, [*found, *going])
    return found + [each for each in gestures if hands is None or not _hidden(each, hands)]


def _hidden(each: Interval, hands: HandsTrack) -> bool:
    """One hand is said to gesture and is never read meanwhile, though the other one is: the body network guesses it."""
    inside_T = (hands.pts_s_T >= each.start_s - 1e-3) & (hands.pts_s_T < each.end_s - 1e-3)
    side = {"gesture_left_hand": 0, "gesture_right_hand": 1}.get(each.label)
    present_T2 = hands.present_T2[inside_T]
    return side is not None and not present_T2[:, side].any() and bool(present_T2[:, 1 - side].mean() > 0.5)


def _raised(m: BodyMotion, arms: Sequence[Arm], at_head: Sequence[Interval]) -> list[Interval]:
    """A wrist above the nose, and not at the head. Both at once are one label."""
    upright_T = without(m.upright(), at_head, m.pts_s_T, ("facepalm", "hand_on_head", "touch_face"))
    up_T2 = np.stack(
        [
            upright_T & m.sees(arm.wrist, NOSE) & (m.at_bh_TJ2[:, arm.wrist, 1] < m.at_bh_TJ2[:, NOSE, 1])
            for arm in arms
        ],
        axis=1,
    )
    both_T = up_T2.all(axis=1)
    found = states("raise_both_hands", both_T, m.conf(LEFT_WRIST, RIGHT_WRIST), m.pts_s_T)
    for arm in arms:
        alone_T = up_T2[:, 0 if arm.side == "left" else 1] & ~both_T
        found += states(f"raise_{arm.side}_hand", alone_T, m.conf(arm.wrist), m.pts_s_T)
    return found


def _waving(m: BodyMotion, arms: Sequence[Arm]) -> list[Interval]:
    """The forearm of a lifted hand swings about the elbow, twice to each side or more, while the elbow stays."""
    found = []
    for arm in arms:
        forearm_T2 = m.at_bh_TJ2[:, arm.wrist] - m.at_bh_TJ2[:, arm.elbow]
        above_T = m.at_bh_TJ2[:, arm.wrist, 1] < m.at_bh_TJ2[:, arm.shoulder, 1] + 0.02
        up_T = arm.seen_T & (forearm_T2[:, 1] < -0.04) & above_T
        angle_T = np.arctan2(forearm_T2[:, 0], -forearm_T2[:, 1])
        calm_T = m.speed(m.at_bh_TJ2[:, arm.elbow] - m.at_bh_TJ2[:, arm.shoulder]) < 0.7
        spans = [
            (start, stop)
            for start, stop in swings(angle_T, up_T & calm_T, m.pts_s_T, _WAVE_RAD, _WAVE_HALF_S, 3, _RHYTHM)
            if _even(angle_T[start:stop])
        ]
        found += labelled(f"wave_{arm.side}", spans, arm.conf_T, m.pts_s_T)
    return found


def _even(angle_T: Values) -> bool:
    """The strokes of a wave are alike, and none is larger than a forearm's wave."""
    strokes_rad = np.abs(np.diff(angle_T[turning_points(angle_T, _WAVE_RAD)]))
    return bool(strokes_rad.max() < min(_WAVE_AT_MOST_RAD, _WAVE_EVEN * strokes_rad.min()))


def _clapping(m: BodyMotion, arms: Sequence[Arm]) -> list[Interval]:
    """The palms come together and part again, in front of the body."""
    left, right = arms
    apart_T = palms_apart_bh(m, arms)
    found = []
    for start, stop in swings(apart_T, left.seen_T & right.seen_T, m.pts_s_T, _CLAP_BH, _CLAP_HALF_S, 3, _RHYTHM):
        inside_T = apart_T[start:stop]
        turns = turning_points(inside_T, _CLAP_BH)
        closed = [t for t in turns if inside_T[t] < _CLASPED_BH]
        if len(closed) >= 2 and len(closed) < len(turns) and inside_T.max() < _CLAP_WIDE_BH:
            found.append((start, stop))
    return labelled("clap", found, (left.conf_T + right.conf_T) / 2, m.pts_s_T)


def _in_front_bh(m: BodyMotion, arm: Arm) -> Values:
    """(T,) how far the wrist is nearer to the camera than the nose; 0 where depth was not measured."""
    return np.asarray(m.space_bh_TJ3[:, NOSE, 2] - m.space_bh_TJ3[:, arm.wrist, 2])


def _at_the_head(m: BodyMotion, arms: Sequence[Arm], hands: HandsTrack | None) -> list[Interval]:
    """hand_on_head, facepalm, hand_to_mouth, touch_face: a palm at a place of the head, for 0.3 s or longer."""
    eyes_T2, mouth_T2, nose_T2 = m.middle(*_EYES), m.middle(*_MOUTHS), m.at_bh_TJ2[:, NOSE]
    up_T2 = eyes_T2 - mouth_T2
    up_T2 = up_T2 / np.maximum(np.linalg.norm(up_T2, axis=1, keepdims=True), 1e-6)
    pointing_T2 = pointing_hands(hands) if hands is not None else np.zeros((len(m.pts_s_T), 2), np.bool_)
    found = []
    for side, arm in enumerate(arms):
        # An arm stretched at the camera covers the face in the picture without touching it.
        seen_T = m.sees(arm.wrist, arm.elbow, NOSE) & (_in_front_bh(m, arm) < 0.22) & (arm.bend_T < np.radians(135))
        high_T = ((arm.palm_T2 - eyes_T2) * up_T2).sum(axis=1)
        aside_T = np.abs((arm.palm_T2 - eyes_T2)[:, 0] * up_T2[:, 1] - (arm.palm_T2 - eyes_T2)[:, 1] * up_T2[:, 0])
        on_head_T = seen_T & (high_T > 0.055) & (high_T < 0.17) & (aside_T < 0.1)
        at_mouth_T = seen_T & (np.linalg.norm(arm.palm_T2 - mouth_T2, axis=1) < _AT_MOUTH_BH)
        if hands is not None:
            # What is eaten is held in thumb and index finger.
            tips_T2 = hands.joints_px_T2J2[:, side, (4, 8)].mean(axis=1) / m.height_px_T2.max(axis=1)[:, None]
            feeds_T = np.linalg.norm(tips_T2 - mouth_T2, axis=1) < _TIPS_AT_MOUTH_BH
            near_T = m.sees(arm.wrist, NOSE) & (_in_front_bh(m, arm) < _FEEDING_DEPTH_BH)
            near_T &= ~pointing_T2[:, side] & (np.linalg.norm(arm.palm_T2 - mouth_T2, axis=1) < _REACH_TO_MOUTH_BH)
            at_mouth_T |= near_T & hands.present_T2[:, side] & feeds_T
        at_eyes_T = seen_T & (np.linalg.norm(arm.palm_T2 - eyes_T2, axis=1) < _AT_EYES_BH) & ~at_mouth_T
        at_face_T = seen_T & (np.linalg.norm(arm.palm_T2 - nose_T2, axis=1) < _AT_FACE_BH)
        at_face_T &= ~(at_mouth_T | at_eyes_T | on_head_T)
        conf_T = m.conf(arm.wrist, NOSE)
        found += states("hand_on_head", on_head_T, conf_T, m.pts_s_T)
        found += states("facepalm", at_eyes_T, conf_T, m.pts_s_T, 0.4)
        found += states("hand_to_mouth", at_mouth_T, conf_T, m.pts_s_T)
        found += states("touch_face", at_face_T, 0.8 * conf_T, m.pts_s_T)
    return _united(found)


def _united(found: Sequence[Interval]) -> list[Interval]:
    """Intervals of equal labels that overlap (both hands do the same) as one, with the greater confidence."""
    kept: list[Interval] = []
    for each in sorted(found, key=lambda e: (e.label, e.start_s)):
        last = kept[-1] if kept else None
        if last is not None and last.label == each.label and each.start_s <= last.end_s:
            kept[-1] = Interval(
                each.label, last.start_s, max(last.end_s, each.end_s), max(last.confidence, each.confidence)
            )
        else:
            kept.append(each)
    return kept


def _folded(m: BodyMotion, arms: Sequence[Arm], busy: Sequence[Interval]) -> list[Interval]:
    """cross_arms, hug_self, hands_on_hips, clasp_hands, hands_behind_head: both hands at a place of the body."""
    left, right = arms
    both_T, conf_T = left.seen_T & right.seen_T, (left.conf_T + right.conf_T) / 2
    at = m.at_bh_TJ2
    # From the person's right to left in the picture; short when the person stands sideways.
    across_T2 = at[:, LEFT_SHOULDER] - at[:, RIGHT_SHOULDER]
    width_T = np.maximum(np.linalg.norm(across_T2, axis=1), 1e-6)
    frontal_T = width_T > 0.1

    def along(point_T2: Values) -> Values:
        """0 at the right shoulder, 1 at the left."""
        return np.asarray(((point_T2 - at[:, RIGHT_SHOULDER]) * across_T2).sum(axis=1) / width_T**2)

    def near(point_T2: Values, joint: int, within: float) -> Mask:
        return np.asarray(np.linalg.norm(point_T2 - at[:, joint], axis=1) < within)

    crossed_T = both_T & frontal_T & (along(at[:, LEFT_WRIST]) < 0.45) & (along(at[:, RIGHT_WRIST]) > 0.55)
    to_shoulders_T = crossed_T.copy()
    for arm, shoulder, elbow in ((left, RIGHT_SHOULDER, RIGHT_ELBOW), (right, LEFT_SHOULDER, LEFT_ELBOW)):
        nearer_T = np.linalg.norm(arm.palm_T2 - at[:, shoulder], axis=1) < 0.8 * np.linalg.norm(
            arm.palm_T2 - at[:, elbow], axis=1
        )
        to_shoulders_T &= near(arm.palm_T2, shoulder, 0.12) & nearer_T
    to_elbows_T = near(left.palm_T2, RIGHT_ELBOW, 0.13) & near(right.palm_T2, LEFT_ELBOW, 0.13)
    arms_T = crossed_T & to_elbows_T & ~to_shoulders_T
    hips_T = both_T & m.sees(LEFT_HIP, RIGHT_HIP)
    for arm in arms:
        outward_T = arm.sign * (along(at[:, arm.elbow]) - along(at[:, arm.wrist]))
        waist_T2 = at[:, arm.hip] + 0.2 * (at[:, arm.shoulder] - at[:, arm.hip])
        close_T = np.linalg.norm(at[:, arm.wrist] - waist_T2, axis=1) < 0.1
        hips_T = hips_T & close_T & (outward_T * width_T > 0.05) & (arm.bend_T < np.radians(140))
    apart_T = palms_apart_bh(m, arms)
    hips_T = hips_T & (apart_T > _CLASPED_BH)
    below_T = at[:, [LEFT_WRIST, RIGHT_WRIST], 1].min(axis=1) > m.middle(LEFT_SHOULDER, RIGHT_SHOULDER)[:, 1] - 0.03
    clasped_T = both_T & below_T & (apart_T < _CLASPED_BH * 0.6) & ~crossed_T
    clasped_T = without(clasped_T, busy, m.pts_s_T, ("clap",))
    found = states("cross_arms", arms_T, conf_T, m.pts_s_T, 0.4)
    found += states("hug_self", to_shoulders_T, conf_T, m.pts_s_T, 0.4)
    found += states("hands_on_hips", hips_T, conf_T, m.pts_s_T, 0.4)
    found += states("clasp_hands", clasped_T, 0.9 * conf_T, m.pts_s_T, 0.4)
    return found


def _extended(m: BodyMotion, arms: Sequence[Arm], hands: HandsTrack | None, busy: Sequence[Interval]) -> list[Interval]:
    """arms_out (both straight to the sides), point_* (one index finger or one arm stretched out and held)."""
    at = m.at_bh_TJ2
    level_T2 = np.stack(
        [
            arm.seen_T
            & (arm.bend_T > STRAIGHT_ELBOW_RAD)
            & (np.abs(at[:, arm.wrist, 1] - at[:, arm.shoulder, 1]) < _LEVEL_BH)
            for arm in arms
        ],
        axis=1,
    )
    wide_T = np.linalg.norm(at[:, LEFT_WRIST] - at[:, RIGHT_WRIST], axis=1) > 0.65
    out_T = level_T2.all(axis=1) & wide_T
    conf_T = (arms[0].conf_T + arms[1].conf_T) / 2
    found = states("arms_out", out_T, conf_T, m.pts_s_T)
    trunk_T = m.speed(m.still_bh_TJ2[:, [LEFT_SHOULDER, RIGHT_SHOULDER]].mean(axis=1))
    rests_T = moving_mean(trunk_T, np.ones(len(out_T)), m.frames(0.5)) < 0.3
    for side, arm in enumerate(arms):
        calm_T = moving_mean(m.speed(at[:, arm.wrist] - at[:, arm.shoulder]), np.ones(len(out_T)), m.frames(0.2)) < 0.35
        pointing_T = level_T2[:, side] & ~level_T2[:, 1 - side] & calm_T & rests_T
        sure_T = 0.6 * arm.conf_T
        if hands is not None:
            shown_T = hands.present_T2[:, side]
            finger_T = pointing_hands(hands)[:, side]
            # The hand is lifted or held out: a lone straight finger in the lap or on a tool points at nothing.
            below_T = at[:, arm.wrist, 1] - at[:, arm.shoulder, 1]
            lifted_T = (below_T < 0.06) | ((below_T < 0.2) & (arm.bend_T > np.radians(80)))
            alone_T = palms_apart_bh(m, arms) > 0.04
            pointing_T = np.where(shown_T, finger_T & arm.seen_T & lifted_T & alone_T, pointing_T)
            sure_T = np.where(shown_T, 0.9 * arm.conf_T, sure_T)
        pointing_T = without(pointing_T, busy, m.pts_s_T, ("clap", f"wave_{arm.side}", "cross_arms", "hug_self"))
        found += states(f"point_{arm.side}", pointing_T, sure_T, m.pts_s_T, 0.4)
    return found
