"""Every action of the vocabulary, acted by a figure of known pose: seen as it is, turned, mirrored and slowed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from figure import CLIP, Figure, Vector, body_of, face_of, hand_shape, hands_of, over

from annotation.actions.plausible import bones_hold
from annotation.actions.read import actions
from annotation.actions.vocabulary import VOCABULARY, mirrored
from annotation.camera_moves import Interval

T = 76
S_T = np.arange(T) / 25
RIGHT_HANG = (-0.02, -0.32, 0.02)
POINTING = (False, True, False, False, False)


def wave(hz: float, low: float = -1.0, high: float = 1.0) -> Vector:
    return low + (high - low) * (0.5 - 0.5 * np.cos(2 * np.pi * hz * S_T))


def ramp(start_s: float, stop_s: float) -> Vector:
    """0 before, 1 after, smooth in between."""
    share = np.clip((S_T - start_s) / (stop_s - start_s), 0, 1)
    return share * share * (3 - 2 * share)


def bump(start_s: float, stop_s: float) -> Vector:
    """0, up to 1 half way, 0: a parabola."""
    share = np.clip((S_T - start_s) / (stop_s - start_s), 0, 1)
    return 4 * share * (1 - share)


def gait(hz: float, stride: float, lift: float) -> dict[str, Vector]:
    """Feet to and fro along the way that the person faces."""
    phase = 2 * np.pi * hz * S_T
    return {
        "left_foot": over(T, 0.06, 0.04 + lift * np.clip(np.cos(phase), 0, 1), stride * np.sin(phase)),
        "right_foot": over(T, -0.06, 0.04 + lift * np.clip(-np.cos(phase), 0, 1), -stride * np.sin(phase)),
    }


@dataclass(frozen=True)
class Act:
    """A figure that does what `label` says; fast: the speed is part of what the label means."""

    label: str
    figure: Figure
    also: frozenset[str] = frozenset()
    fast: bool = False
    lip_gap: Vector | float = 0.0
    face: bool = False
    fingers: tuple[bool, bool, bool, bool, bool] | None = None
    partner: Figure | None = None


BASE = Figure(T=T)


def act(label: str, also: str = "", fast: bool = False, **pose: object) -> Act:
    extra = {name: pose.pop(name) for name in ("lip_gap", "face", "fingers", "partner") if name in pose}
    return Act(label, replace(BASE, **pose), frozenset(also.split()), fast, **extra)  # type: ignore[arg-type]


UP = (0.05, 0.24, 0.05)
SEAT = {"hips": (0.0, 0.29, 0.0), "left_foot": (0.08, 0.04, 0.22), "right_foot": (-0.08, 0.04, 0.22)}
ACTS = [
    act("stand"),
    act("still"),
    act("moving", "walk stand", yaw=np.pi / 2, hips=over(T, 0.3 * S_T, 0.52, 0), **gait(0.8, 0.14, 0.05)),
    act("sit", **SEAT),
    act(
        "squat",
        "stand moving bend_forward",
        hips=over(T, 0, 0.53 - 0.28 * wave(0.5, 0, 1), 0),
        left_hand=(0, -0.05, 0.3),
        right_hand=(0, -0.05, 0.3),
    ),
    act("kneel", hips=(0, 0.29, 0), left_foot=(0.07, 0.04, -0.24), right_foot=(-0.07, 0.04, -0.24)),
    act("lie", lean=np.pi / 2, hips=(0, 0.1, 0), left_foot=(-0.45, 0.1, 0), right_foot=(-0.45, 0.05, 0)),
    act("bend_forward", "stand look_down", yaw=1.2, pitch=np.radians(70)),
    act("lean_left", "stand tilt_head_left", lean=np.radians(28)),
    act("lunge", yaw=1.2, hips=(0, 0.36, 0), left_foot=(0.06, 0.04, 0.27), right_foot=(-0.06, 0.06, -0.25)),
    act("raise_left_leg", left_foot=(0.06, 0.25, 0.05)),
    act("walk", "moving stand", yaw=np.pi / 2, hips=over(T, 0.5 * S_T - 0.7, 0.52, 0), **gait(0.9, 0.16, 0.06)),
    act(
        "run",
        "moving gesture_left_hand gesture_right_hand gesture_both_hands walk stand lunge",
        fast=True,
        yaw=np.pi / 2,
        hips=over(T, 1.4 * S_T - 2, 0.52, 0),
        **gait(1.4, 0.2, 0.15),
    ),
    act("step_in_place", "moving stand raise_left_leg raise_right_leg still", **gait(1.0, 0.0, 0.09)),
    act("approach", "moving walk stand still", scale=np.exp(0.2 * S_T - 0.4), **gait(0.9, 0.1, 0.04)),
    act("recede", "moving walk stand still", scale=np.exp(-0.2 * S_T), yaw=np.pi, **gait(0.9, 0.1, 0.04)),
    act("turn_left", "stand moving look_left still", yaw=np.radians(110) * ramp(0.8, 2.0)),
    act("spin", "stand moving still", yaw=2 * np.pi * ramp(0.3, 2.6)),
    act(
        "jump",
        "stand moving still",
        hips=over(T, 0, 0.53 + 0.15 * bump(1.0, 1.6), 0),
        left_foot=over(T, 0.06, 0.04 + 0.15 * bump(1.0, 1.6), 0),
        right_foot=over(T, -0.06, 0.04 + 0.15 * bump(1.0, 1.6), 0),
    ),
    act(
        "kick_left",
        "stand moving still raise_left_leg",
        fast=True,
        left_foot=over(T, 0.06, 0.04 + 0.3 * bump(1.0, 1.5), 0.35 * bump(1.0, 1.5)),
    ),
    act(
        "fall",
        "lie stand moving still lean_left lean_right squat sit kneel lunge jump",
        fast=True,
        lean=-np.pi / 2 * ramp(0.8, 1.4),
        hips=over(T, 0, 0.53 - 0.43 * ramp(0.8, 1.4), 0),
        left_foot=over(T, 0.06 + 0.3 * ramp(0.8, 1.4), 0.04 + 0.08 * ramp(0.8, 1.4), 0),
        right_foot=over(T, -0.06 + 0.4 * ramp(0.8, 1.4), 0.04, 0),
    ),
    act(
        "stand_up",
        "sit stand moving still squat bend_forward",
        hips=over(T, 0, 0.29 + 0.24 * ramp(1.0, 2.0), 0),
        left_foot=over(T, 0.08, 0.04, 0.22 - 0.22 * ramp(1.0, 2.0)),
        right_foot=over(T, -0.08, 0.04, 0.22 - 0.22 * ramp(1.0, 2.0)),
    ),
    act(
        "sit_down",
        "sit stand moving still squat bend_forward",
        hips=over(T, 0, 0.53 - 0.24 * ramp(1.0, 2.0), 0),
        left_foot=over(T, 0.08, 0.04, 0.22 * ramp(1.0, 2.0)),
        right_foot=over(T, -0.08, 0.04, 0.22 * ramp(1.0, 2.0)),
    ),
    act(
        "sway",
        "stand moving still lean_left lean_right tilt_head_left tilt_head_right",
        lean=np.radians(14) * wave(0.8),
    ),
    act(
        "dance",
        "stand moving still sway gesture_both_hands gesture_left_hand gesture_right_hand step_in_place "
        "raise_left_hand raise_right_hand raise_both_hands lean_left lean_right wave_left wave_right approach recede",
        fast=True,
        hips=over(T, 0.08 * np.sin(2 * np.pi * S_T), 0.5 + 0.02 * wave(2.0), 0),
        left_hand=over(T, 0.2 + 0.08 * wave(1.0), -0.05 + 0.15 * wave(1.0), 0.1),
        right_hand=over(T, -0.2 + 0.08 * wave(1.0), -0.05 - 0.15 * wave(1.0), 0.1),
        left_foot=over(T, 0.1 - 0.04 * np.sin(2 * np.pi * S_T), 0.06 + 0.06 * wave(1.0, 0, 1), 0),
        right_foot=over(T, -0.1 - 0.04 * np.sin(2 * np.pi * S_T), 0.04 + 0.06 * wave(1.0, 1, 0), 0),
    ),
    act("raise_left_hand", "stand still moving", left_hand=(0.02, 0.3, 0.02)),
    act("raise_both_hands", "stand still moving", left_hand=(0.02, 0.3, 0.02), right_hand=(-0.02, 0.3, 0.02)),
    act("arms_out", "stand still", left_hand=(0.33, 0.0, 0), right_hand=(-0.33, 0.0, 0)),
    act(
        "wave_left",
        "stand moving still raise_left_hand gesture_left_hand",
        left_hand=over(T, 0.16 + 0.06 * wave(1.5), 0.12, 0.1),
    ),
    act("point_left", "stand still moving", left_hand=(0.32, 0.02, 0.05)),
    act("point_left", "stand still moving", left_hand=(0.05, 0.02, 0.3), fingers=POINTING),
    act(
        "clap",
        "stand moving still gesture_both_hands",
        left_hand=over(T, -0.08 + 0.06 * wave(2.3), -0.12, 0.2),
        right_hand=over(T, 0.08 - 0.06 * wave(2.3), -0.12, 0.2),
    ),
    act("clasp_hands", "stand still", left_hand=(-0.1, -0.2, 0.15), right_hand=(0.1, -0.2, 0.15)),
    act("facepalm", "stand still", left_hand=(-0.07, 0.155, 0.09)),
    act("hand_to_mouth", "stand still", left_hand=(-0.08, 0.06, 0.1)),
    act("touch_face", "stand still", left_hand=(-0.03, 0.06, 0.08)),
    act("hand_on_head", "stand still raise_left_hand", left_hand=(-0.08, 0.24, 0.03)),
    act("cross_arms", "stand still", left_hand=(-0.17, -0.13, 0.1), right_hand=(0.17, -0.13, 0.1)),
    act("hug_self", "stand still", left_hand=(-0.18, -0.03, 0.1), right_hand=(0.18, -0.03, 0.1)),
    act("hands_on_hips", "stand still", left_hand=(-0.01, -0.25, 0.03), right_hand=(0.01, -0.25, 0.03)),
    act(
        "hug",
        "stand still clasp_hands",
        left_hand=(-0.06, -0.08, 0.28),
        right_hand=(0.06, -0.08, 0.28),
        partner=replace(BASE, hips=(0.02, 0.53, 0.2), yaw=np.pi),
    ),
    act("shrug", "stand still moving", shrug=0.045 * bump(0.8, 1.6)),
    act(
        "punch_left",
        "stand moving still point_left",
        fast=True,
        left_hand=over(T, 0, -0.05 + 0.04 * ramp(1.0, 1.15), 0.1 + 0.23 * (ramp(1.0, 1.15) - ramp(1.5, 1.9))),
    ),
    act(
        "throw_left",
        "stand moving still raise_left_hand gesture_left_hand",
        fast=True,
        left_hand=over(
            T,
            0.1,
            0.15 - 0.2 * ramp(1.0, 1.2) - 0.25 * ramp(1.35, 1.7),
            -0.08 + 0.44 * ramp(1.0, 1.2) - 0.34 * ramp(1.35, 1.7),
        ),
    ),
    act(
        "gesture_left_hand",
        "stand moving still",
        fast=True,
        left_hand=over(T, 0.03 + 0.08 * np.sin(9 * S_T), -0.18 + 0.06 * np.sin(7 * S_T), 0.15),
    ),
    act(
        "gesture_both_hands",
        "stand moving still clasp_hands gesture_left_hand gesture_right_hand",
        fast=True,
        left_hand=over(T, 0.03 + 0.06 * np.sin(9 * S_T), -0.18 + 0.06 * np.sin(7 * S_T), 0.15),
        right_hand=over(T, -0.04 + 0.06 * np.sin(8 * S_T), -0.18 + 0.06 * np.sin(6 * S_T), 0.15),
    ),
    act("nod", "stand still moving", head_pitch=np.radians(10) * wave(1.2), face=True),
    act("nod", "stand still moving look_down look_up", head_pitch=np.radians(18) * wave(1.2)),
    act("shake_head", "stand still moving", head_yaw=np.radians(15) * wave(1.2), face=True),
    act("shake_head", "stand still moving look_left look_right", head_yaw=np.radians(25) * wave(1.2)),
    act("look_left", "stand still", head_yaw=np.radians(45), face=True),
    act("look_up", "stand still", head_pitch=np.radians(35), face=True),
    act("look_down", "stand still", head_pitch=np.radians(-40), face=True),
    act("tilt_head_left", "stand still", head_roll=np.radians(28), face=True),
    act("talk", "stand still", lip_gap=0.03 * np.abs(np.sin(2 * np.pi * 2.2 * S_T)), face=True),
]


def found(
    it: Act, figure: Figure | None = None, rotate_deg: float = 0.0, mirror: bool = False, noise_px: float = 0.0
) -> dict[str, list[Interval]]:
    figure = figure or it.figure
    people = () if it.partner is None else (replace(it.partner, T=figure.T),)
    body = body_of(figure, rotate_deg, mirror, noise_px, people)
    lip_gap = it.lip_gap
    if figure.T != it.figure.T and isinstance(lip_gap, np.ndarray):
        lip_gap = np.interp(np.linspace(0, T - 1, figure.T), np.arange(T), lip_gap)
    face = face_of(figure, rotate_deg, mirror, lip_gap) if it.face else None
    hands = None
    if it.fingers is not None:
        shape = hand_shape(it.fingers)
        hands = hands_of(body, *((None, shape) if mirror else (shape, None)))
    labels: dict[str, list[Interval]] = {}
    for each in actions(body, None, CLIP, face, hands):
        labels.setdefault(each.label, []).append(each)
    return labels


def name(it: Act) -> str:
    return it.label + ("+face" if it.face else "") + ("+fingers" if it.fingers else "")


everyone = pytest.mark.parametrize("it", ACTS, ids=name)


def test_the_vocabulary_is_large_and_every_word_of_it_is_acted() -> None:
    assert len(VOCABULARY) >= 40
    acted = {it.label for it in ACTS}
    assert acted | {mirrored(label) for label in acted} == set(VOCABULARY)


@everyone
def test_an_acted_label_is_found_and_no_foreign_one(it: Act) -> None:
    labels = found(it)
    assert it.label in labels
    assert labels.keys() <= {it.label, *it.also, "still", "stand"}


@everyone
@pytest.mark.parametrize("rotate_deg", [-8.0, 8.0])
def test_a_slightly_turned_picture_keeps_the_label(it: Act, rotate_deg: float) -> None:
    assert it.label in found(it, rotate_deg=rotate_deg)


@everyone
def test_a_mirrored_picture_mirrors_the_labels(it: Act) -> None:
    as_seen = {mirrored(label): [(e.start_s, e.end_s) for e in each] for label, each in found(it).items()}
    assert as_seen == {label: [(e.start_s, e.end_s) for e in each] for label, each in found(it, mirror=True).items()}


@everyone
def test_slow_motion_keeps_the_label_where_speed_is_not_its_meaning(it: Act) -> None:
    if it.fast or it.label == "moving":
        return
    labels = found(it, it.figure.slowed(2))
    assert it.label in labels
    assert labels.keys() <= {it.label, *it.also, "still", "stand"}


@everyone
def test_noise_of_a_good_tracker_changes_no_label(it: Act) -> None:
    labels = found(it, noise_px=0.7)
    assert it.label in labels
    assert labels.keys() <= {it.label, *it.also, "still", "stand", "moving"}


@pytest.mark.parametrize("steadied", [False, True])
def test_a_skeleton_of_another_build_in_every_frame_does_nothing(steadied: bool) -> None:
    """steadied: lengths in metres were made constant, and only the picture still tells."""
    body = body_of(BASE)
    stretch_TJ1 = np.exp(np.random.default_rng(1).normal(0, 0.5, (T, 33, 1)))
    middle = body.joints_px_PTJ2[0].mean(axis=1, keepdims=True)
    px_TJ2 = (body.joints_px_PTJ2[0] - middle) * stretch_TJ1 + middle
    world_TJ3 = body.joints_world_m_PTJ3[0] * (1.0 if steadied else stretch_TJ1)
    jumbled = replace(
        body, joints_px_PTJ2=px_TJ2[None].astype(np.float32), joints_world_m_PTJ3=world_TJ3[None].astype(np.float32)
    )
    assert bones_hold(body, CLIP).all()
    assert not bones_hold(jumbled, CLIP).any()
    assert actions(jumbled, None, CLIP) == []


def test_bones_of_a_person_who_comes_near_or_bends_hold() -> None:
    for label in ("approach", "bend_forward", "squat", "fall", "spin"):
        assert bones_hold(body_of(next(it.figure for it in ACTS if it.label == label)), CLIP).all()
