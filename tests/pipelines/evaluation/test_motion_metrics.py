"""Metrics of motion on tracks whose answer is known by construction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.evaluation import motion_metrics as motion
from schemas.tracks import BodyTrack, FaceTrack
from tests.builders import body_track, camera_track, clock, face_track, hands_track

END_S = 2.0


def walking(
    T: int = 16, fps: float = 8.0, stretch: float = 1.0, shift_px: float = 0.0, swing: float = 10.0
) -> BodyTrack:
    """A standing figure of 40 px shoulders whose wrists and ankles swing once in two seconds; the same at any rate."""
    track = body_track(T, fps=fps)
    px = np.zeros((1, T, 33, 2), np.float32)
    px[..., 11, :], px[..., 12, :] = (30, 30), (-10, 30)
    px[..., 23, :], px[..., 24, :] = (25, 70), (-5, 70)
    for side, (elbow, wrist, knee, ankle) in enumerate(((13, 15, 25, 27), (14, 16, 26, 28))):
        sign = 1 - 2 * side
        px[..., elbow, :], px[..., wrist, :] = (10 + 30 * sign, 50), (10 + 32 * sign, 65)
        px[..., knee, :], px[..., ankle, :] = (10 + 12 * sign, 95), (10 + 12 * sign, 120)
        swung = swing * sign * np.sin(np.pi * clock(T, fps))
        px[0, :, wrist, 0] += swung
        px[0, :, ankle, 0] -= swung
    px[..., 0, :] = (10, 10)
    return replace(track, joints_px_PTJ2=(stretch * px + shift_px).astype(np.float32))


def pose_error(output: BodyTrack, driving: BodyTrack, end_s: float = END_S) -> float:
    return float(np.nanmean(motion.pose_errors_TJ(output, end_s, driving)))


def test_another_build_in_another_place_at_another_rate_follows_exactly() -> None:
    assert pose_error(walking(), walking()) == 0.0
    assert pose_error(walking(stretch=2.5, shift_px=300), walking()) == pytest.approx(0.0, abs=1e-6)
    slower = pose_error(walking(32, 16.0), walking())
    assert slower == pytest.approx(0.0, abs=1e-6), "times are compared, not frame numbers"


def test_a_body_whose_hips_only_one_of_both_shows_is_as_large() -> None:
    """The shoulders are 40 px wide and the torso as long, where three halves of the width are the rule of thumb."""
    track = walking()
    conf = track.conf_PTJ.copy()
    conf[0, :, 23:25] = 0.1
    cut = replace(track, conf_PTJ=conf)
    assert pose_error(track, cut) == pytest.approx(0.0, abs=1e-6)
    hips_J = np.isin((0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28), (23, 24))
    errors_TJ = motion.pose_errors_TJ(cut, END_S, track)
    assert errors_TJ[:, hips_J] == pytest.approx(1.0), "joints that are missing"
    assert errors_TJ[:, ~hips_J] == pytest.approx(0.0, abs=1e-6)
    conf[0, :2, 23:25] = 0.9
    assert pose_error(track, replace(track, conf_PTJ=conf)) == pytest.approx(0.0, abs=1e-6), "seen twice is not enough"


def test_a_joint_that_is_off_by_a_known_part_of_the_torso() -> None:
    track = walking()
    px = track.joints_px_PTJ2.copy()
    px[0, :, 15] += (0, 8)
    off = replace(track, joints_px_PTJ2=px)
    errors_TJ = motion.pose_errors_TJ(off, END_S, track)
    assert errors_TJ[:, 5] == pytest.approx(np.full(16, 8 / 40)), "the torso is 40 px long"
    assert np.delete(errors_TJ, 5, axis=1) == pytest.approx(0.0)


def test_what_is_not_there_is_wrong_and_what_the_driver_hides_is_nothing() -> None:
    track = walking()
    gone = replace(track, present_PT=np.zeros_like(track.present_PT))
    assert pose_error(gone, track) == 1.0
    short = replace(walking(8), pts_s_T=clock(8))
    assert pose_error(short, track, end_s=1.0) == pytest.approx(0.5), "nothing is shown in the second half"
    assert np.isnan(motion.pose_errors_TJ(track, END_S, gone)).all()


def test_a_still_picture_of_the_driver_is_off_by_what_moves() -> None:
    still = replace(walking(), joints_px_PTJ2=np.repeat(walking().joints_px_PTJ2[:, :1], 16, axis=1))
    little, much = (pose_error(still, walking(swing=swing)) for swing in (4.0, 12.0))
    assert 0 < little < much
    assert much == pytest.approx(3 * little, rel=0.01)


def test_amplitude_counts_in_octaves_of_the_drivers() -> None:
    class Of:
        def __init__(self, body: BodyTrack) -> None:
            self.body = body

    def log2(output: BodyTrack, driving: BodyTrack) -> float | None:
        return motion.amplitude_log2(Of(output), Of(driving))  # type: ignore[arg-type]

    assert log2(walking(), walking()) == 0.0
    conf = walking().conf_PTJ.copy()
    conf[0, :, 23:25] = 0.1
    assert log2(walking(), replace(walking(), conf_PTJ=conf)) == pytest.approx(0.0, abs=1e-6)
    assert log2(walking(swing=5.0), walking(swing=10.0)) == pytest.approx(-1.0, abs=1e-6)
    assert log2(walking(stretch=3.0, swing=10.0), walking(swing=10.0)) == pytest.approx(0.0, abs=1e-6)
    assert log2(walking(swing=0.0), walking()) == -4.0
    assert log2(walking(), walking(swing=0.0)) is None, "nothing to compare with"


def test_hands_are_compared_in_palms_wherever_they_are() -> None:
    track = hands_track()
    assert motion.hand_error_palm(track, END_S, track) == 0.0
    joints = track.joints_world_m_T2J3.copy()
    assert motion.hand_error_palm(replace(track, joints_world_m_T2J3=2 * joints + 5), END_S, track) == pytest.approx(
        0.0, abs=1e-4
    )
    palm_m = float(np.linalg.norm(joints[0, 1, 9] - joints[0, 1, 0]))
    joints[:, 1, 8, 1] += 0.5 * palm_m
    bent = motion.hand_error_palm(replace(track, joints_world_m_T2J3=joints), END_S, track)
    assert bent == pytest.approx(0.5 / 21, rel=1e-3)
    gone = replace(track, present_T2=np.zeros_like(track.present_T2))
    assert motion.hand_error_palm(gone, END_S, track) == 1.0
    assert motion.hand_error_palm(track, END_S, gone) is None


def turned(track: FaceTrack, deg: float) -> FaceTrack:
    turn = np.radians(deg)
    rotation = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]], np.float32)
    return replace(track, head_rotation_T33=np.repeat(rotation[None], len(track.present_T), axis=0))


def test_heads_are_compared_by_the_angle_between_them() -> None:
    track = face_track()
    assert motion.head_error_deg(track, END_S, track) == pytest.approx(0.0, abs=0.1)
    assert motion.head_error_deg(turned(track, 30), END_S, track) == pytest.approx(30.0, abs=0.01)
    assert motion.head_error_deg(turned(track, 150), END_S, track) == motion.HEAD_CEILING_DEG
    half = motion.head_error_deg(face_track(absent=8), END_S, track)
    assert half == pytest.approx(motion.HEAD_CEILING_DEG / 2, abs=0.1)
    assert motion.head_error_deg(track, END_S, face_track(absent=16)) is None


def test_expressions_are_compared_about_the_rest_of_each_face() -> None:
    track = face_track()

    def with_jaw(jaw_T: NDArray[np.float64]) -> FaceTrack:
        coefficients = track.expression_TK.copy()
        coefficients[:, 0] = jaw_T
        return replace(track, expression_TK=coefficients)

    wave_T = 0.3 + 0.2 * np.sin(np.pi * clock(16))
    assert motion.expression_error(with_jaw(wave_T + 0.1), END_S, with_jaw(wave_T)) == pytest.approx(0.0, abs=1e-6)
    assert motion.expression_agreement(with_jaw(0.5 * wave_T), END_S, with_jaw(wave_T)) == pytest.approx(1.0, abs=1e-5)
    assert motion.expression_agreement(with_jaw(-wave_T), END_S, with_jaw(wave_T)) == pytest.approx(-1.0, abs=1e-5)
    still, gone = with_jaw(np.full(16, 0.7)), replace(track, present_T=np.zeros(16, np.bool_))
    assert motion.expression_agreement(still, END_S, with_jaw(wave_T)) == 0.0
    without = motion.expression_error(gone, END_S, with_jaw(wave_T))
    assert without == pytest.approx(motion.expression_error(still, END_S, with_jaw(wave_T)))
    assert motion.expression_agreement(with_jaw(wave_T), END_S, still) is None
    assert motion.expression_error(track, END_S, gone) is None


def test_the_camera_obeys_where_its_moves_are_the_same() -> None:
    pan, still = camera_track(pan_rad=0.02), camera_track()
    assert motion.camera_obedience(pan, END_S, pan) == 1.0
    assert motion.camera_obedience(still, END_S, pan) == 0.0
    assert motion.camera_obedience(camera_track(pan_rad=-0.02), END_S, pan) == 0.0
    both = motion.camera_obedience(camera_track(pan_rad=0.02, zoom=1.02), END_S, pan)
    assert both == pytest.approx(0.5), "one move of two is the driving video's"


def test_the_frame_that_is_shown() -> None:
    shown = motion.shown_at(clock(4, 4.0), 1.0, np.array([0.0, 0.1, 0.2, 0.74, 0.99, 1.2]))
    assert shown.tolist() == [0, 0, 1, 3, 3, motion.NOT_SHOWN]
    assert motion.shown_at(np.empty(0), 0.0, clock(3)).tolist() == [motion.NOT_SHOWN] * 3
