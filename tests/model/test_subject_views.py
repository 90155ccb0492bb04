"""From which side and how close a subject is seen: figures turned by known angles, joints hidden one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from annotation.ops.head import yaw_pitch_roll_rad
from curation.ops.people import SHOT_CLOSE_UP, SHOT_FULL_BODY, SHOT_HALF_BODY, SHOT_NONE, shot_scale
from model.data.framing import choose_square, crop_resized, subject_box_px
from model.identity.still import MAX_SIDE_PX, make_still, one_frame
from model.identity.views import NOBODY, descriptors, kinds, openness, spans_m, yaws_deg
from schemas.tracks import BodyTrack, FaceTrack, HandsTrack
from tests.builders import body_track, face_track, hands_track

SIZE_HW = (64, 96)
LEFT_SHOULDER, RIGHT_SHOULDER = 11, 12


def turned_face(*yaw_deg: float) -> FaceTrack:
    """Heads whose nose points to the picture's right by these angles."""
    yaw_T = np.radians(np.array(yaw_deg))
    rotation_T33 = np.zeros((len(yaw_T), 3, 3), np.float32)
    rotation_T33[:, 1, 1] = 1
    rotation_T33[:, 0, 0] = rotation_T33[:, 2, 2] = np.cos(yaw_T)
    rotation_T33[:, 0, 2], rotation_T33[:, 2, 0] = -np.sin(yaw_T), np.sin(yaw_T)
    return replace(face_track(len(yaw_T)), head_rotation_T33=rotation_T33)


def turned_body(*yaw_deg: float) -> BodyTrack:
    """Bodies whose chest points to the picture's right by these angles; frontal, the left shoulder is on the right."""
    body = body_track(len(yaw_deg), size_hw=SIZE_HW)
    world = body.joints_world_m_PTJ3.copy()
    for t, angle in enumerate(np.radians(np.array(yaw_deg))):
        world[0, t, LEFT_SHOULDER, ::2] = 0.2 * np.cos(angle), 0.2 * np.sin(angle)
        world[0, t, RIGHT_SHOULDER, ::2] = -0.2 * np.cos(angle), -0.2 * np.sin(angle)
    return replace(body, joints_world_m_PTJ3=world)


def nobody(frames: int) -> BodyTrack:
    return body_track(frames, people=0)


def no_face(frames: int) -> FaceTrack:
    return face_track(frames, absent=frames)


def with_conf(body: BodyTrack, unseen: tuple[int, ...]) -> BodyTrack:
    conf = body.conf_PTJ.copy()
    conf[:, :, list(unseen)] = 0.1
    return replace(body, conf_PTJ=conf)


def test_yaw_is_the_head_s_then_the_shoulders_then_unknown() -> None:
    angles = (-80.0, 0.0, 35.0)
    assert yaws_deg(turned_body(120, 120, 120), turned_face(*angles)) == pytest.approx(angles, abs=1e-4)
    behind = (-175.0, -60.0, 0.0, 130.0)
    assert yaws_deg(turned_body(*behind), no_face(4)) == pytest.approx(behind, abs=1e-3)
    assert np.isnan(yaws_deg(nobody(2), no_face(2))).all()
    assert np.isnan(yaws_deg(with_conf(turned_body(10), (LEFT_SHOULDER,)), no_face(1))).all()


def test_yaw_is_that_of_the_annotators() -> None:
    face = turned_face(-100, -20, 0, 55)
    ours = np.radians(yaws_deg(nobody(4), face))
    assert ours == pytest.approx(yaw_pitch_roll_rad(face.head_rotation_T33)[:, 0])


LEGS = (25, 26, 27, 28, 29, 30, 31, 32)
HIPS_DOWN = (23, 24, *LEGS)


@pytest.mark.parametrize("unseen", [(), LEGS, HIPS_DOWN, (0, *LEGS), (0,), (11, *HIPS_DOWN), tuple(range(33))])
@pytest.mark.parametrize("face_seen", [True, False])
def test_kind_is_the_shot_scale_of_the_scores(unseen: tuple[int, ...], face_seen: bool) -> None:
    body = with_conf(body_track(1, size_hw=SIZE_HW), unseen)
    face = face_track(1) if face_seen else no_face(1)
    pose_J3 = np.concatenate(
        [body.joints_px_PTJ2[0, 0] / (SIZE_HW[1], SIZE_HW[0]), body.conf_PTJ[0, 0][:, None]], axis=1
    ).astype(np.float32)
    scale = shot_scale(pose_J3, 0.3 if face_seen else None)
    codes = {SHOT_NONE: NOBODY, SHOT_CLOSE_UP: 0, SHOT_HALF_BODY: 1, SHOT_FULL_BODY: 2}
    assert kinds(body, face, SIZE_HW).tolist() == [codes[scale]]


def test_without_a_body_a_face_is_a_face_and_nothing_is_nobody() -> None:
    assert kinds(nobody(3), face_track(3, absent=1), SIZE_HW).tolist() == [0, 0, NOBODY]


