"""Points of a key picture that stay found while something large and clear moves before them."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from annotation.ops.follow import PointFollower

HEIGHT, WIDTH, SIDE = 240, 320, 150


def noise(seed: int, size_px: int, low: int, high: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(low, high, (shape[0] // size_px, shape[1] // size_px)).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def scene(pan_px: int, mover_x: int | None) -> NDArray[np.uint8]:
    """A faint background, shifted left by pan_px, with a clear picture in front whose left side is at mover_x."""
    gray_HW = noise(1, 6, 110, 140, (HEIGHT, 480))[:, pan_px : pan_px + WIDTH].copy()
    if mover_x is not None:
        gray_HW[60 : 60 + SIDE, mover_x : mover_x + SIDE] = noise(2, 25, 0, 255, (SIDE, SIDE))
    return gray_HW


def uncovered(mover_x: int) -> NDArray[np.uint8]:
    """Where the mover is not, 255 or 0, with some room around it."""
    mask_HW = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask_HW[50 : 70 + SIDE, max(0, mover_x - 10) : mover_x + SIDE + 10] = 0
    return mask_HW


def test_a_large_thing_that_moves_fast_does_not_carry_the_background_away() -> None:
    """Coarse pictures show the mover alone: points looked for through them go with it."""
    xs = [90, 110, 80, 100, 70, 95]
    follower = PointFollower(100)
    follower.follow(scene(0, xs[0]), lambda: uncovered(xs[0]))
    for t, x in enumerate(xs[1:], 1):
        followed = follower.follow(scene(2 * t, x), partial(uncovered, x))
        assert followed is not None
        assert followed.key == 0
        column_N, row_N = followed.before_px_N2.astype(int).T
        on_background_N = (uncovered(x) & uncovered(xs[0]))[row_N, column_N] > 0
        shift_N2 = (followed.after_px_N2 - followed.before_px_N2)[on_background_N]
        assert on_background_N.sum() > 80
        assert np.mean(np.linalg.norm(shift_N2 - (-2 * t, 0), axis=1) < 0.5) > 0.9


def test_points_are_found_again_when_what_covered_them_has_gone() -> None:
    follower = PointFollower(100)
    follower.follow(scene(0, None), lambda: np.full((HEIGHT, WIDTH), 255, np.uint8))
    counts = []
    for t, x in enumerate([0, 0, 100, None], 1):
        followed = follower.follow(scene(t, x))
        assert followed is not None
        assert followed.key == 0
        right_N = np.linalg.norm(followed.after_px_N2 - followed.before_px_N2 - (-t, 0), axis=1) < 0.5
        counts.append(int(right_N.sum()))
    assert counts[0] < 0.85 * counts[-1]
    assert counts[-1] > 0.95 * followed.key_points


def test_a_whip_pan_is_followed_farther_than_a_point_is_looked_for() -> None:
    follower = PointFollower(100)
    follower.follow(noise(1, 6, 0, 255, (HEIGHT, 480))[:, :WIDTH].copy())
    followed = follower.follow(noise(1, 6, 0, 255, (HEIGHT, 480))[:, 70 : 70 + WIDTH].copy())
    assert followed is not None
    assert len(followed.index_N) > 100
    assert np.median(followed.after_px_N2 - followed.before_px_N2, axis=0) == pytest.approx([-70, 0], abs=0.05)
