from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import hands_track
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from annotation.gestures import finger_counts, gestures, pointing_hands
from annotation.interactions import Interaction
from schemas.tracks import HandsTrack

T = 10


def hand_m(stretched: tuple[int, ...]) -> NDArray[np.float64]:
    """(21, 3): fingers point up from the palm, or curl back to it; the thumb to the side, or across the palm."""
    joints = np.zeros((21, 3))
    for finger, base in enumerate((5, 9, 13, 17), start=1):
        x = 0.02 * (finger - 2)
        places = [(x, -0.09, 0), (x, -0.12, 0), (x, -0.15, 0), (x, -0.18, 0)]
        if not stretched[finger]:
            places = [(x, -0.09, 0), (x, -0.11, 0.02), (x, -0.09, 0.04), (x, -0.07, 0.03)]
        joints[base : base + 4] = places
    joints[1:5] = [(-0.02, -0.03, 0), (-0.04, -0.05, 0), (-0.06, -0.07, 0), (-0.08, -0.09, 0)]
    if not stretched[0]:
        joints[1:5] = [(-0.02, -0.03, 0), (-0.03, -0.06, 0.01), (-0.01, -0.07, 0.03), (0.02, -0.07, 0.03)]
    return joints


def track(joints_m: NDArray[np.float64], turn: Rotation | None = None) -> HandsTrack:
    """The right hand for all frames; pixels at 1000 px/m after the turn."""
    joints_m = joints_m if turn is None else turn.apply(joints_m)
    world = np.zeros((T, 2, 21, 3), np.float32)
    world[:, 1] = joints_m
    present_T2 = np.zeros((T, 2), np.bool_)
    present_T2[:, 1] = True
    pixels = (1000 * world[..., :2] + 300).astype(np.float32)
    return replace(
        hands_track(T=T, fps=25.0), joints_world_m_T2J3=world, joints_px_T2J2=pixels, present_T2=present_T2
    )  # fmt: skip


@pytest.mark.parametrize(
    ("stretched", "label"),
    [
        ((0, 0, 0, 0, 0), "fist"),
        ((0, 1, 0, 0, 0), "pointing"),
        ((0, 1, 1, 0, 0), "victory"),
        ((1, 1, 1, 1, 1), "open_hand"),
    ],
)
def test_fingers_are_counted_and_named_however_the_hand_is_turned(stretched: tuple[int, ...], label: str) -> None:
    for turn in (None, Rotation.from_euler("y", 40, degrees=True), Rotation.from_euler("z", 20, degrees=True)):
        hands = track(hand_m(stretched), turn)
        assert finger_counts(hands)[:, 1].tolist() == [sum(stretched)] * T
        assert not finger_counts(hands)[:, 0].any()
        (found,) = gestures(hands)
        assert (found.label, found.start_s, found.end_s) == (f"right_{label}", 0.0, 0.4)


def test_a_thumb_that_points_up_down_or_aside() -> None:
    """The thumb of this hand stands off by 45 degrees."""
    thumb = hand_m((1, 0, 0, 0, 0))
    for degrees, label in (
        (45, "right_thumb_up"),
        (25, "right_thumb_up"),
        (225, "right_thumb_down"),
        (135, ""),
        (0, ""),
    ):
        found = gestures(track(thumb, Rotation.from_euler("z", degrees, degrees=True)))
        assert [each.label for each in found] == ([label] if label else [])


def test_a_relaxed_hand_makes_neither_a_fist_nor_a_thumb() -> None:
    """Fingers half bent, as in a hand that hangs; the thumb straight, along the index finger."""
    upright = Rotation.from_euler("z", 45, degrees=True)
    for thumb in (0, 1):
        joints = hand_m((thumb, 0, 0, 0, 0))
        for finger, base in enumerate((5, 9, 13, 17), start=1):
            x = 0.02 * (finger - 2)
            joints[base : base + 4] = [(x, -0.09, 0), (x, -0.12, 0), (x, -0.14, 0.02), (x, -0.15, 0.04)]
        assert gestures(track(joints, upright)) == []
    beside_index = hand_m((1, 0, 0, 0, 0))
    beside_index[1:5] = [(-0.02, -0.03, 0), (-0.03, -0.05, 0), (-0.03, -0.07, 0), (-0.03, -0.09, 0)]
    assert "right_thumb_up" not in [each.label for each in gestures(track(beside_index))]


def test_thumb_and_index_that_pinch_point_at_nothing() -> None:
    joints = hand_m((0, 1, 0, 0, 0))
    assert pointing_hands(track(joints))[:, 1].all()
    joints[4] = joints[8] + (0.02, 0.02, 0)
    assert not pointing_hands(track(joints)).any()
    assert gestures(track(joints)) == []


@pytest.mark.parametrize(("hand", "kept"), [("right", False), ("both", False), ("left", True)])
def test_a_hand_that_holds_something_makes_no_fist(hand: str, kept: bool) -> None:
    holding = Interaction("holding", 0.1, 0.4, 0.9, hand)
    assert bool(gestures(track(hand_m((0, 0, 0, 0, 0))), [holding])) == kept
    assert gestures(track(hand_m((1, 1, 1, 1, 1))), [holding])


def test_ok_is_a_ring_of_thumb_and_index() -> None:
    joints = hand_m((1, 0, 1, 1, 1))
    joints[8] = joints[4] + (0.01, 0, 0)
    assert [each.label for each in gestures(track(joints))] == ["right_ok"]


def test_what_lasts_a_moment_is_no_gesture() -> None:
    hands = track(hand_m((0, 0, 0, 0, 0)))
    present_T2 = hands.present_T2.copy()
    present_T2[3:] = False
    assert gestures(replace(hands, present_T2=present_T2)) == []