def test_descriptors_tell_views_scales_and_poses_apart() -> None:
    body, still = turned_body(0, 0), turned_face(0, 0)
    apart = descriptors(body, still, SIZE_HW)
    assert np.allclose(apart[0], apart[1])
    views = descriptors(body, turned_face(0, 60), SIZE_HW)
    assert np.linalg.norm(views[0] - views[1]) == pytest.approx(2 * np.sin(np.radians(30)))
    world = body.joints_world_m_PTJ3.copy()
    # Wrists, elbows, knees and ankles 1 m to the side.
    world[0, 1, [13, 14, 15, 16, 25, 26, 27, 28], 2] += 1.0
    poses = descriptors(replace(body, joints_world_m_PTJ3=world), still, SIZE_HW)
    assert np.linalg.norm(poses[0] - poses[1]) == pytest.approx(1.0)
    # A guess is no other pose.
    conf = body.conf_PTJ.copy()
    conf[:, 1] = 0.1
    guessed = descriptors(replace(body, joints_world_m_PTJ3=world, conf_PTJ=conf), still, SIZE_HW)
    assert np.allclose(guessed[0, 4:], guessed[1, 4:])
    near = body.joints_px_PTJ2.copy()
    near[:, 1] *= 2
    scales = descriptors(replace(body, joints_px_PTJ2=near), still, SIZE_HW)
    assert np.linalg.norm(scales[0] - scales[1]) == pytest.approx(0.7, abs=1e-3)


def test_a_figure_of_known_height_spans_known_metres() -> None:
    # 1.36 m of joints on 0.8 of 64 px: the shorter side of 64 px spans 1.7 m.
    assert spans_m(body_track(1, size_hw=SIZE_HW), no_face(1), SIZE_HW) == pytest.approx([1.7], rel=1e-3)
    assert spans_m(nobody(1), no_face(1), SIZE_HW).tolist() == [1.0]
    height_px = float(np.ptp(face_track(1).landmarks_px_TL2[0, :, 1]))
    assert spans_m(nobody(1), face_track(1), SIZE_HW) == pytest.approx([64 * 0.177 / height_px])


def test_a_hand_over_the_face_and_doubtful_joints_lower_openness() -> None:
    face, hands = face_track(2), hands_track(2)
    joints = hands.joints_px_T2J2.copy()
    joints[0, 1] += 500
    low, high = face.landmarks_px_TL2[1].min(axis=0), face.landmarks_px_TL2[1].max(axis=0)
    joints[1, 1] = np.linspace(low, high, 21)
    open_T = openness(nobody(2), face, replace(hands, joints_px_T2J2=joints), SIZE_HW)
    assert open_T == pytest.approx([1.0, 0.5], abs=1e-3)
    body = body_track(2, size_hw=SIZE_HW)
    away = replace(hands, present_T2=np.zeros((2, 2), np.bool_))
    assert openness(body, face, away, SIZE_HW) == pytest.approx([0.9, 0.9])
    assert openness(nobody(1), no_face(1), hands_track(1), SIZE_HW).tolist() == [0.0]


def noise(size_hw: tuple[int, int]) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(0).integers(0, 255, (*size_hw, 3), dtype=np.uint8)


def test_one_frame_of_a_track_is_that_frame() -> None:
    tracks: tuple[BodyTrack | FaceTrack | HandsTrack, ...] = (
        body_track(5, people=2, step_px=3), face_track(5), hands_track(5)
    )  # fmt: skip
    body = one_frame(tracks[0], 3)  # type: ignore[arg-type]
    assert isinstance(body, BodyTrack)
    assert np.array_equal(body.joints_px_PTJ2[:, 0], tracks[0].joints_px_PTJ2[:, 3])  # type: ignore[union-attr]
    for track in tracks:
        assert one_frame(track, 4).pts_s_T.tolist() == [0.0]  # type: ignore[arg-type,misc]


def test_a_still_is_the_model_s_crop_and_its_tracks_lie_on_it() -> None:
    rgb = noise(SIZE_HW)
    rgb[30:33, 40:43] = (250, 10, 10)
    body = body_track(1, people=2, size_hw=SIZE_HW)
    joints = body.joints_px_PTJ2.copy()
    joints[0, 0, 15] = (41.5, 31.5)
    body, face, hands = replace(body, joints_px_PTJ2=joints), face_track(1), hands_track(1)
    still = make_still(rgb, body, face, hands)
    square = choose_square(SIZE_HW, subject_box_px(body, face, SIZE_HW))
    whole = choose_square(still.rgb_HWC.shape[:2], (0, 0, *still.rgb_HWC.shape[1::-1]))
    assert np.array_equal(crop_resized(still.rgb_HWC[None], whole, 16), crop_resized(rgb[None], square, 16))
    assert still.body.joints_px_PTJ2.shape == (1, 1, 33, 2)
    x, y = still.body.joints_px_PTJ2[0, 0, 15].astype(int)
    assert still.rgb_HWC[y, x].tolist() == [250, 10, 10]
    # The left hand is absent: its zeros are not moved.
    assert not still.hands.joints_px_T2J2[0, 0].any()
    assert still.hands.joints_px_T2J2[0, 1] == pytest.approx(
        hands.joints_px_T2J2[0, 1] - (still.square.left_px, still.square.top_px)
    )


def test_a_large_crop_is_made_smaller_and_its_tracks_with_it() -> None:
    size_hw = (1600, 1600)
    body = body_track(1, size_hw=size_hw)
    still = make_still(noise(size_hw), body, no_face(1), hands_track(1))
    assert still.rgb_HWC.shape == (MAX_SIDE_PX, MAX_SIDE_PX, 3)
    origin = np.array([still.square.left_px, still.square.top_px])
    expected = (body.joints_px_PTJ2[0, 0] - origin) * MAX_SIDE_PX / still.square.side_px
    assert still.body.joints_px_PTJ2[0, 0] == pytest.approx(expected, abs=1e-2)
