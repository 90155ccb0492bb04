"""Our tracks in the key point orders of other tools: COCO-17, COCO-WholeBody-133, OpenPose-18.

Every function returns (T, K, 3): x, y in px of the clip's frame and a confidence 0-1; what was not seen, or is not in
our tracks, is 0 in all three. Left and right are the person's own, as in all of these formats.
Sources: cocodataset.org (keypoints), Jin et al. 2020 (COCO-WholeBody), Cao et al. 2017 (OpenPose), Sagonas et al. 2013
(the 68 points of the face).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas.tracks import BodyTrack, FaceTrack, HandsTrack

# nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left before right
COCO_FROM_POSE = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
# big toe, small toe, heel of the left foot, then of the right. MediaPipe has one point at the toes: the small toe is
# not known.
_FEET_FROM_POSE = (31, None, 29, 32, None, 30)
# Jaw from the right ear to the left, right and left brow, nose, right and left eye, outer and inner lips.
FACE_68_FROM_MESH = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
# nose, (neck), right arm, left arm, right leg, left leg, eyes, ears; right before left
_NECK = 1
_OPENPOSE_FROM_POSE = (0, None, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
_LEFT_SHOULDER, _RIGHT_SHOULDER = 11, 12


def coco_17(body: BodyTrack, person: int = 0) -> NDArray[np.float32]:
    """(T, 17, 3). Raises: IndexError without that person."""
    return _gather(_pose(body, person), COCO_FROM_POSE)


def openpose_18(body: BodyTrack, person: int = 0) -> NDArray[np.float32]:
    """(T, 18, 3); the neck is the middle of the shoulders, as sure as the less sure of them."""
    pose_TJ3 = _pose(body, person)
    points_TK3 = _gather(pose_TJ3, _OPENPOSE_FROM_POSE)
    shoulders_T23 = pose_TJ3[:, [_LEFT_SHOULDER, _RIGHT_SHOULDER]]
    points_TK3[:, _NECK, :2] = shoulders_T23[..., :2].mean(axis=1)
    points_TK3[:, _NECK, 2] = shoulders_T23[..., 2].min(axis=1)
    return points_TK3


def coco_wholebody_133(
    body: BodyTrack, face: FaceTrack | None = None, hands: HandsTrack | None = None, person: int = 0
) -> NDArray[np.float32]:
    """(T, 133, 3): 17 body, 6 foot, 68 face, 21 left hand, 21 right hand points.

    The face is the main subject's: for another person it is 0. It has no confidence of its own (1 where present); all
    points of a hand share its confidence.
    """
    pose_TJ3 = _pose(body, person)
    T = len(pose_TJ3)
    face_TK3, hands_TK3 = np.zeros((T, 68, 3), np.float32), np.zeros((T, 42, 3), np.float32)
    if face is not None and person == 0:
        face_TK3[..., :2] = face.landmarks_px_TL2[:, FACE_68_FROM_MESH]
        face_TK3[..., 2] = 1
        face_TK3[~face.present_T] = 0
    if hands is not None:
        hands_TK3 = _hands(hands, person)
    body_TK3 = _gather(pose_TJ3, COCO_FROM_POSE + _FEET_FROM_POSE)
    return np.concatenate([body_TK3, face_TK3, hands_TK3], axis=1)


def _hands(hands: HandsTrack, person: int) -> NDArray[np.float32]:
    """(T, 42, 3): left, then right hand; 0 for a person of whom the track knows no hands."""
    px_T2J2, conf_T2, present_T2 = hands.joints_px_T2J2, hands.conf_T2, hands.present_T2
    if person > 0:
        if person > len(hands.others_px_QT2J2):
            return np.zeros((len(px_T2J2), 42, 3), np.float32)
        px_T2J2, conf_T2, present_T2 = (
            of_others[person - 1]
            for of_others in (hands.others_px_QT2J2, hands.others_conf_QT2, hands.others_present_QT2)
        )
    points_T2J3: NDArray[np.float32] = np.concatenate(
        [px_T2J2, np.broadcast_to(conf_T2[..., None, None], (*px_T2J2.shape[:3], 1))], axis=3
    ).astype(np.float32)
    points_T2J3[~present_T2] = 0
    return points_T2J3.reshape(len(px_T2J2), 42, 3)


def _pose(body: BodyTrack, person: int) -> NDArray[np.float32]:
    """(T, 33, 3)"""
    pose_TJ3: NDArray[np.float32] = np.concatenate(
        [body.joints_px_PTJ2[person], body.conf_PTJ[person][..., None]], axis=2
    )
    pose_TJ3[~body.present_PT[person]] = 0
    return pose_TJ3


def _gather(pose_TJ3: NDArray[np.float32], order: tuple[int | None, ...]) -> NDArray[np.float32]:
    points_TK3 = np.zeros((len(pose_TJ3), len(order), 3), np.float32)
    for k, joint in enumerate(order):
        if joint is not None:
            points_TK3[:, k] = pose_TJ3[:, joint]
    return points_TK3
