"""Rhythm of constructed change series."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from curation.ops.smoothness import freeze_share, judder_share, repeated_frames, smoothness, spectral_arc_length

FPS = 25.0


def clock(frames: int, fps: float = FPS) -> NDArray[np.float64]:
    return np.arange(frames) / fps


def even(frames: int, change: float = 4.0) -> NDArray[np.float32]:
    return np.full(frames, change, dtype=np.float32)


def minimum_jerk(pts_s_T: NDArray[np.float64], duration_s: float) -> NDArray[np.float64]:
    """Speed of a minimum-jerk movement from rest to rest, peak 1.875."""
    x_T = np.clip(pts_s_T / duration_s, 0, 1)
    return 30 * x_T**2 - 60 * x_T**3 + 30 * x_T**4


def test_freeze_share_is_the_still_share_of_time() -> None:
    half = np.concatenate([even(50), even(50, 0)])
    assert freeze_share(clock(100), half) == pytest.approx(0.5)
    assert freeze_share(clock(100), even(100)) == 0
    assert freeze_share(clock(100), even(100, 0)) == pytest.approx(1)


def test_a_still_stretch_under_half_a_second_is_no_freeze() -> None:
    change_T = even(100)
    change_T[40:52] = 0
    assert freeze_share(clock(100), change_T) == 0
    change_T[40:53] = 0
    assert freeze_share(clock(100), change_T) == pytest.approx(0.13)


def test_freeze_counts_time_and_not_frames() -> None:
    # One second in 25 moving frames, nine still seconds in 9 frames.
    pts_s_T = np.concatenate([clock(25), 1 + np.arange(9.0)])
    change_T = np.concatenate([even(25), even(9, 0)])
    assert freeze_share(pts_s_T, change_T) == pytest.approx(8.04 / 9.04, abs=0.01)


@pytest.mark.parametrize("every", [4, 5, 10])
def test_judder_share_is_the_share_of_repeated_frames(every: int) -> None:
    change_T = even(100)
    change_T[::every] = 0.02
    assert judder_share(clock(100), change_T) == pytest.approx(1 / every)
    np.testing.assert_array_equal(np.flatnonzero(repeated_frames(clock(100), change_T)), np.arange(0, 100, every))


def test_film_shown_twice_over_repeats_every_second_frame() -> None:
    change_T = even(100)
    change_T[1::2] = 0
    assert judder_share(clock(100, 50.0), change_T) == pytest.approx(0.5)


def test_rest_is_no_judder() -> None:
    assert judder_share(clock(100), even(100, 0.05)) == 0
    stop_and_go = np.concatenate([even(40), even(40, 0), even(40)])
    assert judder_share(clock(120), stop_and_go) < 0.1, "only at the borders can a still frame look repeated"
    assert judder_share(np.empty(0), np.empty(0, dtype=np.float32)) == 0


def test_arc_length_of_one_minimum_jerk_movement_is_the_published_value() -> None:
    # About -1.4 to -1.6 for one minimum-jerk movement, whatever its size: Balasubramanian et al. 2015, figure 3.
    speed_T = minimum_jerk(clock(26, 25.0), 1.0)
    assert -1.65 < spectral_arc_length(speed_T, 25.0) < -1.35
    assert spectral_arc_length(speed_T, 25.0) == pytest.approx(spectral_arc_length(7 * speed_T, 25.0))


def test_more_movements_make_a_longer_arc() -> None:
    one = minimum_jerk(clock(51), 2.0)
    two = np.concatenate([minimum_jerk(clock(25), 1.0), minimum_jerk(clock(26), 1.0)])
    shaky = one * (1 + 0.8 * np.sin(2 * np.pi * 6 * clock(51)))
    arcs = [spectral_arc_length(speed, FPS) for speed in (one, two, shaky)]
    assert arcs == sorted(arcs, reverse=True)


def test_smooth_motion_is_fluent_and_shaky_motion_less() -> None:
    smooth_T = (4 * minimum_jerk(clock(101), 4.0)).astype(np.float32)
    shaky_T = (smooth_T * (1 + 0.9 * np.sign(np.sin(2 * np.pi * 6 * clock(101))))).astype(np.float32)
    smooth, shaky = smoothness(clock(101), smooth_T), smoothness(clock(101), shaky_T)
    assert smooth is not None
    assert shaky is not None
    assert smooth > 0.98
    assert shaky < smooth - 0.08


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0])
def test_smoothness_of_the_same_movement_does_not_depend_on_the_rate(fps: float) -> None:
    def at(rate: float) -> float | None:
        pts_s_T = clock(round(4 * rate) + 1, rate)
        speed_T = 60 * minimum_jerk(pts_s_T % 2.0, 2.0)
        return smoothness(pts_s_T, (speed_T / rate).astype(np.float32))

    assert at(fps) == pytest.approx(at(25.0), abs=0.02)


@pytest.mark.parametrize("seconds", [2, 8, 16])
def test_more_of_the_same_movement_is_about_as_smooth(seconds: int) -> None:
    pts_s_T = clock(seconds * 25 + 1)
    smooth = smoothness(pts_s_T, (4 * minimum_jerk(pts_s_T % 2.0, 2.0)).astype(np.float32))
    assert smooth is not None
    assert smooth > 0.94


def test_stillness_and_short_clips_have_no_smoothness() -> None:
    assert smoothness(clock(100), even(100, 0.01)) is None
    assert smoothness(clock(7, 4.0), even(7)) is None
    assert smoothness(clock(10), even(10)) is None, "0.36 s"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 50, width=32), min_size=1, max_size=90))
def test_shares_stay_shares(change: list[float]) -> None:
    change_T = np.asarray(change, dtype=np.float32)
    pts_s_T = clock(len(change))
    assert 0 <= freeze_share(pts_s_T, change_T) <= 1 + 1e-9
    assert 0 <= judder_share(pts_s_T, change_T) <= 1
    smooth = smoothness(pts_s_T, change_T)
    assert smooth is None or 0 <= smooth <= 1
