"""All pictures of a subject in one PNG, with what is known of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.render.text import line_height_px, put_tag, put_text, shorten
from annotation.render.timeline import GROUND_RGB
from model.identity.library import Picture, PictureRecord, SubjectRecord
from model.video import png_bytes
from schemas.errors import RecipeError

_CELL_PX, _GAP_PX, _TITLE_PX, _TEXT_PX = 320, 6, 24, 16
_COLUMNS = 4
_WHITE = (255, 255, 255)


def write_sheet(path: Path, record: SubjectRecord, pictures: Sequence[Picture]) -> None:
    """Raises: RecipeError when the name is not that of a PNG or the folder cannot be written to."""
    if path.suffix.lower() != ".png":
        raise RecipeError(f"--sheet {path}: the sheet is written as .png")
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(png_bytes(draw_sheet(record, pictures)))
        part.replace(path)
    except OSError as error:
        raise RecipeError(f"--sheet {path} cannot be written: {error.strerror or error}") from error


def draw_sheet(record: SubjectRecord, pictures: Sequence[Picture]) -> NDArray[np.uint8]:
    """(H, W, 3): the name and the consent, then up to four pictures in a row."""
    columns = max(1, min(_COLUMNS, len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    step = _CELL_PX + _GAP_PX
    top = 2 * _GAP_PX + line_height_px(_TITLE_PX) + line_height_px(_TEXT_PX)
    width = columns * step + _GAP_PX
    sheet = np.full((top + rows * step + _GAP_PX, width, 3), GROUND_RGB, np.uint8)
    room = width - 2 * _GAP_PX
    put_text(sheet, shorten(record.name, room, _TITLE_PX), (_GAP_PX, _GAP_PX), _WHITE, _TITLE_PX)
    consent = shorten(f"consent: {record.consent}", room, _TEXT_PX)
    put_text(sheet, consent, (_GAP_PX, _GAP_PX + line_height_px(_TITLE_PX)), _WHITE, _TEXT_PX)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        left, upper = _GAP_PX + column * step, top + row * step
        cell = sheet[upper : upper + _CELL_PX, left : left + _CELL_PX]
        cell[...] = cv2.resize(picture.rgb_HWC, (_CELL_PX, _CELL_PX), interpolation=cv2.INTER_AREA)
        put_tag(cell, picture.record.name, (0, 0), _WHITE, _TEXT_PX)
        put_tag(cell, view_text(picture.record), (0, _CELL_PX), _WHITE, _TEXT_PX)
    return sheet


def view_text(picture: PictureRecord) -> str:
    """Kind and yaw in words, for example `half, yaw -32°`."""
    return picture.kind if picture.yaw_deg is None else f"{picture.kind}, yaw {picture.yaw_deg:+.0f}°"
