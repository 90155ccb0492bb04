"""Motion splits into camera and rest as it was put together."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from curation.ops.flow import split_motion, work_size
from tests.curation.footage import texture

HEIGHT, WIDTH = 144, 256
DIAG_PX = float(np.hypot(HEIGHT, WIDTH))


def shifted(right_px: int, down_px: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two views of one picture; the second one's content lies right_px further right."""
    wide_HW = texture(1, (HEIGHT + 40, WIDTH + 40))
    first = wide_HW[20 : 20 + HEIGHT, 20 : 20 + WIDTH]
    second = wide_HW[20 - down_px : 20 - down_px + HEIGHT, 20 - right_px : 20 - right_px + WIDTH]
    return first.copy(), second.copy()


def with_thing(pictures: tuple[NDArray[np.uint8], NDArray[np.uint8]], right_px: int) -> None:
    """A quarter of the picture moves by right_px of its own accord."""
    thing = texture(9, (96, 110))
    for picture_HW, x in zip(pictures, (40, 40 + right_px), strict=True):
        picture_HW[24:120, x : x + 110] = thing


@pytest.mark.parametrize("pan_px", [2, 4, 8])
def test_a_pure_pan_is_all_camera(pan_px: int) -> None:
    split = split_motion(*shifted(pan_px))
    assert split.camera == pytest.approx(pan_px / DIAG_PX, rel=0.05)
    assert split.residual < 0.1 * split.camera


def test_a_still_picture_has_no_motion_at_all() -> None:
    split = split_motion(*shifted(0))
    assert (split.camera, split.residual) == (0, 0)


def test_something_that_moves_before_a_still_background_is_all_residual() -> None:
    pictures = shifted(0)
    with_thing(pictures, 6)
    split = split_motion(*pictures)
    assert split.residual == pytest.approx(6 / DIAG_PX, rel=0.2)
    assert split.camera < 0.1 * split.residual


def test_zoom_and_turn_are_camera() -> None:
    wide_HW = texture(3, (HEIGHT, WIDTH), grain_px=3)
    for scale, turn_deg in ((1.03, 0.0), (1.0, 1.2), (0.98, -0.6)):
        matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), turn_deg, scale)
        moved_HW = cv2.warpAffine(wide_HW, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        split = split_motion(wide_HW, moved_HW)
        assert split.camera > 0.002
        assert split.residual < 0.15 * split.camera


def test_camera_and_subject_come_apart() -> None:
    pictures = shifted(4)
    with_thing(pictures, 4 + 6)
    split = split_motion(*pictures)
    assert split.camera == pytest.approx(4 / DIAG_PX, rel=0.05)
    assert split.residual == pytest.approx(6 / DIAG_PX, rel=0.25)


def test_a_flat_wall_under_a_pan_is_not_taken_for_motion() -> None:
    first, second = shifted(5)
    for picture_HW in (first, second):
        picture_HW[:, : WIDTH // 2] = 90
    split = split_motion(first, second)
    assert split.residual < 0.25 * split.camera


def test_noise_on_a_still_scene_is_not_motion() -> None:
    rng = np.random.default_rng(0)
    first, second = (np.clip(p + rng.normal(0, 1.5, p.shape), 0, 255).astype(np.uint8) for p in shifted(0))
    assert split_motion(first, second).residual < 0.1 / DIAG_PX


def test_the_split_is_the_same_every_time() -> None:
    pictures = shifted(3, 2)
    with_thing(pictures, 9)
    assert split_motion(*pictures) == split_motion(*pictures)


def test_every_size_is_brought_to_the_same_one() -> None:
    for size_hw in ((96, 128), (144, 192), (288, 384)):
        assert min(work_size(np.zeros(size_hw, dtype=np.uint8)).shape) == 144
