"""A decoded frame's pixels at any size: luma and chroma straight from its planes, where a small picture costs one
resize, or converted to RGB.

Axes: H rows, W columns, 2 Cb and Cr.
"""

from __future__ import annotations

import av
import cv2
import numpy as np
from numpy.typing import NDArray

# Planar 8-bit layouts whose first plane is luma; the value is how often chroma is halved (x, y), None for no chroma.
_PLANAR: dict[str, tuple[int, int] | None] = {
    "yuv420p": (2, 2), "yuvj420p": (2, 2), "yuv422p": (2, 1), "yuvj422p": (2, 1), "yuv444p": (1, 1), "yuvj444p": (1, 1),
    "yuv440p": (1, 2), "yuvj440p": (1, 2), "yuv410p": (4, 4), "yuv411p": (4, 1), "gray": None,
}  # fmt: skip
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_NEUTRAL = 128


def _limited_to_full() -> NDArray[np.uint8]:
    """Luma 16-235 (BT.601/709) to 0-255."""
    levels = (np.arange(256, dtype=np.float64) - 16.0) * 255.0 / 219.0
    table: NDArray[np.uint8] = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return table


_TO_FULL = _limited_to_full()


def frame_rgb(frame: av.VideoFrame, size_wh: tuple[int, int], rotation_deg: int) -> NDArray[np.uint8]:
    """(H, W, 3) in presentation orientation. size_wh is the size before rotation; scaling is FFmpeg's area filter."""
    width, height = size_wh
    scaled = frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA")
    return _turned(scaled.to_ndarray(), rotation_deg)


class FramePlanes:
    """One decoded frame's planes at any size. Halves of them are kept, so that several small pictures cost little more
    than one.
    """

    def __init__(self, frame: av.VideoFrame) -> None:
        # Read as they are where possible; 10-bit, packed and RGB pictures are converted.
        self._frame = frame if frame.format.name in _PLANAR else frame.reformat(format="yuv420p")
        self._halves: dict[int, list[NDArray[np.uint8]]] = {}

    def luma(self, size_wh: tuple[int, int], rotation_deg: int) -> NDArray[np.uint8]:
        """(H, W) luma, 0-255, in presentation orientation. size_wh is before rotation."""
        luma_HW = self._resized(0, size_wh)
        if not _is_full_range(self._frame):
            luma_HW = cv2.LUT(luma_HW, _TO_FULL)
        return _turned(luma_HW, rotation_deg)

    def chroma(self, size_wh: tuple[int, int], rotation_deg: int) -> NDArray[np.uint8]:
        """(H/2, W/2, 2) Cb and Cr around 128, at half of size_wh rounded up; 128 throughout for a grey picture."""
        half_wh = ((size_wh[0] + 1) // 2, (size_wh[1] + 1) // 2)
        if _PLANAR[self._frame.format.name] is None:
            chroma_HW2 = np.full((half_wh[1], half_wh[0], 2), _NEUTRAL, dtype=np.uint8)
        else:
            chroma_HW2 = cv2.merge([self._resized(index, half_wh) for index in (1, 2)])
        return _turned(chroma_HW2, rotation_deg)

    def _resized(self, index: int, size_wh: tuple[int, int]) -> NDArray[np.uint8]:
        """Always a copy: the decoder reuses its buffers.

        Far reductions go by halves (an odd last row or column is left out), the rest by interpolation, which loses
        nothing below a factor of two: both together are ten times as quick as averaging areas of any size.
        """
        halves = self._halves.setdefault(index, [_plane(self._frame, index)])
        level = 0
        while _holds_twice(halves[level], size_wh):
            level += 1
            if level == len(halves):
                halves.append(_halved(halves[-1]))
        if halves[level].shape == (size_wh[1], size_wh[0]):
            return halves[level].copy()
        resized: NDArray[np.uint8] = cv2.resize(halves[level], size_wh, interpolation=cv2.INTER_LINEAR)
        return resized


def _holds_twice(plane_HW: NDArray[np.uint8], size_wh: tuple[int, int]) -> bool:
    return plane_HW.shape[0] >= 2 * size_wh[1] and plane_HW.shape[1] >= 2 * size_wh[0]


def _halved(plane_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    half_wh = (plane_HW.shape[1] // 2, plane_HW.shape[0] // 2)
    even_HW = plane_HW[: 2 * half_wh[1], : 2 * half_wh[0]]
    half_HW: NDArray[np.uint8] = cv2.resize(even_HW, half_wh, interpolation=cv2.INTER_AREA)
    return half_HW


def _is_full_range(frame: av.VideoFrame) -> bool:
    # FFmpeg takes grey pictures for full range, as it does the yuvj layouts.
    return frame.format.name.startswith(("yuvj", "gray")) or int(frame.color_range) == _FULL_RANGE


def _plane(frame: av.VideoFrame, index: int) -> NDArray[np.uint8]:
    """A view of one plane; valid while the frame lives."""
    plane = frame.planes[index]
    return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


def _turned(picture: NDArray[np.uint8], rotation_deg: int) -> NDArray[np.uint8]:
    quarter_turns = round(rotation_deg / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, quarter_turns)) if quarter_turns else picture
