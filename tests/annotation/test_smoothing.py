"""Smoothing, gaps, exchanged sides and bones on motion whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from builders import body_track

from annotation.ops.skeleton import exchange, exchanged_sides, steady_limbs
from annotation.ops.smoothing import between_reads, fill_short_gaps, smooth_present

FPS = 25.0
ALL = np.ones(200, np.bool_)


def test_still_joints_come_to_rest_and_fast_ones_keep_their_way() -> None:
    rng = np.random.default_rng(1)
    time_T = np.arange(200) / FPS
    truth_TJD = np.zeros((200, 2, 2))
    truth_TJD[:, 1, 0] = 60 * np.sin(2 * np.pi * 3 * time_T)  # three strokes a second, 60 px each way
    noisy_TJD = (truth_TJD + rng.normal(0, 1.0, truth_TJD.shape)).astype(np.float32)
    smoothed_TJD = smooth_present(noisy_TJD, ALL, 1 / FPS)
    still_before, still_after = (np.diff(values[:, 0], n=2, axis=0).std() for values in (noisy_TJD, smoothed_TJD))
    assert still_after < 0.2 * still_before
    reach = np.ptp(smoothed_TJD[:, 1, 0]) / np.ptp(truth_TJD[:, 1, 0])
    assert reach > 0.95
    # no lag: the best agreement with the truth is at shift 0
    errors = [np.abs(smoothed_TJD[5:-5, 1, 0] - truth_TJD[5 + s : 195 + s, 1, 0]).mean() for s in (-1, 0, 1)]
    assert int(np.argmin(errors)) == 1


def test_a_jump_stays_a_jump() -> None:
    step_TJD = np.zeros((100, 1, 2), np.float32)
    step_TJD[50:] = 30
    step_TJD += np.random.default_rng(2).normal(0, 0.3, step_TJD.shape).astype(np.float32)
    smoothed_TJD = smooth_present(step_TJD, ALL[:100], 1 / FPS)
    assert np.abs(smoothed_TJD[:48] - 0).max() < 1.5
    assert np.abs(smoothed_TJD[52:] - 30).max() < 1.5


def test_only_short_gaps_are_filled_and_never_beyond_their_neighbours() -> None:
    values_TX = np.array([0, 1, 0, 0, 4, 5, 0, 0, 0, 0, 0, 0, 0, 0, 9, 10], np.float32)[:, None]
    present_T = values_TX[:, 0] > 0
    present_T[0] = True
    filled_TX, filled_T = fill_short_gaps(values_TX, present_T, np.arange(16) / FPS, 0.25)
    assert np.flatnonzero(filled_T).tolist() == [2, 3]
    assert filled_TX[1:5, 0] == pytest.approx([1, 2, 3, 4], abs=0.3)
    np.testing.assert_array_equal(filled_TX[~filled_T], values_TX[~filled_T])


def walker(T: int) -> np.ndarray:
    """Left joints 20 px right of the right ones, all moving along."""
    joints_px_TJ2 = np.zeros((T, 33, 2), np.float32)
    joints_px_TJ2[..., 1] = np.linspace(0, 100, 33)
    joints_px_TJ2[..., 0] = np.where(np.arange(33) % 2 == 1, 10, -10) + np.arange(T)[:, None]
    for left in (1, 2, 3, 4, 5, 6):
        joints_px_TJ2[:, left, 0] = np.arange(T) + (10 if left <= 3 else -10)
    return joints_px_TJ2


def test_exchanged_sides_are_put_back_and_arms_without_legs() -> None:
    truth_TJ2 = walker(40)
    mirror = exchange(truth_TJ2, np.ones((40, 33), np.bool_))
    seen_TJ2 = truth_TJ2.copy()
    seen_TJ2[10:16] = mirror[10:16]
    seen_TJ2[25:28, 23:] = mirror[25:28, 23:]
    exchanged_TJ = exchanged_sides(seen_TJ2, np.arange(40))
    np.testing.assert_array_equal(exchange(seen_TJ2, exchanged_TJ), truth_TJ2)
    assert not exchanged_sides(truth_TJ2, np.arange(40)).any()


def test_a_body_that_turns_around_is_not_exchanged() -> None:
    turning_TJ2 = walker(40)
    middle_T1 = np.arange(40)[:, None]
    turn_T1 = np.cos(np.linspace(0, np.pi, 40))[:, None]
    turning_TJ2[..., 0] = middle_T1 + (turning_TJ2[..., 0] - middle_T1) * turn_T1
    assert not exchanged_sides(turning_TJ2, np.arange(40)).any()


def test_bones_get_one_length_and_keep_their_directions() -> None:
    rng = np.random.default_rng(4)
    body = body_track(T=30)
    world_m_TJ3 = rng.normal(0, 0.3, (1, 33, 3)) * (1 + 0.1 * rng.normal(size=(30, 33, 1)))
    world_m_TJ3 = world_m_TJ3.astype(np.float32)
    steady_TJ3 = steady_limbs(world_m_TJ3, body.conf_PTJ[0], body.present_PT[0])
    for near, far in ((11, 13), (13, 15), (12, 14), (14, 16), (23, 25), (25, 27), (26, 28)):
        before_T3, after_T3 = (values[:, far] - values[:, near] for values in (world_m_TJ3, steady_TJ3))
        lengths_T = np.linalg.norm(after_T3, axis=1)
        assert lengths_T.std() < 1e-5
        cosine_T = (before_T3 * after_T3).sum(axis=1) / np.linalg.norm(before_T3, axis=1) / lengths_T
        assert cosine_T.min() > 1 - 1e-5
    left, right = (np.linalg.norm(steady_TJ3[0, a] - steady_TJ3[0, b]) for a, b in ((11, 13), (12, 14)))
    assert left == pytest.approx(right, rel=1e-4)


def test_frames_without_a_read_lie_between_their_neighbours_and_never_across_a_gap() -> None:
    values_TX = np.array([[0.0], [0.0], [2.0], [2.0], [9.0], [9.0]], np.float32)
    present_T = np.array([True, True, True, True, False, True])
    read_T = np.array([True, False, True, False, False, True])
    placed_TX = between_reads(values_TX, present_T, read_T, np.arange(6) / 25)
    assert placed_TX[:, 0].tolist() == [0.0, 1.0, 2.0, 2.0, 9.0, 9.0]


def test_noise_is_that_of_the_reads() -> None:
    rng = np.random.default_rng(5)
    noisy_TJD = rng.normal(0, 1, (100, 1, 2)).astype(np.float32)
    present_T, read_T = np.ones(100, np.bool_), np.arange(100) % 2 == 0
    placed_TJD = between_reads(noisy_TJD, present_T, read_T, np.arange(100) / 25)
    told = smooth_present(placed_TJD, present_T, 0.04, read_T)
    untold = smooth_present(placed_TJD, present_T, 0.04)
    assert np.abs(np.diff(told, n=2, axis=0)).mean() < np.abs(np.diff(untold, n=2, axis=0)).mean()
