"""Labels, hand sides, expression formulas and captions from tracks whose answer is known by construction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from annotation.backends.mediapipe_solutions import HandFound, HandsNetwork
from annotation.base import ClipFrame
from annotation.camera_moves import Interval
from annotation.caption import Slots, caption
from annotation.hands import HandsSession, assign_sides
from annotation.labels import expressions
from annotation.ops.expression import EXPRESSION_NAMES, expression_coefficients, gaze
from annotation.ops.head import CANONICAL_FACE, fit_head, yaw_pitch_roll_rad
from annotation.ops.smoothing import moving_mean, runs, smooth_present
from annotation.sample import describe
from schemas.frames import FrameBatch
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
    return FaceTrack(
        np.zeros((T, 478, 2), np.float32), np.zeros((T, 478, 3), np.float32),
        np.tile(np.eye(3, dtype=np.float32), (T, 1, 1)), expression_TK, EXPRESSION_NAMES,
        np.zeros((T, 2), np.float32), np.ones(T, np.bool_), PTS_S_T,
    )  # fmt: skip


def on(start: int, stop: int) -> NDArray[np.float64]:
    value_T = np.zeros(T)
    value_T[start:stop] = 0.9
    return value_T


def hand(wrist_x: float, wrist_y: float = 260.0) -> NDArray[np.float32]:
    points = np.tile(np.array([wrist_x, wrist_y], np.float32), (21, 1))
    points[9, 1] -= 40
    return points


def test_expressions_have_their_intervals_and_blinks_are_short() -> None:
    face = face_with(
        jawOpen=on(5, 10), eyeBlinkLeft=np.maximum(on(2, 5), on(10, 25)), eyeBlinkRight=np.maximum(on(2, 5), on(10, 25))
    )
    found = {(e.label, e.start_s, e.end_s) for e in expressions(face)}
    assert found == {("blink", 0.08, 0.2), ("mouth_open", 0.2, 0.4), ("eyes_closed", 0.4, 1.0)}
    raised = expressions(face_with(browInnerUp=on(5, 10)))
    assert [(e.label, e.start_s) for e in raised] == [("brows_raised", 0.2)]
    assert expressions(face_with(browInnerUp=on(0, 25))) == []  # high brows all along are how the face is made
    assert expressions(face_with(eyeBlinkLeft=on(2, 5))) == []  # a wink is not a blink
    assert [e.label for e in expressions(face_with(mouthSmileLeft=on(0, 25), mouthSmileRight=on(0, 25)))] == ["smile"]


def test_hands_take_the_side_of_the_nearer_wrist_whatever_the_network_says() -> None:
    wrists_px_22 = np.array([[370, 260], [270, 260]], np.float32)
    # The person's left is to the picture's right. The network claims the opposite of both.
    crossed = assign_sides([hand(275), hand(365)], [0.9, 0.1], wrists_px_22)
    assert {side: index for side, (index, _) in crossed.items()} == {0: 1, 1: 0}
    assert assign_sides([hand(20)], [0.9], wrists_px_22) == {}  # somebody else's
    agreed, doubted = (assign_sides([hand(370)], [score], wrists_px_22)[0][1] for score in (0.95, 0.05))
    assert agreed > doubted


class _TwoHands(HandsNetwork):
    """Finds the same two hands in every frame: one by each wrist of `standing`, with sides exchanged."""

    def find(self, rgb_HWC: NDArray[np.uint8]) -> list[HandFound]:
        size_wh1 = np.array([CLIP.width_px, CLIP.height_px, 1], np.float32)
        world_m_J3 = np.zeros((21, 3), np.float32)
        return [
            HandFound(np.c_[hand(x), np.zeros(21, np.float32)] / size_wh1, world_m_J3, left_score)
            for x, left_score in ((270, 0.9), (370, 0.1))
        ]


def test_hands_track_holds_the_person_s_left_hand_first() -> None:
    session = HandsSession(_TwoHands(), CLIP)
    session.observe(FrameBatch(np.zeros((T, 48, 64, 3), np.uint8), PTS_S_T.copy()))
    hands = session.finish({"body": standing()})
    assert hands.present_T2.all()
    assert hands.joints_px_T2J2[:, :, 0, 0] == pytest.approx(np.tile([370, 270], (T, 1)), abs=0.01)


def test_hands_without_a_body_follow_the_network_and_never_share_a_side() -> None:
    assert assign_sides([hand(10)], [0.9], None)[0] == (0, pytest.approx(0.9))
    both = assign_sides([hand(10), hand(200)], [0.9, 0.8], None)
    assert {side: index for side, (index, _) in both.items()} == {0: 0, 1: 1}
    one_seen = np.array([[370, 260], [np.nan, np.nan]], np.float32)
    assert {s: i for s, (i, _) in assign_sides([hand(270), hand(370)], [0.5, 0.5], one_seen).items()} == {0: 1, 1: 0}


@given(yaw=st.floats(-0.8, 0.8), pitch=st.floats(-0.6, 0.6), roll=st.floats(-0.8, 0.8), scale=st.floats(5, 200))
def test_head_fit_finds_the_rotation_that_made_the_landmarks(
    yaw: float, pitch: float, roll: float, scale: float
) -> None:
    # Facing direction is -z; yaw turns it to +x (the picture's right), pitch to -y (up), roll is clockwise on screen.
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    R_yaw = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    R_pitch = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    R_roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    rotation_33 = R_yaw @ R_pitch @ R_roll
    landmarks_L3 = np.zeros((478, 3))
    face_cm_N3 = CANONICAL_FACE[:, 2:] * (1, -1, -1)
    landmarks_L3[CANONICAL_FACE[:, 0].astype(int)] = scale * face_cm_N3 @ rotation_33.T + (300, 200, 0)
    found_T33, head_cm_TL3 = fit_head(landmarks_L3[None])
    assert np.allclose(found_T33[0], rotation_33, atol=1e-4)
    eyes_cm = np.linalg.norm(head_cm_TL3[0, 33] - head_cm_TL3[0, 263])
    assert eyes_cm == pytest.approx(2 * 4.446, abs=1e-3)
    assert yaw_pitch_roll_rad(found_T33)[0, :2] == pytest.approx([yaw, pitch], abs=1e-3)


def test_coefficients_follow_the_mouth_and_the_lids_of_the_right_side() -> None:
    head_cm_TL3 = np.zeros((2, 478, 3))
    for corner, x in ((33, -4.4), (133, -1.9), (362, 1.9), (263, 4.4)):
        head_cm_TL3[:, corner, 0] = x
    head_cm_TL3[:, [468, 473], 0] = [-3.15 + 0.5, 3.15 + 0.5]
    head_cm_TL3[:, [386, 374], 1] = [-0.5, 0.5]
    head_cm_TL3[0, [159, 145], 1] = [-0.5, 0.5]  # the right eye is open in frame 0, shut in frame 1
    head_cm_TL3[1, 14, 1] = 4.5  # the mouth opens in frame 1
    column = dict(zip(EXPRESSION_NAMES, expression_coefficients(head_cm_TL3).T, strict=True))
    assert column["eyeBlinkRight"].tolist() == [0, 1]
    assert column["eyeBlinkLeft"].tolist() == [0, 0]
    assert column["jawOpen"].tolist() == [0, 1]
    assert gaze(head_cm_TL3)[0] == pytest.approx([0.5 / 1.25, 0], abs=1e-5)


def test_smoothing_keeps_steady_motion_and_never_crosses_a_gap() -> None:
    line_TX = (np.arange(12, dtype=np.float32)[:, None]) ** 2
    present_T = np.ones(12, np.bool_)
    assert np.allclose(smooth_present(line_TX, present_T), line_TX, atol=1e-4)
    present_T[6] = False
    spike_TX = np.zeros((12, 1), np.float32)
    spike_TX[5] = 100
    smoothed_TX = smooth_present(spike_TX, present_T)
    assert not smoothed_TX[7:].any()
    noise_TX = np.random.default_rng(0).normal(0, 1, (400, 1)).astype(np.float32)
    assert smooth_present(noise_TX, np.ones(400, np.bool_)).var() < 0.6 * noise_TX.var()
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
