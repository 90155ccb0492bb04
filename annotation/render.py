"""Pictures of the tracks: skeleton, face contours, hands and the camera's motion drawn on frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.base import ClipFrame
from schemas.tracks import BodyTrack, CameraTrack, FaceTrack, HandsTrack, Track

# Joints of MediaPipe Pose that a bone connects.
BODY_BONES = (
    (11, 12), (11, 13), (13, 15), (12, 14), (14, 16), (11, 23), (12, 24), (23, 24), (23, 25), (25, 27), (24, 26),
    (26, 28), (27, 29), (29, 31), (27, 31), (28, 30), (30, 32), (28, 32), (0, 2), (0, 5), (2, 7), (5, 8),
)  # fmt: skip
HAND_BONES = tuple(
    (base, base + 1) if step else (0, base)
    for first in (1, 5, 9, 13, 17)
    for step, base in enumerate((first, first, first + 1, first + 2))
)
# Landmarks of MediaPipe Face Mesh around the face, the eyes, the brows and the lips; True closes the line.
FACE_LINES: tuple[tuple[bool, tuple[int, ...]], ...] = (
    (True, (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149,
            150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)),
    (True, (33, 160, 159, 158, 133, 153, 145, 144)),
    (True, (362, 385, 386, 387, 263, 373, 374, 380)),
    (False, (70, 63, 105, 66, 107)),
    (False, (336, 296, 334, 293, 300)),
    (True, (61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91)),
    (True, (78, 81, 13, 311, 308, 402, 14, 178)),
    (True, (469, 470, 471, 472)),
    (True, (474, 475, 476, 477)),
)  # fmt: skip

_SHIFT = 3  # OpenCV draws with this many fractional bits
_LEFT_RGB, _RIGHT_RGB, _MIDDLE_RGB = (255, 170, 40), (60, 170, 255), (240, 240, 240)
_FACE_RGB, _CAMERA_RGB = (120, 255, 160), (255, 70, 90)
_MIN_CONF = 0.3


def draw_tracks(rgb_HWC: NDArray[np.uint8], t: int, tracks: Mapping[str, Track], clip: ClipFrame) -> NDArray[np.uint8]:
    """A copy of frame t with its tracks on it. The frame may have any size: px are scaled from the clip's native size.

    The person's left is orange, the right is blue, the face green. The red arrow at the bottom points where the camera
    turns (20 times enlarged).
    """
    picture_HWC = np.ascontiguousarray(rgb_HWC).copy()
    height, width = picture_HWC.shape[:2]
    scale_xy = np.array([width / clip.width_px, height / clip.height_px])
    line = max(1, round(min(height, width) / 240))
    body, face = tracks.get("body.npz"), tracks.get("face.npz")
    hands, camera = tracks.get("hands.npz"), tracks.get("camera.npz")
    if isinstance(body, BodyTrack):
        for person in range(body.present_PT.shape[0]):
            if body.present_PT[person, t]:
                shown_J = body.conf_PTJ[person, t] >= _MIN_CONF
                _draw_bones(picture_HWC, body.joints_px_PTJ2[person, t] * scale_xy, BODY_BONES, shown_J, line)
    if isinstance(face, FaceTrack) and face.present_T[t]:
        for closed, indices in FACE_LINES:
            points = _fixed(face.landmarks_px_TL2[t, list(indices)] * scale_xy)
            cv2.polylines(picture_HWC, [points], closed, _FACE_RGB, max(1, line // 2), cv2.LINE_AA, _SHIFT)
    if isinstance(hands, HandsTrack):
        for side, colour in enumerate((_LEFT_RGB, _RIGHT_RGB)):
            if hands.present_T2[t, side]:
                px_J2 = hands.joints_px_T2J2[t, side] * scale_xy
                _draw_bones(picture_HWC, px_J2, HAND_BONES, np.ones(len(px_J2), np.bool_), max(1, line // 2), colour)
    if isinstance(camera, CameraTrack) and camera.inlier_fraction_T[t] > 0:
        pan_rad, tilt_rad = (float(angle) for angle in camera.pan_tilt_roll_rad_T3[t, :2])
        start = np.array([width / 2, height * 0.92])
        end = np.clip(start + 20 * max(width, height) * np.array([pan_rad, -tilt_rad]), 0, [width, height])
        if float(np.linalg.norm(end - start)) >= 2 * line:
            first, last = (tuple(int(v) for v in point.round()) for point in (start, end))
            cv2.arrowedLine(picture_HWC, first, last, _CAMERA_RGB, line + 1, cv2.LINE_AA, tipLength=0.3)
        else:
            cv2.circle(picture_HWC, (round(float(start[0])), round(float(start[1]))), 2 * line, _CAMERA_RGB, -1)
    return picture_HWC


def contact_strip_png(pictures_rgb: Iterable[NDArray[np.uint8]], height_px: int = 240) -> bytes:
    """Pictures side by side at one height, as PNG bytes. Raises: ValueError without pictures."""
    resized = [_at_height(picture, height_px) for picture in pictures_rgb]
    if not resized:
        raise ValueError("a contact strip needs at least one picture")
    encoded, data = cv2.imencode(".png", cv2.cvtColor(np.concatenate(resized, axis=1), cv2.COLOR_RGB2BGR))
    if not encoded:
        raise ValueError(f"OpenCV could not encode a strip of {len(resized)} pictures as PNG")
    return bytes(data.tobytes())


def overlay_strip_png(
    frames: Sequence[tuple[int, NDArray[np.uint8]]], tracks: Mapping[str, Track], clip: ClipFrame, height_px: int = 240
) -> bytes:
    """Contact strip of frames with their tracks: frames are (t, rgb_HWC)."""
    return contact_strip_png(
        # Shrunk before drawing, so that lines stay visible.
        (draw_tracks(_at_height(rgb_HWC, height_px), t, tracks, clip) for t, rgb_HWC in frames),
        height_px,
    )


def _at_height(rgb_HWC: NDArray[np.uint8], height_px: int) -> NDArray[np.uint8]:
    height, width = rgb_HWC.shape[:2]
    size_wh = (max(1, round(width * height_px / height)), height_px)
    interpolation = cv2.INTER_AREA if height_px < height else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(rgb_HWC), size_wh, interpolation=interpolation), np.uint8)


def _draw_bones(
    picture_HWC: NDArray[np.uint8],
    px_J2: NDArray[np.float64],
    bones: Sequence[tuple[int, int]],
    shown_J: NDArray[np.bool_],
    line: int,
    colour: tuple[int, int, int] | None = None,
) -> None:
    """Without a colour: body colours, by the side that both joints are on (odd joints are left from the eyes on)."""
    fixed_J2 = _fixed(px_J2)
    for a, b in bones:
        if shown_J[a] and shown_J[b]:
            bone = colour or _side_colour(a, b)
            cv2.line(picture_HWC, fixed_J2[a].tolist(), fixed_J2[b].tolist(), bone, line, cv2.LINE_AA, _SHIFT)
    for j in sorted({joint for bone_ab in bones for joint in bone_ab}):
        if shown_J[j]:
            bone = colour or _side_colour(j, j)
            cv2.circle(picture_HWC, fixed_J2[j].tolist(), (line + 1) << _SHIFT, bone, -1, cv2.LINE_AA, _SHIFT)


def _side_colour(a: int, b: int) -> tuple[int, int, int]:
    sides = {"left" if j in (1, 2, 3, 7, 9) or (j >= 11 and j % 2) else "right" for j in (a, b) if j != 0}
    if len(sides) != 1:
        return _MIDDLE_RGB
    return _LEFT_RGB if sides == {"left"} else _RIGHT_RGB


def _fixed(px_N2: NDArray[np.float64]) -> NDArray[np.int32]:
    """Track px (pixel centres at halves) as OpenCV's fixed-point drawing coordinates, kept from overflowing."""
    return np.clip((px_N2 - 0.5) * (1 << _SHIFT), -(1 << 17), 1 << 17).round().astype(np.int32)
