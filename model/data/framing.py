"""The model's square view of a clip: one fixed crop around the subject, and tracks mapped into the same square.

A fixed crop keeps the camera's motion visible. Where the square leaves the frame it is filled with middle grey.
Units: px of the native frame (x right, y down); crop units are [0, 1] across the square.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from schemas.tracks import BodyTrack, FaceTrack

MARGIN = 1.25
"""The crop's side over the subject's longer side: room for hair and hands."""
MIN_SIDE_OF_SHORT = 0.6
"""Smallest crop, as a share of the frame's short side: a tight face crop would lose the shoulders."""
BODY_CONF = 0.5
GREY = 128


@dataclass(frozen=True, slots=True)
class Square:
    """A square of the native frame: left, top and side in px; may reach beyond the frame."""

    left_px: float
    top_px: float
    side_px: float

    def to_crop(self, points_px: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., 2) x, y in px to crop units."""
        origin = np.array([self.left_px, self.top_px], dtype=np.float32)
        return ((points_px - origin) / np.float32(self.side_px)).astype(np.float32)


def subject_box_px(
    body: BodyTrack | None, face: FaceTrack | None, size_hw: tuple[int, int]
) -> tuple[float, float, float, float] | None:
    """Left, top, right, bottom around everything confidently seen of the main subject over the whole clip.

    The outermost 2 % of positions are ignored, so that one stray detection does not widen the crop. Points outside
    the frame are guesses of the tracker and are clamped to it. None when nobody was seen.
    """
    points = []
    if body is not None and body.present_PT.shape[0] > 0:
        seen = body.present_PT[0][:, None] & (body.conf_PTJ[0] >= BODY_CONF)
        points.append(body.joints_px_PTJ2[0][seen])
    if face is not None:
        points.append(face.landmarks_px_TL2[face.present_T].reshape(-1, 2))
    every = np.concatenate(points) if points else np.zeros((0, 2), np.float32)
    if len(every) == 0:
        return None
    low, high = np.quantile(every, [0.02, 0.98], axis=0)
    height, width = size_hw
    left, right = np.clip([low[0], high[0]], 0, width)
    top, bottom = np.clip([low[1], high[1]], 0, height)
    return float(left), float(top), float(right), float(bottom)


def choose_square(size_hw: tuple[int, int], box_px: tuple[float, float, float, float] | None) -> Square:
    """The square around a box, inside the frame as far as it fits; without a box, the central square."""
    height, width = size_hw
    short, long = min(size_hw), max(size_hw)
    if box_px is None:
        side, centre_x, centre_y = float(short), width / 2, height / 2
    else:
        left, top, right, bottom = box_px
        side = float(np.clip(MARGIN * max(right - left, bottom - top), MIN_SIDE_OF_SHORT * short, long))
        centre_x, centre_y = (left + right) / 2, (top + bottom) / 2
    return Square(_place(centre_x, side, width), _place(centre_y, side, height), side)


def _place(centre: float, side: float, length: int) -> float:
    """Start of an interval of `side` around `centre`, kept inside [0, length], or centred when it does not fit."""
    if side >= length:
        return (length - side) / 2
    return min(max(centre - side / 2, 0.0), length - side)


def cut_out(rgb_HWC: NDArray[np.uint8], square: Square) -> NDArray[np.uint8]:
    """The square at native size, rounded to whole px: (side, side, 3), grey where it leaves the frame."""
    height, width = rgb_HWC.shape[:2]
    left, top, side = round(square.left_px), round(square.top_px), max(1, round(square.side_px))
    x0, x1 = max(left, 0), min(left + side, width)
    y0, y1 = max(top, 0), min(top + side, height)
    canvas = np.full((side, side, 3), GREY, dtype=np.uint8)
    canvas[y0 - top : y1 - top, x0 - left : x1 - left] = rgb_HWC[y0:y1, x0:x1]
    return canvas


def crop_resized(rgb_HWC: NDArray[np.uint8], square: Square, size_px: int) -> NDArray[np.uint8]:
    """The square, resized to (size, size, 3) with an anti-aliased filter."""
    planes = torch.from_numpy(cut_out(rgb_HWC, square)).permute(2, 0, 1).unsqueeze(0)
    small = F.interpolate(planes, size=(size_px, size_px), mode="bilinear", antialias=True, align_corners=False)
    return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())
