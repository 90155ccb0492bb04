"""The main subject's face on a picture: mesh contours, where the eyes look, how the head is turned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotation.render.strokes import Points, draw_arrow, draw_polyline, line_width_px
from annotation.render.wireframe import FACE_LINES, FACE_RGB, GAZE_RGB, HEAD_AXES_RGB
from schemas.tracks import FaceTrack

IRISES, NOSE_TIP = (468, 473), 4
_CHEEKS = (234, 454)
# Lengths in widths of the face. A gaze straight into the camera is a dot.
_GAZE_LENGTH, _AXIS_LENGTH = 0.9, 0.3
_SHORTEST_PX = 1.0


def draw_face(picture_HWC: NDArray[np.uint8], face: FaceTrack, t: int, scale_xy: Points) -> None:
    """Frame t: contours, an arrow from each iris along the gaze, and the head's axes at the nose (red to the picture's
    right, green down, blue forward)."""
    if not face.present_T[t]:
        return
    line = max(1, line_width_px(picture_HWC) // 2)
    px_L2 = face.landmarks_px_TL2[t] * scale_xy
    for closed, indices in FACE_LINES:
        draw_polyline(picture_HWC, px_L2[list(indices)], closed, FACE_RGB, line)
    axes_32, gaze_2 = face_arrows_px(face, t)
    for axis_2, colour in zip(axes_32, HEAD_AXES_RGB, strict=True):
        _arrow(picture_HWC, px_L2[NOSE_TIP], axis_2 * scale_xy, colour, line)
    for iris in IRISES:
        _arrow(picture_HWC, px_L2[iris], gaze_2 * scale_xy, GAZE_RGB, line)


def face_arrows_px(face: FaceTrack, t: int) -> tuple[Points, Points]:
    """(3, 2) and (2,): what is drawn from the nose along the head's axes, and from each iris along the gaze; px of the
    clip."""
    width_px = face_width_px(face, t)
    return head_axes_xy(face, t) * _AXIS_LENGTH * width_px, gaze_xy(face, t) * _GAZE_LENGTH * width_px


def face_width_px(face: FaceTrack, t: int) -> float:
    """From cheek to cheek in depth as well, so that a turned face is as wide as a frontal one; px of the clip."""
    return float(np.linalg.norm(face.landmarks_3d_TL3[t, _CHEEKS[0]] - face.landmarks_3d_TL3[t, _CHEEKS[1]]))


def head_axes_xy(face: FaceTrack, t: int) -> Points:
    """(3, 2): the head's unit axes right, down and forward (out of the face) as they lie in the picture."""
    right_down_back_33 = face.head_rotation_T33[t].astype(np.float64).T
    return np.asarray(right_down_back_33[:, :2] * ((1,), (1,), (-1,)))


def gaze_xy(face: FaceTrack, t: int) -> Points:
    """(2,): the unit direction of the gaze as it lies in the picture: head rotation after the eyes' own angles."""
    right_rad, down_rad = (float(angle) for angle in face.gaze_T2[t])
    in_head_3 = np.array([np.tan(right_rad), np.tan(down_rad), -1.0])
    return np.asarray((face.head_rotation_T33[t].astype(np.float64) @ (in_head_3 / np.linalg.norm(in_head_3)))[:2])


def _arrow(
    picture_HWC: NDArray[np.uint8], start_2: Points, along_2: Points, colour: tuple[int, int, int], line: int
) -> None:
    if float(np.linalg.norm(along_2)) >= _SHORTEST_PX:
        draw_arrow(picture_HWC, np.stack([start_2, start_2 + along_2]), colour, line)
