"""Pictures and clips as data URIs, so that a page stays one file."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_VIDEO_BYTES = 3 << 20
_JPEG_QUALITY = 80


def jpeg_uri(rgb_HWC: NDArray[np.uint8], max_side_px: int) -> str:
    """As `jpeg_bytes`, for a page."""
    return data_uri("image/jpeg", jpeg_bytes(rgb_HWC, max_side_px))


def jpeg_bytes(rgb_HWC: NDArray[np.uint8], max_side_px: int) -> bytes:
    """The picture as a JPEG file, reduced so that no side exceeds max_side_px."""
    import cv2

    height, width = rgb_HWC.shape[:2]
    scale = min(1.0, max_side_px / max(height, width))
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    bgr_HWC = cv2.cvtColor(cv2.resize(rgb_HWC, size_wh, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr_HWC, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes()


def png_uri(path: Path) -> str:
    """A PNG file as it is."""
    return data_uri("image/png", path.read_bytes())


def video_uri(path: Path, max_bytes: int = MAX_VIDEO_BYTES) -> str | None:
    """An mp4 file as it is; None when it is missing or too large to carry in a page."""
    if not path.is_file() or path.stat().st_size > max_bytes:
        return None
    return data_uri("video/mp4", path.read_bytes())


def frame_at(path: Path, time_s: float) -> NDArray[np.uint8] | None:
    """(H, W, 3) of the frame shown at time_s after the first one, upright; None when the file cannot be read there."""
    import av

    if not path.is_file():
        return None
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            start_s = float(stream.start_time * stream.time_base) if stream.start_time else 0.0
            container.seek(int((start_s + time_s) / stream.time_base), stream=stream)
            return _first_after(container, start_s + time_s)
    except (av.FFmpegError, IndexError, ValueError, OverflowError):
        return None


def _first_after(container: Any, time_s: float) -> NDArray[np.uint8] | None:
    """The last frame shown at or before time_s; files that break off give the last readable one."""
    import av

    shown = None
    try:
        for frame in container.decode(video=0):
            if shown is not None and frame.time is not None and frame.time > time_s:
                break
            shown = frame
    except av.FFmpegError:
        if shown is None:
            return None
    if shown is None:
        return None
    rgb_HWC: NDArray[np.uint8] = shown.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(rgb_HWC, round(shown.rotation / 90) % 4))


def data_uri(kind: str, data: bytes) -> str:
    """A file of this kind, such as image/png, inside the page itself."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
