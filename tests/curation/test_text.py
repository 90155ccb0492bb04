"""Text is found where it was painted, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from curation.backends.text_detector import text_detector_file, text_mask
from curation.scorers.text import Text
from schemas.frames import LumaBatch
from schemas.scores import FrameFacts
from tests.curation.footage import texture

needs_network = pytest.mark.skipif(text_detector_file() is None, reason="needs the packages rapidocr and onnxruntime")


def titled(text: str) -> NDArray[np.uint8]:
    luma_HW = cv2.GaussianBlur(texture(3, (256, 448), grain_px=6), (0, 0), 3)
    return np.asarray(cv2.putText(luma_HW, text, (60, 220), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 255, 3), dtype=np.uint8)


@needs_network
def test_a_subtitle_is_found_where_it_stands() -> None:
    mask_HW = text_mask(titled("SUBTITLE TEXT"))
    assert mask_HW is not None
    ys, xs = np.nonzero(mask_HW)
    assert len(xs) > 0
    assert 180 < ys.mean() < 225
    assert 50 < xs.min() < 80
    assert not mask_HW[:150].any()


@needs_network
def test_a_picture_without_text_has_none() -> None:
    mask_HW = text_mask(titled(""))
    assert mask_HW is not None
    assert not mask_HW.any()


def test_the_score_is_the_mean_share_and_null_without_the_network() -> None:
    frames = LumaBatch(np.zeros((2, 8, 8), dtype=np.uint8), np.array([0.0, 2.0]))
    masks = iter((np.ones((8, 8), dtype=np.bool_), np.zeros((8, 8), dtype=np.bool_)))
    for detect, expected in ((lambda _: next(masks), 0.5), (lambda _: None, None)):
        scorer = Text(detect)
        facts = scorer.open().measure(frames)
        assert scorer.reduce(FrameFacts(frames.pts_s_T, 4.0, facts)) == {"text_fraction": expected}
