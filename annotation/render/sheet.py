"""A still contact sheet of one clip: facts, frames with their tracks and times, the whole timeline.

Axes: H rows, W columns, C red-green-blue.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.render.text import line_height_px, put_tag, put_text, text_width_px, wrap
from annotation.render.timeline import GROUND_RGB, TimelineStrip
from annotation.render.wireframe import (
    CAMERA_RGB,
    FACE_RGB,
    GAZE_RGB,
    LEFT_RGB,
    OTHERS_RGB,
    RIGHT_RGB,
    THING_RGB,
    Colour,
)
from annotation.timed_labels import TimedLabel

Picture = NDArray[np.uint8]

SHEET_WIDTH_PX = 1680
_GAP_PX, _TITLE_PX, _TEXT_PX = 6, 26, 17
_LABEL_ROWS = 200
_FACT_LINES = 12
_TEXT_RGB: Colour = (200, 203, 208)
_LEGEND: tuple[tuple[str, Colour], ...] = (
    ("left", LEFT_RGB), ("right", RIGHT_RGB), ("other people", OTHERS_RGB[0]), ("face", FACE_RGB), ("gaze", GAZE_RGB),
    ("things", THING_RGB), ("camera", CAMERA_RGB), ("dashed: filled between measured frames", _TEXT_RGB),
    ("faint: unsure", _TEXT_RGB),
)  # fmt: skip


def cell_size_wh(width_px: int, height_px: int, cells: int) -> tuple[int, int]:
    """Size of one frame on the sheet: as many side by side as give the twelve or fewer an even grid."""
    columns = _columns(width_px, height_px, cells)
    width = (SHEET_WIDTH_PX - (columns + 1) * _GAP_PX) // columns
    return width, max(1, round(width * height_px / width_px))


def contact_sheet(
    title: str,
    facts: Sequence[str],
    frames: Sequence[tuple[float, Picture]],
    labels: Sequence[TimedLabel],
    caption: str,
    duration_s: float,
) -> Picture:
    """frames: clip time in seconds and a drawn picture of `cell_size_wh`, all of one size."""
    parts = [_heading(title, facts), _grid(frames), _legend()]
    strip = TimelineStrip(labels, caption, duration_s, SHEET_WIDTH_PX, _LABEL_ROWS)
    parts.append(strip.still([pts_s for pts_s, _ in frames]))
    return np.concatenate(parts, axis=0)


def sheet_jpeg(sheet_HWC: Picture, quality: int = 88) -> bytes:
    encoded, data = cv2.imencode(
        ".jpg", cv2.cvtColor(sheet_HWC, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not encoded:
        raise ValueError(f"OpenCV could not encode a sheet of {sheet_HWC.shape} as JPEG")
    return bytes(data.tobytes())


def _columns(width_px: int, height_px: int, cells: int) -> int:
    """4 for landscape, 6 for portrait, 3 for very wide frames; no more than there are frames."""
    aspect = width_px / height_px
    return max(1, min(cells, 3 if aspect > 2.2 else 4 if aspect > 0.9 else 6))


def _ground(height_px: int) -> Picture:
    return np.full((height_px, SHEET_WIDTH_PX, 3), GROUND_RGB, np.uint8)


def _heading(title: str, facts: Sequence[str]) -> Picture:
    inner = SHEET_WIDTH_PX - 4 * _GAP_PX
    lines = [line for fact in facts for line in wrap(fact, inner, _TEXT_PX, 3)][:_FACT_LINES]
    top = 2 * _GAP_PX + line_height_px(_TITLE_PX)
    picture = _ground(top + len(lines) * line_height_px(_TEXT_PX) + _GAP_PX)
    put_text(picture, wrap(title, inner, _TITLE_PX, 1)[0], (2 * _GAP_PX, _GAP_PX), (255, 255, 255), _TITLE_PX)
    for number, line in enumerate(lines):
        put_text(picture, line, (2 * _GAP_PX, top + number * line_height_px(_TEXT_PX)), _TEXT_RGB, _TEXT_PX)
    return picture


def _grid(frames: Sequence[tuple[float, Picture]]) -> Picture:
    if not frames:
        return _ground(_GAP_PX)
    height, width = frames[0][1].shape[:2]
    columns = max(1, (SHEET_WIDTH_PX - _GAP_PX) // (width + _GAP_PX))
    rows = math.ceil(len(frames) / columns)
    picture = _ground(rows * (height + _GAP_PX) + _GAP_PX)
    for number, (pts_s, cell) in enumerate(frames):
        row, column = divmod(number, columns)
        top, left = _GAP_PX + row * (height + _GAP_PX), _GAP_PX + column * (width + _GAP_PX)
        part = picture[top : top + height, left : left + width]
        part[...] = cell
        put_tag(part, f"{pts_s:.2f} s", (0, height), (255, 255, 255), _TEXT_PX)
    return picture


def _legend() -> Picture:
    picture = _ground(line_height_px(_TEXT_PX) + _GAP_PX)
    left = 2 * _GAP_PX
    for text, colour in _LEGEND:
        put_text(picture, text, (left, 0), colour, _TEXT_PX)
        left += text_width_px(text, _TEXT_PX) + 4 * _GAP_PX
    return picture
