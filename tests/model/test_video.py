from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from model.video import iterate_mp4, png_bytes, write_mp4
from schemas.errors import DataError, DecodeError
from tests.builders import moving_square_frames


def test_frames_and_uneven_times_survive(tmp_path: Path) -> None:
    rgb_THWC = moving_square_frames(6)
    pts_s_T = np.array([3.0, 3.04, 3.08, 3.2, 3.24, 3.28])
    write_mp4(tmp_path / "a.mp4", rgb_THWC, pts_s_T)
    read = list(iterate_mp4((tmp_path / "a.mp4").read_bytes(), "a"))
    assert [time_s for _, time_s in read] == pytest.approx(pts_s_T - 3.0, abs=1e-4)
    assert np.abs(read[3][0].astype(int) - rgb_THWC[3]).mean() < 6
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_odd_sizes_lose_a_row_and_a_column(tmp_path: Path) -> None:
    write_mp4(tmp_path / "a.mp4", np.zeros((2, 17, 33, 3), np.uint8), np.array([0.0, 0.1]))
    assert next(iterate_mp4((tmp_path / "a.mp4").read_bytes(), "a"))[0].shape == (16, 32, 3)


def test_nothing_and_backward_times_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="0 frames"):
        write_mp4(tmp_path / "a.mp4", np.zeros((0, 16, 16, 3), np.uint8), np.zeros(0))
    with pytest.raises(DataError, match="times must increase"):
        write_mp4(tmp_path / "a.mp4", np.zeros((2, 16, 16, 3), np.uint8), np.array([0.1, 0.1]))
    with pytest.raises(DecodeError, match="clip x"):
        list(iterate_mp4(b"not a video", "clip x"))


def test_png_is_lossless(tmp_path: Path) -> None:
    rgb_HWC = np.random.default_rng(0).integers(0, 255, (9, 7, 3), dtype=np.uint8)
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(rgb_HWC))
    with av.open(str(path)) as container:
        read = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.array_equal(read, rgb_HWC)
