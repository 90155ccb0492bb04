"""Head pose, focal length, gaze, coefficients and the search for faces, on faces whose answer is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from annotation.arkit import ARKIT_NAMES
from annotation.backends.blendshapes import BlendshapeNetwork, find_face_task
from annotation.base import ClipFrame
from annotation.face import FaceSession
from annotation.ops.expression import EXPRESSION_NAMES, expression_coefficients
from annotation.ops.face_search import FaceSearch
from annotation.ops.focal import DEFAULT_FOCAL_LONG_SIDES, estimate_focal_px
from annotation.ops.gaze import gaze
from annotation.ops.head import CANONICAL_FACE, fit_head, yaw_pitch_roll_rad
from schemas.errors import ResourceError
from schemas.frames import FrameBatch
from schemas.tracks import BodyTrack

WIDTH, HEIGHT = 640, 480
CENTRE_PX_2 = (WIDTH / 2, HEIGHT / 2)
INDEX_N = CANONICAL_FACE[:, 0].astype(int)
HEAD_CM_N3 = CANONICAL_FACE[:, 2:] * (1, -1, -1)


def rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Facing direction is -z; yaw turns it to +x (the picture's right), pitch to -y (up), roll clockwise on screen."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    R_yaw = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    R_pitch = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    R_roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(R_yaw @ R_pitch @ R_roll)


def photographed(
    rotation_33: NDArray[np.float64], place_cm_3: NDArray[np.float64], focal_px: float
) -> NDArray[np.float64]:
    """landmarks_3d_L3 of the canonical head through a pinhole camera, depth in the scale of x at the head's middle."""
    points_cm_N3 = HEAD_CM_N3 @ rotation_33.T + place_cm_3
    landmarks_L3 = np.zeros((478, 3))
    landmarks_L3[INDEX_N, :2] = points_cm_N3[:, :2] / points_cm_N3[:, 2:] * focal_px + CENTRE_PX_2
    middle_cm = CANONICAL_FACE[:, 1] @ points_cm_N3[:, 2] / CANONICAL_FACE[:, 1].sum()
    landmarks_L3[INDEX_N, 2] = (points_cm_N3[:, 2] - middle_cm) * focal_px / middle_cm
    # The width of the face is read at landmarks that the canonical table lacks; its nearest ones stand in.
    landmarks_L3[[234, 454]] = landmarks_L3[[127, 356]]
    return landmarks_L3


