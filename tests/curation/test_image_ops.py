"""Still-image measurements on pictures whose answer is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from curation.ops import image
from tests.curation.footage import texture

SIZE_HW = (144, 192)


def as_float(luma_HW: NDArray[np.uint8]) -> NDArray[np.float32]:
    return luma_HW.astype(np.float32)


def flat(level: float) -> NDArray[np.float32]:
    return np.full(SIZE_HW, level, dtype=np.float32)


def noise(sigma: float, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, sigma, SIZE_HW).astype(np.float32)


def jpeg(luma_HW: NDArray[np.uint8], quality: int) -> NDArray[np.float32]:
    done, data = cv2.imencode(".jpg", luma_HW, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return as_float(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))


def test_luma_weighs_the_primaries_as_bt601_does() -> None:
    primaries = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], dtype=np.uint8)
    np.testing.assert_allclose(image.luma(primaries)[0], [0.299 * 255, 0.587 * 255, 0.114 * 255, 255], atol=0.6)


def test_sharpness_falls_with_every_blur() -> None:
    picture_HW = as_float(texture(grain_px=1.0))
    values = [image.sharpness(picture_HW)]
    values += [image.sharpness(cv2.GaussianBlur(picture_HW, (0, 0), sigma)) for sigma in (1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.6
    assert values[-1] < 0.3


def test_blur_along_one_axis_is_blur() -> None:
    picture_HW = as_float(texture(grain_px=1.0))
    across, down = cv2.blur(picture_HW, (15, 1)), cv2.blur(picture_HW, (1, 15))
    assert image.sharpness(across) < 0.7 * image.sharpness(picture_HW)
    assert image.sharpness(across) == pytest.approx(image.sharpness(down), abs=0.05)


def test_a_flat_picture_has_neither_sharpness_noise_nor_blocks() -> None:
    assert (image.sharpness(flat(90)), image.noise_sigma(flat(90)), image.blockiness(flat(90))) == (0, 0, 0)


@pytest.mark.parametrize("sigma", [1.0, 5.0, 12.0])
def test_noise_sigma_is_the_sigma_that_was_added(sigma: float) -> None:
    assert image.noise_sigma(flat(120) + noise(sigma)) == pytest.approx(sigma, rel=0.05)


def test_edges_and_slopes_do_not_pass_for_noise() -> None:
    squares_HW = ((np.indices(SIZE_HW) // 24).sum(axis=0) % 2 * 200).astype(np.float32)
    slope_HW = np.tile(np.linspace(0, 255, SIZE_HW[1], dtype=np.float32), (SIZE_HW[0], 1))
    assert image.noise_sigma(squares_HW) < 0.1
    assert image.noise_sigma(slope_HW) < 0.1
    assert image.noise_sigma(squares_HW + noise(4.0)) == pytest.approx(4.0, rel=0.1)


def test_blocks_stand_out_and_noise_does_not() -> None:
    picture_HW = texture()
    coarse = cv2.resize(picture_HW, (SIZE_HW[1] // 8, SIZE_HW[0] // 8), interpolation=cv2.INTER_AREA)
    blocked_HW = as_float(cv2.resize(coarse, SIZE_HW[::-1], interpolation=cv2.INTER_NEAREST))
    assert image.blockiness(blocked_HW) > 0.5
    assert image.blockiness(blocked_HW[3:, 5:]) > 0.5, "the grid is found where a crop moved it"
    assert image.blockiness(flat(120) + noise(10)) < 0.015
    assert image.blockiness(as_float(picture_HW)) < 0.015


def test_harder_compression_is_blockier() -> None:
    picture_HW = texture()
    values = [image.blockiness(jpeg(picture_HW, quality)) for quality in (95, 30, 10)]
    assert values == sorted(values)
    assert values[-1] > 10 * values[0]


def test_one_picture_edge_on_the_grid_is_no_block() -> None:
    window_HW = flat(40)
    window_HW[:, 96:] = 200
    assert image.blockiness(window_HW) == 0


def test_contrast_is_the_spread_between_tails() -> None:
    slope_HW = np.tile(np.linspace(0, 255, 101, dtype=np.float32), (50, 1))
    assert image.contrast(slope_HW) == pytest.approx(0.9, abs=0.01)
    assert image.contrast(flat(10)) == 0


def test_black_is_black_up_to_a_fiftieth() -> None:
    dark_HW = flat(16)
    assert image.is_black(dark_HW)
    dark_HW[:2] = 200
    assert image.is_black(dark_HW)
    dark_HW[:4] = 200
    assert not image.is_black(dark_HW)


@settings(max_examples=40, deadline=None)
@given(top=st.integers(0, 40), bottom=st.integers(0, 40), left=st.integers(0, 40), right=st.integers(0, 40))
def test_letterbox_share_is_the_area_of_the_bars(top: int, bottom: int, left: int, right: int) -> None:
    picture_HW = np.full((120, 160), 16, dtype=np.float32)
    picture_HW[top : 120 - bottom, left : 160 - right] = 130
    expected = 1 - (120 - top - bottom) * (160 - left - right) / (120 * 160)
    assert image.letterbox_share(picture_HW) == pytest.approx(expected)


def test_a_black_frame_has_no_bars() -> None:
    assert image.letterbox_share(flat(16)) == 0


def test_two_fields_in_motion_make_a_comb() -> None:
    wide_HW = as_float(texture(size_hw=(144, 220)))
    now_HW, later_HW = wide_HW[:, :192], wide_HW[:, 6:198]
    woven_HW = now_HW.copy()
    woven_HW[1::2] = later_HW[1::2]
    assert image.is_interlaced(woven_HW)
    assert not image.is_interlaced(now_HW)
    assert not image.is_interlaced(flat(120) + noise(10)), "noise differs equally at every distance"
    assert not image.is_interlaced(flat(120)[:6]), "too few rows to tell"


def test_ramp_is_linear_between_its_ends_in_either_order() -> None:
    assert [image.ramp(x, 2, 4) for x in (1, 2, 3, 4, 5)] == [0, 0, 0.5, 1, 1]
    assert [image.ramp(x, 4, 2) for x in (1, 2, 3, 4, 5)] == [1, 1, 0.5, 0, 0]


GOOD = {"sharp": 0.6, "noise": 1.0, "block": 0.0, "luma_mean": 120.0, "spread": 0.5}


def test_a_clean_picture_has_full_quality() -> None:
    assert image.composite_quality(**GOOD) == 1


@pytest.mark.parametrize(
    "ruin", [{"sharp": 0.1}, {"noise": 20.0}, {"block": 0.1}, {"luma_mean": 3.0}, {"luma_mean": 252.0}, {"spread": 0.0}]
)
def test_any_one_ruin_is_enough(ruin: dict[str, float]) -> None:
    assert image.composite_quality(**{**GOOD, **ruin}) == 0


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1), st.floats(0, 40), st.floats(0, 1), st.floats(0, 255), st.floats(0, 1))
def test_quality_stays_in_its_range(sharp: float, noise_: float, block: float, level: float, spread: float) -> None:
    assert 0 <= image.composite_quality(sharp, noise_, block, level, spread) <= 1
