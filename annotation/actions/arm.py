"""One arm of the subject over time, as the rules on arms and hands see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotation.actions.motion import BodyMotion, Mask, Values
from annotation.body import (
    LEFT_ELBOW,
    LEFT_HIP,
    LEFT_SHOULDER,
    LEFT_WRIST,
    RIGHT_WRIST,
)

STRAIGHT_ELBOW_RAD = np.radians(148)
_SIDES = ("left", "right")


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm over time: joints, the middle of the palm in the picture, where its wrist and elbow are seen."""

    side: str
    sign: float
    shoulder: int
    elbow: int
    wrist: int
    hip: int
    palm_T2: Values
    seen_T: Mask
    conf_T: Values
    bend_T: Values


def arm_of(m: BodyMotion, side: int) -> Arm:
    shoulder, elbow, wrist = (each + side for each in (LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST))
    knuckles = (17 + side, 19 + side)
    at = m.at_bh_TJ2
    hand_T2 = at[:, knuckles].mean(axis=1) - at[:, wrist]
    return Arm(
        _SIDES[side], 1.0 - 2 * side, shoulder, elbow, wrist, LEFT_HIP + side,
        at[:, wrist] + hand_T2, m.sees(shoulder, elbow, wrist), m.conf(shoulder, elbow, wrist),
        m.angle(shoulder, elbow, wrist),
    )  # fmt: skip


def palms_apart_bh(m: BodyMotion, arms: Sequence[Arm]) -> Values:
    """(T,) in the picture; in space where that is clearly more: side by side behind each other is not together."""
    flat_T = np.linalg.norm(arms[0].palm_T2 - arms[1].palm_T2, axis=1)
    if not m.in_space:
        return np.asarray(flat_T)
    deep_T = np.linalg.norm(m.space_bh_TJ3[:, LEFT_WRIST] - m.space_bh_TJ3[:, RIGHT_WRIST], axis=1)
    return np.asarray(np.where(deep_T > 0.2, np.maximum(flat_T, deep_T), flat_T))
