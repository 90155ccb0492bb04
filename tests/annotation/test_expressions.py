"""Expression events on coefficients whose course is known by construction."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from annotation.arkit import ARKIT_NAMES, all_coefficients
from annotation.base import ClipFrame
from annotation.expressions import ExpressionEvent, expressions
from annotation.ops.episodes import episodes, moving_median, noise
from annotation.ops.expression import EXPRESSION_NAMES
from schemas.tracks import FaceTrack

FPS, T = 25.0, 100
CLIP = ClipFrame(640, 480, FPS)


def face_with(
    fps: float = FPS, present_T: NDArray[np.bool_] | None = None, **columns: NDArray[np.float64]
) -> FaceTrack:
    frames = len(next(iter(columns.values())))
    expression_TK = np.zeros((frames, len(ARKIT_NAMES)), np.float32)
    for name, value_T in columns.items():
        expression_TK[:, ARKIT_NAMES.index(name)] = value_T
    landmarks_3d_TL3 = np.zeros((frames, 478, 3), np.float32)
    landmarks_3d_TL3[:, 263, 0] = 60  # outer corners of the eyes, in px
    return FaceTrack(
        np.zeros((frames, 478, 2), np.float32), landmarks_3d_TL3,
        np.tile(np.eye(3, dtype=np.float32), (frames, 1, 1)), expression_TK, ARKIT_NAMES,
        np.zeros((frames, 2), np.float32), np.ones(frames, np.bool_) if present_T is None else present_T,
        np.arange(frames) / fps,
    )  # fmt: skip


def rise(onset_s: float, apex_s: float, offset_s: float, height: float = 0.9, fps: float = FPS) -> NDArray[np.float64]:
    """0, straight up from onset to apex, straight down to offset; four seconds long."""
    return height * np.interp(np.arange(4 * fps) / fps, [onset_s, apex_s, offset_s], [0.0, 1.0, 0.0])


def smiling(value_T: NDArray[np.float64], **others: NDArray[np.float64]) -> FaceTrack:
    return face_with(mouthSmileLeft=value_T, mouthSmileRight=value_T, **others)


def labels(face: FaceTrack) -> list[str]:
    return [each.label for each in expressions(face, CLIP)]


def test_an_event_has_its_onset_apex_and_offset() -> None:
    (smile,) = expressions(smiling(rise(1.0, 1.6, 2.8)), CLIP)
    assert smile.label == "smile"
    # A tenth of the rise is lost at either end, and a frame.
    assert smile.start_s == pytest.approx(1.0, abs=0.06 + 0.04)
    assert smile.apex_s == pytest.approx(1.6)
    assert smile.end_s == pytest.approx(2.8, abs=0.12 + 0.04)
    row = smile.row()
    assert (row["onset_s"], row["apex_s"], row["offset_s"]) == (smile.start_s, smile.apex_s, smile.end_s)
    assert set(row) == {"label", "start_s", "end_s", "confidence", "onset_s", "apex_s", "offset_s"}


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0])
def test_times_do_not_depend_on_the_frame_rate(fps: float) -> None:
    value_T = rise(1.0, 1.5, 2.5, fps=fps)
    (smile,) = expressions(face_with(fps, mouthSmileLeft=value_T, mouthSmileRight=value_T), CLIP)
    assert (smile.start_s, smile.apex_s, smile.end_s) == pytest.approx((1.05, 1.5, 2.4), abs=0.05)


def test_what_the_face_holds_all_through() -> None:
    held_T = np.full(T, 0.9)
    assert labels(smiling(held_T)) == ["smile"]
    # High brows all along are how the face is made.
    assert labels(face_with(browInnerUp=held_T)) == []
    assert labels(face_with(browInnerUp=0.3 + rise(1, 2, 3, 0.6))) == ["brows_raised"]


def test_blinks_are_short_and_winks_are_one_eyed() -> None:
    short_T, long_T = rise(1.0, 1.1, 1.2), rise(1.0, 2.0, 3.0)
    assert labels(face_with(eyeBlinkLeft=short_T, eyeBlinkRight=short_T)) == ["blink"]
    assert labels(face_with(eyeBlinkLeft=long_T, eyeBlinkRight=long_T)) == ["eyes_closed"]
    assert labels(face_with(eyeBlinkLeft=rise(1.0, 1.2, 1.5))) == ["wink_left"]
    assert labels(face_with(eyeBlinkRight=rise(1.0, 1.2, 1.5))) == ["wink_right"]


@pytest.mark.parametrize(("seconds", "label"), [(0.2, "micro_smile"), (0.45, "micro_smile"), (0.8, "smile")])
def test_a_micro_expression_is_one_of_at_most_half_a_second(seconds: float, label: str) -> None:
    assert labels(smiling(rise(1.5, 1.5 + seconds / 2, 1.5 + seconds))) == [label]


def test_one_frame_at_25_fps_is_40_ms_and_counts() -> None:
    value_T = np.zeros(T)
    value_T[50] = 0.9
    (event,) = expressions(face_with(browDownLeft=value_T, browDownRight=value_T), CLIP)
    assert (event.label, event.start_s, event.apex_s, event.end_s) == ("micro_brows_lowered", 2.0, 2.0, 2.04)


def test_a_faint_micro_expression_is_found_over_a_slow_drift_and_not_in_noise() -> None:
    drift_T = np.linspace(0, 0.25, T)
    noise_T = np.random.default_rng(2).normal(0, 0.01, T)
    assert labels(smiling(np.clip(drift_T + noise_T + rise(2.0, 2.15, 2.3, 0.2), 0, 1))) == ["micro_smile"]
    assert labels(smiling(np.clip(drift_T + noise_T, 0, 1))) == []
    wild_T = np.clip(0.2 + 8 * noise_T, 0, 1)
    assert [label for label in labels(smiling(wild_T)) if label.startswith("micro")] == []


def test_speech_blinks_and_turns_of_the_head_are_no_micro_expressions() -> None:
    brief_T = rise(2.0, 2.15, 2.3, 0.3)
    speech_T = 0.25 + 0.2 * np.sin(np.arange(T))
    assert labels(smiling(brief_T)) == ["micro_smile"]
    assert "micro_smile" not in labels(smiling(brief_T, jawOpen=speech_T))
    blink_T = rise(2.0, 2.1, 2.3)
    assert labels(face_with(browInnerUp=brief_T, eyeBlinkLeft=blink_T, eyeBlinkRight=blink_T)) == ["blink"]
    turning = smiling(brief_T)
    for t in range(T):
        turning.head_rotation_T33[t] = cv2.Rodrigues(np.array([0.0, 0.05 * t, 0.0]))[0]
    assert labels(turning) == []
    # Large ones are seen all the same, but for brows around a blink.
    flash = face_with(browInnerUp=rise(2.0, 2.2, 2.4))
    for t in range(T):
        flash.head_rotation_T33[t] = cv2.Rodrigues(np.array([0.0, 0.3 * np.sin(0.2 * t), 0.0]))[0]
    assert labels(flash) == ["brows_raised"]
    strong = face_with(browInnerUp=rise(2.0, 2.2, 2.4), eyeBlinkLeft=blink_T, eyeBlinkRight=blink_T)
    assert labels(strong) == ["blink"]


def test_no_event_reaches_over_a_gap_and_an_absent_face_has_none() -> None:
    present_T = np.ones(T, np.bool_)
    present_T[50:60] = False
    open_T = np.where(present_T, 0.8, 0)
    found = expressions(face_with(present_T=present_T, jawOpen=open_T), CLIP)
    assert [(e.label, e.start_s, e.end_s) for e in found] == [("mouth_open", 0.0, 2.0), ("mouth_open", 2.4, 4.0)]
    assert labels(face_with(present_T=np.zeros(T, np.bool_), jawOpen=open_T)) == []


def test_an_expression_whose_coefficients_are_not_measured_is_left_out() -> None:
    full = face_with(mouthFrownLeft=rise(1, 2, 3), mouthFrownRight=rise(1, 2, 3), jawOpen=rise(1, 2, 3))
    assert labels(full) == ["frown", "mouth_open"]
    assert "mouthFrownLeft" not in EXPRESSION_NAMES
    part_TK = full.expression_TK[:, [ARKIT_NAMES.index(name) for name in EXPRESSION_NAMES]]
    part = FaceTrack(
        full.landmarks_px_TL2, full.landmarks_3d_TL3, full.head_rotation_T33, part_TK, EXPRESSION_NAMES,
        full.gaze_T2, full.present_T, full.pts_s_T,
    )  # fmt: skip
    assert labels(part) == ["mouth_open"]
    values = all_coefficients(part, 50)
    assert len(values) == 52
    assert values["jawOpen"] == pytest.approx(0.9)
    assert values["mouthFrownLeft"] is None


def test_faces_too_small_or_turned_away_show_no_expression() -> None:
    smile = smiling(rise(1.0, 2.0, 3.0))
    assert [each.label for each in expressions(smile, CLIP)] == ["smile"]
    # The networks see 480 px of these 1,440: 20 px between the eyes' corners instead of 60.
    assert expressions(smile, ClipFrame(1920, 1440, FPS)) == []
    for yaw, found in ((0.5, ["smile"]), (-1.0, [])):
        smile.head_rotation_T33[:] = cv2.Rodrigues(np.array([0.0, yaw, 0.0]))[0]
        assert labels(smile) == found
    wink = face_with(eyeBlinkLeft=rise(1.0, 1.2, 1.5))
    wink.head_rotation_T33[:] = cv2.Rodrigues(np.array([0.0, 0.5, 0.0]))[0]
    assert labels(wink) == []


def test_an_event_of_one_frame_in_a_clip_of_one_frame() -> None:
    assert [type(each) for each in expressions(face_with(jawOpen=np.array([0.9])), CLIP)] in ([], [ExpressionEvent])


def test_episodes_do_not_overlap_and_noise_at_the_threshold_does_not_cut_them() -> None:
    value_T = np.array([0, 0.2, 0.9, 0.7, 0.95, 0.5, 0.1, 0, 0.9, 0.1])
    zero_T, present_T = np.zeros(10), np.ones(10, np.bool_)
    found = list(episodes(value_T, zero_T, np.full(10, 0.8), present_T))
    assert [(e.onset, e.start, e.apex, e.stop, e.offset) for e in found] == [(1, 2, 4, 6, 7), (8, 8, 8, 9, 10)]
    assert noise(np.arange(50.0) * 3) == 0
    assert noise(np.random.default_rng(0).normal(0, 0.5, 4000)) == pytest.approx(0.5, rel=0.1)
    assert moving_median(np.array([5.0, 1, 9, 2, 2]), 3).tolist() == [3, 5, 2, 2, 2]
