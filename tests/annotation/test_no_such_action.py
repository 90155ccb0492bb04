"""What looks like an action and is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from figure import CLIP, HIP_HALF, Figure, Vector, body_of, face_of, hand_shape, hands_of, over
from numpy.typing import NDArray

from annotation.actions.plausible import bones_hold
from annotation.actions.read import actions
from schemas.tracks import BodyTrack, FaceTrack, HandsTrack

T = 76
S_T = np.arange(T) / 25


def found(figure: Figure, face: FaceTrack | None = None, hands: HandsTrack | None = None) -> set[str]:
    return {each.label for each in actions(body_of(figure), None, CLIP, face, hands)}


def swing(hz: float) -> Vector:
    return np.asarray(np.sin(2 * np.pi * hz * S_T))


def forearm(angle_T: Vector) -> Vector:
    """The left hand, from its shoulder, of a level upper arm whose forearm stands at this angle from upright."""
    return over(T, 0.186 + 0.146 * np.sin(angle_T), 0.146 * np.cos(angle_T), 0.02)


def test_an_arm_flung_from_side_to_side_does_not_wave() -> None:
    assert "wave_left" in found(Figure(T=T, left_hand=forearm(np.radians(35) * swing(1.2))))
    assert "wave_left" not in found(Figure(T=T, left_hand=forearm(np.radians(65) * swing(1.2))))
    uneven_T = np.radians(np.where(swing(0.6) > 0, 40, 10)) * swing(1.2)
    assert "wave_left" not in found(Figure(T=T, left_hand=forearm(uneven_T)))


def test_who_steps_from_foot_to_foot_does_not_sway() -> None:
    aside_T = 0.09 * swing(0.8)
    swaying = Figure(T=T, hips=over(T, aside_T, 0.53, 0))
    planted = replace(swaying, left_foot=over(T, HIP_HALF - aside_T, 0.04, 0))
    planted = replace(planted, right_foot=over(T, -HIP_HALF - aside_T, 0.04, 0))
    assert "sway" in found(planted)
    assert "sway" not in found(swaying)


def test_who_sinks_into_the_knees_after_a_hop_of_the_feet_alone_does_not_jump() -> None:
    sinks_T = np.clip(S_T - 0.5, 0, 1)
    hop_T = 0.09 * np.clip(np.sin(np.pi * (S_T - 0.55) / 0.3), 0, 1) * ((S_T > 0.55) & (S_T < 0.85))
    feet = {f"{side}_foot": over(T, x, 0.04 + hop_T, 0) for side, x in (("left", HIP_HALF), ("right", -HIP_HALF))}
    assert "jump" not in found(Figure(T=T, hips=over(T, 0, 0.53 - 0.25 * sinks_T, 0), **feet))
    assert "jump" in found(Figure(T=T, hips=over(T, 0, 0.53 + hop_T, 0), **feet))


def test_lips_and_head_of_a_face_of_few_pixels_say_little() -> None:
    figure = Figure(T=T, head_yaw=np.radians(8) * swing(1.2))
    face = face_of(figure, lip_gap=0.03 * np.abs(swing(2.2)))
    assert {"talk", "shake_head"} <= found(figure, face)
    small = replace(face, landmarks_3d_TL3=face.landmarks_3d_TL3 / 3, landmarks_px_TL2=face.landmarks_px_TL2 / 3)
    assert not {"talk", "shake_head"} & found(figure, small)
    wider = replace(figure, head_yaw=2 * figure.head_yaw)
    small = replace(small, head_rotation_T33=face_of(wider).head_rotation_T33)
    assert "shake_head" in found(wider, small)


def test_a_hand_that_pinches_does_not_point() -> None:
    figure = Figure(T=T, left_hand=(0.1, -0.05, 0.15))
    shape = hand_shape((False, True, False, False, False))
    assert "point_left" in found(figure, hands=hands_of(body_of(figure), shape, None))
    shape[4] = shape[8] + np.array([0.15, 0, 0])
    assert "point_left" not in found(figure, hands=hands_of(body_of(figure), shape, None))


def test_a_hand_that_is_never_read_while_the_other_one_is_does_not_gesture() -> None:
    figure = Figure(T=T, left_hand=over(T, 0.05, -0.12 + 0.07 * swing(1.0), 0.2))
    body, shape = body_of(figure), hand_shape()
    for hands, gestures in (((None, None), True), ((shape, shape), True), ((None, shape), False)):
        assert ("gesture_left_hand" in found(figure, hands=hands_of(body, *hands))) == gestures


def jumbled(body: BodyTrack, frames: slice) -> BodyTrack:
    """Another build in each of these frames; lengths in metres made constant."""
    px_TJ2: NDArray[np.float32] = body.joints_px_PTJ2[0].copy()
    part = px_TJ2[frames]
    stretch_TJ1 = np.exp(np.random.default_rng(1).normal(0, 0.5, (*part.shape[:2], 1)))
    middle = part.mean(axis=1, keepdims=True)
    px_TJ2[frames] = (part - middle) * stretch_TJ1 + middle
    return replace(body, joints_px_PTJ2=px_TJ2[None])


def test_some_frames_of_another_build_are_left_out_and_many_speak_against_the_clip() -> None:
    body = body_of(Figure(T=T))
    some = bones_hold(jumbled(body, slice(T - 24, T)), CLIP)
    assert some[: T - 30].all()
    assert not some[T - 16 :].any()
    assert not bones_hold(jumbled(body, slice(T - 50, T)), CLIP).any()
