"""What arms and shoulders do in passing: punching, throwing, shrugging, gesturing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from annotation.actions.arm import STRAIGHT_ELBOW_RAD, Arm
from annotation.actions.motion import BodyMotion, Mask, Values
from annotation.actions.spans import labelled, states, turning_points, without
from annotation.body import (
    LEFT_ANKLE,
    LEFT_EAR,
    LEFT_SHOULDER,
    RIGHT_ANKLE,
    RIGHT_EAR,
    RIGHT_SHOULDER,
)
from annotation.camera_moves import Interval
from annotation.ops.smoothing import moving_mean, runs

_BENT_ELBOW_RAD = np.radians(110)
_STROKE_BH_PER_S = 0.75
_GESTURE_BH_PER_S = 0.22
_ARM_BH = 0.33
_TURN_BH = 0.03


def strokes(m: BodyMotion, arms: Sequence[Arm], busy: Sequence[Interval]) -> list[Interval]:
    """punch_*, throw_*: an elbow snaps straight. A punch starts at the chest, a throw behind and above the shoulder."""
    found = []
    for arm in arms:
        reach_T3 = m.from_to(arm.shoulder, arm.wrist) if m.in_space else _flat(m, arm)
        speed_T = m.speed(reach_T3)
        free_T = without(arm.seen_T, busy, m.pts_s_T, (f"wave_{arm.side}", "clap"))
        for start, stop in runs(free_T & (speed_T > _STROKE_BH_PER_S)):
            before, after = max(0, start - m.frames(0.1)), min(len(speed_T), stop + m.frames(0.1))
            unbent = arm.bend_T[before:after].max() > STRAIGHT_ELBOW_RAD and arm.bend_T[before] < _BENT_ELBOW_RAD
            ends_T3 = reach_T3[before], reach_T3[after - 1]
            longer = np.linalg.norm(ends_T3[1]) - np.linalg.norm(ends_T3[0]) > 0.08
            if not unbent or not 0.04 <= (stop - start) * m.step_s <= 0.8:
                continue
            if ends_T3[0][1] > 0.02 and ends_T3[0][2] < 0.06 and ends_T3[1][2] - ends_T3[0][2] > 0.12:
                found += labelled(f"throw_{arm.side}", [(before, after)], arm.conf_T, m.pts_s_T)
            elif longer and ends_T3[0][1] < 0.05 and abs(ends_T3[1][1]) < 0.12 and ends_T3[1][2] > 0.15:
                found += labelled(f"punch_{arm.side}", [(before, after)], arm.conf_T, m.pts_s_T)
    return found


def _flat(m: BodyMotion, arm: Arm) -> Values:
    """Shoulder to wrist in the picture as left, up, forward 0: without depth nothing goes forward."""
    reach_T2 = m.at_bh_TJ2[:, arm.wrist] - m.at_bh_TJ2[:, arm.shoulder]
    return np.stack([reach_T2[:, 0], -reach_T2[:, 1], np.zeros(len(reach_T2))], axis=1)


def shrugging(m: BodyMotion) -> list[Interval]:
    """Both shoulders rise towards the ears by a fifth of their distance while the head stays, and sink again within two
    seconds."""
    both = (LEFT_SHOULDER, RIGHT_SHOULDER)
    ears = (LEFT_EAR, RIGHT_EAR)
    gap_T2 = m.at_bh_TJ2[:, both, 1] - m.at_bh_TJ2[:, ears, 1]
    seen_T = m.sees(*both, *ears) & m.upright()
    if not seen_T.any():
        return []
    up_T = seen_T & (gap_T2 < 0.78 * np.median(gap_T2[seen_T], axis=0)).all(axis=1)
    spans = []
    for start, stop in runs(up_T):
        before, after = start - m.frames(0.25), stop + m.frames(0.25)
        if before < 0 or after >= len(up_T) or not seen_T[before:after].all():
            continue
        peak = start + int(np.argmin(gap_T2[start:stop].sum(axis=1)))
        shoulders_T, ears_T = (m.still_bh_TJ2[:, each, 1].mean(axis=1) for each in (both, ears))
        for rest in (before, after):
            rise, head = shoulders_T[rest] - shoulders_T[peak], ears_T[rest] - ears_T[peak]
            if rise < 0.015 or abs(head) > 0.5 * rise:
                break
        else:
            if 0.1 <= (stop - start) * m.step_s <= 2.0:
                spans.append((start, stop))
    return labelled("shrug", spans, 0.8 * m.conf(*both), m.pts_s_T)


def gesturing(m: BodyMotion, arms: Sequence[Arm], busy: Sequence[Interval]) -> list[Interval]:
    """A bent arm's hand moves about in front of the body, other than by one of the labels above or by walking."""
    taken = ("clap", "walk", "run", "jump", "dance", "step_in_place", "fall", "spin")
    ones_T = np.ones(len(m.pts_s_T))
    # Arms that balance a moving body gesture nothing.
    trunk_T = moving_mean(
        m.speed(m.still_bh_TJ2[:, [LEFT_SHOULDER, RIGHT_SHOULDER]].mean(axis=1)), ones_T, m.frames(0.6)
    )
    feet_T = np.maximum(m.speed(m.still_bh_TJ2[:, LEFT_ANKLE]), m.speed(m.still_bh_TJ2[:, RIGHT_ANKLE]))
    feet_T = moving_mean(feet_T, ones_T, m.frames(0.6))
    calm_T = (trunk_T < 0.2) & ((feet_T < 0.25) | ~m.sees(LEFT_ANKLE, RIGHT_ANKLE))
    moves = []
    for arm in arms:
        from_shoulder_T2 = m.at_bh_TJ2[:, arm.wrist] - m.at_bh_TJ2[:, arm.shoulder]
        lively_T = moving_mean(m.speed(from_shoulder_T2), ones_T, m.frames(0.6)) > _GESTURE_BH_PER_S
        lifted_T = arm.seen_T & (from_shoulder_T2[:, 1] < 0.85 * _ARM_BH) & (arm.bend_T < np.radians(150))
        own = (f"wave_{arm.side}", f"punch_{arm.side}", f"throw_{arm.side}", "hand_to_mouth")
        moves.append(without(lively_T & lifted_T & calm_T, busy, m.pts_s_T, (*taken, *own)))
    # A hand that goes somewhere once does not gesture: it moves to and fro.
    to_and_fro = [_goes_to_and_fro(m, arm, move_T) for arm, move_T in zip(arms, moves, strict=True)]
    moves = [move_T & also_T for move_T, also_T in zip(moves, to_and_fro, strict=True)]
    both_T = moves[0] & moves[1]
    found = states("gesture_both_hands", both_T, (arms[0].conf_T + arms[1].conf_T) / 2, m.pts_s_T, 0.5)
    for arm, move_T in zip(arms, moves, strict=True):
        found += states(f"gesture_{arm.side}_hand", move_T & ~both_T, arm.conf_T, m.pts_s_T, 0.5)
    return found


def _goes_to_and_fro(m: BodyMotion, arm: Arm, move_T: Mask) -> Mask:
    """Those runs of the mask in which the wrist turns back, in one direction of the picture."""
    kept_T = np.zeros(len(move_T), np.bool_)
    path_T2 = m.at_bh_TJ2[:, arm.wrist] - m.at_bh_TJ2[:, arm.shoulder]
    for start, stop in runs(move_T):
        turns = max(len(turning_points(column, _TURN_BH)) for column in path_T2[start:stop].T)
        kept_T[start:stop] = turns >= 3
    return kept_T
