"""One frame of a clip as a picture of its own: cut to the crop square, tracks in px of what was cut out."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from model.data.framing import Square, choose_square, crop_resized, cut_out, subject_box_px
from schemas.tracks import BodyTrack, FaceTrack, HandsTrack

_T = TypeVar("_T", BodyTrack, FaceTrack, HandsTrack)

MAX_SIDE_PX = 1024
"""Larger crops are made smaller: no model here is shown more, and a library stays small."""


@dataclass(frozen=True, slots=True)
class Still:
    """A square picture of the main subject with their tracks (one frame, one person, in its px), and its square in px
    of the source."""

    rgb_HWC: NDArray[np.uint8]
    square: Square
    body: BodyTrack
    face: FaceTrack
    hands: HandsTrack


def one_frame(track: _T, t: int) -> _T:
    """Frame t of a track as a track of its own, at 0 s."""
    values: dict[str, Any] = {}
    for field in fields(track):
        value = getattr(track, field.name)
        axes = track.SHAPES.get(field.name, ())
        values[field.name] = np.take(value, [t], axis=axes.index("T")) if "T" in axes else value
    values["pts_s_T"] = np.zeros(1)
    return type(track)(**values)


def subject_square(body: BodyTrack, face: FaceTrack, size_hw: tuple[int, int]) -> Square:
    """The square in whole px, as `crop_resized` rounds it; the central one where nobody is seen."""
    square = choose_square(size_hw, subject_box_px(body, face, size_hw))
    return Square(round(square.left_px), round(square.top_px), max(1, round(square.side_px)))


def make_still(rgb_HWC: NDArray[np.uint8], body: BodyTrack, face: FaceTrack, hands: HandsTrack) -> Still:
    """Cut the main subject out of a picture; the tracks are those of this one frame, in px of the whole picture."""
    square = subject_square(body, face, (rgb_HWC.shape[0], rgb_HWC.shape[1]))
    side = int(square.side_px)
    scale = np.float32(min(1.0, MAX_SIDE_PX / side))
    one = rgb_HWC[None]
    cut = (cut_out(one, square) if side <= MAX_SIDE_PX else crop_resized(one, square, MAX_SIDE_PX))[0]
    origin = np.array([square.left_px, square.top_px], dtype=np.float32)

    def moved(points: NDArray[np.float32], present: NDArray[np.bool_]) -> NDArray[np.float32]:
        """(..., 2 or 3) points to the square; what is absent stays 0."""
        shifted = points.copy()
        shifted[..., :2] -= origin
        shifted = (shifted * scale).astype(np.float32)
        shifted[~present] = 0
        return np.asarray(shifted)

    return Still(
        cut,
        square,
        replace(
            body,
            joints_px_PTJ2=moved(body.joints_px_PTJ2[:1], body.present_PT[:1]),
            joints_world_m_PTJ3=body.joints_world_m_PTJ3[:1],
            conf_PTJ=body.conf_PTJ[:1],
            present_PT=body.present_PT[:1],
            filled_PT=body.filled_PT[:1],
        ),
        replace(
            face,
            landmarks_px_TL2=moved(face.landmarks_px_TL2, face.present_T),
            landmarks_3d_TL3=moved(face.landmarks_3d_TL3, face.present_T),
            focal_px=np.asarray(face.focal_px * scale, dtype=np.float32),
        ),
        replace(
            hands,
            joints_px_T2J2=moved(hands.joints_px_T2J2, hands.present_T2),
            others_px_QT2J2=hands.others_px_QT2J2[:0],
            others_world_m_QT2J3=hands.others_world_m_QT2J3[:0],
            others_conf_QT2=hands.others_conf_QT2[:0],
            others_present_QT2=hands.others_present_QT2[:0],
        ),
    )
