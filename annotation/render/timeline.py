"""The strip under a picture: caption, and every label on a time axis with a playhead.

Axes: H rows, W columns, C red-green-blue. The strip is drawn twice when it is made, with all labels at rest and with
all of them lit; a moment of the clip is the first with the parts of the second that hold then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.render.text import drawable, line_height_px, put_text, shorten, text_width_px, wrap
from annotation.render.wireframe import CAMERA_RGB, FACE_RGB, THING_RGB, Colour
from annotation.timed_labels import TimedLabel

Picture = NDArray[np.uint8]

# As on the picture, where the same track is drawn in that colour.
FIELD_RGB: dict[str, Colour] = {
    "actions": (250, 200, 90),
    "expressions": FACE_RGB,
    "interactions": THING_RGB,
    "gestures": (110, 200, 255),
    "camera.moves": CAMERA_RGB,
}
_OTHER_RGB: Colour = (200, 200, 200)
GROUND_RGB: Colour = (22, 23, 27)
_TEXT_RGB, _LIT_RGB, _GRID_RGB, _DARK_RGB = (175, 178, 184), (255, 255, 255), (52, 54, 60), (15, 15, 18)
_AT_REST = 0.5
_NAMES_SHARE = 0.36
_CAPTION_LINES = 4
_TICK_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
_TICK_APART_PX = 60


@dataclass(frozen=True, slots=True)
class _Row:
    """One label of one field, and its rows of pixels [top, bottom) in the strip."""

    field: str
    name: str
    spans: tuple[TimedLabel, ...]
    top: int
    bottom: int


class TimelineStrip:
    """A strip of width_px for a clip of duration_s. Rows come in order of field and first start, at most max_rows."""

    def __init__(
        self, labels: Sequence[TimedLabel], caption: str, duration_s: float, width_px: int, max_rows: int
    ) -> None:
        self._duration_s = max(duration_s, 1e-3)
        self._text_px = min(max(round(width_px / 70), 13), 18)
        self._pad = self._text_px // 2
        self._line = line_height_px(self._text_px)
        caption_lines = wrap(caption, width_px - 2 * self._pad, self._text_px, _CAPTION_LINES)
        self._header_top = self._pad + len(caption_lines) * self._line + self._pad
        self._axis_top = self._header_top + self._line + self._pad
        self._rows, left_out = self._laid_out(labels, max_rows)
        self._bottom = self._rows[-1].bottom if self._rows else self._axis_top + self._line
        widest = max((text_width_px(row.name, self._text_px) for row in self._rows), default=0)
        self.left = min(widest, round(_NAMES_SHARE * width_px)) + 3 * self._pad + self._text_px
        self.right = width_px - 2 * self._pad
        height = self._bottom + self._pad + (self._line if left_out or not self._rows else 0)
        self._rest = self._drawn(caption_lines, left_out, (height + height % 2, width_px), lit=False)
        self._lit = self._drawn(caption_lines, left_out, (height + height % 2, width_px), lit=True)

    @property
    def height_px(self) -> int:
        return int(self._rest.shape[0])

    def column_of(self, pts_s: float) -> int:
        """The column of a clip time; times outside the clip lie at its ends."""
        return self.left + round(min(max(pts_s / self._duration_s, 0), 1) * (self.right - self.left))

    def row_of(self, field: str, name: str) -> tuple[int, int] | None:
        """[top, bottom) of a label's row."""
        return next(((row.top, row.bottom) for row in self._rows if (row.field, row.name) == (field, name)), None)

    def at(self, pts_s: float) -> Picture:
        """(H, W, 3): what holds at pts_s is lit, the playhead stands there, the clip time is written out."""
        picture = self._rest.copy()
        for row in self._rows:
            holding = [span for span in row.spans if span.holds_at(pts_s)]
            if holding:
                picture[row.top : row.bottom, : self.left] = self._lit[row.top : row.bottom, : self.left]
            for span in holding:
                columns = slice(self.column_of(span.start_s), self._end_column(span))
                picture[row.top : row.bottom, columns] = self._lit[row.top : row.bottom, columns]
        column = self.column_of(pts_s)
        picture[self._axis_top : self._bottom, column - 1 : column + 1] = _LIT_RGB
        clock = f"{pts_s:.2f} s of {self._duration_s:.2f} s"
        put_text(picture, clock, (self._pad, self._header_top), _LIT_RGB, self._text_px)
        return picture

    def still(self, marks_s: Iterable[float] = ()) -> Picture:
        """(H, W, 3): the whole clip with every label lit, and small marks at some times."""
        picture = self._lit.copy()
        for mark_s in marks_s:
            column, top, half = self.column_of(mark_s), self._axis_top - self._pad, self._pad // 2
            corners = np.array([(column - half, top), (column + half, top), (column, self._axis_top)], np.int32)
            cv2.fillConvexPoly(picture, corners, _LIT_RGB, cv2.LINE_AA)
        return picture

    def _end_column(self, span: TimedLabel) -> int:
        """Behind the last column of a bar; the shortest is three columns wide."""
        return max(self.column_of(span.end_s), self.column_of(span.start_s) + 3)

    def _laid_out(self, labels: Sequence[TimedLabel], max_rows: int) -> tuple[list[_Row], int]:
        """The rows, and how many were left out: the ones whose best confidence is least."""
        spans: dict[tuple[str, str], list[TimedLabel]] = {}
        for label in labels:
            spans.setdefault((label.field, drawable(label.name)), []).append(label)
        sure = sorted(spans, key=lambda key: -max(1.0 if s.confidence is None else s.confidence for s in spans[key]))
        kept = set(sure[:max_rows])
        first = self._axis_top + self._line
        rows: list[_Row] = []
        for field, name in (key for key in spans if key in kept):
            top = first + len(rows) * (self._line + 2)
            rows.append(_Row(field, name, tuple(spans[field, name]), top, top + self._line + 2))
        return rows, len(spans) - len(rows)

    def _drawn(self, caption_lines: Sequence[str], left_out: int, size_hw: tuple[int, int], lit: bool) -> Picture:
        picture = np.full((*size_hw, 3), GROUND_RGB, np.uint8)
        for number, line in enumerate(caption_lines):
            put_text(picture, line, (self._pad, self._pad + number * self._line), _LIT_RGB, self._text_px)
        self._draw_fields(picture)
        self._draw_axis(picture)
        for row in self._rows:
            self._draw_row(picture, row, lit)
        note = f"and {left_out} labels of less confidence" if left_out else "" if self._rows else "no labels"
        put_text(picture, note, (self._pad, self._bottom), _TEXT_RGB, self._text_px)
        return picture

    def _draw_fields(self, picture: Picture) -> None:
        """The names of the fields in their colours, from the right."""
        right = self.right
        for field in reversed(list(dict.fromkeys(row.field for row in self._rows))):
            right -= text_width_px(field, self._text_px)
            put_text(picture, field, (right, self._header_top), FIELD_RGB.get(field, _OTHER_RGB), self._text_px)
            right -= 2 * self._pad

    def _draw_axis(self, picture: Picture) -> None:
        for pts_s, text in self._ticks():
            column = self.column_of(pts_s)
            picture[self._axis_top : self._bottom, column] = _GRID_RGB
            room = picture.shape[1] - column - 3
            if text_width_px(text, self._text_px - 2) < room:
                put_text(picture, text, (column + 3, self._axis_top), _TEXT_RGB, self._text_px - 2)

    def _ticks(self) -> list[tuple[float, str]]:
        """Round times, apart enough for their text; the first also says the unit."""
        at_least_s = self._duration_s * _TICK_APART_PX / max(self.right - self.left, 1)
        step_s = next((step for step in _TICK_STEPS_S if step >= at_least_s), _TICK_STEPS_S[-1])
        return [(n * step_s, f"{n * step_s:g}" + (" s" if n == 0 else ""))
                for n in range(math.floor(self._duration_s / step_s + 1e-9) + 1)]  # fmt: skip

    def _draw_row(self, picture: Picture, row: _Row, lit: bool) -> None:
        colour = FIELD_RGB.get(row.field, _OTHER_RGB)
        shade: Colour = colour if lit else tuple(round(c * _AT_REST) for c in colour)  # type: ignore[assignment]
        swatch = slice(self._pad, self._pad + self._text_px // 2)
        picture[row.top + self._pad // 2 : row.bottom - self._pad // 2, swatch] = shade
        name_left = swatch.stop + self._pad
        name = shorten(row.name, self.left - name_left - self._pad, self._text_px)
        put_text(picture, name, (name_left, row.top), _LIT_RGB if lit else _TEXT_RGB, self._text_px)
        for span in row.spans:
            start, end = self.column_of(span.start_s), self._end_column(span)
            picture[row.top + 2 : row.bottom - 2, start:end] = shade
            text = "" if span.confidence is None else f"{span.confidence:.2f}"
            small = self._text_px - 3
            if text and text_width_px(text, small) + 6 <= end - start:
                put_text(picture, text, (start + 3, row.top + (row.bottom - row.top - line_height_px(small)) // 2),
                         _DARK_RGB if lit else _TEXT_RGB, small)  # fmt: skip
