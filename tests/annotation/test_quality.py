"""Every measure on tracks whose answer is known by construction: a clean figure, and one thing done to it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from builders import camera_track
from figure import CLIP, MIRRORED, STATURE_PX, Figure, body_of, hand_shape, hands_of, over

from annotation.actions.motion import body_height_px
from annotation.base import ClipFrame
from annotation.ops.jitter import still_jitter, without_camera
from annotation.ops.swaps import swapped_frames
from annotation.quality import label_quality
from schemas.label_quality import LABEL_QUALITY_NAMES
from schemas.tracks import BodyTrack, FaceTrack, HandsTrack, Track

T = 100
FPS = 25.0
STANDING = Figure(T=T, fps=FPS)
FACE_WIDTH_PX = 40.0
ALL_JOINTS = np.arange(33)


def facing(body: BodyTrack) -> FaceTrack:
    """A face that lies exactly on the body's head joints, 40 px wide."""
    frames = len(body.pts_s_T)
    landmarks_px_TL2 = np.zeros((frames, 478, 2), np.float32)
    landmarks_px_TL2[:] = body.joints_px_PTJ2[0, :, :1]
    for landmark, joint in ((33, 6), (133, 4), (263, 3), (362, 1), (61, 10), (291, 9)):
        landmarks_px_TL2[:, landmark] = body.joints_px_PTJ2[0, :, joint]
    landmarks_px_TL2[:, 234] -= np.float32([FACE_WIDTH_PX / 2, 0])
    landmarks_px_TL2[:, 454] += np.float32([FACE_WIDTH_PX / 2, 0])
    return FaceTrack(
        landmarks_px_TL2, np.zeros((frames, 478, 3), np.float32), np.tile(np.eye(3, dtype=np.float32), (frames, 1, 1)),
        np.zeros((frames, 0), np.float32), (), np.zeros((frames, 2), np.float32), np.ones(frames, np.bool_),
        body.pts_s_T,
    )  # fmt: skip


def tracks_of(figure: Figure = STANDING, **changed: Track) -> dict[str, Track]:
    """Body, face, both hands and a static camera; `changed` by the name before .npz."""
    body = body_of(figure)
    tracks: dict[str, Track] = {
        "body": body,
        "face": facing(body),
        "hands": hands_of(body, hand_shape(), hand_shape()),
        "camera": camera_track(figure.T, fps=figure.fps),
        **changed,
    }
    return {f"{name}.npz": track for name, track in tracks.items()}


def measured(clip: ClipFrame = CLIP, **changed: Track) -> dict[str, float | None]:
    return label_quality(tracks_of(**changed), clip)


def moved_px(body: BodyTrack, shift_TJ2: np.ndarray) -> BodyTrack:
    return replace(body, joints_px_PTJ2=(body.joints_px_PTJ2 + shift_TJ2[None]).astype(np.float32))


def exchanged(body: BodyTrack, at: np.ndarray, joints: np.ndarray = ALL_JOINTS) -> BodyTrack:
    """Left and right exchanged in those frames, for those joints."""
    px, world = body.joints_px_PTJ2.copy(), body.joints_world_m_PTJ3.copy()
    for values in (px, world):
        values[0, at[:, None], joints] = values[0, at[:, None], MIRRORED[joints]]
    return replace(body, joints_px_PTJ2=px, joints_world_m_PTJ3=world)


def test_tracks_without_a_fault_are_perfect_and_all_measures_are_json() -> None:
    found = measured()
    assert tuple(found) == LABEL_QUALITY_NAMES
    perfect = {name: 1.0 if name.endswith(("measured_fraction", "inlier_fraction")) else 0.0 for name in found}
    assert found == pytest.approx(perfect, abs=1e-5)
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("tracks", [{}, {"camera.npz": camera_track(1)}], ids=["nothing", "one frame"])
def test_nothing_to_go_by_is_none(tracks: dict[str, Track]) -> None:
    assert set(label_quality(tracks, CLIP).values()) == {None}


