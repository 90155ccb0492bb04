"""Frames, facts and rows: what may not be built."""

from __future__ import annotations

import numpy as np
import pytest
from builders import clock, moving_square_frames

from schemas.clip import ClipSpan, FailureRecord
from schemas.errors import DataError, MotionloomError, ProbeError, RecipeError, SchemaError
from schemas.frames import FrameBatch, FrameRequest
from schemas.scores import Fact, FrameFacts


def test_frame_batches_are_read_only() -> None:
    batch = FrameBatch(moving_square_frames(4), clock(4))
    assert len(batch) == 4
    with pytest.raises(ValueError, match="read-only"):
        batch.rgb_THWC[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        batch.pts_s_T[0] = 1


@pytest.mark.parametrize(
    ("rgb", "pts_s", "message"),
    [
        (np.zeros((2, 4, 4), np.uint8), clock(2), r"expected \(T, H, W, 3\) uint8"),
        (np.zeros((2, 4, 4, 3), np.float32), clock(2), "float32"),
        (np.zeros((2, 4, 4, 3), np.uint8), clock(3), "2 frames with"),
        (np.zeros((2, 4, 4, 3), np.uint8), np.array([0.5, 0.5]), "do not increase"),
        (np.zeros((2, 4, 4, 3), np.uint8), np.array([0.0, np.nan]), "do not increase"),
    ],
)
def test_wrong_frames_are_refused(rgb: np.ndarray, pts_s: np.ndarray, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        FrameBatch(rgb, pts_s)


@pytest.mark.parametrize(("fps", "side"), [(0.0, None), (-1.0, None), (float("nan"), None), (None, 0)])
def test_impossible_requests_are_refused(fps: float | None, side: int | None) -> None:
    with pytest.raises(ValueError, match="frame request sharpness"):
        FrameRequest("sharpness", fps, side)


def test_a_fact_ignores_what_is_absent_and_refuses_nan_in_what_is_present() -> None:
    values = np.array([1.0, np.nan, 3.0], dtype=np.float32)
    fact = Fact(values, np.array([True, False, True]))
    facts = FrameFacts(clock(3), 0.375, {"sharpness": fact})
    assert facts.values("sharpness").tolist() == [1.0, 3.0]
    assert facts.series("sharpness")[0].tolist() == [0.0, 0.25]
    assert facts.values("unknown").size == 0
    with pytest.raises(SchemaError, match="NaN or infinite"):
        Fact.full(values)


def test_a_fact_keeps_the_present_frames_alone_and_is_cut_by_frames() -> None:
    words_T2 = np.arange(10, dtype=np.uint8).reshape(5, 2)
    fact = Fact(words_T2, np.array([False, True, False, True, True]))
    assert fact.measured_N.tolist() == [[2, 3], [6, 7], [8, 9]]
    assert fact.values_T.tolist() == [[0, 0], [2, 3], [0, 0], [6, 7], [8, 9]]
    assert fact.values_T.dtype == np.uint8
    inside = fact.between(1, 4)
    assert (inside.measured_N.tolist(), inside.present_T.tolist()) == ([[2, 3], [6, 7]], [True, False, True])
    assert len(fact.between(5, 9)) == 0
    with pytest.raises(SchemaError, match="do not fit 3 present frames"):
        Fact.of_measured(words_T2, fact.present_T)
    with pytest.raises(SchemaError, match="do not fit presence"):
        Fact(words_T2, fact.present_T[:4])


def test_a_span_is_half_open_seconds() -> None:
    span = ClipSpan("c", "v", "u", 1.5, 4.0)
    assert span.duration_s == 2.5
    row = {"clip_id": "c", "video_id": "v", "uri": "u", "start_s": 1.5, "end_s": 4.0, "take_clip": None}
    assert span.row() == row


def test_a_failure_keeps_class_and_message_of_its_error() -> None:
    row = FailureRecord.of(ProbeError("no video stream"), "a.mp4", "probe").row()
    assert (row["error_class"], row["message"], row["clip_id"]) == ("ProbeError", "no video stream", None)


def test_the_error_tree_separates_the_call_from_the_data() -> None:
    assert issubclass(ProbeError, DataError)
    assert issubclass(DataError, MotionloomError)
    assert not issubclass(RecipeError, DataError)
