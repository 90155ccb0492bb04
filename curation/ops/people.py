"""From detections in one frame to what they say of the subject. Coordinates are shares of the frame, 0-1.

Joint numbers are MediaPipe Pose's: 0 nose, 11/12 shoulders, 23/24 hips, 27/28 ankles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NOSE, SHOULDERS, HIPS, ANKLES = 0, (11, 12), (23, 24), (27, 28)
HEAD_JOINTS = 11
VISIBLE = 0.5
# A box that comes this near to the edge is cut off by it.
_BORDER = 0.01
# Shares of standing height: shoulder to hip 0.818 - 0.530, head 0.130.
# Source: Drillis and Contini 1966, as tabulated in Winter, "Biomechanics and Motor Control of Human Movement".
TORSO_OF_HEIGHT = 0.288
HEAD_OF_HEIGHT = 0.130

SHOT_NONE, SHOT_CLOSE_UP, SHOT_HALF_BODY, SHOT_FULL_BODY = range(4)
SHOT_NAMES = ("none", "close_up", "half_body", "full_body")


def seen_joints(pose_J3: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Joints that are confident and inside the picture."""
    inside = ((pose_J3[:, :2] >= 0) & (pose_J3[:, :2] <= 1)).all(axis=1)
    return np.asarray((pose_J3[:, 2] >= VISIBLE) & inside)


def has_body(pose_J3: NDArray[np.float32] | None) -> bool:
    """Whether a pose stands for a person: both shoulders, or a side's shoulder and hip, must be seen."""
    if pose_J3 is None:
        return False
    seen = seen_joints(pose_J3)
    return bool(seen[list(SHOULDERS)].all() or (seen[11] and seen[23]) or (seen[12] and seen[24]))


def shot_scale(pose_J3: NDArray[np.float32] | None, face_height: float | None) -> int:
    """Close-up (head fills the frame or no hips), half body (hips seen), full body (head and an ankle seen)."""
    if pose_J3 is not None and has_body(pose_J3):
        seen = seen_joints(pose_J3)
        if seen[list(ANKLES)].any() and seen[NOSE]:
            return SHOT_FULL_BODY
        if seen[list(HIPS)].any():
            return SHOT_HALF_BODY
    if face_height is not None:
        return SHOT_CLOSE_UP
    return SHOT_HALF_BODY if pose_J3 is not None and has_body(pose_J3) else SHOT_NONE


def subject_box(pose_J3: NDArray[np.float32] | None, face_4: NDArray[np.float32] | None) -> tuple[float, ...] | None:
    """(left, top, right, bottom), clipped to the frame, around the seen joints and the face; None without either."""
    points = []
    if pose_J3 is not None and has_body(pose_J3):
        points.append(pose_J3[seen_joints(pose_J3), :2])
    if face_4 is not None:
        left, top, width, height = face_4
        points.append(np.array([[left, top], [left + width, top + height]], dtype=np.float32))
    if not points:
        return None
    corners = np.clip(np.concatenate(points), 0, 1)
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def body_height_px(pose_px_J2: NDArray[np.float32] | None, face_height_px: float | None) -> float | None:
    """Standing height that the torso, else the head, suggests; None when neither is there."""
    if pose_px_J2 is not None:
        torso = pose_px_J2[list(SHOULDERS)].mean(axis=0) - pose_px_J2[list(HIPS)].mean(axis=0)
        height = float(np.hypot(*torso)) / TORSO_OF_HEIGHT
        if height > 1:
            return height
    return face_height_px / HEAD_OF_HEIGHT if face_height_px else None


def reaches_border(box: tuple[float, ...] | None) -> bool:
    """Whether the subject is cut off at the left, right or upper edge; at the lower one every closer shot is."""
    return box is not None and (box[0] <= _BORDER or box[1] <= _BORDER or box[2] >= 1 - _BORDER)


def lost_share(person_T: NDArray[np.bool_]) -> float | None:
    """Share of the samples between the first and the last sight of the subject in which it is not seen; None if never.

    Occlusion, turning away, leaving and coming back.
    """
    seen = np.flatnonzero(person_T)
    if not len(seen):
        return None
    return float(1.0 - person_T[seen[0] : seen[-1] + 1].mean())


def dominance(faces_F4: NDArray[np.float32]) -> float:
    """Area of the largest face as a share of all faces' area; 1 for one face or none (a body alone)."""
    areas_F = faces_F4[:, 2] * faces_F4[:, 3]
    return float(areas_F.max() / areas_F.sum()) if len(areas_F) else 1.0