def test_nobody_in_the_clip_is_measured_as_nobody_and_nothing_else_is_claimed() -> None:
    body = body_of(STANDING)
    nobody = replace(
        body,
        joints_px_PTJ2=np.zeros_like(body.joints_px_PTJ2),
        conf_PTJ=np.zeros_like(body.conf_PTJ),
        present_PT=np.zeros((1, T), np.bool_),
    )
    found = measured(body=nobody, hands=hands_of(body, None, None))
    seen = {name: value for name, value in found.items() if value is not None}
    assert seen == {
        "body_measured_fraction": 0.0,
        "face_measured_fraction": 1.0,
        "left_hand_measured_fraction": 0.0,
        "right_hand_measured_fraction": 0.0,
        "camera_inlier_fraction": 1.0,
    }


def test_coverage_counts_measured_frames_and_not_the_filled_ones() -> None:
    body = body_of(STANDING)
    present_PT, filled_PT = np.ones((1, T), np.bool_), np.zeros((1, T), np.bool_)
    present_PT[0, :10], filled_PT[0, 10:30] = False, True
    hands = hands_of(body, hand_shape(), hand_shape())
    present_T2 = np.ones((T, 2), np.bool_)
    present_T2[:40, 0], present_T2[:5, 1] = False, False
    present_T = np.arange(T) < 60
    inliers_T = np.full(T, 0.5, np.float32)
    inliers_T[0] = 1.0
    found = measured(
        body=replace(body, present_PT=present_PT, filled_PT=filled_PT),
        face=replace(facing(body), present_T=present_T),
        hands=replace(hands, present_T2=present_T2),
        camera=replace(camera_track(T, fps=FPS), inlier_fraction_T=inliers_T),
    )
    assert found["body_measured_fraction"] == 0.7
    assert found["face_measured_fraction"] == 0.6
    assert (found["left_hand_measured_fraction"], found["right_hand_measured_fraction"]) == (0.6, 0.95)
    assert found["camera_inlier_fraction"] == 0.5


@pytest.mark.parametrize("fps", [12.0, 25.0, 30.0, 50.0])
@pytest.mark.parametrize("share", [0.001, 0.004, 0.01])
def test_jitter_is_the_deviation_of_the_noise_at_every_frame_rate(fps: float, share: float) -> None:
    figure = Figure(T=round(6 * fps), fps=fps)
    body = body_of(figure)
    height_px = body_height_px(body, CLIP)
    assert height_px is not None
    noise_TJ2 = np.random.default_rng(0).normal(0, share * height_px, (figure.T, 33, 2))
    found = label_quality(tracks_of(figure, body=moved_px(body, noise_TJ2)), CLIP)
    assert found["jitter_body_heights"] == pytest.approx(share, rel=0.12)


def test_what_trembles_at_half_the_frame_rate_trembles_as_much() -> None:
    """Each frame shown twice at 50 frames a second is the motion of 25."""
    figure = Figure(T=300, fps=50.0)
    height_px = body_height_px(body_of(figure), CLIP)
    assert height_px is not None
    noise_TJ2 = np.random.default_rng(3).normal(0, 0.004 * height_px, (150, 33, 2)).repeat(2, axis=0)
    found = label_quality(tracks_of(figure, body=moved_px(body_of(figure), noise_TJ2)), CLIP)
    assert found["jitter_body_heights"] == pytest.approx(0.004, rel=0.12)


def test_a_joint_that_sticks_out_for_a_frame_is_jitter() -> None:
    body = body_of(STANDING)
    height_px = body_height_px(body, CLIP)
    assert height_px is not None
    out_TJ2 = np.zeros((T, 33, 2))
    out_TJ2[::10, 15, 0] = 0.05 * height_px
    found = measured(body=moved_px(body, out_TJ2))["jitter_body_heights"]
    # The second difference of a spike is (1, -2, 1); one of 13 joints has one in every tenth frame, along x only.
    assert found == pytest.approx(0.05 / np.sqrt(10 * 13 * 2), rel=0.15)


