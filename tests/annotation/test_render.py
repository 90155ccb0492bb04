"""What is drawn where: tracks made by hand on a grey frame, so that every changed pixel has one cause."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import body_track, camera_track, contact_track, face_track, hands_track
from numpy.typing import NDArray

from annotation.base import ClipFrame
from annotation.render.camera import camera_rates
from annotation.render.face import gaze_xy, head_axes_xy
from annotation.render.text import drawable, put_text, shorten, text_width_px, wrap
from annotation.render.things import things_at
from annotation.render.tracks import draw_tracks, frame_at
from annotation.render.wireframe import CAMERA_RGB, FACE_RGB, LEFT_RGB, RIGHT_RGB, THING_RGB, bone_colour, other_colour
from schemas.tracks import BodyTrack, FaceTrack, HandsTrack, Track

GREY = 90
CLIP = ClipFrame(200, 120, 8.0)
FRAME = np.full((240, 400, 3), GREY, np.uint8)  # twice the clip's native size
LEFT_WRIST, RIGHT_WRIST, LEFT_ELBOW = 15, 16, 13


def drawn(pts_s: float = 0.0, **tracks: Track) -> NDArray[np.uint8]:
    return draw_tracks(FRAME, pts_s, {f"{name}.npz": track for name, track in tracks.items()}, CLIP)


def changed(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray((picture != GREY).any(axis=2))


def body_of(joints: dict[int, tuple[float, float]], T: int = 4, people: int = 1, conf: float = 0.9) -> BodyTrack:
    """Only the given joints (clip px) are seen, of everyone alike."""
    base = body_track(T, people)
    px, confidence = np.full_like(base.joints_px_PTJ2, -500), np.zeros_like(base.conf_PTJ)
    for joint, place in joints.items():
        px[:, :, joint] = place
        confidence[:, :, joint] = conf
    return replace(base, joints_px_PTJ2=px, conf_PTJ=confidence)


def pixel_of(x: float, y: float) -> tuple[int, int]:
    """Row and column in the frame of a place in clip px."""
    return int(2 * y), int(2 * x)


def test_a_joint_has_its_sides_colour_where_it_is_and_nothing_changes_far_from_it() -> None:
    picture = drawn(body=body_of({LEFT_WRIST: (50.25, 30.25), RIGHT_WRIST: (150.25, 90.25)}))
    assert tuple(picture[pixel_of(50.25, 30.25)]) == LEFT_RGB
    assert tuple(picture[pixel_of(150.25, 90.25)]) == RIGHT_RGB
    rows, columns = np.nonzero(changed(picture))
    near = [np.hypot(rows - row, columns - column) <= 5 for row, column in ((60, 100), (180, 300))]
    assert (near[0] | near[1]).all()
    assert near[0].any()
    assert near[1].any()


def test_a_bone_is_drawn_between_two_seen_joints_only() -> None:
    both = changed(drawn(body=body_of({LEFT_ELBOW: (20, 60), LEFT_WRIST: (120, 60)})))
    assert both[119:121, 50:230].any(axis=0).all()
    one = changed(drawn(body=body_of({LEFT_WRIST: (120, 60)})))
    assert not one[:, :230].any()


def test_a_moved_track_changes_both_places_and_no_other() -> None:
    before, after = (drawn(body=body_of({LEFT_WRIST: (x, 30)})) for x in (40, 160))
    rows, columns = np.nonzero((before != after).any(axis=2))
    assert (np.abs(rows - 60) <= 5).all()
    assert (np.minimum(np.abs(columns - 80), np.abs(columns - 320)) <= 5).all()


def test_filled_frames_are_dashed_and_unsure_joints_faint() -> None:
    arm = {LEFT_ELBOW: (20.0, 60.0), LEFT_WRIST: (180.0, 60.0)}
    measured = body_of(arm)
    filled = replace(measured, filled_PT=np.ones((1, 4), np.bool_))
    along = [changed(drawn(body=body))[119:121, 60:340].any(axis=0).mean() for body in (measured, filled)]
    assert along[0] == 1
    assert 0.3 < along[1] < 0.85
    unsure = drawn(body=body_of(arm, conf=0.3))[119:121, 200].astype(int)
    sure = drawn(body=measured)[119:121, 200].astype(int)
    assert 0 < np.abs(unsure - GREY).max() < 0.6 * np.abs(sure - GREY).max()
    assert not changed(drawn(body=body_of(arm, conf=0.05))).any()


def test_other_people_have_a_colour_each_and_keep_it() -> None:
    body = body_of({LEFT_WRIST: (50.25, 100.25)}, people=3)
    for person in (1, 2):
        alone = replace(body, present_PT=np.arange(3)[:, None] == np.full((1, 4), person))
        for t in range(4):
            picture = draw_tracks(FRAME, t / 8, {"body.npz": alone}, CLIP)
            assert tuple(picture[pixel_of(50.25, 100.25)]) == other_colour(person)
    assert len({other_colour(1), other_colour(2), bone_colour(15, 15), bone_colour(16, 16), bone_colour(11, 12)}) == 5


def test_absent_tracks_draw_nothing() -> None:
    body, face, hands, camera = body_track(4), face_track(4, absent=4), hands_track(4), camera_track(4)
    nothing = drawn(
        body=replace(body, present_PT=np.zeros((1, 4), np.bool_)),
        face=face,
        hands=replace(hands, present_T2=np.zeros((4, 2), np.bool_)),
        camera=replace(camera, inlier_fraction_T=np.zeros(4, np.float32)),
    )
    assert np.array_equal(nothing, FRAME)
    assert np.array_equal(drawn(), FRAME)
    assert not changed(drawn(body=body_track(4, people=0))).any()


def test_tracks_are_drawn_by_time() -> None:
    body = body_track(4)
    assert frame_at(body, 0.26, 8.0) == 2
    assert frame_at(body, 0.75, 8.0) is None
    assert changed(drawn(0.375, body=body)).any()
    assert not changed(drawn(0.6, body=body)).any()
    assert frame_at(replace(camera_track(1), pts_s_T=np.zeros(1)), 0.0, 0.0) == 0
    assert frame_at(body_track(0), 0.0, 8.0) is None


def test_hands_are_drawn_in_their_sides_colour() -> None:
    hands = hands_track(4)
    picture = drawn(hands=hands)
    x, y = (float(v) for v in hands.joints_px_T2J2[0, 1, 0])
    assert tuple(picture[pixel_of(x, y)]) == RIGHT_RGB
    assert not (picture == LEFT_RGB).all(axis=2).any()
    faint = drawn(hands=replace(hands, conf_T2=np.full((4, 2), 0.3, np.float32)))
    assert not (faint == RIGHT_RGB).all(axis=2).any()
    assert changed(faint).any()


def test_hands_of_another_person_have_that_person_s_colour() -> None:
    hands = hands_track(4)
    others = replace(
        hands,
        present_T2=np.zeros((4, 2), np.bool_),
        others_px_QT2J2=hands.joints_px_T2J2[None],
        others_world_m_QT2J3=hands.joints_world_m_T2J3[None],
        others_conf_QT2=np.ones((1, 4, 2), np.float32),
        others_present_QT2=hands.present_T2[None],
    )
    picture = drawn(hands=others)
    x, y = (float(v) for v in hands.joints_px_T2J2[0, 1, 0])
    assert tuple(picture[pixel_of(x, y)]) == other_colour(1)
    absent = replace(others, others_present_QT2=np.zeros((1, 4, 2), np.bool_))
    assert not changed(drawn(hands=absent)).any()


def turned_face(yaw_rad: float, gaze_rad: tuple[float, float]) -> FaceTrack:
    face = face_track(4)
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    # Yaw positive: the face turns to the picture's right, so its forward axis -z gets a positive x.
    rotation_33 = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]], np.float32)
    return replace(
        face, head_rotation_T33=np.repeat(rotation_33[None], 4, axis=0), gaze_T2=np.tile(np.float32(gaze_rad), (4, 1))
    )


def test_head_axes_and_gaze_point_where_they_should() -> None:
    right, down, forward = head_axes_xy(turned_face(0, (0, 0)), 0)
    assert right == pytest.approx((1, 0))
    assert down == pytest.approx((0, 1))
    assert forward == pytest.approx((0, 0))
    assert head_axes_xy(turned_face(0.5, (0, 0)), 0)[2] == pytest.approx((np.sin(0.5), 0))
    assert gaze_xy(turned_face(0, (0, 0)), 0) == pytest.approx((0, 0))
    assert gaze_xy(turned_face(0, (0.3, 0)), 0) == pytest.approx((np.sin(0.3), 0))
    assert gaze_xy(turned_face(0, (0, 0.3)), 0) == pytest.approx((0, np.sin(0.3)))
    # Eyes that look as far back as the head is turned away look into the camera.
    assert gaze_xy(turned_face(0.4, (-0.4, 0)), 0) == pytest.approx((0, 0), abs=1e-6)


def test_the_face_is_drawn_where_its_landmarks_are() -> None:
    face = face_track(4)
    picture = changed(drawn(face=face))
    x, y = (float(v) for v in face.landmarks_px_TL2[0, 10])
    row, column = pixel_of(x, y)
    assert picture[row - 1 : row + 2, column - 1 : column + 2].any()
    rows, columns = np.nonzero(picture)
    assert np.hypot(rows - 40, columns - 96).max() < 2 * (12 + 0.9 * 24)
    assert (drawn(face=face) == FACE_RGB).all(axis=2).any()


@pytest.mark.parametrize(("pan", "tilt"), [(0.02, 0), (-0.02, 0), (0, 0.02), (0, -0.02)])
def test_the_dial_points_where_the_camera_turns(pan: float, tilt: float) -> None:
    camera = camera_track(16)
    turning = camera.pan_tilt_roll_rad_T3.copy()
    turning[1:, :2] = pan, tilt
    picture = drawn(1.0, camera=replace(camera, pan_tilt_roll_rad_T3=turning))
    rows, columns = np.nonzero((picture == CAMERA_RGB).all(axis=2))
    still = drawn(1.0, camera=camera)
    dot_rows, dot_columns = np.nonzero((still == CAMERA_RGB).all(axis=2))
    right, down = columns.mean() - dot_columns.mean(), rows.mean() - dot_rows.mean()
    assert np.sign(round(right)) == np.sign(pan)
    assert np.sign(round(down)) == -np.sign(tilt)
    changed_rows, changed_columns = np.nonzero(changed(picture))
    assert changed_rows.max() < 60
    assert changed_columns.min() > 330


def test_rates_are_means_per_second() -> None:
    pan, tilt, roll, zoom = camera_rates(camera_track(16, pan_rad=0.01, zoom=1.02), 8)
    assert pan == pytest.approx(0.08, rel=1e-5)
    assert (tilt, roll) == (0, 0)
    assert zoom == pytest.approx(8 * np.log(1.02), rel=1e-5)
    assert camera_rates(camera_track(1), 0).tolist() == [0, 0, 0, 0]


def test_roll_and_zoom_are_said_below_the_dial() -> None:
    def words(**change: float) -> NDArray[np.bool_]:
        camera = camera_track(16, zoom=change.get("zoom", 1.0))
        turning = camera.pan_tilt_roll_rad_T3.copy()
        turning[1:, 2] = change.get("roll", 0.0)
        return changed(drawn(1.0, camera=replace(camera, pan_tilt_roll_rad_T3=turning)))[38:]

    assert not words().any()
    zoom_in, zoom_out, roll = words(zoom=1.02), words(zoom=1 / 1.02), words(roll=0.02)
    assert zoom_in.any()
    assert zoom_out.any()
    assert roll.any()
    assert not np.array_equal(zoom_in, zoom_out)
    assert words(zoom=1.02, roll=0.02).sum() > max(zoom_in.sum(), roll.sum())


def test_roll_arcs_run_the_way_the_camera_turns() -> None:
    def arrow_column(roll_rad: float) -> float:
        camera = camera_track(16)
        turning = camera.pan_tilt_roll_rad_T3.copy()
        turning[1:, 2] = roll_rad
        picture = (drawn(1.0, camera=replace(camera, pan_tilt_roll_rad_T3=turning)) == CAMERA_RGB).all(axis=2)
        # The top of the dial: an arc with its head at one end.
        return float(np.nonzero(picture[:9])[1].mean())

    assert arrow_column(0.03) > arrow_column(-0.03) + 1


def test_things_have_a_box_until_the_next_look() -> None:
    contact = contact_track()
    assert things_at(contact, 0.0).tolist() == [0]
    assert things_at(contact, 0.34).tolist() == [0]
    assert things_at(contact, 0.4).tolist() == []
    picture = drawn(0.0, contact=contact)
    assert tuple(picture[20, 25]) == THING_RGB
    assert tuple(picture[39, 25]) == THING_RGB
    assert tuple(picture[30, 30]) == (GREY, GREY, GREY)
    assert np.array_equal(drawn(0.5, contact=contact), FRAME)


def test_the_frame_handed_in_is_left_alone() -> None:
    tracks = {"body": body_track(4), "hands": hands_track(4), "face": face_track(4), "camera": camera_track(4)}
    before = FRAME.copy()
    drawn(**tracks)
    assert np.array_equal(FRAME, before)


@pytest.mark.parametrize("size_hw", [(1, 1), (7, 5), (36, 44), (2160, 3840)])
def test_any_size_of_picture_is_drawn_on(size_hw: tuple[int, int]) -> None:
    tracks: dict[str, Track] = {
        "body.npz": body_track(4, people=3), "hands.npz": hands_track(4), "face.npz": face_track(4),
        "camera.npz": camera_track(4, pan_rad=0.1, zoom=1.1), "contact.npz": contact_track(4),
    }  # fmt: skip
    picture = draw_tracks(np.zeros((*size_hw, 3), np.uint8), 0.125, tracks, CLIP)
    assert picture.shape == (*size_hw, 3)


def test_coordinates_far_outside_do_not_wrap_around() -> None:
    body = body_of({LEFT_WRIST: (50, 30)})
    far = replace(body, joints_px_PTJ2=np.where(body.joints_px_PTJ2 == -500, 1e30, 1e30).astype(np.float32))
    assert not changed(drawn(body=far)).any()
    hands = hands_track(4)
    assert not changed(drawn(hands=replace(hands, joints_px_T2J2=hands.joints_px_T2J2 - np.float32(1e9)))).any()


HOSTILE = ["", " ", "a\n\tb", "\x00\x1b[31m", "\ud800", "\u202egnp.exe", "日本語 😀 مرحبا", "\u0301" * 50, "w" * 5000]


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_can_be_drawn(text: str) -> None:
    picture = np.zeros((30, 100, 3), np.uint8)
    put_text(picture, shorten(text, 90, 14), (4, 4), (255, 255, 255), 14)
    assert not picture[:, 96:].any()
    lines = wrap(text, 90, 14, 3)
    assert len(lines) <= 3
    assert all(text_width_px(line, 14) <= 90 for line in lines)
    assert all(char.isprintable() for char in drawable(text))


def test_text_keeps_its_words_and_says_when_it_is_cut() -> None:
    lines = wrap("one two three four five six", 70, 14, 9)
    assert " ".join(lines) == "one two three four five six"
    assert len(lines) > 1
    cut = wrap("one two three four five six", 70, 14, 1)
    assert cut[0].startswith("one")
    assert cut[0].endswith("…")


def test_text_is_cut_at_the_pictures_edges() -> None:
    whole, part = (np.zeros((40, 60, 3), np.uint8) for _ in range(2))
    put_text(whole, "Hamburg", (5, 5), (255, 0, 0), 14)
    put_text(part, "Hamburg", (-5, -5), (255, 0, 0), 14)
    assert whole[..., 0].max() == 255
    assert not whole[..., 1:].any()
    assert np.array_equal(part[:20, :40], whole[10:30, 10:50])


def test_hands_of_another_length_do_not_stop_the_rest() -> None:
    short: HandsTrack = hands_track(2)
    picture = drawn(0.375, hands=short, body=body_of({LEFT_WRIST: (50.25, 90.25)}))
    assert tuple(picture[pixel_of(50.25, 90.25)]) == LEFT_RGB
    assert not (picture == RIGHT_RGB).all(axis=2).any()
