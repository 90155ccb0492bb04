"""Lines and dots at subpixel places. Points are track px: x right, y down, a pixel's centre at +0.5.

Axes: H rows, W columns, C red-green-blue, N points.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.render.wireframe import Colour

Points = NDArray[np.float64]

_SHIFT = 3  # OpenCV draws with this many fractional bits
FAINT = 0.4
_DASHES_AT_MOST = 64


def line_width_px(picture_HWC: NDArray[np.uint8]) -> int:
    """The width of a main line: 2 px in a picture of 480 px."""
    return max(1, round(min(picture_HWC.shape[:2]) / 240))


def draw_lines(picture_HWC: NDArray[np.uint8], ends_N22: Points, colour: Colour, width_px: int) -> None:
    """N lines, each from one end to the other."""
    cv2.polylines(picture_HWC, list(_fixed(ends_N22)), False, colour, width_px, cv2.LINE_AA, _SHIFT)


def draw_dashes(picture_HWC: NDArray[np.uint8], ends_N22: Points, colour: Colour, width_px: int) -> None:
    """The same lines in dashes of about three widths."""
    dashes = []
    for ends_22 in ends_N22:
        length_px = float(np.linalg.norm(ends_22[1] - ends_22[0]))
        count = int(min(max(1, round(length_px / (6 * width_px))), _DASHES_AT_MOST))
        along_N2 = (np.arange(count)[:, None] + (0.25, 0.75)) / count
        dashes.append(ends_22[0] + along_N2[..., None] * (ends_22[1] - ends_22[0]))
    draw_lines(picture_HWC, np.concatenate(dashes), colour, width_px)


def draw_polyline(
    picture_HWC: NDArray[np.uint8], points_N2: Points, closed: bool, colour: Colour, width_px: int
) -> None:
    cv2.polylines(picture_HWC, [_fixed(points_N2)], closed, colour, width_px, cv2.LINE_AA, _SHIFT)


def draw_dots(picture_HWC: NDArray[np.uint8], points_N2: Points, radius_px: float, colour: Colour) -> None:
    for centre in _fixed(points_N2).tolist():
        cv2.circle(picture_HWC, centre, round(radius_px * (1 << _SHIFT)), colour, -1, cv2.LINE_AA, _SHIFT)


def draw_arrow(picture_HWC: NDArray[np.uint8], ab_22: Points, colour: Colour, width_px: int) -> None:
    """From a to b, with a head of three to five widths."""
    draw_lines(picture_HWC, ab_22[None], colour, width_px)
    along_2 = ab_22[1] - ab_22[0]
    length_px = float(np.linalg.norm(along_2))
    if length_px < 1:
        return
    head_px = min(max(3.0 * width_px, 0.3 * length_px), 5.0 * width_px, length_px)
    back_2 = along_2 / length_px * head_px
    aside_2 = np.array([-back_2[1], back_2[0]]) * 0.6
    corners_32 = np.stack([ab_22[1], ab_22[1] - back_2 + aside_2, ab_22[1] - back_2 - aside_2])
    cv2.fillConvexPoly(picture_HWC, _fixed(corners_32), colour, cv2.LINE_AA, _SHIFT)


def draw_arc(
    picture_HWC: NDArray[np.uint8], centre_2: Points, radius_px: float, from_to_rad: tuple[float, float],
    colour: Colour, width_px: int,
) -> None:  # fmt: skip
    """Angles run clockwise on screen from 3 o'clock; the arc ends in an arrow head."""
    angle_N = np.linspace(*from_to_rad, 25)
    points_N2 = centre_2 + radius_px * np.stack([np.cos(angle_N), np.sin(angle_N)], axis=1)
    draw_polyline(picture_HWC, points_N2, False, colour, width_px)
    draw_arrow(picture_HWC, points_N2[[-4, -1]], colour, width_px)


@dataclass(slots=True)
class Faint:
    """A second layer for what is drawn faintly: made on first use, laid over the picture once."""

    picture_HWC: NDArray[np.uint8]
    _layer_HWC: NDArray[np.uint8] | None = None

    @property
    def layer_HWC(self) -> NDArray[np.uint8]:
        if self._layer_HWC is None:
            self._layer_HWC = self.picture_HWC.copy()
        return self._layer_HWC

    def lay(self) -> None:
        if self._layer_HWC is not None:
            cv2.addWeighted(self._layer_HWC, FAINT, self.picture_HWC, 1 - FAINT, 0, dst=self.picture_HWC)


def _fixed(px_N2: Points) -> NDArray[np.int32]:
    """As OpenCV's fixed-point coordinates (a pixel's centre is a whole number there), kept from overflowing."""
    return np.clip((px_N2 - 0.5) * (1 << _SHIFT), -(1 << 17), 1 << 17).round().astype(np.int32)