@pytest.mark.parametrize("hertz", [0.5, 1.0, 2.0, 3.0])
def test_fast_motion_is_no_jitter(hertz: float) -> None:
    """A hand that waves by half an arm's length: its acceleration is a hundred times the jitter that is found."""
    seconds = np.arange(T) / FPS
    waving = replace(STANDING, left_hand=over(T, 0.12 + 0.1 * np.sin(2 * np.pi * hertz * seconds), 0.1, 0.15))
    height_px = body_height_px(body_of(waving), CLIP)
    assert height_px is not None
    noise_TJ2 = np.random.default_rng(1).normal(0, 0.001 * height_px, (T, 33, 2))
    found = label_quality(tracks_of(waving, body=moved_px(body_of(waving), noise_TJ2)), CLIP)
    assert found["jitter_body_heights"] == pytest.approx(0.001, rel=0.15)


def test_a_shaken_camera_is_no_jitter() -> None:
    body = body_of(STANDING)
    shake_T2 = np.random.default_rng(2).normal(0, 4, (T, 2))
    shake_T2[0] = 0
    camera = camera_track(T, fps=FPS)
    from_previous_T33 = camera.frame_from_previous_T33.copy()
    from_previous_T33[1:, :2, 2] = np.diff(shake_T2, axis=0)
    shaken = moved_px(body, shake_T2[:, None])
    still = measured(body=shaken, camera=replace(camera, frame_from_previous_T33=from_previous_T33))
    assert still["jitter_body_heights"] == pytest.approx(0, abs=1e-4)
    trembling = measured(body=shaken)["jitter_body_heights"]
    assert trembling is not None
    assert trembling > 0.005


def test_jitter_of_a_body_that_never_holds_still_is_not_measured() -> None:
    running = over(T, np.linspace(-0.8, 0.8, T), 0.53, 0.0)
    assert label_quality(tracks_of(replace(STANDING, hips=running)), CLIP)["jitter_body_heights"] is None
    assert still_jitter(np.zeros((5, 13, 2)), np.ones((5, 13), np.bool_), np.arange(5) / 25, 100.0) is None


