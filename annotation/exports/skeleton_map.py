"""Skeletons as pictures, in the colours that pose-conditioned image models were trained on (OpenPose, DWPose).

Source: the drawing of ControlNet's OpenPose annotator and DWPose (Yang et al. 2023): limbs as filled ellipses at 60%
brightness under full-bright joints, fingers in a colour wheel with blue joints, the face as white dots, all on black.
Axes: H rows, W columns, C red-green-blue, K key points.
"""

from __future__ import annotations

import colorsys
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.exports.keypoints import coco_wholebody_133, openpose_18
from schemas.tracks import BodyTrack, FaceTrack, HandsTrack

# Pairs of OpenPose-18 points, in the order of the colours.
_LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
_COLOURS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0), (0, 255, 85),
    (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255),
    (255, 0, 170), (255, 0, 85),
)  # fmt: skip
_LIMB_BRIGHTNESS = 0.6
_FINGERS = tuple((base, base + 1) if step else (0, base) for first in (1, 5, 9, 13, 17) for step, base in
                 enumerate((first, first, first + 1, first + 2)))  # fmt: skip
_FACE_START, _FACE_STOP, _HANDS_START = 23, 91, 91
# Line widths are made for a picture of 512 px.
_MADE_FOR_PX = 512


def skeleton_map(
    t: int,
    body: BodyTrack,
    face: FaceTrack | None,
    hands: HandsTrack | None,
    native_wh: tuple[int, int],
    size_wh: tuple[int, int],
    at_least: float = 0.3,
) -> NDArray[np.uint8]:
    """(H, W, 3) of frame t: everyone's body, the main subject's face and hands.

    native_wh: the clip's frame, which the tracks' pixels are of. size_wh: of the picture.
    at_least: points less sure are not drawn (0.3 is DWPose's).
    """
    picture_HWC = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    scale_xy = np.array(size_wh, np.float64) / native_wh
    unit = max(1.0, min(size_wh) / _MADE_FOR_PX)
    for person in range(len(body.present_PT)):
        if body.present_PT[person, t]:
            points_K3 = openpose_18(_frame_of(body, t), person)[0]
            _draw_body(picture_HWC, points_K3[:, :2] * scale_xy, points_K3[:, 2] >= at_least, unit)
    if face is None and hands is None:
        return picture_HWC
    whole_K3 = coco_wholebody_133(body, face, hands)[t]
    whole_K2, shown_K = whole_K3[:, :2] * scale_xy, whole_K3[:, 2] >= at_least
    for start in (_HANDS_START, _HANDS_START + 21):
        _draw_hand(picture_HWC, whole_K2[start : start + 21], shown_K[start : start + 21], unit)
    for x, y in whole_K2[_FACE_START:_FACE_STOP][shown_K[_FACE_START:_FACE_STOP]]:
        cv2.circle(picture_HWC, (int(x), int(y)), round(3 * unit), (255, 255, 255), -1)
    return picture_HWC


def _frame_of(body: BodyTrack, t: int) -> BodyTrack:
    part = slice(t, t + 1)
    return BodyTrack(
        body.joints_px_PTJ2[:, part],
        body.joints_world_m_PTJ3[:, part],
        body.conf_PTJ[:, part],
        body.present_PT[:, part],
        body.pts_s_T[part],
        body.filled_PT[:, part],
    )


def _draw_body(
    picture_HWC: NDArray[np.uint8], points_K2: NDArray[np.float64], shown_K: NDArray[np.bool_], unit: float
) -> None:
    points_K2 = np.clip(points_K2, -1e4, 1e4)
    for (a, b), colour in zip(_LIMBS, _COLOURS, strict=False):
        if not (shown_K[a] and shown_K[b]):
            continue
        along_2 = points_K2[a] - points_K2[b]
        middle = tuple(int(v) for v in (points_K2[a] + points_K2[b]) / 2)
        angle_deg = int(math.degrees(math.atan2(along_2[1], along_2[0])))
        half_wh = (int(np.linalg.norm(along_2) / 2), round(4 * unit))
        outline = cv2.ellipse2Poly(middle, half_wh, angle_deg, 0, 360, 1)
        cv2.fillConvexPoly(picture_HWC, outline, [int(c * _LIMB_BRIGHTNESS) for c in colour])
    for (x, y), colour, shown in zip(points_K2, _COLOURS, shown_K, strict=True):
        if shown:
            cv2.circle(picture_HWC, (int(x), int(y)), round(4 * unit), colour, -1)


def _draw_hand(
    picture_HWC: NDArray[np.uint8], points_K2: NDArray[np.float64], shown_K: NDArray[np.bool_], unit: float
) -> None:
    if not shown_K.all():
        return
    corners = np.clip(points_K2, -1e4, 1e4).astype(int)
    for index, (a, b) in enumerate(_FINGERS):
        colour = tuple(int(255 * c) for c in colorsys.hsv_to_rgb(index / len(_FINGERS), 1.0, 1.0))
        cv2.line(picture_HWC, corners[a].tolist(), corners[b].tolist(), colour, round(2 * unit))
    for corner in corners:
        cv2.circle(picture_HWC, corner.tolist(), round(4 * unit), (0, 0, 255), -1)
