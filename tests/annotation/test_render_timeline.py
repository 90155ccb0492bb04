from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from annotation.render.sheet import SHEET_WIDTH_PX, cell_size_wh, contact_sheet, sheet_jpeg
from annotation.render.timeline import FIELD_RGB, TimelineStrip
from annotation.timed_labels import TimedLabel, timed_labels

WALK = TimedLabel("actions", "walk", 1.0, 3.0, 0.9)
WALK_AGAIN = TimedLabel("actions", "walk", 5.0, 6.0, None)
SMILE = TimedLabel("expressions", "smile", 2.0, 8.0, 0.7)
STATIC = TimedLabel("camera.moves", "static", 0.0, 10.0, 1.0)
LABELS = (WALK, WALK_AGAIN, SMILE, STATIC)


def strip(labels: tuple[TimedLabel, ...] = LABELS, width_px: int = 900, max_rows: int = 24) -> TimelineStrip:
    return TimelineStrip(labels, "somebody walks and smiles", 10.0, width_px, max_rows)


def bar_row(timeline: TimelineStrip, field: str, name: str) -> int:
    """A row of pixels through a label's bars, below the text in them."""
    place = timeline.row_of(field, name)
    assert place is not None
    return place[1] - 4


def spans_of(picture: NDArray[np.uint8], row: int, colour: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Runs [first, end) of columns that have the colour."""
    same = np.pad((picture[row] == colour).all(axis=1).astype(int), 1)
    edges = np.flatnonzero(np.diff(same))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def test_time_runs_linearly_from_left_to_right() -> None:
    timeline = strip()
    columns = [timeline.column_of(s) for s in (0, 2.5, 5, 10)]
    length = columns[3] - columns[0]
    assert columns[1] - columns[0] == pytest.approx(length / 4, abs=1)
    assert columns[2] - columns[0] == pytest.approx(length / 2, abs=1)
    assert timeline.column_of(-3) == columns[0]
    assert timeline.column_of(99) == columns[3]


@pytest.mark.parametrize("pts_s", [0.0, 1.7, 4.0, 9.99])
def test_the_playhead_stands_at_its_time_and_nowhere_else(pts_s: float) -> None:
    timeline = strip()
    row = bar_row(timeline, "actions", "walk")
    picture = timeline.at(pts_s)
    white = np.flatnonzero((picture[row] == 255).all(axis=1))
    column = timeline.column_of(pts_s)
    assert white.tolist() == [column - 1, column]


def test_every_label_has_its_bar_in_its_fields_colour() -> None:
    timeline, picture = strip(), strip().still()
    assert spans_of(picture, bar_row(timeline, "actions", "walk"), FIELD_RGB["actions"])[1:] == [
        (timeline.column_of(1), timeline.column_of(3)),
        (timeline.column_of(5), timeline.column_of(6)),
    ]
    (smile,) = spans_of(picture, bar_row(timeline, "expressions", "smile"), FIELD_RGB["expressions"])[1:]
    assert smile == (timeline.column_of(2), timeline.column_of(8))


def test_rows_are_one_per_label_in_order_of_field() -> None:
    timeline = strip()
    rows = [
        timeline.row_of(*key) for key in (("actions", "walk"), ("expressions", "smile"), ("camera.moves", "static"))
    ]
    tops = [row[0] for row in rows if row is not None]
    assert len(tops) == 3
    assert tops == sorted(tops)
    assert np.diff(tops).min() == np.diff(tops).max() > 12
    assert timeline.row_of("actions", "smile") is None


def test_what_holds_now_is_lit_and_the_rest_is_not() -> None:
    timeline = strip()
    picture = timeline.at(2.5)
    walking = spans_of(picture, bar_row(timeline, "actions", "walk"), FIELD_RGB["actions"])
    # The playhead splits the bar that holds; the second walk is at rest.
    at = timeline.column_of(2.5)
    assert walking[1:] == [(timeline.column_of(1), at - 1), (at + 1, timeline.column_of(3))]
    later = timeline.at(3.0)
    assert spans_of(later, bar_row(timeline, "actions", "walk"), FIELD_RGB["actions"]) == []
    assert spans_of(later, bar_row(timeline, "expressions", "smile"), FIELD_RGB["expressions"]) != []


def test_between_two_moments_only_playhead_clock_and_changed_labels_differ() -> None:
    timeline = strip((STATIC,))
    different = (timeline.at(4.0) != timeline.at(6.0)).any(axis=2)
    top, _ = timeline.row_of("camera.moves", "static") or (0, 0)
    columns = np.flatnonzero(different[top:].any(axis=0))
    heads = [timeline.column_of(s) + offset for s in (4.0, 6.0) for offset in (-1, 0)]
    assert columns.tolist() == heads


def test_too_many_rows_leave_out_the_least_sure_and_say_so() -> None:
    many = tuple(TimedLabel("actions", f"label {n}", 0, 1, n / 100) for n in range(40))
    timeline = strip(many, max_rows=10)
    kept = [n for n in range(40) if timeline.row_of("actions", f"label {n}") is not None]
    assert kept == list(range(30, 40))
    assert timeline.height_px > strip(many[30:], max_rows=10).height_px
    assert strip((), max_rows=10).height_px > 40


@pytest.mark.parametrize("width_px", [320, 640, 1281])
@pytest.mark.parametrize("duration_s", [0.0, 0.02, 10.0, 50_000.0])
def test_any_width_and_duration(width_px: int, duration_s: float) -> None:
    odd = TimedLabel("novel field", "a name that goes on and on " * 20 + "\x1b\ud800", -5, 1e9, 3.0)
    timeline = TimelineStrip((odd, WALK), "caption " * 300, duration_s, width_px, 24)
    picture = timeline.at(duration_s / 2)
    assert picture.shape == (timeline.height_px, width_px, 3)
    assert timeline.height_px % 2 == 0
    assert timeline.left < 0.6 * width_px
    assert timeline.row_of("actions", "walk") is not None


def test_labels_of_a_sample_are_read_with_object_and_hand() -> None:
    held = {"label": "holding", "start_s": 1, "end_s": 2, "confidence": 0.5, "hand": "left", "object": "cup"}
    first = {"label": "walk", "start_s": 3, "end_s": 4, "confidence": None}
    earlier = {"label": "stand", "start_s": 0, "end_s": 3, "confidence": 1}
    labels, unreadable = timed_labels({"actions": [first, earlier], "interactions": [held]})
    assert [label.name for label in labels] == ["stand", "walk", "holding cup (left)"]
    assert labels[1].confidence is None
    assert unreadable == 0
    assert labels[2].holds_at(1.0)
    assert not labels[2].holds_at(2.0)


@pytest.mark.parametrize(
    "row",
    [
        {}, {"label": "x"}, {"label": "x", "start_s": "a", "end_s": 1}, {"label": 3, "start_s": 0, "end_s": 1},
        {"label": "x", "start_s": 2, "end_s": 1}, {"label": "x", "start_s": 0, "end_s": float("inf")},
        {"label": "x", "start_s": 0, "end_s": None}, {"label": "x", "start_s": 0, "end_s": 1, "confidence": []},
    ],
)  # fmt: skip
def test_entries_that_are_no_intervals_are_counted(row: dict[str, object]) -> None:
    good = {"label": "walk", "start_s": 0, "end_s": 1, "confidence": 1}
    labels, unreadable = timed_labels({"actions": [row, good]})
    assert ([label.name for label in labels], unreadable) == (["walk"], 1)


@pytest.mark.parametrize(
    ("size_wh", "columns"), [((1920, 1080), 4), ((1080, 1920), 6), ((480, 480), 4), ((3000, 900), 3)]
)
def test_a_sheet_shows_each_frame_once_in_order(size_wh: tuple[int, int], columns: int) -> None:
    width, height = cell_size_wh(*size_wh, 12)
    assert width / height == pytest.approx(size_wh[0] / size_wh[1], rel=0.02)
    frames = [(float(n), np.full((height, width, 3), 20 * n + 10, np.uint8)) for n in range(12)]
    sheet = contact_sheet("key", ["a fact"], frames, LABELS, "a caption", 12.0)
    assert sheet.shape[1] == SHEET_WIDTH_PX
    corners = []
    for n in range(12):
        same = (sheet == 20 * n + 10).all(axis=2)
        assert same.sum() > 0.7 * width * height
        corners.append(tuple(int(np.argmax(same.sum(axis=axis) > 50)) for axis in (1, 0)))
    assert sorted(corners) == corners
    assert len({top for top, _ in corners}) == 12 // columns
    decoded = cv2.imdecode(np.frombuffer(sheet_jpeg(sheet), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == sheet.shape


def test_a_sheet_of_one_frame_or_none_has_its_timeline_all_the_same() -> None:
    none = contact_sheet("key", [], [], LABELS, "", 10.0)
    one = contact_sheet("key", [], [(0.0, np.zeros((90, 1668, 3), np.uint8))], LABELS, "", 10.0)
    assert one.shape[0] == none.shape[0] + 90 + 6
    lit = (none == FIELD_RGB["expressions"]).all(axis=2)
    assert lit.any(axis=0).sum() > 0.4 * SHEET_WIDTH_PX
