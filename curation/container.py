"""Media files as untrusted things: what may be opened, and what their headers say about the pictures.

A container may name other files and addresses, claim any size, and hold any number of streams. What is opened here is
one local file of a known kind, and nothing else that it asks for.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

import av

from schemas.errors import ProbeError
from schemas.storage import Location, is_remote, open_remote

# Containers that hold their own media. Playlists and concat lists would make FFmpeg open whatever they name.
_CONTAINERS = ("3gp", "asf", "avi", "flv", "matroska", "mov", "mp4", "mpeg", "mpegts", "mxf", "ogg", "webm")
# Those of them that a decoder can enter anywhere; streams made for broadcast have no index.
INDEXED = frozenset({"mov", "mp4", "matroska", "webm", "avi"})
# A camera's file has a handful of streams; every one of thousands would get buffers and a decoder of its own.
MAX_STREAMS = 64
# 8K UHD twice over; a header that claims more is refused before a buffer of that size is allocated.
MAX_PIXELS = 2 * 7680 * 4320
# What is longer is a live stream's leftover or a lie; facts of all frames are kept in memory until a file is done.
MAX_DURATION_S = 24 * 3600.0
MAX_FRAMES = 24 * 3600 * 60
_OPEN_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(_CONTAINERS),
    "max_streams": str(MAX_STREAMS + 1),
}
# Matroska and WebM state each stream's duration as text.
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
# Pixels are taken for square within this: sizes rounded to even leave ratios such as 1280:1281.
_SQUARE_WITHIN = 0.01
# Ratios beyond this are nonsense in the header; anamorphic film is 2.
_MAX_PIXEL_ASPECT = 4.0


def open_video(path: Location | IO[bytes]) -> av.container.InputContainer:
    """Opens a media file, or one in memory, without letting it name other files or addresses.

    What is remote is read by us in ranges: FFmpeg itself opens local files only.
    Raises: ProbeError when it cannot be opened.
    """
    try:
        if isinstance(path, str) and is_remote(path):
            source: str | IO[bytes] = open_remote(path)
        else:
            source = str(path) if isinstance(path, str | Path) else path
        container = av.open(source, mode="r", options=_OPEN_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        # Without the name, which the failure's row has anyway, and which a file that we read for FFmpeg lacks.
        raise ProbeError(f"cannot be opened: {getattr(error, 'strerror', None) or error}") from error
    if len(container.streams) > MAX_STREAMS:
        container.close()
        raise ProbeError(f"more than {MAX_STREAMS} streams")
    for stream in container.streams.video:
        # PyAV's type says otherwise, but an unknown codec has no context.
        if getattr(stream, "codec_context", None) is not None:
            stream.thread_type = "AUTO"
            # A stream may change its size on the way, past what its header said.
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return container


def video_stream(container: av.container.InputContainer) -> av.video.stream.VideoStream:
    """The first video stream. Raises: ProbeError when there is none."""
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        raise ProbeError("no video stream")
    stream: av.video.stream.VideoStream = streams[0]
    if getattr(stream, "codec_context", None) is None:
        raise ProbeError("no decoder for its video codec")
    return stream


def pixel_aspect(stream: av.video.stream.VideoStream) -> float:
    """Width of a pixel over its height; 1.0 when it is unknown, nonsense, or within a hundredth of square."""
    ratio = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    if not ratio or not 1 / _MAX_PIXEL_ASPECT <= ratio <= _MAX_PIXEL_ASPECT or abs(ratio - 1) < _SQUARE_WITHIN:
        return 1.0
    return float(ratio)


def square_size_wh(width_px: int, height_px: int, aspect: float) -> tuple[int, int]:
    """Size of the picture in square pixels: the width is stretched or squeezed, the height kept, as players do."""
    return max(1, round(width_px * aspect)), height_px


def stated_duration_s(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> float | None:
    """The video stream's duration by its header; by the container's where pictures are all there is."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    clock = _CLOCK.match(stream.metadata.get("DURATION", ""))
    if clock:
        hours, minutes, seconds = (float(part) for part in clock.groups())
        return 3600 * hours + 60 * minutes + seconds
    if container.duration is not None and len(container.streams) == 1:
        return float(container.duration) / float(av.time_base)
    return None


def nominal_step_s(stream: av.video.stream.VideoStream) -> float:
    rate = stream.average_rate or stream.guessed_rate
    return 1.0 / float(rate) if rate else 0.04
