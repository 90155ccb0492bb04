"""Luma and chroma read from the decoder's planes agree with the RGB conversion of the same frame."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from curation.planes import FramePlanes, frame_rgb
from schemas.errors import SchemaError
from schemas.frames import LumaBatch
from tests.curation.footage import coloured, texture

FORMATS = ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "nv12", "rgb24", "gray")


def smooth_colours() -> np.ndarray:
    return cv2.GaussianBlur(coloured(texture(size_hw=(96, 128)), 0), (0, 0), 4)


@pytest.mark.parametrize("name", FORMATS)
def test_luma_is_full_range_in_every_pixel_format(name: str) -> None:
    frame = av.VideoFrame.from_ndarray(smooth_colours(), format="rgb24").reformat(format=name)
    luma_HW = FramePlanes(frame).luma((64, 48), 0)
    expected_HW = cv2.cvtColor(frame_rgb(frame, (64, 48), 0), cv2.COLOR_RGB2GRAY)
    assert luma_HW.shape == (48, 64)
    assert np.abs(luma_HW.astype(int) - expected_HW).mean() < 3


def test_black_and_white_of_limited_range_are_0_and_255() -> None:
    for rgb, wanted in ((0, 0), (255, 255)):
        frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), rgb, np.uint8), format="rgb24")
        assert np.all(FramePlanes(frame.reformat(format="yuv420p")).luma((32, 32), 0) == wanted)


def test_chroma_is_neutral_for_grey_and_reddish_for_red() -> None:
    red = np.zeros((32, 32, 3), dtype=np.uint8)
    red[..., 0] = 255
    frame = av.VideoFrame.from_ndarray(red, format="rgb24").reformat(format="yuv420p")
    chroma_HW2 = FramePlanes(frame).chroma((17, 9), 0)
    assert chroma_HW2.shape == (5, 9, 2)
    assert chroma_HW2[..., 1].min() > 200
    grey = frame.reformat(format="gray")
    assert np.all(FramePlanes(grey).chroma((17, 9), 0) == 128)


def test_a_turned_frame_is_turned_as_its_rgb_is() -> None:
    frame = av.VideoFrame.from_ndarray(smooth_colours(), format="rgb24").reformat(format="yuv444p")
    luma_HW = FramePlanes(frame).luma((128, 96), 90)
    expected_HW = cv2.cvtColor(frame_rgb(frame, (128, 96), 90), cv2.COLOR_RGB2GRAY)
    assert luma_HW.shape == (128, 96)
    assert np.abs(luma_HW.astype(int) - expected_HW).mean() < 3


def test_chroma_must_be_half_as_large() -> None:
    with pytest.raises(SchemaError, match=r"expected \(2, 5, 4, 2\)"):
        LumaBatch(np.zeros((2, 9, 8), np.uint8), np.arange(2.0), np.zeros((2, 9, 8, 2), np.uint8))


def test_a_size_does_not_depend_on_which_were_asked_before() -> None:
    wide = cv2.resize(smooth_colours(), (518, 390), interpolation=cv2.INTER_CUBIC)
    frame = av.VideoFrame.from_ndarray(wide, format="rgb24").reformat(format="yuv420p")
    planes = FramePlanes(frame)
    for size_wh in ((518, 390), (96, 72), (192, 144), (96, 72)):
        np.testing.assert_array_equal(planes.luma(size_wh, 0), FramePlanes(frame).luma(size_wh, 0))
        assert planes.luma(size_wh, 0).shape == (size_wh[1], size_wh[0])
