"""Text on pictures: any unicode, any size, in Pillow's own font.

Axes: H rows, W columns, C red-green-blue.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from annotation.render.wireframe import Colour


def drawable(text: str) -> str:
    """The text in one line; control characters and lone surrogates, which fonts have no sign for, become U+FFFD."""
    return "".join(char if char.isprintable() else "\ufffd" for char in " ".join(text.split()))


def text_width_px(text: str, size_px: int) -> int:
    return round(_font(size_px).getlength(drawable(text)))


def line_height_px(size_px: int) -> int:
    return round(1.35 * size_px)


def put_text(
    picture_HWC: NDArray[np.uint8], text: str, left_top_xy: tuple[int, int], colour: Colour, size_px: int
) -> None:
    """Draws one line into the picture; what reaches beyond its edges is cut off."""
    cover_HW = _cover(drawable(text), size_px)
    left, top = left_top_xy
    x, y = max(left, 0), max(top, 0)
    part_HWC = picture_HWC[y : top + cover_HW.shape[0], x : left + cover_HW.shape[1]]
    if part_HWC.size == 0:
        return
    height, width = part_HWC.shape[:2]
    cover_HW1 = cover_HW[y - top : y - top + height, x - left : x - left + width, None]
    ink_HWC = part_HWC + (np.array(colour, np.float32) - part_HWC) * cover_HW1
    part_HWC[...] = np.rint(ink_HWC).astype(np.uint8)


def put_tag(
    picture_HWC: NDArray[np.uint8], text: str, left_top_xy: tuple[int, int], colour: Colour, size_px: int
) -> None:
    """Text on a dark ground of its own, kept inside the picture: readable on any footage."""
    height, width = picture_HWC.shape[:2]
    pad = max(2, size_px // 5)
    box_wh = (text_width_px(text, size_px) + 2 * pad, line_height_px(size_px))
    left = min(max(left_top_xy[0], 0), max(width - box_wh[0], 0))
    top = min(max(left_top_xy[1], 0), max(height - box_wh[1], 0))
    darken(picture_HWC, left, top, left + box_wh[0], top + box_wh[1])
    put_text(picture_HWC, text, (left + pad, top), colour, size_px)


def darken(picture_HWC: NDArray[np.uint8], left: int, top: int, right: int, bottom: int) -> None:
    """Leaves a third of the light in a rectangle."""
    part_HWC = picture_HWC[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    part_HWC //= 3


def wrap(text: str, width_px: int, size_px: int, at_most_lines: int) -> list[str]:
    """Lines of at most width_px, broken at spaces where there are any; what does not fit ends in an ellipsis."""
    lines: list[str] = []
    rest = drawable(text)
    while rest and len(lines) < at_most_lines:
        fits = _fitting(rest, width_px, size_px)
        if fits < len(rest):
            space = rest.rfind(" ", 1, fits + 1)
            fits = space if space > 0 else fits
        lines.append(rest[:fits].strip())
        rest = rest[fits:].strip()
    if rest and lines:
        lines[-1] = shorten(f"{lines[-1]} {rest}", width_px, size_px)
    return lines


def shorten(text: str, width_px: int, size_px: int) -> str:
    """The text, or its beginning with an ellipsis, in at most width_px."""
    text = drawable(text)
    if text_width_px(text, size_px) <= width_px:
        return text
    return text[: _fitting(text, width_px - text_width_px("…", size_px), size_px)].rstrip() + "…"


def _fitting(text: str, width_px: int, size_px: int) -> int:
    """How many characters fit, at least one."""
    # Nothing is narrower than a pixel: hostile lengths are never measured.
    low, high = 1, min(len(text), max(width_px, 1))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text_width_px(text[:middle], size_px) <= width_px else (low, middle - 1)
    return low


@lru_cache(maxsize=32)
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)


@lru_cache(maxsize=2048)
def _cover(text: str, size_px: int) -> NDArray[np.float32]:
    """(H, W): how much of each pixel the text covers, 0-1."""
    size_wh = (text_width_px(text, size_px) + 2, line_height_px(size_px))
    mask = Image.new("L", size_wh)
    ImageDraw.Draw(mask).text((0, round(0.1 * size_px)), text, fill=255, font=_font(size_px))
    return np.asarray(mask, np.float32) / 255