def poses(frames: int, distance_cm: float, focal_px: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(1)
    turned_T33 = np.array([rotation(*rng.normal(0, (0.3, 0.2, 0.15))) for _ in range(frames)])
    place_cm_T3 = rng.normal(0, (0.06, 0.05, 0), (frames, 3)) * distance_cm + (0, 0, distance_cm)
    views = [photographed(R_33, at_3, focal_px) for R_33, at_3 in zip(turned_T33, place_cm_T3, strict=True)]
    return np.array(views), turned_T33


def degrees_apart(one_T33: NDArray[np.floating], other_T33: NDArray[np.floating]) -> float:
    trace_T = np.einsum("tij,tij->t", one_T33, other_T33)
    return float(np.degrees(np.arccos(np.clip((trace_T - 1) / 2, -1, 1))).mean())


@given(yaw=st.floats(-0.8, 0.8), pitch=st.floats(-0.6, 0.6), roll=st.floats(-0.8, 0.8), scale=st.floats(5, 200))
def test_head_fit_finds_the_rotation_that_made_the_landmarks(
    yaw: float, pitch: float, roll: float, scale: float
) -> None:
    rotation_33 = rotation(yaw, pitch, roll)
    landmarks_L3 = np.zeros((478, 3))
    landmarks_L3[INDEX_N] = scale * HEAD_CM_N3 @ rotation_33.T + (300, 200, 0)
    found_T33, head_cm_TL3 = fit_head(landmarks_L3[None], np.inf, CENTRE_PX_2)
    assert np.allclose(found_T33[0], rotation_33, atol=1e-4)
    eyes_cm = np.linalg.norm(head_cm_TL3[0, 33] - head_cm_TL3[0, 263])
    assert eyes_cm == pytest.approx(2 * 4.446, abs=1e-3)
    assert yaw_pitch_roll_rad(found_T33)[0, :2] == pytest.approx([yaw, pitch], abs=1e-3)


@given(
    yaw=st.floats(-0.6, 0.6), pitch=st.floats(-0.4, 0.4), across=st.floats(-0.4, 0.4), distance_cm=st.floats(25, 300),
    focal_px=st.floats(300, 1500),
)  # fmt: skip
def test_perspective_is_taken_out_wherever_the_head_is(
    yaw: float, pitch: float, across: float, distance_cm: float, focal_px: float
) -> None:
    rotation_33 = rotation(yaw, pitch, 0.1)
    landmarks_L3 = photographed(rotation_33, np.array([across * distance_cm, 0, distance_cm]), focal_px)
    found_T33, head_cm_TL3 = fit_head(landmarks_L3[None], focal_px, CENTRE_PX_2)
    assert degrees_apart(found_T33, rotation_33[None]) < 0.3
    assert np.linalg.norm(head_cm_TL3[0, 33] - head_cm_TL3[0, 263]) == pytest.approx(2 * 4.446, rel=0.01)


@pytest.mark.parametrize("focal_px", [400.0, 640.0, 1100.0])
def test_a_close_face_tells_the_focal_length_and_the_rotation_gains(focal_px: float) -> None:
    landmarks_TL3, turned_T33 = poses(10, 28.0, focal_px)
    estimate_px = estimate_focal_px(landmarks_TL3, WIDTH, HEIGHT)
    assert estimate_px == pytest.approx(focal_px, rel=0.15)
    found_T33, _ = fit_head(landmarks_TL3, estimate_px, CENTRE_PX_2)
    flat_T33, _ = fit_head(landmarks_TL3, np.inf, CENTRE_PX_2)
    assert degrees_apart(found_T33, turned_T33) < 0.3 * degrees_apart(flat_T33, turned_T33)


def test_a_distant_face_leaves_the_usual_focal_length_and_size_of_the_picture_does_not_matter() -> None:
    landmarks_TL3, _ = poses(4, 250.0, 500.0)
    assert estimate_focal_px(landmarks_TL3, WIDTH, HEIGHT) == DEFAULT_FOCAL_LONG_SIDES * WIDTH
    close_TL3, _ = poses(4, 30.0, 500.0)
    small_px = estimate_focal_px(close_TL3, WIDTH, HEIGHT)
    assert estimate_focal_px(close_TL3 * 3, WIDTH * 3, HEIGHT * 3) == pytest.approx(3 * small_px, rel=1e-3)


def plain_face(frames: int) -> NDArray[np.float64]:
    """Eyes open and level, mouth shut, in cm of the head's axes."""
    head_cm_TL3 = np.zeros((frames, 478, 3))
    for corner, x in ((33, -4.4), (133, -1.9), (362, 1.9), (263, 4.4), (61, -2.4), (291, 2.4)):
        head_cm_TL3[:, corner, 0] = x
    for upper, lower in ((386, 374), (385, 380), (387, 373), (159, 145), (158, 153), (160, 144)):
        head_cm_TL3[:, upper, 1], head_cm_TL3[:, lower, 1] = -0.4, 0.4
    head_cm_TL3[:, [468, 473], :2] = [(-3.15, -0.175), (3.15, -0.175)]
    head_cm_TL3[:, [285, 55, 336, 107, 334, 105], 1] = -1.9
    return head_cm_TL3


def test_coefficients_follow_the_mouth_and_the_lids_of_the_right_side() -> None:
    head_cm_TL3 = plain_face(3)
    head_cm_TL3[1][np.ix_([159, 145, 158, 153, 160, 144], [1])] = 0  # the right eye shuts
    head_cm_TL3[2, 14, 1] = 4.5  # the mouth opens
    column = dict(zip(EXPRESSION_NAMES, expression_coefficients(head_cm_TL3).T, strict=True))
    blink_right_T, blink_left_T, jaw_T = column["eyeBlinkRight"], column["eyeBlinkLeft"], column["jawOpen"]
    assert (blink_right_T[0] < 0.3, blink_right_T[1] > 0.7) == (True, True)
    assert blink_left_T == pytest.approx(blink_left_T[0])
    assert (jaw_T[0] < 0.1, jaw_T[1] < 0.1, jaw_T[2] > 0.9) == (True, True, True)
    assert set(EXPRESSION_NAMES) < set(ARKIT_NAMES)


def test_a_mirrored_face_has_left_and_right_exchanged() -> None:
    """Only the landmarks that the formulas read are mirrored, each with its partner."""
    rng = np.random.default_rng(3)
    head_cm_TL3 = plain_face(5) + rng.normal(0, 0.1, (5, 478, 3))
    pairs = [(33, 263), (133, 362), (61, 291), (386, 159), (374, 145), (385, 158), (380, 153), (387, 160), (373, 144),
             (468, 473), (285, 55), (336, 107), (334, 105), (425, 205)]  # fmt: skip
    mirrored_TL3 = head_cm_TL3.copy()
    for one, other in pairs:
        mirrored_TL3[:, [one, other]] = head_cm_TL3[:, [other, one]]
    mirrored_TL3[..., 0] *= -1
    here, there = expression_coefficients(head_cm_TL3), expression_coefficients(mirrored_TL3)
    for k, name in enumerate(EXPRESSION_NAMES):
        partner = name.replace("Left", "?").replace("Right", "Left").replace("?", "Right")
        assert there[:, EXPRESSION_NAMES.index(partner)] == pytest.approx(here[:, k], abs=1e-5)
    assert gaze(mirrored_TL3) == pytest.approx(gaze(head_cm_TL3) * (-1, 1), abs=1e-5)


def test_gaze_is_the_angle_of_the_eyeball_that_moves_the_iris() -> None:
    head_cm_TL3 = plain_face(3)
    head_cm_TL3[1, [468, 473], 0] += np.sin(0.4) * 2.5 / 3  # a third of the eye's width is the pupil's radius
    head_cm_TL3[2, [468, 473], 1] += np.sin(0.2) * 2.5 / 3
    assert gaze(head_cm_TL3) == pytest.approx(np.array([[0, 0], [0.4, 0], [0, 0.2]]), abs=1e-5)


def face_at(x: float, size: float) -> NDArray[np.float32]:
    points_L3 = np.zeros((478, 3), np.float32)
    points_L3[:, 0], points_L3[:, 1] = x, 0.3
    points_L3[1] += (size, size, 0)
    return points_L3


class Scripted:
    """A network that answers from a list, one entry per call, and counts its calls."""

    def __init__(self, answers: list[NDArray[np.float32] | None]) -> None:
        self.answers, self.calls = answers, 0

    def near(self) -> NDArray[np.float32] | None:
        self.calls += 1
        return self.answers.pop(0) if self.answers else None


class Near(Scripted):
    def find(self, rgb_HWC: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        return self.near()


class Far(Scripted):
    def find(self, rgb_HWC: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        found = self.near()
        return [] if found is None else [found]


def searched(near: Near, far: Far, frames: int, fps: float = 25.0) -> list[bool]:
    search = FaceSearch(near, far)
    for t in range(frames):
        search.look(np.zeros((4, 4, 3), np.uint8), t / fps)
    search.close()
    return [points is not None for points in search.found]


def test_a_small_face_is_followed_by_the_far_network_while_the_near_one_rests() -> None:
    near, far = Near([]), Far([face_at(0.4, 0.05)] * 10)
    assert searched(near, far, 10) == [True] * 10
    assert (near.calls, far.calls) == (0 + 1, 10)


def test_the_far_network_is_asked_five_times_a_second_where_there_is_no_face() -> None:
    near, far = Near([]), Far([])
    assert searched(near, far, 50) == [False] * 50
    assert (near.calls, far.calls) == (50, 10)


def test_a_small_face_of_the_near_network_alone_is_dropped_and_a_confirmed_one_is_kept_from_its_start() -> None:
    small = [face_at(0.4, 0.2)] * 12
    assert searched(Near(list(small)), Far([]), 12) == [False] * 12
    assert searched(Near(list(small)), Far([None, face_at(0.9, 0.1)]), 12) == [False] * 12  # another face elsewhere
    assert searched(Near(list(small)), Far([None, face_at(0.45, 0.1)]), 12) == [True] * 12
    large = Near([face_at(0.1, 0.9)] * 4)
    assert searched(large, Far([]), 4) == [True] * 4


def test_who_saw_the_face() -> None:
    search = FaceSearch(Near([face_at(0.4, 0.2)] * 7 + [None] * 6), Far([None, face_at(0.45, 0.1), face_at(0.6, 0.1)]))
    for t in range(12):
        search.look(np.zeros((4, 4, 3), np.uint8), t / 25)
    search.close()
    assert [points is not None for points in search.found] == [True] * 7 + [False] * 3 + [True] + [False]
    assert (search.sight_T[:7], search.sight_T[10]) == (["confirmed"] * 7, "far")


def test_a_face_of_the_far_network_needs_the_subject_s_nose() -> None:
    clip, search = ClipFrame(100, 100, 25.0), FaceSearch(Near([]), Far([face_at(0.4, 0.1)] * 3))
    session = FaceSession(search, None, clip)
    session.observe(FrameBatch(np.zeros((3, 100, 100, 3), np.uint8), np.arange(3) / 25))
    joints_px_PTJ2 = np.zeros((1, 3, 33, 2), np.float32)
    joints_px_PTJ2[0, :2, 0] = [(44, 36), (80, 80)]
    present_PT = np.array([[True, True, False]])
    body = BodyTrack(
        joints_px_PTJ2, np.zeros((1, 3, 33, 3), np.float32), np.zeros((1, 3, 33), np.float32), present_PT,
        np.arange(3) / 25,
    )  # fmt: skip
    assert session.finish({"body": body}).present_T.tolist() == [True, False, False]
    assert session.finish({}).present_T.tolist() == [True, True, True]


def test_a_small_face_that_the_far_network_did_not_confirm_needs_a_nose_that_is_clearly_seen() -> None:
    clip, search = ClipFrame(100, 100, 25.0), FaceSearch(Near([face_at(0.4, 0.2)] * 4), Far([]))
    session = FaceSession(search, None, clip)
    session.observe(FrameBatch(np.zeros((4, 100, 100, 3), np.uint8), np.arange(4) / 25))
    joints_px_PTJ2 = np.zeros((1, 4, 33, 2), np.float32)
    joints_px_PTJ2[0, :, 0] = [(50, 40), (50, 40), (80, 80), (50, 40)]
    conf_PTJ = np.full((1, 4, 33), 0.99, np.float32)
    conf_PTJ[0, 1] = 0.3
    present_PT = np.array([[True, True, True, False]])
    body = BodyTrack(joints_px_PTJ2, np.zeros((1, 4, 33, 3), np.float32), conf_PTJ, present_PT, np.arange(4) / 25)
    assert session.finish({"body": body}).present_T.tolist() == [True, False, False, False]
    assert not session.finish({}).present_T.any()


def test_a_clearly_seen_nose_tells_which_of_two_heads_side_by_side_is_the_subject_s() -> None:
    """A nose at the edge of the face is its own, one a width from its middle another head's, if it is not guessed."""
    clip, search = ClipFrame(100, 100, 25.0), FaceSearch(Near([face_at(0.4, 0.2)] * 3), Far([face_at(0.4, 0.2)] * 3))
    session = FaceSession(search, None, clip)
    session.observe(FrameBatch(np.zeros((3, 100, 100, 3), np.uint8), np.arange(3) / 25))
    points_L3 = search.found[0]
    assert points_L3 is not None
    low_2, high_2 = 100 * points_L3[:, :2].min(axis=0), 100 * points_L3[:, :2].max(axis=0)
    middle_2, width_px = (low_2 + high_2) / 2, float(max(high_2 - low_2))
    joints_px_PTJ2 = np.zeros((1, 3, 33, 2), np.float32)
    joints_px_PTJ2[0, :, 0] = [middle_2 + np.array([share * width_px, 0]) for share in (0.5, 1.0, 1.0)]
    conf_PTJ = np.full((1, 3, 33), 0.99, np.float32)
    conf_PTJ[0, 2] = 0.3
    body = BodyTrack(
        joints_px_PTJ2, np.zeros((1, 3, 33, 3), np.float32), conf_PTJ, np.ones((1, 3), np.bool_), np.arange(3) / 25
    )
    assert session.finish({"body": body}).present_T.tolist() == [True, False, True]


def test_a_damaged_task_file_is_named(tmp_path: Path) -> None:
    assert find_face_task(tmp_path) is None
    (tmp_path / "face_landmarker.task").write_bytes(b"no zip")
    found = find_face_task(tmp_path)
    assert found is not None
    with pytest.raises(ResourceError, match=r"face_landmarker\.task holds no face_blendshapes\.tflite"):
        BlendshapeNetwork(found)


@pytest.fixture(scope="module")
def task() -> Path:
    found = find_face_task() or find_face_task(Path(__file__).resolve().parents[3] / "shared" / "weights")
    if found is None:
        pytest.skip("face_landmarker.task is not in the weights folder ($MOTIONLOOM_WEIGHTS)")
    return found


def test_the_network_sees_the_mouth_open_and_gives_equal_numbers_for_equal_landmarks(
    task: Path, clips_dir: Path
) -> None:
    from annotation.backends.mediapipe_solutions import FaceNetwork

    capture = cv2.VideoCapture(str(clips_dir / "face_expressions_static.mp4"))
    frames = [np.ascontiguousarray(capture.read()[1][:, :, ::-1]) for _ in range(100)][0:100:9]
    capture.release()
    mesh, network = FaceNetwork(), BlendshapeNetwork(task)
    points = [mesh.find(rgb_HWC) for rgb_HWC in frames]
    landmarks_px_TL3 = np.array([each * (480, 480, 480) for each in points if each is not None], np.float32)
    assert len(landmarks_px_TL3) == len(frames)
    values_TK = network.coefficients(landmarks_px_TL3)
    assert values_TK.shape == (len(frames), 51)
    assert np.array_equal(network.coefficients(landmarks_px_TL3), values_TK)
    jaw_T = values_TK[:, network.names.index("jawOpen")]
    lip_gap_T = np.linalg.norm(landmarks_px_TL3[:, 13] - landmarks_px_TL3[:, 14], axis=1)
    assert np.corrcoef(jaw_T, lip_gap_T)[0, 1] > 0.8
    assert abs(int(np.argmax(jaw_T)) - int(np.argmax(lip_gap_T))) <= 1
