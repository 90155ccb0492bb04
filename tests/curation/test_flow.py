"""Flow splits into camera and rest as it was put together."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from curation.ops.flow import dense_flow, split_motion
from tests.curation.footage import texture

HEIGHT, WIDTH = 144, 256
DIAG_PX = float(np.hypot(HEIGHT, WIDTH))


def shifted(right_px: int, down_px: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two views of one picture; the second one's content lies right_px further right."""
    wide_HW = texture(1, (HEIGHT + 40, WIDTH + 40))
    first = wide_HW[20 : 20 + HEIGHT, 20 : 20 + WIDTH]
    second = wide_HW[20 - down_px : 20 - down_px + HEIGHT, 20 - right_px : 20 - right_px + WIDTH]
    return first.copy(), second.copy()


def grid() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    ys, xs = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    return xs, ys


def test_flow_points_where_the_picture_went() -> None:
    flow_px_HW2 = dense_flow(*shifted(5, -3))
    np.testing.assert_allclose(np.median(flow_px_HW2, axis=(0, 1)), [5, -3], atol=0.2)


@pytest.mark.parametrize("pan_px", [2, 4, 8])
def test_a_pure_pan_is_all_camera(pan_px: int) -> None:
    split = split_motion(dense_flow(*shifted(pan_px)))
    assert split.camera == pytest.approx(pan_px / DIAG_PX, rel=0.05)
    assert split.residual < 0.1 * split.camera


def test_a_still_picture_has_no_motion_at_all() -> None:
    split = split_motion(dense_flow(*shifted(0)))
    assert (split.camera, split.residual) == (0, 0)


def test_something_that_moves_before_a_still_background_is_all_residual() -> None:
    before, after = shifted(0)
    thing = texture(9, (90, 110))
    before[30:120, 40:150], after[30:120, 46:156] = thing, thing
    split = split_motion(dense_flow(before, after))
    assert split.residual == pytest.approx(6 / DIAG_PX, rel=0.2)
    assert split.camera < 0.1 * split.residual


def test_zoom_and_turn_about_any_point_are_camera() -> None:
    xs, ys = grid()
    for scale, turn_rad in ((1.03, 0.0), (1.0, 0.02), (0.98, -0.01)):
        cos, sin = scale * np.cos(turn_rad), scale * np.sin(turn_rad)
        moved = np.stack([cos * xs - sin * ys + 2, sin * xs + cos * ys - 1], axis=-1)
        split = split_motion((moved - np.stack([xs, ys], axis=-1)).astype(np.float32))
        assert split.camera > 0.002
        assert split.residual < 1e-4


def test_camera_and_subject_add_up_and_come_apart() -> None:
    flow_px_HW2 = np.full((HEIGHT, WIDTH, 2), (5, 0), dtype=np.float32)
    flow_px_HW2[20:124, 60:180] += (0, 8)
    split = split_motion(flow_px_HW2)
    assert split.camera == pytest.approx(5 / DIAG_PX, rel=1e-3)
    assert split.residual == pytest.approx(8 / DIAG_PX, rel=1e-3)


def test_motion_without_a_common_model_is_nobodys_camera() -> None:
    flow_px_HW2 = np.random.default_rng(0).uniform(-30, 30, (HEIGHT, WIDTH, 2)).astype(np.float32)
    split = split_motion(flow_px_HW2)
    assert split.camera == 0
    assert split.residual > 0.05


def test_the_split_is_the_same_every_time() -> None:
    flow_px_HW2 = dense_flow(*shifted(3, 2)) + np.random.default_rng(2).normal(0, 1, (HEIGHT, WIDTH, 2))
    assert split_motion(flow_px_HW2.astype(np.float32)) == split_motion(flow_px_HW2.astype(np.float32))
