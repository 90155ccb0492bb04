"""The camera's motion as a dial in the picture's upper right corner."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from annotation.render.strokes import draw_arc, draw_arrow, draw_dots, draw_polyline, line_width_px
from annotation.render.text import line_height_px, put_tag
from annotation.render.wireframe import CAMERA_RGB
from schemas.tracks import CameraTrack

# Steps from frame to frame tremble; the mean over this time is what an eye sees.
_AROUND_S = 0.4
# Turning at this rate the arrow reaches the dial's edge; slower turns are drawn longer than in proportion. The least
# is what camera_moves calls a move.
_FULL_RAD_PER_S, _LEAST_RAD_PER_S = 0.5, 0.006
_SHORTEST_RADII = 0.3
_ARC_S = 1.5
_RING_RGB = (95, 95, 100)
# Slower than this is not said.
_ROLL_AT_LEAST_RAD_PER_S, _ZOOM_AT_LEAST_PER_S = math.radians(1.5), 0.015


def camera_rates(camera: CameraTrack, t: int) -> NDArray[np.float64] | None:
    """(4,): pan right, tilt up, roll clockwise in rad/s and zoom in natural logarithm per second: means around frame t.

    None where the background was not measured.
    """
    if camera.inlier_fraction_T[t] <= 0:
        return None
    dt_s_T = np.diff(camera.pts_s_T, prepend=camera.pts_s_T[0])
    near_T = (np.abs(camera.pts_s_T - camera.pts_s_T[t]) <= _AROUND_S / 2) & (camera.inlier_fraction_T > 0)
    near_T[0] = False
    seconds = float(dt_s_T[near_T].sum())
    if seconds <= 0:
        return np.zeros(4)
    zoom_T = np.log(np.maximum(camera.zoom_T.astype(np.float64), 1e-6))
    steps_T4 = np.concatenate([camera.pan_tilt_roll_rad_T3.astype(np.float64), zoom_T[:, None]], axis=1)
    return np.asarray(steps_T4[near_T].sum(axis=0) / seconds)


def draw_camera(picture_HWC: NDArray[np.uint8], camera: CameraTrack, t: int, text_px: int) -> None:
    """A dial: the arrow points where the camera turns, an arc around it the way it rolls (clockwise seen from behind),
    in words below it zoom and roll per second. A dot is a camera that holds still; no dial, an unknown motion."""
    rates_4 = camera_rates(camera, t)
    if rates_4 is None:
        return
    line = line_width_px(picture_HWC)
    radius = float(max(14, min(picture_HWC.shape[:2]) // 20))
    centre_2 = np.array([picture_HWC.shape[1] - 1.4 * radius, 1.4 * radius])
    _draw_ground(picture_HWC, centre_2, 1.2 * radius)
    pan, tilt, roll, zoom = (float(rate) for rate in rates_4)
    rate = math.hypot(pan, tilt)
    # The square root lets slow moves be seen without hiding which of two is the faster.
    reach = min(1.0, max(_SHORTEST_RADII, math.sqrt(rate / _FULL_RAD_PER_S)))
    if rate >= _LEAST_RAD_PER_S:
        along_2 = np.array([pan, -tilt]) / rate * reach * radius
        draw_arrow(picture_HWC, np.stack([centre_2, centre_2 + along_2]), CAMERA_RGB, line)
    else:
        draw_dots(picture_HWC, centre_2[None], line + 1, CAMERA_RGB)
    words = []
    if abs(zoom) >= _ZOOM_AT_LEAST_PER_S:
        words.append(f"zoom {'+' if zoom > 0 else '-'}{abs(math.expm1(zoom)):.0%}/s")
    if abs(roll) >= _ROLL_AT_LEAST_RAD_PER_S:
        sweep = math.copysign(min(max(abs(roll) * _ARC_S, 0.7), 2.8), roll)
        draw_arc(picture_HWC, centre_2, 1.2 * radius, (-math.pi / 2 - sweep / 2, -math.pi / 2 + sweep / 2),
                 CAMERA_RGB, line)  # fmt: skip
        words.append(f"roll {math.degrees(abs(roll)):.0f}°/s")
    for row, text in enumerate(words):
        below = round(centre_2[1] + 1.3 * radius) + row * line_height_px(text_px)
        put_tag(picture_HWC, text, (picture_HWC.shape[1], below), CAMERA_RGB, text_px)


def _draw_ground(picture_HWC: NDArray[np.uint8], centre_2: NDArray[np.float64], radius_px: float) -> None:
    """A dark disc in a ring, so that the dial is readable on any footage."""
    left, top = (max(0, math.floor(float(v) - radius_px) - 1) for v in centre_2)
    part_HWC = picture_HWC[top : math.ceil(float(centre_2[1]) + radius_px) + 1, left:]
    disc_HW = np.zeros(part_HWC.shape[:2], np.uint8)
    draw_dots(disc_HW, (centre_2 - (left, top))[None], radius_px, (255, 255, 255))
    part_HWC[disc_HW > 0] //= 3
    angle_N = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    ring_N2 = centre_2 + radius_px * np.stack([np.cos(angle_N), np.sin(angle_N)], axis=1)
    draw_polyline(picture_HWC, ring_N2, True, _RING_RGB, 1)