@pytest.mark.parametrize("block", [1, 5, 20])
def test_the_share_of_exchanged_frames_is_found(block: int) -> None:
    """20 of 100 frames, in blocks of 1 to 20 frames."""
    body = body_of(STANDING)
    starts = np.linspace(5, 75, 20 // block).astype(int)
    at = np.concatenate([start + np.arange(block) for start in starts])
    assert len(set(at.tolist())) == 20
    assert measured(body=exchanged(body, at))["body_swap_fraction"] == 0.2
    assert measured(body=exchanged(body, at))["jitter_body_heights"] == pytest.approx(0, abs=1e-6)
    legs = np.arange(23, 33)
    assert measured(body=exchanged(body, at, legs))["body_swap_fraction"] == 0.2


def test_sides_that_cross_by_moving_are_not_exchanged() -> None:
    seconds = np.arange(T) / FPS
    reach = 0.25 * np.cos(2 * np.pi * 2.0 * seconds)
    swinging = replace(
        STANDING,
        left_hand=over(T, -0.11 + reach, -0.1, 0.25),
        right_hand=over(T, 0.11 - reach, -0.1, 0.25),
        yaw=np.linspace(0, 2 * np.pi, T),
    )
    assert label_quality(tracks_of(swinging), CLIP)["body_swap_fraction"] == 0


def test_exchanged_hands_are_counted_also_when_only_one_is_seen() -> None:
    body = body_of(STANDING)
    hands = hands_of(body, hand_shape(), hand_shape())

    def swap(hands: HandsTrack, at: slice) -> HandsTrack:
        values = {}
        for name in ("joints_px_T2J2", "joints_world_m_T2J3", "conf_T2", "present_T2"):
            array = getattr(hands, name).copy()
            array[at] = array[at, ::-1]
            values[name] = array
        return replace(hands, **values)

    assert measured(hands=swap(hands, slice(20, 30)))["hand_swap_fraction"] == 0.1
    one = hands_of(body, hand_shape(), None)
    assert measured(hands=swap(one, slice(20, 30)))["hand_swap_fraction"] == 0.1
    assert measured(hands=swap(one, slice(20, 22)))["hand_swap_fraction"] == 0.02
    # A second hand that comes in is a new hand and no swap.
    late = hands.present_T2.copy()
    late[:50, 0] = False
    assert measured(hands=replace(hands, present_T2=late))["hand_swap_fraction"] == 0


def test_two_points_that_pass_each_other_keep_their_sides_and_a_jump_is_seen() -> None:
    # 0.2 a frame, and never both at one place: from -0.1 to 0.1 it looks as if they had changed sides.
    across_T = np.linspace(-2.9, 2.9, 30)
    points_T2K2 = np.zeros((30, 2, 1, 2))
    points_T2K2[:, 0, 0, 0], points_T2K2[:, 1, 0, 0] = across_T, -across_T
    seen, clock = np.ones((30, 2, 1), np.bool_), np.arange(30) / 25
    assert not swapped_frames(points_T2K2, seen, clock, clear=0.1, unknown=2.0)[1].any()
    points_T2K2[5] = points_T2K2[5, ::-1]
    judged_T, swapped_T = swapped_frames(points_T2K2, seen, clock, clear=0.1, unknown=2.0)
    assert judged_T.all()
    assert np.flatnonzero(swapped_T).tolist() == [5]
    # With a gap between them the two halves are judged apart: nothing says what happened in between.
    later = clock + np.where(np.arange(30) > 15, 1.0, 0.0)
    points_T2K2[16:] = points_T2K2[16:, ::-1]
    assert np.flatnonzero(swapped_frames(points_T2K2, seen, later, clear=0.1, unknown=2.0)[1]).tolist() == [5]


@pytest.mark.parametrize("scale", [0.05, 0.2])
def test_limbs_that_change_their_length_in_metres(scale: float) -> None:
    """Forearms longer and shorter in turn: two of the eight limbs deviate by `scale` (as logarithms)."""
    body = body_of(STANDING)
    world = body.joints_world_m_PTJ3.copy()
    factor_T1 = np.exp(np.where(np.arange(T) % 2, scale, -scale))[:, None]
    for elbow, hand in ((13, (15, 17, 19, 21)), (14, (16, 18, 20, 22))):
        for joint in hand:
            world[0, :, joint] = world[0, :, elbow] + (world[0, :, joint] - world[0, :, elbow]) * factor_T1
    found = measured(body=replace(body, joints_world_m_PTJ3=world.astype(np.float32)))
    assert found["limb_length_cv"] == pytest.approx(1.4826 * scale * 2 / 8, rel=0.01)


def test_limbs_that_the_picture_shows_longer_than_the_metres_say() -> None:
    body = body_of(STANDING)
    factor_T1 = np.exp(np.where(np.arange(T) % 2, 0.1, -0.1))[:, None]
    shift_TJ2 = np.zeros((T, 33, 2))
    for knee, ankle in ((25, 27), (26, 28)):
        shin_T2 = body.joints_px_PTJ2[0, :, ankle] - body.joints_px_PTJ2[0, :, knee]
        shift_TJ2[:, ankle] = shin_T2 * (factor_T1 - 1)
    found = measured(body=moved_px(body, shift_TJ2))
    assert found["limb_picture_cv"] == pytest.approx(1.4826 * 0.1 * 2 / 8, rel=0.02)
    assert found["limb_length_cv"] == pytest.approx(0, abs=1e-5)
    # Coming nearer changes all lengths in the picture and is no fault.
    nearer = label_quality(tracks_of(replace(STANDING, scale=np.linspace(0.6, 1.0, T))), CLIP)
    assert nearer["limb_picture_cv"] == pytest.approx(0, abs=1e-5)


def test_a_hand_beside_its_wrist_is_so_many_palms_off() -> None:
    body = body_of(STANDING)
    hands = hands_of(body, hand_shape(), hand_shape())
    palm_px = 0.05 * STATURE_PX
    px = hands.joints_px_T2J2.copy()
    px[:, 0, :, 0] += 1.5 * palm_px
    found = measured(hands=replace(hands, joints_px_T2J2=px))
    assert found["hand_wrist_apart_fraction"] == 0.5
    px[:, 1, :, 0] += 0.4 * palm_px
    both = measured(hands=replace(hands, joints_px_T2J2=px))
    assert both["hand_wrist_offset_palms"] == pytest.approx((1.5 + 0.4) / 2, rel=1e-3)
    assert both["hand_wrist_apart_fraction"] == 0.5


def test_a_hand_is_not_compared_with_a_wrist_that_nobody_sees() -> None:
    hidden = replace(STANDING, unseen=(15, 16))
    found = label_quality(tracks_of(hidden), CLIP)
    assert found["hand_wrist_offset_palms"] is None
    assert found["hand_wrist_apart_fraction"] is None


@pytest.mark.parametrize(("widths", "apart"), [(0.2, 0.0), (0.7, 1.0)])
def test_a_face_beside_the_head_is_so_many_widths_off(widths: float, apart: float) -> None:
    face = facing(body_of(STANDING))
    px = face.landmarks_px_TL2 + np.float32([0, widths * FACE_WIDTH_PX])
    found = measured(face=replace(face, landmarks_px_TL2=px))
    assert found["face_head_offset_widths"] == pytest.approx(widths, rel=1e-4)
    assert found["face_head_apart_fraction"] == apart


def test_the_median_face_is_where_it_should_be_and_a_tenth_is_not() -> None:
    face = facing(body_of(STANDING))
    px = face.landmarks_px_TL2.copy()
    px[10:20] += np.float32([2 * FACE_WIDTH_PX, 0])
    found = measured(face=replace(face, landmarks_px_TL2=px))
    assert found["face_head_offset_widths"] == pytest.approx(0, abs=1e-5)
    assert found["face_head_apart_fraction"] == 0.1


def test_the_camera_s_way_is_taken_out_of_each_joint() -> None:
    px_TJ2 = np.array([[[100.0, 50.0]], [[108.0, 50.0]], [[117.0, 50.0]]])
    moves_T33 = np.tile(np.eye(3), (3, 1, 1))
    moves_T33[1:, 0, 2] = 8.0
    assert without_camera(px_TJ2, moves_T33)[:, 0, 0].tolist() == [100.0, 100.0, 101.0]


def test_size_and_place_in_the_picture_do_not_matter() -> None:
    """The same tracks twice as large have the same measures."""
    body = body_of(STANDING, noise_px=1.0)
    hands, face = hands_of(body, hand_shape(), hand_shape()), facing(body)
    assert isinstance(hands, HandsTrack)
    large = {
        "body": replace(body, joints_px_PTJ2=2 * body.joints_px_PTJ2),
        "hands": replace(hands, joints_px_T2J2=2 * hands.joints_px_T2J2),
        "face": replace(face, landmarks_px_TL2=2 * face.landmarks_px_TL2),
    }
    small = measured(body=body, hands=hands, face=face)
    twice = measured(ClipFrame(2 * CLIP.width_px, 2 * CLIP.height_px, CLIP.fps), **large)
    assert twice == pytest.approx(small, rel=1e-3, abs=1e-6)
    assert None not in small.values()
