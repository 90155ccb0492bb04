"""From detections in one frame to what they say of the subject. Coordinates are shares of the frame, 0-1.

Joint numbers are MediaPipe Pose's: 0 nose, 11/12 shoulders, 23/24 hips, 27/28 ankles.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

NOSE, SHOULDERS, HIPS, ANKLES = 0, (11, 12), (23, 24), (27, 28)
VISIBLE = 0.5
# Shares of standing height: shoulder to hip 0.818 - 0.530, head 0.130.
# Source: Drillis and Contini 1966, as tabulated in Winter, "Biomechanics and Motor Control of Human Movement".
TORSO_OF_HEIGHT = 0.288
HEAD_OF_HEIGHT = 0.130
APPEARANCE_BINS = 8

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


def appearance(rgb_HWC: NDArray[np.uint8], box: tuple[float, ...]) -> NDArray[np.float32]:
    """Colours of the subject as a unit vector: square root of an 8x8 histogram of Lab's a and b in the box.

    Lightness is left out, so that shade and exposure do not change it; the dot product of two descriptors is their
    Bhattacharyya coefficient, 1 for equal colours.
    """
    height, width = rgb_HWC.shape[:2]
    left, top, right, bottom = (round(v * n) for v, n in zip(box, (width, height, width, height), strict=True))
    crop = rgb_HWC[max(0, top) : max(top + 1, bottom), max(0, left) : max(left + 1, right)]
    lab = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2LAB)
    # Half the range each way: few surfaces are more saturated than that.
    counts = cv2.calcHist([lab], [1, 2], None, [APPEARANCE_BINS] * 2, [64, 192, 64, 192])
    counts = cv2.GaussianBlur(counts, (3, 3), 0.6).ravel()
    unit: NDArray[np.float32] = np.sqrt(counts / max(float(counts.sum()), 1e-9)).astype(np.float32)
    return unit
