"""One decode pass that serves everybody: each consumer gets its frames at its rate and size, in windows.

The clock is presentation time: seconds since the first presented frame of the video stream. Frame counters and nominal
rates are never used to place anything in time.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import av
import numpy as np
from numpy.typing import NDArray

from curation.clock import PLAYBACK, Clock
from curation.coding import coding_step, export_coding
from curation.container import (
    INDEXED,
    MAX_DURATION_S,
    MAX_FRAMES,
    nominal_step_s,
    open_video,
    pixel_aspect,
    square_size_wh,
    stated_duration_s,
    video_stream,
)
from curation.planes import FramePlanes, frame_rgb
from schemas.errors import DecodeError
from schemas.frames import FrameBatch, FrameRequest, LumaBatch, Pixels
from schemas.pulse import pulse
from schemas.scores import Fact
from schemas.storage import Location

WINDOW_BYTES = 48 << 20
WINDOW_FRAMES = 64
# A frame counts as due slightly early, so that 30000/1001 against 10 fps does not skip every thousandth frame.
_EARLY_S = 1e-3
# Times that went through a table and back are equal within this.
SAME_TIME_S = 1e-6
# Decoding resumes this long before an interval: what an open group of pictures leaves broken lies before the interval.
_SEEK_MARGIN_S = 1.0
# Headers are off by a frame or an edit list; a stream that lacks more than both of these was cut off.
_SHORTFALL_S, _SHORTFALL_SHARE = 0.5, 0.05


@dataclass(slots=True)
class DecodeResult:
    """What the pass saw; complete only after the iterator has ended.

    last_s is the presentation time of the last frame, end_s the time at which it stops being shown.
    error is None, or why decoding broke off before the end of the file.
    out_of_order counts frames whose time is not after the one before.
    """

    frames: int = 0
    last_s: float = 0.0
    end_s: float = 0.0
    error: str | None = None
    out_of_order: int = 0

    @property
    def unplaced(self) -> str | None:
        """What there is to say of frames out of order."""
        return f"{self.out_of_order} frames without a time of their own were left out" if self.out_of_order else None


def presented_frames(
    container: av.container.InputContainer,
    result: DecodeResult,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Frames of [start_s, end_s) with their time; times strictly increase (a frame that does not is skipped).

    The first frame of the file sets the clock; an interval that begins later is reached through the keyframe before it.
    A stream that breaks off ends the iteration and leaves the reason in `result.error`.
    """
    stream = video_stream(container)
    previous_s, step_s = -1.0, 0.0
    timed_frames = _frames_from(container, stream, start_s)
    while True:
        pulse()
        try:
            pts_s, frame = next(timed_frames)
        except (StopIteration, av.EOFError):
            result.error = _shortfall(container, stream, result)
            break
        except (av.FFmpegError, OSError) as error:
            reached_s = start_s if previous_s < 0 else previous_s + step_s
            result.error = f"decoding broke off after {reached_s:.3f} s: {error}"
            break
        if pts_s <= previous_s:
            result.out_of_order += 1
            continue
        step_s = pts_s - previous_s if previous_s >= 0 else 0.0
        previous_s = pts_s
        if pts_s > MAX_DURATION_S or result.frames >= MAX_FRAMES:
            result.error = f"only the first {MAX_DURATION_S / 3600:g} hours or {MAX_FRAMES} frames are read"
            break
        if end_s is not None and pts_s >= end_s - SAME_TIME_S:
            result.end_s = end_s
            return
        if pts_s < start_s - SAME_TIME_S:
            continue
        result.frames += 1
        result.last_s = pts_s
        result.end_s = pts_s + (step_s or nominal_step_s(stream))
        yield max(pts_s, start_s), frame
    result.error = result.error or result.unplaced


