"""What a file is, before any frame is decoded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from curation.decode import open_video, video_stream
from schemas.errors import ProbeError

# Below this side nothing that we measure has a meaning.
MIN_SIDE_PX = 16
# 8K UHD twice over; a header that claims more is refused before a buffer of that size is allocated.
MAX_PIXELS = 2 * 7680 * 4320


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Header facts. Width and height as presented, that is, after rotation_deg (counter-clockwise quarter turns)."""

    size_bytes: int
    codec: str
    pixel_format: str
    width_px: int
    height_px: int
    fps: float
    rotation_deg: int


def video_id_of(uri: str) -> str:
    """A stable name for an input: the same URI gives the same id in every run."""
    return hashlib.sha256(uri.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def probe(path: Path) -> ProbeResult:
    """Reads the header.

    Raises: ProbeError when the file is missing, empty, no media, without a video stream, or of an unusable size.
    """
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise ProbeError(f"cannot be read: {error.strerror or error}") from error
    if size_bytes == 0:
        raise ProbeError("the file is empty (0 bytes)")
    with open_video(path) as container:
        stream = video_stream(container)
        context = stream.codec_context
        width_px, height_px = int(context.width), int(context.height)
        if min(width_px, height_px) < MIN_SIDE_PX:
            raise ProbeError(f"{width_px}x{height_px} px: sides below {MIN_SIDE_PX} px cannot be measured")
        if width_px * height_px > MAX_PIXELS:
            raise ProbeError(f"{width_px}x{height_px} px: more than the {MAX_PIXELS} pixels a frame may have")
        rotation_deg = _rotation_deg(path)
        if rotation_deg % 180:
            width_px, height_px = height_px, width_px
        rate = stream.average_rate or stream.guessed_rate
        return ProbeResult(
            size_bytes=size_bytes,
            codec=str(context.name),
            pixel_format=str(context.pix_fmt or "unknown"),
            width_px=width_px,
            height_px=height_px,
            fps=float(rate) if rate else 0.0,
            rotation_deg=rotation_deg,
        )


def _rotation_deg(path: Path) -> int:
    """Counter-clockwise rotation for display, from the first frame's display matrix; 0 when there is none.

    The matrix is frame side data, so one frame is decoded; a stream whose first frame fails is judged by the decoder.
    """
    import av

    with open_video(path) as container:
        try:
            frame = next(container.decode(video_stream(container)), None)
        except (av.FFmpegError, OSError):
            return 0
        return round(getattr(frame, "rotation", 0) / 90) * 90 % 360 if frame is not None else 0
