"""What changed in a picture: blocks of eight pixels, and the change within a region."""

from __future__ import annotations

import numpy as np
import pytest

from annotation.ops.regions import block_means, covered_blocks, hardly_changed, largest_change


def test_blocks_are_means_of_eight_by_eight_pixels_whatever_the_size_of_the_picture() -> None:
    rgb_HWC = np.zeros((27, 45, 3), np.uint8)
    rgb_HWC[8:16, 16:24] = 200
    rgb_HWC[8:16, 20:24] = 100
    blocks_HW = block_means(rgb_HWC)
    assert blocks_HW.shape == (3, 5)
    assert blocks_HW[1, 2] == pytest.approx(150, abs=0.5)
    assert blocks_HW.sum() == blocks_HW[1, 2]


def test_a_picture_smaller_than_a_block_is_one() -> None:
    assert block_means(np.full((3, 5, 3), 77, np.uint8)).tolist() == [[77.0]]


def test_boxes_cover_the_blocks_that_they_touch() -> None:
    covered_HW = covered_blocks([np.array([7.0, 8.0, 17.0, 15.0])], (4, 4))
    assert np.argwhere(covered_HW).tolist() == [[1, 0], [1, 1], [1, 2]]


def test_change_is_that_of_the_worst_block_within_the_region_only() -> None:
    before_HW = np.full((10, 10), 50, np.float32)
    now_HW = before_HW.copy()
    now_HW[2, 3], now_HW[9, 9] = 57, 90
    near_px_2, away_px_2 = np.array([28.0, 20.0]), np.array([60.0, 20.0])
    assert largest_change(before_HW, now_HW, near_px_2, 16.0) == 7.0
    assert largest_change(before_HW, now_HW, away_px_2, 16.0) == 0.0
    assert largest_change(before_HW, now_HW, np.array([200.0, 200.0]), 16.0) == float("inf")


def test_small_changes_spare_the_network_for_a_moment_only() -> None:
    assert hardly_changed(0.5, 10.0)
    assert hardly_changed(7.0, 0.08)
    assert not hardly_changed(7.0, 0.12)
    assert not hardly_changed(9.0, 0.04)
