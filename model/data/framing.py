"""The model's square views of a clip: of the subject, its face or a hand; tracks are mapped into the same square.

A square is fixed over its window: camera motion stays visible. Where it leaves the frame it is filled with middle
grey. Close views are why a face and a hand can be learnt at all: in a view of the whole body they span a few pixels.
Units: px of the native frame (x right, y down); crop units are [0, 1] across the square.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from schemas.tracks import BodyTrack, FaceTrack, HandsTrack

View = Literal["subject", "face", "left_hand", "right_hand"]
VIEWS: tuple[View, ...] = get_args(View)
CLOSE_MARGIN = {"face": 1.9, "left_hand": 1.7, "right_hand": 1.7}
"""Sides of close views over the box of landmarks: a face with its hair, a hand with its forearm's end."""
MIN_CLOSE_SHARE = 0.12
"""Smallest close view, as a share of the frame's short side: below there are no pixels to learn from."""
MIN_SEEN_SHARE = 0.7
"""A close view is offered when its part is seen in at least this share of the window."""
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

    Points outside the frame are guesses of the tracker and are clamped to it. None when nobody was seen.
    """
    extent = extent_px(body, face)
    if extent is None:
        return None
    height, width = size_hw
    left, right = np.clip([extent[0], extent[2]], 0, width)
    top, bottom = np.clip([extent[1], extent[3]], 0, height)
    return float(left), float(top), float(right), float(bottom)


def extent_px(body: BodyTrack | None, face: FaceTrack | None) -> tuple[float, float, float, float] | None:
    """Left, top, right, bottom of everything confidently seen, wherever it lies; None when nobody was seen.

    Every frame has a box; a side of the result leaves out the outermost 2 % of the frames' sides, so that one stray
    detection does not widen the crop. (Over points, the 478 of a face would leave out the feet.)
    """
    sides: list[NDArray[np.float32]] = []
    if body is not None and body.present_PT.shape[0] > 0:
        seen_TJ = body.present_PT[0][:, None] & (body.conf_PTJ[0] >= BODY_CONF)
        sides.append(_sides(body.joints_px_PTJ2[0], seen_TJ))
    if face is not None:
        points_TL2 = face.landmarks_px_TL2
        sides.append(_sides(points_TL2, np.repeat(face.present_T[:, None], points_TL2.shape[1], axis=1)))
    # Body and face may have other times; the face's frames widen the box as often as they were measured.
    every_M4 = np.concatenate(sides) if sides else np.zeros((0, 4), np.float32)
    if len(every_M4) == 0:
        return None
    low, high = np.quantile(every_M4[:, :2], 0.02, axis=0), np.quantile(every_M4[:, 2:], 0.98, axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _sides(points_TN2: NDArray[np.float32], seen_TN: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(M, 4) left, top, right, bottom of the seen points of every frame that shows any."""
    shown_T = seen_TN.any(axis=1)
    points, hidden = points_TN2[shown_T], ~seen_TN[shown_T, :, None]
    low = np.where(hidden, np.inf, points).min(axis=1)
    high = np.where(hidden, -np.inf, points).max(axis=1)
    return np.concatenate((low, high), axis=1)


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


def close_square(
    view: View, size_hw: tuple[int, int], face: FaceTrack, hands: HandsTrack, start_s: float, end_s: float
) -> Square | None:
    """The square of a close view over the window [start_s, end_s]; None where its part is not seen enough."""
    if view == "face":
        inside_T = (face.pts_s_T >= start_s - 1e-6) & (face.pts_s_T <= end_s + 1e-6)
        seen_T, points_TN2 = face.present_T[inside_T], face.landmarks_px_TL2[inside_T]
    else:
        side = 0 if view == "left_hand" else 1
        inside_T = (hands.pts_s_T >= start_s - 1e-6) & (hands.pts_s_T <= end_s + 1e-6)
        seen_T, points_TN2 = hands.present_T2[inside_T, side], hands.joints_px_T2J2[inside_T, side]
    if len(seen_T) == 0 or seen_T.mean() < MIN_SEEN_SHARE:
        return None
    points_N2 = points_TN2[seen_T].reshape(-1, 2)
    low, high = points_N2.min(axis=0), points_N2.max(axis=0)
    height, width = size_hw
    if high[0] < 0 or high[1] < 0 or low[0] > width or low[1] > height:
        return None
    short, long = min(size_hw), max(size_hw)
    side_px = float(np.clip(CLOSE_MARGIN[view] * float((high - low).max()), MIN_CLOSE_SHARE * short, long))
    middle = (low + high) / 2
    return Square(_place(float(middle[0]), side_px, width), _place(float(middle[1]), side_px, height), side_px)


def cut_out(rgb_THWC: NDArray[np.uint8], square: Square) -> NDArray[np.uint8]:
    """The square of every frame at native size, rounded to whole px: (T, side, side, 3), grey outside the frame."""
    frames, height, width = rgb_THWC.shape[:3]
    left, top, side = round(square.left_px), round(square.top_px), max(1, round(square.side_px))
    x0, x1 = min(max(left, 0), width), max(min(left + side, width), 0)
    y0, y1 = min(max(top, 0), height), max(min(top + side, height), 0)
    canvas = np.full((frames, side, side, 3), GREY, dtype=np.uint8)
    if x1 > x0 and y1 > y0:
        canvas[:, y0 - top : y1 - top, x0 - left : x1 - left] = rgb_THWC[:, y0:y1, x0:x1]
    return canvas


def crop_resized(rgb_THWC: NDArray[np.uint8], square: Square, size_px: int) -> NDArray[np.uint8]:
    """The square of every frame, resized to (T, size, size, 3) with an anti-aliased filter."""
    planes = torch.from_numpy(cut_out(rgb_THWC, square)).permute(0, 3, 1, 2)
    small = F.interpolate(planes, size=(size_px, size_px), mode="bilinear", antialias=True, align_corners=False)
    return np.ascontiguousarray(small.permute(0, 2, 3, 1).numpy())


def scaled(square: Square, factor: float) -> Square:
    """The same square on frames resized by `factor`."""
    return Square(square.left_px * factor, square.top_px * factor, square.side_px * factor)
