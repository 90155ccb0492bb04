"""A few pictures of a clip for somebody who has to see it, kept while its frames go by."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas.frames import FrameBatch

_JPEG_QUALITY = 85


def decoded(pictures: Sequence[tuple[float, bytes]]) -> list[tuple[float, NDArray[np.uint8]]]:
    """The JPEGs as RGB (H, W, 3)."""
    bgr = ((pts_s, cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)) for pts_s, jpeg in pictures)
    return [(pts_s, np.ascontiguousarray(np.asarray(bgr_HWC, np.uint8)[:, :, ::-1])) for pts_s, bgr_HWC in bgr]


class Pictures:
    """Keeps `at_least` to twice as many JPEGs (fewer of a shorter clip), evenly spaced over the frames seen so far."""

    def __init__(self, at_least: int) -> None:
        self._at_least, self._stride, self._seen = at_least, 1, 0
        self._kept: list[tuple[float, bytes]] = []

    def observe(self, frames: FrameBatch) -> None:
        for rgb_HWC, pts_s in zip(frames.rgb_THWC, frames.pts_s_T, strict=True):
            if self._seen % self._stride == 0:
                bgr_HWC = np.ascontiguousarray(rgb_HWC[:, :, ::-1])
                _, data = cv2.imencode(".jpg", bgr_HWC, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
                self._kept.append((float(pts_s), data.tobytes()))
                if len(self._kept) >= 2 * self._at_least:
                    self._kept = self._kept[::2]
                    self._stride *= 2
            self._seen += 1

    def kept(self) -> list[tuple[float, bytes]]:
        """Clip time in seconds and the JPEG, in order."""
        return list(self._kept)
