"""Frames on their way from the decoder to those who look at them.

Axes: T frames in presentation order, H and W pixels (row, column), C red-green-blue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.errors import SchemaError


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """Which frames a consumer wants from the one decode pass.

    fps:           sampling rate in frames per second of presentation time; None asks for every frame.
    short_side_px: frames are resized from native so that the shorter side has this length; never enlarged.
                   None asks for native size.
    """

    name: str
    fps: float | None
    short_side_px: int | None

    def __post_init__(self) -> None:
        if self.fps is not None and not self.fps > 0:
            raise ValueError(f"frame request {self.name}: fps must be positive, got {self.fps}")
        if self.short_side_px is not None and self.short_side_px < 1:
            raise ValueError(f"frame request {self.name}: short_side_px must be at least 1, got {self.short_side_px}")


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
        if self.pts_s_T.shape != self.rgb_THWC.shape[:1]:
            raise SchemaError(f"{self.rgb_THWC.shape[0]} frames with {self.pts_s_T.shape} timestamps")
        if self.pts_s_T.size > 1 and not bool(np.all(np.diff(self.pts_s_T) > 0)):
            raise SchemaError("frame timestamps do not increase")
        self.rgb_THWC.setflags(write=False)
        self.pts_s_T.setflags(write=False)

    def __len__(self) -> int:
        return int(self.rgb_THWC.shape[0])
