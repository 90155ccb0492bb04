"""Hands of people who are not the main subject, with a network that reads constructed hands."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from annotation.backends.mediapipe_graphs import HandRead, PoseRead, Roi
from annotation.other_hands import OtherHands

FPS = 25.0
RGB_HWC = np.zeros((480, 640, 3), np.uint8)
ONES_2 = np.ones(2, np.float32)


def pose(left_x: float, right_x: float, palm_px: float = 20.0) -> PoseRead:
    """A body of which only the wrists matter, both at y 260, with fingers that point up."""
    points_J4 = np.ones((33, 4), np.float32)
    for wrist, x in ((15, left_x), (16, right_x)):
        points_J4[[wrist, wrist + 2, wrist + 4], :2] = [(x, 260), (x + 3, 260 - palm_px), (x - 3, 260 - palm_px)]
    return PoseRead(points_J4, np.zeros((33, 3), np.float32), 1.0, Roi(np.zeros(2), 1.0, 0.0))


def hand(x: float) -> HandRead:
    points_J3 = np.zeros((21, 3), np.float32)
    points_J3[:, 0], points_J3[:, 1] = x, 260 - np.linspace(0, 40, 21)
    points_J3[9, :2] = (x, 240)
    return HandRead(points_J3, np.ones((21, 3), np.float32), 0.8, 0.5, Roi(np.array([x, 240.0]), 80.0, 0.0))


class Network:
    """Hands at given places; reads the one within a palm and a half of the region's middle."""

    def __init__(self, *places: float) -> None:
        self.places, self.reads = list(places), 0

    def read(self, rgb_HWC: NDArray[np.uint8], roi: Roi) -> HandRead | None:
        self.reads += 1
        near = min(self.places, key=lambda x: abs(x - float(roi.center_px_2[0])))
        return hand(near) if abs(near - float(roi.center_px_2[0])) < 30 else None


def test_hands_are_read_five_times_a_second_and_filled_between() -> None:
    network = Network(100.0, 200.0)
    others = OtherHands(network.read)
    for t in range(11):
        network.places = [100.0 + 2 * t, 200.0]
        others.observe(RGB_HWC, t, t / FPS, [(7, pose(100.0 + 2 * t, 200.0))], [])
    assert network.reads == 2 * 3  # frames 0, 5 and 10
    px_QT2J2, world_m_QT2J3, conf_QT2, present_QT2 = others.finish([7], np.arange(11) / FPS, 2 * ONES_2)
    assert present_QT2.all()
    assert px_QT2J2[0, :, 0, 0, 0] == pytest.approx(2 * (100 + 2 * np.arange(11)), abs=0.5)
    assert px_QT2J2[0, :, 1, 0, 0] == pytest.approx(np.full(11, 400.0))
    assert world_m_QT2J3.all()
    assert conf_QT2 == pytest.approx(np.full((1, 11, 2), 0.8))


def test_rows_follow_the_numbers_and_strangers_have_none() -> None:
    others = OtherHands(Network(100.0, 200.0, 400.0, 500.0).read)
    others.observe(RGB_HWC, 0, 0.0, [(3, pose(100.0, 200.0)), (9, pose(400.0, 500.0))], [])
    px_QT2J2, _, _, present_QT2 = others.finish([9, 5], np.zeros(1), ONES_2)
    assert px_QT2J2[0, 0, :, 0, 0].tolist() == [400.0, 500.0]
    assert present_QT2.tolist() == [[[True, True]], [[False, False]]]


def test_a_hand_of_the_main_subject_is_not_the_other_s() -> None:
    others = OtherHands(Network(100.0, 200.0).read)
    others.observe(RGB_HWC, 0, 0.0, [(3, pose(100.0, 200.0))], [hand(100.0)])
    assert others.finish([3], np.zeros(1), ONES_2)[3].tolist() == [[[False, True]]]


def test_a_hand_far_from_the_wrist_and_one_of_a_few_pixels_are_left_out() -> None:
    astray = OtherHands(lambda rgb_HWC, roi: hand(float(roi.center_px_2[0]) + 60))
    astray.observe(RGB_HWC, 0, 0.0, [(3, pose(100.0, 400.0))], [])
    assert not astray.finish([3], np.zeros(1), ONES_2)[3].any()
    tiny = Network(100.0, 200.0)
    OtherHands(tiny.read).observe(RGB_HWC, 0, 0.0, [(3, pose(100.0, 200.0, palm_px=4.0))], [])
    assert tiny.reads == 0


def test_only_the_two_most_prominent_are_read() -> None:
    network = Network(*range(0, 640, 10))
    OtherHands(network.read).observe(
        RGB_HWC, 0, 0.0, [(n, pose(50.0 + 150 * n, 100.0 + 150 * n)) for n in range(4)], []
    )
    assert network.reads == 4