def _frames_from(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, start_s: float
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Frames with their seconds since the file's first one, beginning at or before start_s."""
    time_base = float(stream.time_base)

    # AVI stores no presentation times; what FFmpeg makes up for reordered frames jumps back, decoding times do not.
    in_decoding_order = "avi" in container.format.name.split(",")

    def decoded() -> Iterator[av.VideoFrame]:
        for frame in container.decode(stream):
            if in_decoding_order and frame.dts is not None:
                frame.pts = frame.dts
            if frame.pts is not None:
                yield frame

    frames = decoded()
    first = entry = next(frames, None)
    if first is None:
        return
    if start_s > _SEEK_MARGIN_S:
        container.seek(first.pts + int((start_s - _SEEK_MARGIN_S) / time_base), stream=stream, backward=True)
        frames = decoded()
        entry = next(frames, None)
        if entry is None and not INDEXED.isdisjoint(container.format.name.split(",")):
            # The file was cut off before.
            return
        if entry is None or (entry.pts - first.pts) * time_base > start_s + SAME_TIME_S:
            # A file without an index (MPEG-TS) is entered behind the keyframe: nothing for it but the beginning.
            container.seek(first.pts - int(_SEEK_MARGIN_S / time_base), stream=stream, backward=True)
            frames = decoded()
            entry = next(frames, None)
    for frame in itertools.chain([entry] if entry is not None else [], frames):
        yield (frame.pts - first.pts) * time_base, frame


def _shortfall(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, result: DecodeResult
) -> str | None:
    """Why a stream that ended without an error is not whole: a cut-off file may simply run out of packets."""
    stated_s = stated_duration_s(container, stream)
    if stated_s is None or not result.frames:
        return None
    if stated_s - result.end_s <= max(_SHORTFALL_S, _SHORTFALL_SHARE * stated_s):
        return None
    return f"the stream ends after {result.end_s:.3f} s of the {stated_s:.3f} s that its header states"


def scaled_size_wh(width_px: int, height_px: int, short_side_px: int | None) -> tuple[int, int]:
    """Size with the shorter side at short_side_px, never enlarged, at least 1 px."""
    short = min(width_px, height_px)
    if short_side_px is None or short <= short_side_px:
        return width_px, height_px
    factor = short_side_px / short
    return max(1, round(width_px * factor)), max(1, round(height_px * factor))


@dataclass(slots=True)
class _Grid:
    """Picks frames at a rate from a stream of any other."""

    period_s: float
    due_s: float = 0.0

    @staticmethod
    def entered(period_s: float, time_s: float) -> _Grid:
        """The grid of a stream that began at 0, from this time on."""
        return _Grid(period_s, math.ceil((time_s - _EARLY_S) / period_s) * period_s)

    def wants(self, time_s: float) -> bool:
        if time_s + _EARLY_S < self.due_s:
            return False
        # By the clock alone: wherever a stream is entered, the same frames are taken.
        self.due_s = (math.floor((time_s + _EARLY_S) / self.period_s) + 1) * self.period_s
        return True


@dataclass(slots=True)
class _Feed:
    """Frames waiting for the consumers that share one rate, size and kind of pixels."""

    names: list[str]
    grid: _Grid | None
    size_wh: tuple[int, int]
    pixels: Pixels
    coding: bool
    window: int
    pictures: list[NDArray[np.uint8]] = field(default_factory=list)
    chroma: list[NDArray[np.uint8]] = field(default_factory=list)
    pts_s: list[float] = field(default_factory=list)
    steps: list[float | None] = field(default_factory=list)

    def add(self, pts_s: float, frame: av.VideoFrame, planes: FramePlanes | None, rotation_deg: int) -> None:
        """planes: of this frame, shared by all feeds; None when all of them want "rgb"."""
        if planes is None or self.pixels == "rgb":
            self.pictures.append(frame_rgb(frame, self.size_wh, rotation_deg))
        else:
            self.pictures.append(planes.luma(self.size_wh, rotation_deg))
            if self.pixels == "yuv":
                self.chroma.append(planes.chroma(self.size_wh, rotation_deg))
        self.pts_s.append(pts_s)
        if self.coding:
            self.steps.append(coding_step(frame))

    def take(self) -> FrameBatch | LumaBatch:
        pictures, chroma, pts_s_T = self.pictures, self.chroma, np.asarray(self.pts_s)
        coding = Fact.of(self.steps) if self.coding else None
        self.pictures, self.chroma, self.pts_s, self.steps = [], [], [], []
        if self.pixels == "rgb":
            return FrameBatch(np.stack(pictures), pts_s_T)
        return LumaBatch(np.stack(pictures), pts_s_T, np.stack(chroma) if chroma else None, coding)


def decode_for(
    path: Location | IO[bytes],
    requests: Sequence[FrameRequest],
    deliver: Callable[[str, Any], None],
    rotation_deg: int = 0,
    start_s: float = 0.0,
    end_s: float | None = None,
    on_frame: Callable[[float, av.VideoFrame], None] | None = None,
    clock: Clock = PLAYBACK,
    between: Sequence[tuple[float, float]] | None = None,
    origin_s: float | None = None,
) -> DecodeResult:
    """Decodes once and delivers to every request its windows of frames, in order.

    A request for "rgb" gets FrameBatch, one for "luma" or "yuv" LumaBatch.
    Requests that differ in nothing but their name share one resize. Every resize starts from the native frame: what a
    consumer sees must not change when another one is added. Pixels that are not square in the file are square when
    delivered, but for native luma or YUV planes, which come as they are stored.
    Delivered times are relative to origin_s (start_s unless given), on `clock`; sampling keeps the rhythm that it has
    from there on. start_s, end_s and the result are in presentation time, and the result counts the frames that the
    clock's max_fps leaves out.
    on_frame sees every frame of the interval as it is (an encoder, a counter), with its time on `clock`.
    between: only frames inside these intervals [start_s, end_s) of presentation time are delivered, in rising order;
    which ones a request samples does not depend on it.
    Raises: ProbeError when the file cannot be opened, DecodeError when not one frame could be decoded.
    """
    result = DecodeResult()
    origin_s = start_s if origin_s is None else origin_s
    entered_s = (start_s - origin_s) / clock.factor
    with open_video(path) as container:
        stream = video_stream(container)
        if any(request.coding for request in requests):
            export_coding(stream)
        feeds: list[_Feed] | None = None
        by_planes = any(request.pixels != "rgb" for request in requests)
        aspect = pixel_aspect(stream)
        everybody = None if clock.max_fps is None else _Grid.entered(1.0 / clock.max_fps, entered_s)
        for pts_s, frame in presented_frames(container, result, start_s, end_s):
            if feeds is None:
                feeds = _feeds(requests, (frame.width, frame.height), aspect, clock, entered_s)
            time_s = (pts_s - origin_s) / clock.factor
            if everybody is not None and not everybody.wants(time_s):
                continue
            if on_frame is not None:
                on_frame(time_s, frame)
            planes = FramePlanes(frame) if by_planes else None
            for feed in feeds:
                if feed.grid is not None and not feed.grid.wants(time_s):
                    continue
                if between is not None and not _is_inside(pts_s, between):
                    continue
                feed.add(time_s, frame, planes, rotation_deg)
                if len(feed.pts_s) >= feed.window:
                    _deliver(feed, deliver)
        for feed in feeds or ():
            if feed.pts_s:
                _deliver(feed, deliver)
    # A part of a stream may lie behind the file's end, or behind what can be read.
    if result.frames == 0 and start_s <= origin_s:
        raise DecodeError(result.error or "no frame could be decoded")
    return result


def _is_inside(pts_s: float, intervals: Sequence[tuple[float, float]]) -> bool:
    at = bisect.bisect_right(intervals, pts_s + SAME_TIME_S, key=lambda interval: interval[0]) - 1
    return at >= 0 and pts_s < intervals[at][1] - SAME_TIME_S


def _deliver(feed: _Feed, deliver: Callable[[str, Any], None]) -> None:
    batch = feed.take()
    for name in feed.names:
        deliver(name, batch)


def _feeds(
    requests: Sequence[FrameRequest], stored_wh: tuple[int, int], aspect: float, clock: Clock, entered_s: float
) -> list[_Feed]:
    feeds: dict[tuple[float | None, tuple[int, int], Pixels, bool], _Feed] = {}
    for request in requests:
        # Resampling would hide the coding blocks and soften the detail that native planes are asked for.
        as_stored = request.short_side_px is None and request.pixels != "rgb"
        native_wh = stored_wh if as_stored else square_size_wh(*stored_wh, aspect)
        size_wh = scaled_size_wh(*native_wh, request.short_side_px)
        key = (request.fps, size_wh, request.pixels, request.coding)
        if key not in feeds:
            window = max(2, min(WINDOW_FRAMES, WINDOW_BYTES // (size_wh[0] * size_wh[1] * 3)))
            grid = None if request.fps is None else _Grid.entered(clock.period_s(request.fps), entered_s)
            feeds[key] = _Feed([], grid, size_wh, request.pixels, request.coding, window)
        feeds[key].names.append(request.name)
    return list(feeds.values())
