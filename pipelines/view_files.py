"""One pass over a sample's clip: every frame, with tracks and labels, into an H.264 file; some frames for a sheet."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from annotation.base import ClipFrame
from annotation.render.sheet import cell_size_wh
from annotation.render.timeline import GROUND_RGB, TimelineStrip
from annotation.render.tracks import draw_tracks
from annotation.timed_labels import TimedLabel
from curation.container import video_stream
from curation.decode import DecodeResult, presented_frames
from curation.planes import frame_rgb
from schemas.errors import DecodeError, ProbeError, ResourceError
from schemas.tracks import Track

Picture = NDArray[np.uint8]

# A picture within these heights is shown as large as it is; text under it needs the width.
_HEIGHT_PX, _WIDTH_PX = (480, 720), (640, 1280)
_LABEL_ROWS = 24
_TICKS_PER_S = 90_000
_RATE_OF_ONE_FRAME = 25.0
_KEYFRAME_EVERY_S = 1.0
_BT709 = 1  # the code of its primaries, transfer and matrix in H.264
_LIMITED_RANGE = 1


@dataclass(frozen=True, slots=True)
class ClipTimes:
    """What the container says without decoding: each frame's time since the first; the last lasts as long as a typical
    one."""

    pts_s_T: NDArray[np.float64]
    duration_s: float
    size_wh: tuple[int, int]


def clip_times(mp4: bytes) -> ClipTimes:
    """Raises: ProbeError when the bytes are no mp4 with frames."""
    with _opened(mp4) as container:
        stream = video_stream(container)
        try:
            ticks = sorted(
                packet.pts for packet in container.demux(stream) if packet.pts is not None and not packet.is_discard
            )
        except av.FFmpegError as error:
            raise ProbeError(f"cannot be read: {error}") from error
        if not ticks or not stream.codec_context.width or not stream.codec_context.height:
            raise ProbeError("holds no frame")
        pts_s_T = np.array([tick - ticks[0] for tick in ticks], np.float64) * float(stream.time_base)
        size_wh = (stream.codec_context.width, stream.codec_context.height)
        rate = float(stream.average_rate or 0) or _RATE_OF_ONE_FRAME
    step_s = float(np.median(np.diff(pts_s_T))) if len(pts_s_T) > 1 else 1 / rate
    return ClipTimes(pts_s_T, float(pts_s_T[-1]) + step_s, size_wh)


def picture_size_wh(size_wh: tuple[int, int]) -> tuple[int, int]:
    """A clip's picture in the overlay video: 480 to 720 px high, at most 1280 px wide, even sides, its aspect kept."""
    width, height = size_wh
    factor = min(max(height, _HEIGHT_PX[0]), _HEIGHT_PX[1]) / height
    factor = min(factor, _WIDTH_PX[1] / width)
    return max(2, round(width * factor / 2) * 2), max(2, round(height * factor / 2) * 2)


@dataclass(frozen=True, slots=True)
class Shown:
    """What is drawn of one sample."""

    mp4: bytes
    times: ClipTimes
    tracks: Mapping[str, Track]
    clip: ClipFrame
    labels: Sequence[TimedLabel]
    caption: str


def draw_views(shown: Shown, video: Path | None, sheet_times_s: Sequence[float]) -> list[tuple[float, Picture]]:
    """Writes the overlay video (None: no video) and returns the sheet's frames with their times.

    A sheet's frame is the first at or after each of the times. The video appears under its name when it is complete.
    Raises: DecodeError when the clip breaks off, ResourceError when the video cannot be written.
    """
    wanted = list(sheet_times_s)
    cells: list[tuple[float, Picture]] = []
    cell_wh = cell_size_wh(*shown.times.size_wh, len(wanted))
    with _VideoWriter(video, shown) if video is not None else _NoWriter() as writer:
        for pts_s, frame in _frames(shown):
            # Times are compared with a millisecond's grace: those of a table are rounded.
            if wanted and pts_s >= wanted[0] - 1e-3:
                picture = draw_tracks(frame_rgb(frame, cell_wh, 0), pts_s, shown.tracks, shown.clip)
                cells.append((pts_s, picture))
                wanted = [time_s for time_s in wanted if time_s - 1e-3 > pts_s]
            if video is None and not wanted:
                break
            writer.add(pts_s, frame)
    return cells


