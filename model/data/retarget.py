"""The driver's motion in the reference's proportions: same angles, limbs as long as the character's.

Arms and legs are measured in torso lengths on both sides. Joints in space tell them from any side, so even one picture
does. Where either side has none, pictures are compared: a limb that points at the camera looks short, so the longest of
several references counts, and one picture alone says nothing. A group of limbs that is not known on both sides keeps
the driver's proportions.
Source: keep the angle, scale the bone, walk down the chain: Wan2.2 `preprocess/retarget_pose.py`; measures, bounds and
the floor are ours.
Axis legend: T frames, J body joints; px of the driving clip's frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.data.augment import limb_ratios, moved_joints
from model.data.framing import MARGIN, Square, choose_square, extent_px, subject_box_px
from model.data.motion_inputs import Tracks, nearest_entries
from schemas.tracks import BodyTrack

Float = NDArray[np.float32]
FACTOR_RANGE = (0.6, 1.7)
"""Limbs become at most this much shorter or longer: beyond it a measurement is likelier to be wrong than right."""
LEAST_CHANGE = {"arms": 0.10, "legs": 0.07}
"""Log factors below are what measuring one picture errs by (1.5 standard deviations in space,
benchmarks/results/2026-11-27-identity.md); the driver's own proportions stay."""
LEAST_PICTURES = 2


@dataclass(frozen=True, slots=True)
class Proportions:
    """Arms and legs in torso lengths by group, of one clip or picture: in space and as seen; only what was seen."""

    in_space: dict[str, float]
    in_picture: dict[str, float]


def proportions_of(joints_TJ2: Float, world_m_TJ3: Float, conf_TJ: Float) -> Proportions:
    """Joints below confidence 0.5 do not count. World joints of zeros are none."""
    return Proportions(limb_ratios(world_m_TJ3, conf_TJ, 0.5), limb_ratios(joints_TJ2, conf_TJ))


def proportions_in(body: BodyTrack) -> Proportions:
    """Those of the main subject of a track; nothing where nobody was seen."""
    if body.present_PT.shape[0] == 0:
        return Proportions({}, {})
    conf_TJ = np.where(body.present_PT[0][:, None], body.conf_PTJ[0], np.float32(0))
    return proportions_of(body.joints_px_PTJ2[0], body.joints_world_m_PTJ3[0], conf_TJ)


def limb_factors(driver: Proportions, references: Sequence[Proportions]) -> dict[str, float]:
    """How much longer the reference's arms and legs are than the driver's; groups that stay as they are are left out.

    Several references: the geometric mean in space, the longest as seen.
    """
    factors = {}
    for group, least in LEAST_CHANGE.items():
        in_space = [each.in_space[group] for each in references if group in each.in_space]
        in_picture = [each.in_picture[group] for each in references if group in each.in_picture]
        if in_space and group in driver.in_space:
            factor = float(np.exp(np.mean(np.log(in_space)))) / driver.in_space[group]
        elif len(in_picture) >= LEAST_PICTURES and group in driver.in_picture:
            factor = max(in_picture) / driver.in_picture[group]
        else:
            continue
        if abs(np.log(factor)) >= least:
            factors[group] = float(np.clip(factor, *FACTOR_RANGE))
    return factors


def retargeted(tracks: Tracks, factors: dict[str, float]) -> Tracks:
    """The main subject with limbs `factors[group]` times as long; hands and face ride along, feet stay on the floor.

    Without factors, the same tracks. The subject's place stays the driver's: a walk covers the driver's way.
    """
    body = tracks.body
    if not factors or body.present_PT.shape[0] == 0:
        return tracks
    old_TJ2 = body.joints_px_PTJ2[0]
    seen_TJ = body.present_PT[0][:, None] & (body.conf_PTJ[0] > 0)
    new_TJ2, new_m_TJ3 = moved_joints(old_TJ2, body.joints_world_m_PTJ3[0], seen_TJ, factors)
    shift_TJ2 = new_TJ2 - old_TJ2
    joints_PTJ2, world_PTJ3 = body.joints_px_PTJ2.copy(), body.joints_world_m_PTJ3.copy()
    joints_PTJ2[0], world_PTJ3[0] = new_TJ2, new_m_TJ3

    def shift_at(pts_s_N: NDArray[np.float64], joint: int) -> Float:
        """(N, 2): how far the joint moved at other times; 0 where no body was seen."""
        index_N, near_N = nearest_entries(pts_s_N, body.pts_s_T)
        return np.where(near_N[:, None], shift_TJ2[index_N, joint], np.float32(0))

    face, hands = tracks.face, tracks.hands
    nose_N2 = np.where(face.present_T[:, None], shift_at(face.pts_s_T, 0), np.float32(0))
    landmarks_NL3 = face.landmarks_3d_TL3.copy()
    landmarks_NL3[..., :2] += nose_N2[:, None]
    hands_N2J2 = hands.joints_px_T2J2.copy()
    for side in (0, 1):
        wrist_N2 = np.where(hands.present_T2[:, side, None], shift_at(hands.pts_s_T, 15 + side), np.float32(0))
        hands_N2J2[:, side] += wrist_N2[:, None]
    return replace(
        tracks,
        body=replace(body, joints_px_PTJ2=joints_PTJ2, joints_world_m_PTJ3=world_PTJ3),
        face=replace(face, landmarks_px_TL2=face.landmarks_px_TL2 + nose_N2[:, None], landmarks_3d_TL3=landmarks_NL3),
        hands=replace(hands, joints_px_T2J2=hands_N2J2),
    )


def driving_square(size_hw: tuple[int, int], driver: Tracks, moved: Tracks) -> Square:
    """The square to make: the driver's, grown upwards and sideways as far as the retargeted subject is larger.

    It may leave the frame, as no pixel of the driving clip is shown.
    """
    square = choose_square(size_hw, subject_box_px(driver.body, driver.face, size_hw))
    # Of the body alone: a face has so many points that feet would be the outermost 2 %.
    before, after = extent_px(driver.body, None), extent_px(moved.body, None)
    if before is None or after is None:
        return square
    wider = max(0.0, before[0] - after[0]) + max(0.0, after[2] - before[2])
    below = max(0.0, after[3] - before[3])
    grown = MARGIN * max(wider, max(0.0, before[1] - after[1]) + below)
    return Square(square.left_px - grown / 2, square.top_px + below - grown, square.side_px + grown)
