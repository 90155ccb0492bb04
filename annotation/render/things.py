"""Boxes of the things that a detector named."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.render.strokes import Points, line_width_px
from annotation.render.text import line_height_px, put_tag, shorten
from annotation.render.wireframe import THING_RGB
from schemas.tracks import ContactTrack

# The detector looks about three times a second (annotation/contact): a box holds until the next look.
LASTS_S = 0.35


def things_at(contact: ContactTrack, pts_s: float) -> NDArray[np.intp]:
    """Which of the N things were seen in the last look before or at pts_s, no longer ago than the next look comes."""
    before_N = contact.thing_s_N <= pts_s + 1e-6
    if not before_N.any():
        return np.zeros(0, np.intp)
    look_s = float(contact.thing_s_N[before_N].max())
    return np.flatnonzero((contact.thing_s_N == look_s) & (pts_s - look_s < LASTS_S))


def draw_things(
    picture_HWC: NDArray[np.uint8], contact: ContactTrack, pts_s: float, scale_xy: Points, text_px: int
) -> None:
    """Boxes with their names above them."""
    line = max(1, line_width_px(picture_HWC) // 2)
    for n in things_at(contact, pts_s):
        corners_22 = contact.thing_px_N4[n].astype(np.float64).reshape(2, 2) * scale_xy
        left, top, right, bottom = (int(v) for v in np.clip(corners_22, -1e4, 1e4).round().ravel())
        cv2.rectangle(picture_HWC, (left, top), (right - 1, bottom - 1), THING_RGB, line)
        name = shorten(contact.thing_names[n], picture_HWC.shape[1] // 2, text_px)
        put_tag(picture_HWC, name, (left, top - line_height_px(text_px)), THING_RGB, text_px)