def _frames(shown: Shown) -> Iterator[tuple[float, av.VideoFrame]]:
    result = DecodeResult()
    with _opened(shown.mp4) as container:
        yield from presented_frames(container, result)
    if result.error is not None or result.frames == 0:
        raise DecodeError(f"the clip cannot be decoded: {result.error or 'no frame'}")


@contextmanager
def _opened(mp4: bytes) -> Iterator[av.container.InputContainer]:
    """Raises: ProbeError when it cannot be opened."""
    try:
        container = av.open(io.BytesIO(mp4), mode="r", format="mp4", metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ProbeError(f"cannot be opened: {error}") from error
    with container:
        yield container


class _NoWriter:
    def __enter__(self) -> _NoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def add(self, pts_s: float, frame: av.VideoFrame) -> None:
        return None


class _VideoWriter:
    """Pictures over their timeline, H.264 4:2:0 in BT.709 with its index in front; each frame at its own time."""

    def __init__(self, path: Path, shown: Shown) -> None:
        self._path, self._shown = path, shown
        self._part = path.with_name(f".{path.name}.part")
        self._picture_wh = picture_size_wh(shown.times.size_wh)
        width = max(self._picture_wh[0], _WIDTH_PX[0])
        self._strip = TimelineStrip(shown.labels, shown.caption, shown.times.duration_s, width, _LABEL_ROWS)
        self._canvas = np.full((self._picture_wh[1] + self._strip.height_px, width, 3), GROUND_RGB, np.uint8)
        self._left = (width - self._picture_wh[0]) // 2
        starts_s, end_s = shown.times.pts_s_T, shown.times.duration_s
        edges = np.rint(np.append(starts_s, end_s) * _TICKS_PER_S).astype(int).tolist()
        self._ticks_shown = {start: end - start for start, end in pairwise(edges)}

    def __enter__(self) -> _VideoWriter:
        try:
            # FFmpeg's own words for a folder that refuses would name the library's call, Python's name the path.
            self._part.write_bytes(b"")
            self._container = av.open(str(self._part), "w", format="mp4", options={"movflags": "+faststart"})
        except av.FFmpegError as error:
            raise ResourceError(f"{self._path} cannot be written: {error}") from error
        rate = len(self._shown.times.pts_s_T) / max(self._shown.times.duration_s, 1e-3)
        stream = self._container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
        stream.height, stream.width, stream.pix_fmt = self._canvas.shape[0], self._canvas.shape[1], "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, _TICKS_PER_S)
        context.gop_size = max(1, round(rate * _KEYFRAME_EVERY_S))
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        # Without reordered frames the file's durations are those between presentation times, also uneven ones.
        stream.options = {"crf": "21", "preset": "veryfast", "bf": "0"}
        self._stream = stream
        return self

    def add(self, pts_s: float, frame: av.VideoFrame) -> None:
        shown, (width, height) = self._shown, self._picture_wh
        picture = draw_tracks(frame_rgb(frame, self._picture_wh, 0), pts_s, shown.tracks, shown.clip)
        self._canvas[:height, self._left : self._left + width] = picture
        self._canvas[height:] = self._strip.at(pts_s)
        canvas = av.VideoFrame.from_ndarray(self._canvas, format="rgb24").reformat(
            format="yuv420p", dst_colorspace="ITU709"
        )
        canvas.pts, canvas.time_base = round(pts_s * _TICKS_PER_S), Fraction(1, _TICKS_PER_S)
        try:
            self._mux(canvas)
        except (av.FFmpegError, OSError) as error:
            raise ResourceError(f"{self._path} cannot be written: {error}") from error

    def _mux(self, canvas: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(canvas):
            # The encoder does not pass on how long a frame is shown, which the last one's end depends on.
            packet.duration = self._ticks_shown.get(packet.pts, 0)
            self._container.mux(packet)

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        try:
            if error_type is None:
                self._mux(None)
                self._container.close()
                self._part.replace(self._path)
        except av.FFmpegError as error:
            raise ResourceError(f"{self._path} cannot be written: {error}") from error
        finally:
            self._container.close()
            self._part.unlink(missing_ok=True)
