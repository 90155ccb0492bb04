"""Still-image measurements on pictures whose answer is known."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from curation.ops import bars, blocks, detail, garbage, graphics
from curation.ops.quality import composite_quality, ramp
from tests.curation.footage import texture

SIZE_HW = (144, 192)
Luma = NDArray[np.uint8]


def flat(level: int) -> Luma:
    return np.full(SIZE_HW, level, dtype=np.uint8)


def noisy(picture_HW: Luma, sigma: float, seed: int = 0) -> Luma:
    noise_HW = np.random.default_rng(seed).normal(0, sigma, picture_HW.shape)
    return np.clip(np.rint(picture_HW + noise_HW), 0, 255).astype(np.uint8)


def jpeg(luma_HW: Luma, quality: int) -> Luma:
    done, data = cv2.imencode(".jpg", luma_HW, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


def scene() -> Luma:
    """Discs and bars with hard edges on a shaded ground of fine grain, quiet in its lower third."""
    picture_HW = np.tile(np.linspace(60, 180, SIZE_HW[1]), (SIZE_HW[0], 1)).astype(np.uint8)
    for x in range(12, SIZE_HW[1], 30):
        cv2.circle(picture_HW, (x, 40), 10, (x * 5) % 255, -1)
        cv2.line(picture_HW, (x, 60), (x + 9, 92), 230, 2)
    picture_HW[:40] = noisy(picture_HW[:40], 6, 1)
    return picture_HW


def sharpness(luma_HW: Luma) -> float:
    return detail.sharpness(detail.block_energies(luma_HW))


def noise_sigma(luma_HW: Luma) -> float:
    return detail.noise_sigma(detail.block_energies(luma_HW))


def quality(luma_HW: Luma) -> float:
    return detail.clarity(detail.block_energies(luma_HW))


def enlarged(luma_HW: Luma, factor: float) -> Luma:
    small = cv2.resize(luma_HW, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, luma_HW.shape[::-1], interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def test_sharpness_falls_with_every_blur_and_every_enlargement() -> None:
    for worse in (lambda s: np.asarray(cv2.GaussianBlur(scene(), (0, 0), s)), lambda s: enlarged(scene(), s)):
        values = [sharpness(scene()), *(sharpness(worse(s)) for s in (1.5, 2, 3))]
        assert values == sorted(values, reverse=True)
        assert values[-1] < 0.7 * values[0]


def test_noise_does_not_make_a_blurred_picture_sharp() -> None:
    blurred_HW = np.asarray(cv2.GaussianBlur(scene(), (0, 0), 2.0))
    assert sharpness(noisy(blurred_HW, 5)) < sharpness(blurred_HW) + 0.1


def test_a_flat_picture_has_neither_sharpness_noise_nor_blocks() -> None:
    assert (sharpness(flat(90)), noise_sigma(flat(90)), blocks.blockiness(flat(90))) == (0, 0, 0)


def test_a_picture_too_small_for_blocks_still_has_numbers() -> None:
    tiny_HW = np.zeros((1, 1), dtype=np.uint8)
    assert (sharpness(tiny_HW), noise_sigma(tiny_HW), blocks.blockiness(tiny_HW)) == (0, 0, 0)
    assert np.isfinite(quality(tiny_HW))


@pytest.mark.parametrize("sigma", [1.0, 5.0, 12.0])
def test_noise_sigma_is_the_sigma_that_was_added(sigma: float) -> None:
    assert noise_sigma(noisy(flat(120), sigma)) == pytest.approx(sigma, rel=0.08)


def test_edges_and_slopes_do_not_pass_for_noise() -> None:
    squares_HW = ((np.indices(SIZE_HW) // 24).sum(axis=0) % 2 * 200).astype(np.uint8)
    assert noise_sigma(squares_HW) < 0.1
    assert noise_sigma(noisy(squares_HW + 25, 4.0)) == pytest.approx(4.0, rel=0.1)


def test_large_pictures_are_read_in_strips_that_agree_with_the_whole() -> None:
    large_HW = noisy(np.full((1080, 1920), 120, dtype=np.uint8), 5.0)
    energies = detail.block_energies(large_HW)
    assert len(energies.fine_B) < 1080 * 1920 / 64 / 4
    assert detail.noise_sigma(energies) == pytest.approx(5.0, rel=0.05)


@pytest.mark.parametrize("ruin", ["blur", "noise", "enlarge", "compress"])
def test_the_heart_of_quality_falls_at_every_step(ruin: str) -> None:
    steps = {
        "blur": [np.asarray(cv2.GaussianBlur(scene(), (0, 0), s)) for s in (0.5, 1, 2, 4)],
        "noise": [noisy(scene(), s) for s in (2, 5, 10, 20, 40)],
        "enlarge": [enlarged(scene(), s) for s in (1.5, 2, 3, 4)],
        "compress": [jpeg(scene(), q) for q in (70, 40, 20)],
    }[ruin]
    values = [quality(scene()), *(quality(step) for step in steps)]
    assert values == sorted(values, reverse=True)


def test_noise_weighs_more_than_the_detail_it_fakes() -> None:
    assert detail.WEIGHTS["noise"] + detail.WEIGHTS["middle_noise"] < -sum(w for w in detail.WEIGHTS.values() if w > 0)
    values = [quality(noisy(scene(), sigma)) for sigma in (0, 1, 2, 4, 8, 16)]
    assert values == sorted(values, reverse=True)


# Below this, blur does take away more of the blocks than of what little detail is left.
@pytest.mark.parametrize("level", [60, 30])
def test_blur_does_not_pay_for_a_blocky_picture(level: int) -> None:
    ruined_HW = jpeg(scene(), level)
    values = [quality(ruined_HW), *(quality(cv2.GaussianBlur(ruined_HW, (0, 0), s)) for s in (0.5, 1, 2))]
    assert values == sorted(values, reverse=True)


def test_a_small_picture_owes_clarity_to_its_size() -> None:
    sizes = [detail.crowding(np.zeros((rows, 2 * rows), dtype=np.uint8)) for rows in (720, 360, 180, 90)]
    assert sizes == [0, 0, detail.CROWDING, 2 * detail.CROWDING]


def test_steps_between_coding_blocks_are_no_detail() -> None:
    tiles_HW = np.kron(np.random.default_rng(1).integers(60, 180, (18, 24), dtype=np.uint8), np.ones((8, 8), np.uint8))
    energies = detail.block_energies(tiles_HW)
    assert energies.fine_B.max() == energies.middle_B.max() == energies.middle_corner_B.max() == 0
    assert energies.border_B.mean() > 10
    assert quality(tiles_HW) < quality(flat(120))


def test_blocks_stand_out_and_noise_does_not() -> None:
    coarse = cv2.resize(texture(), (SIZE_HW[1] // 8, SIZE_HW[0] // 8), interpolation=cv2.INTER_AREA)
    blocked_HW = np.asarray(cv2.resize(coarse, SIZE_HW[::-1], interpolation=cv2.INTER_NEAREST))
    assert blocks.blockiness(blocked_HW) > 0.5
    assert blocks.blockiness(blocked_HW[3:, 5:]) > 0.5, "the grid is found where a crop moved it"
    assert blocks.blockiness(noisy(flat(120), 10)) < 0.015
    assert blocks.blockiness(texture()) < 0.015


def test_one_picture_edge_on_the_grid_is_no_block() -> None:
    window_HW = flat(40)
    window_HW[:, 96:] = 200
    assert blocks.blockiness(window_HW) == 0


def test_contrast_is_the_spread_between_tails() -> None:
    assert blocks.contrast(np.ones(256, dtype=np.float32)) == pytest.approx(0.9, abs=0.01)
    assert blocks.contrast(np.eye(1, 256, 10, dtype=np.float32)[0]) == 0


def test_black_is_black_up_to_a_fiftieth() -> None:
    dark_HW = flat(0)
    dark_HW[:2] = 200
    assert bars.is_black(dark_HW)
    dark_HW[:4] = 200
    assert not bars.is_black(dark_HW)


@settings(max_examples=40, deadline=None)
@given(top=st.integers(0, 40), bottom=st.integers(0, 40), left=st.integers(0, 40), right=st.integers(0, 40))
def test_the_active_picture_is_what_the_bars_leave(top: int, bottom: int, left: int, right: int) -> None:
    picture_HW = np.zeros((120, 160), dtype=np.uint8)
    picture_HW[top : 120 - bottom, left : 160 - right] = 130
    expected = (left / 160, top / 120, 1 - right / 160, 1 - bottom / 120)
    assert bars.active_picture(picture_HW) == pytest.approx(expected)
    assert bars.active_picture(flat(0)) == (0, 0, 1, 1)


def test_two_fields_in_motion_make_a_comb_and_stripes_do_not() -> None:
    wide_HW = texture(size_hw=(144, 220))
    woven_HW = wide_HW[:, :192].copy()
    woven_HW[1::2] = wide_HW[1::2, 6:198]
    assert bars.is_interlaced(woven_HW)
    assert not bars.is_interlaced(wide_HW)
    assert not bars.is_interlaced(noisy(flat(120), 10)), "noise differs equally at every distance"
    stripes_HW = flat(80)
    stripes_HW[::2] = 160
    assert not bars.is_interlaced(stripes_HW)
    shirt_HW = wide_HW.copy()
    shirt_HW[40:120, 60:140] = np.where(np.arange(80)[:, None] % 2, 60, 180)
    assert not bars.is_interlaced(shirt_HW)


def test_a_window_of_text_lines_is_a_screen_and_a_scene_is_not() -> None:
    window_HW = np.full((360, 640), 245, dtype=np.uint8)
    window_HW[:40] = 90
    for y in range(60, 340, 20):
        window_HW[y : y + 8, 30 : 300 + y] = 30
    flat_area, screen = graphics.flatness_and_screen(window_HW)
    assert flat_area > 0.35
    assert screen > 0.9
    assert graphics.flatness_and_screen(noisy(scene(), 2))[1] < 0.1


def test_streaks_that_come_suddenly_are_garbage_and_lasting_ones_are_not() -> None:
    good_HW = noisy(texture(), 2)
    streaks_HW = np.tile(np.random.default_rng(3).integers(0, 255, SIZE_HW[1], dtype=np.uint8), (SIZE_HW[0], 1))
    watch = garbage.GarbageWatch()
    seen = [watch.sees(frame) for frame in (good_HW, good_HW, good_HW, streaks_HW, streaks_HW, good_HW)]
    assert seen == [False, False, False, True, True, False]
    assert not any(garbage.GarbageWatch().sees(streaks_HW) for _ in range(3))


def test_ramp_is_linear_between_its_ends_in_either_order() -> None:
    assert [ramp(x, 2, 4) for x in (1, 2, 3, 4, 5)] == [0, 0, 0.5, 1, 1]
    assert [ramp(x, 4, 2) for x in (1, 2, 3, 4, 5)] == [1, 1, 0.5, 0, 0]


@settings(max_examples=60, deadline=None)
@given(st.floats(-1e6, 1e6), st.none() | st.floats(0, 1e6), st.floats(0, 1))
def test_quality_stays_in_its_range(clarity: float, step: float | None, spread: float) -> None:
    assert 0 <= composite_quality(clarity, step, spread) <= 1


def test_quality_falls_with_the_coding_step_hardly_at_first() -> None:
    # A clean picture at no known step, and at H.264's QP 16, 28, 40 and 51.
    values = [composite_quality(0.4, step, 1.0) for step in (None, 4, 16, 64, 228)]
    assert all(after < before for before, after in pairwise(values))
    assert values[2] > 0.99 * values[0]
    assert values[4] < 0.5 * values[0]
