"""A stated orientation turns the driver: the turned tracks are those of the same motion filmed from that side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from puppet_pictures import tracks_of
from puppets import Scene, draw_identity, draw_scene

from model.data.turned import heading_rad, turn_rad, turned
from model.text.directions import Orientation
from model.text.stage_directions import parse_directions
from schemas.tracks import BodyTrack, FaceTrack, HandsTrack

WHO = draw_identity(np.random.default_rng(1))
SCENE = replace(draw_scene(WHO, np.random.default_rng(2)), yaw=0.1, action="waving")
Tracks = tuple[BodyTrack, FaceTrack, HandsTrack]


def tracks(scene: Scene = SCENE) -> Tracks:
    return tracks_of(scene)[:3]


def facing(yaw_deg: float) -> Orientation:
    return Orientation(start_yaw_deg=yaw_deg, end_yaw_deg=yaw_deg)


def yaw_deg(body: BodyTrack) -> np.ndarray:
    return np.degrees(heading_rad(body)[0])


def same(one: Tracks, other: Tracks) -> bool:
    return all(a.to_npz() == b.to_npz() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("stated_deg", [90.0, -90.0, 180.0, 45.0])
def test_turned_tracks_are_those_of_the_same_motion_filmed_from_another_side(stated_deg: float) -> None:
    own = float(np.angle(np.exp(1j * heading_rad(tracks()[0])[0]).mean()))
    body, face, hands = turned(*tracks(), facing(stated_deg))
    true_body, true_face, true_hands = tracks(replace(SCENE, yaw=SCENE.yaw + np.radians(stated_deg) - own))
    assert np.abs(body.joints_px_PTJ2 - true_body.joints_px_PTJ2).max() < 1e-3
    assert np.abs(body.joints_world_m_PTJ3 - true_body.joints_world_m_PTJ3).max() < 1e-5
    assert np.abs(hands.joints_px_T2J2 - true_hands.joints_px_T2J2).max() < 1e-3
    assert np.abs(hands.joints_world_m_T2J3 - true_hands.joints_world_m_T2J3).max() < 1e-5
    assert (face.present_T == true_face.present_T).all()
    seen_T = face.present_T
    assert np.abs(face.head_rotation_T33 - true_face.head_rotation_T33)[seen_T].max(initial=0) < 1e-5
    assert np.abs(face.landmarks_px_TL2 - true_face.landmarks_px_TL2)[seen_T].max(initial=0) < 1e-3


def test_nothing_changes_where_nothing_is_stated_or_driver_and_text_agree() -> None:
    assert same(turned(*tracks(), Orientation()), tracks())
    assert same(turned(*tracks(), facing(20.0)), tracks())
    assert not same(turned(*tracks(), facing(40.0)), tracks())
    body, face, hands = tracks()
    unsure = replace(body, conf_PTJ=np.full_like(body.conf_PTJ, 0.1))
    assert same(turned(unsure, face, hands, facing(90.0)), (unsure, face, hands))
    nobody = replace(body, present_PT=np.zeros_like(body.present_PT))
    assert same(turned(nobody, face, hands, facing(90.0)), (nobody, face, hands))


def test_a_face_that_turns_away_is_gone_and_one_never_shown_is_not_made_up() -> None:
    assert tracks()[1].present_T.all()
    _, face, _ = turned(*tracks(), facing(180.0))
    assert not face.present_T.any()
    assert not face.landmarks_px_TL2.any()
    from_behind = tracks(replace(SCENE, yaw=3.1))
    assert not from_behind[1].present_T.any()
    assert not turned(*from_behind, facing(0.0))[1].present_T.any()


def test_of_a_side_that_is_not_said_the_nearer_one_is_taken() -> None:
    either = parse_directions("A woman in profile.").orientation
    assert either.start_either
    for own, wanted in ((0.4, 90.0), (-0.4, -90.0)):
        body, _, _ = turned(*tracks(replace(SCENE, yaw=own)), either)
        assert yaw_deg(body) == pytest.approx(np.full(SCENE.frames, wanted), abs=3)


def test_the_words_of_a_prompt_turn_the_driver() -> None:
    """The face looks to the picture's right at +90: the nose lies right of the ears."""
    body, _, _ = turned(*tracks(), parse_directions("A man in profile facing right.").orientation)
    assert yaw_deg(body).mean() == pytest.approx(90, abs=1)
    nose, ears = body.joints_px_PTJ2[0, :, 0, 0], body.joints_px_PTJ2[0, :, [7, 8], 0].mean(axis=0)
    assert (nose > ears + 3).all()


def test_a_stated_turn_is_made_over_its_time() -> None:
    """From facing the camera to the back, by the own left; before half of it a quarter turn is not reached."""
    turn = Orientation(start_yaw_deg=0.0, end_yaw_deg=180.0, turn_deg=180.0)
    yaw_T = np.unwrap(np.radians(yaw_deg(turned(*tracks(), turn)[0])))
    assert np.degrees(yaw_T[-1] - yaw_T[0]) == pytest.approx(180, abs=1)
    assert (np.diff(yaw_T) > 0).all()
    assert np.degrees(yaw_T[0]) == pytest.approx(np.degrees(SCENE.yaw), abs=1)
    to_camera = parse_directions("She turns to face the camera.").orientation
    assert (to_camera.start_yaw_deg, to_camera.end_yaw_deg) == (None, 0.0)
    yaw_T = yaw_deg(turned(*tracks(replace(SCENE, yaw=1.5)), to_camera)[0])
    assert yaw_T[[0, -1]] == pytest.approx([np.degrees(1.5), 0], abs=1)


def test_the_others_in_the_picture_stay_as_they_are() -> None:
    body, face, hands = tracks()
    two = BodyTrack(*(np.repeat(values, 2, axis=0) for values in (
        body.joints_px_PTJ2, body.joints_world_m_PTJ3, body.conf_PTJ, body.present_PT)), body.pts_s_T)  # fmt: skip
    made, _, _ = turned(two, face, hands, facing(90.0))
    assert np.array_equal(made.joints_px_PTJ2[1], two.joints_px_PTJ2[1])
    assert not np.array_equal(made.joints_px_PTJ2[0], two.joints_px_PTJ2[0])


def test_angles_are_the_shorter_way() -> None:
    angle_T = turn_rad(tracks(replace(SCENE, yaw=np.radians(-100)))[0], facing(170.0))
    assert angle_T is not None
    assert np.degrees(angle_T) == pytest.approx(np.full(SCENE.frames, -90), abs=1)
