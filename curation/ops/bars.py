"""Black bars around the picture, combing between its fields, and whether it shows anything at all. Luma is 0-255."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# A darker pixel than this is black, with a margin for noise (luma is expanded to full range, so black is 0).
BLACK_LUMA = 24.0
# How much of a row, a column or a picture is black when it counts as black.
_NEARLY_ALL = 0.98


def is_black(luma_HW: NDArray[np.uint8]) -> bool:
    """Whether 98 % of the pixels are black."""
    return cv2.countNonZero(_dark(luma_HW)) >= _NEARLY_ALL * luma_HW.size


def active_picture(luma_HW: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the picture inside its black bars, as shares of width and height (0-1).

    (0, 0, 1, 1) for a frame without bars and for one that is black altogether. A bar is what lies outside the first
    and last row and column of which more than 2 % is not black.
    """
    border = (luma_HW[0], luma_HW[-1], np.ascontiguousarray(luma_HW[:, 0]), np.ascontiguousarray(luma_HW[:, -1]))
    # A bar reaches the border; most pictures are done here.
    if not any(is_black(line[None]) for line in border):
        return 0.0, 0.0, 1.0, 1.0
    dark_HW = _dark(luma_HW)
    rows, columns = _dark_columns(cv2.transpose(dark_HW)), _dark_columns(dark_HW)
    if rows.all() or columns.all():
        return 0.0, 0.0, 1.0, 1.0
    top, bottom = int(np.argmin(rows)), len(rows) - int(np.argmin(rows[::-1]))
    # Rows of the bars say nothing of the columns: a title picture within letterbox is judged by its own height.
    inner = _dark_columns(dark_HW[top:bottom])
    left, right = int(np.argmin(inner)), len(inner) - int(np.argmin(inner[::-1]))
    return left / len(columns), top / len(rows), right / len(columns), bottom / len(rows)


def _dark(luma_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """255 where the pixel is black, else 0."""
    return np.asarray(cv2.compare(luma_HW, BLACK_LUMA, cv2.CMP_LT), dtype=np.uint8)


def _dark_columns(dark_HW: NDArray[np.uint8]) -> NDArray[np.bool_]:
    sums_W = cv2.reduce(dark_HW, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
    return np.asarray(sums_W >= _NEARLY_ALL * 255 * len(dark_HW))


def is_interlaced(luma_HW: NDArray[np.uint8]) -> bool:
    """Whether neighbouring rows differ clearly more than rows of the same field do: the comb of two fields in motion.

    In a progressive picture the next row is nearer than the one after it, so the ratio stays below 1. Stripes one row
    high have the ratio of a comb too, but the whole row departs from its neighbours to one side; what a comb does on
    one side of a moving object it undoes on the other.
    """
    if luma_HW.shape[0] < 8:
        return False
    upper, middle, lower = luma_HW[:-2], luma_HW[1:-1], luma_HW[2:]
    next_row = cv2.norm(middle, upper, cv2.NORM_L1) / upper.size
    same_field = cv2.norm(lower, upper, cv2.NORM_L1) / upper.size
    if next_row <= 1.25 * same_field + 0.5:
        return False
    departure_HW = 2.0 * middle - upper - lower
    to_one_side = np.abs(departure_HW.sum(axis=1)).sum()
    return bool(to_one_side < 0.6 * np.abs(departure_HW).sum())
