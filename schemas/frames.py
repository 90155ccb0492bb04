"""Frames on their way from the decoder to those who look at them.

Axes: T frames in presentation order, H and W pixels (row, column), C red-green-blue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas.errors import SchemaError
from schemas.scores import Fact

# What a consumer gets of a frame. "rgb" costs a colour conversion of the native frame; "luma" and "yuv" are resized
# straight from the decoder's planes and cost a fraction of it.
Pixels = Literal["rgb", "luma", "yuv"]


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """Which frames a consumer wants from the one decode pass.

    fps:           sampling rate in frames per second of presentation time; None asks for every frame.
    short_side_px: frames are resized from native so that the shorter side has this length; never enlarged.
                   None asks for native size.
    pixels:        "rgb" is delivered as FrameBatch, "luma" and "yuv" as LumaBatch.
    coding:        whether a LumaBatch also says how coarsely its frames were coded.
    """

    name: str
    fps: float | None
    short_side_px: int | None
    pixels: Pixels = "rgb"
    coding: bool = False

    def __post_init__(self) -> None:
        if self.fps is not None and not self.fps > 0:
            raise ValueError(f"frame request {self.name}: fps must be positive, got {self.fps}")
        if self.short_side_px is not None and self.short_side_px < 1:
            raise ValueError(f"frame request {self.name}: short_side_px must be at least 1, got {self.short_side_px}")
        if self.coding and self.pixels == "rgb":
            raise ValueError(f"frame request {self.name}: how frames were coded comes with luma, not with rgb")


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Consecutive sampled frames. Both arrays are made read-only, so that no consumer can change another's input.

    rgb_THWC: uint8.
    pts_s_T:  float64, seconds since the video's first frame, strictly increasing.
    Raises:   SchemaError when shapes, types or the order of time are wrong.
    """

    rgb_THWC: NDArray[np.uint8]
    pts_s_T: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.rgb_THWC.ndim != 4 or self.rgb_THWC.shape[3] != 3 or self.rgb_THWC.dtype != np.uint8:
            raise SchemaError(
                f"frames have shape {self.rgb_THWC.shape} and type {self.rgb_THWC.dtype}, expected (T, H, W, 3) uint8"
            )
        _check_times(self.pts_s_T, self.rgb_THWC.shape[0])
        self.rgb_THWC.setflags(write=False)
        self.pts_s_T.setflags(write=False)

    def __len__(self) -> int:
        return int(self.rgb_THWC.shape[0])


@dataclass(frozen=True, slots=True)
class LumaBatch:
    """Consecutive sampled frames without colour conversion. The arrays are made read-only.

    luma_THW:    uint8, full range (0 black - 255 white) whatever the file's range is.
    chroma_THW2: uint8, Cb and Cr around 128, half as high and wide as luma (rounded up); None for a "luma" request.
    pts_s_T:     float64, seconds since the video's first frame, strictly increasing.
    coding_step: step of the quantiser in luma levels (curation/coding.py), absent where the decoder does not say; None
                 where it was not asked for.
    Raises:      SchemaError when shapes, types or the order of time are wrong.
    """

    luma_THW: NDArray[np.uint8]
    pts_s_T: NDArray[np.float64]
    chroma_THW2: NDArray[np.uint8] | None = None
    coding_step: Fact | None = None

    def __post_init__(self) -> None:
        if self.luma_THW.ndim != 3 or self.luma_THW.dtype != np.uint8:
            raise SchemaError(
                f"luma has shape {self.luma_THW.shape} and type {self.luma_THW.dtype}, expected (T, H, W) uint8"
            )
        _check_times(self.pts_s_T, self.luma_THW.shape[0])
        steps, height, width = self.luma_THW.shape
        expected = (steps, (height + 1) // 2, (width + 1) // 2, 2)
        if self.chroma_THW2 is not None:
            if self.chroma_THW2.shape != expected or self.chroma_THW2.dtype != np.uint8:
                raise SchemaError(
                    f"chroma has shape {self.chroma_THW2.shape} and type {self.chroma_THW2.dtype}, "
                    f"expected {expected} uint8"
                )
            self.chroma_THW2.setflags(write=False)
        self.luma_THW.setflags(write=False)
        self.pts_s_T.setflags(write=False)

    def __len__(self) -> int:
        return int(self.luma_THW.shape[0])


def _check_times(pts_s_T: NDArray[np.float64], frames: int) -> None:
    if pts_s_T.shape != (frames,):
        raise SchemaError(f"{frames} frames with {pts_s_T.shape} timestamps")
    if pts_s_T.size > 1 and not bool(np.all(np.diff(pts_s_T) > 0)):
        raise SchemaError("frame timestamps do not increase")
