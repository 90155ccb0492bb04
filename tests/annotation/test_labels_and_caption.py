"""Labels and captions from tracks whose answer is known by construction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotation.base import ClipFrame
from annotation.camera_moves import Interval
from annotation.caption import Slots, caption
from annotation.ops.expression import EXPRESSION_NAMES
from annotation.ops.smoothing import moving_mean, runs, smooth_present
from annotation.sample import describe
from schemas.tracks import BodyTrack, FaceTrack, HandsTrack

CLIP = ClipFrame(640, 480, 25.0)
T = 25
PTS_S_T = np.arange(T) / 25


def standing(moving_px: float = 0.0, left_wrist_y: float = 260.0) -> BodyTrack:
    """A full body of 360 px facing the camera; `moving_px` is added to x every frame."""
    px_J2 = np.full((33, 2), (320.0, 80.0))
    at = {11: (360, 130), 12: (280, 130), 13: (370, 200), 14: (270, 200), 15: (370, left_wrist_y), 16: (270, 260),
          23: (345, 250), 24: (295, 250), 25: (345, 330), 26: (295, 330), 27: (345, 420), 28: (295, 420)}  # fmt: skip
    for joint, place in at.items():
        px_J2[joint] = place
    for joint in (17, 19, 21, 18, 20, 22):
        px_J2[joint] = px_J2[15 if joint % 2 else 16]
    for joint in (29, 31, 30, 32):
        px_J2[joint] = px_J2[27 if joint % 2 else 28]
    joints_px_TJ2 = np.tile(px_J2, (T, 1, 1))
    joints_px_TJ2[:, :, 0] += moving_px * np.arange(T)[:, None]
    present_PT = np.ones((1, T), np.bool_)
    return BodyTrack(
        joints_px_TJ2[None].astype(np.float32),
        np.zeros((1, T, 33, 3), np.float32),
        np.ones((1, T, 33), np.float32),
        present_PT,
        PTS_S_T,
    )


def face_with(**columns: NDArray[np.float64]) -> FaceTrack:
    expression_TK = np.zeros((T, len(EXPRESSION_NAMES)), np.float32)
    for name, value_T in columns.items():
        expression_TK[:, EXPRESSION_NAMES.index(name)] = value_T
    landmarks_3d_TL3 = np.zeros((T, 478, 3), np.float32)
    landmarks_3d_TL3[:, 263, 0] = 60  # outer corners of the eyes, in px
    return FaceTrack(
        np.zeros((T, 478, 2), np.float32), landmarks_3d_TL3,
        np.tile(np.eye(3, dtype=np.float32), (T, 1, 1)), expression_TK, EXPRESSION_NAMES,
        np.zeros((T, 2), np.float32), np.ones(T, np.bool_), PTS_S_T,
    )  # fmt: skip


def on(start: int, stop: int) -> NDArray[np.float64]:
    value_T = np.zeros(T)
    value_T[start:stop] = 0.9
    return value_T


def test_smoothing_keeps_steady_motion_and_never_crosses_a_gap() -> None:
    line_TJD = (np.arange(12, dtype=np.float32)[:, None, None]) ** 2
    present_T = np.ones(12, np.bool_)
    assert np.allclose(smooth_present(line_TJD, present_T, 0.04), line_TJD, atol=1e-4)
    present_T[6] = False
    spike_TJD = np.zeros((12, 1, 1), np.float32)
    spike_TJD[5] = 100
    assert not smooth_present(spike_TJD, present_T, 0.04)[7:].any()
    assert list(runs(np.array([True, True, False, True]))) == [(0, 2), (3, 4)]
    assert moving_mean(np.array([1.0, 5.0, 9.0]), np.array([1.0, 0.0, 1.0]), 3).tolist() == [1.0, 5.0, 9.0]


def test_caption_says_what_was_measured_and_nothing_else() -> None:
    body, face = standing(left_wrist_y=40.0), face_with(mouthSmileLeft=on(0, 25), mouthSmileRight=on(0, 25))
    present_T2 = np.zeros((T, 2), np.bool_)
    present_T2[:, 0] = True
    hands = HandsTrack(
        np.zeros((T, 2, 21, 2), np.float32), np.zeros((T, 2, 21, 3), np.float32),
        np.ones((T, 2), np.float32), present_T2, PTS_S_T,
    )  # fmt: skip
    said = describe({"body.npz": body, "face.npz": face, "hands.npz": hands}, None, CLIP, {})
    assert said["caption"] == (
        "A full-body shot of a person raising the left hand and smiling, with the left hand in view."
    )
    assert said["shot_scale"] == "full_body"
    alone = describe({"body.npz": standing()}, "stylised", CLIP, {})
    assert alone["caption"] == "A full-body shot of a stylised character standing still."
    assert alone["expressions"] == []
    assert alone["interactions"] == []


def test_caption_without_a_subject_still_tells_the_camera() -> None:
    slots = Slots("", camera="The camera pans right.")
    assert caption(slots) == "A shot in which no person was found. The camera pans right."


def test_intervals_become_plain_json() -> None:
    assert Interval("smile", 0.0, 1.0, 0.5).row() == {"label": "smile", "start_s": 0.0, "end_s": 1.0, "confidence": 0.5}
