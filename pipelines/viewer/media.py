"""Pictures and videos of samples, read out of their shards in parts: a shard is never read as a whole."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import av

from curation.container import open_video, video_stream
from curation.planes import frame_rgb
from pipelines.report_pictures import frame_at, jpeg_bytes
from schemas.errors import DataError
from schemas.index import SampleEntry
from schemas.ranges import FilePart
from schemas.shard import find_member
from schemas.storage import Location, opened

THUMBNAIL_PX = 320
_CACHE_BYTES = 64 << 20
_AT_ONCE = 2


def open_member(dataset: Location, entry: SampleEntry, suffix: str) -> tuple[io.BufferedReader, int]:
    """One member as a file, and its bytes. Raises: CorruptShard, OSError."""
    path, offset, size_bytes = find_member(dataset, entry, suffix)
    return io.BufferedReader(FilePart(opened(path), offset, size_bytes)), size_bytes


def sample_thumbnail(dataset: Location, entry: SampleEntry) -> bytes | None:
    """The keyframe before the middle of the clip as a JPEG; None when it cannot be read.

    A keyframe, because a page of sixty has to come at once.
    """
    try:
        file, _ = open_member(dataset, entry, "mp4")
        with file, open_video(file) as container:
            stream = video_stream(container)
            stream.codec_context.skip_frame = "NONKEY"
            start = stream.start_time or 0
            container.seek(start + int(entry.duration_s / 2 / stream.time_base), stream=stream)
            frame = next(container.decode(stream))
            return jpeg_bytes(frame_rgb(frame, _within(frame.width, frame.height), 0), THUMBNAIL_PX)
    except (DataError, av.FFmpegError, OSError, StopIteration, ValueError):
        return None


def source_thumbnail(uri: str, time_s: float) -> bytes | None:
    """The frame that a source file of this machine shows at time_s as a JPEG; None when the file is not there."""
    rgb_HWC = frame_at(Path(uri), time_s)
    return None if rgb_HWC is None else jpeg_bytes(rgb_HWC, THUMBNAIL_PX)


def _within(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, THUMBNAIL_PX / max(width, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


class PictureCache:
    """Thumbnails that were asked for lately, in bounded memory; a few are decoded at a time.

    One that could not be made is tried again when it is asked for: what it lacked may have come back.
    """

    def __init__(self, max_bytes: int = _CACHE_BYTES) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock, self._decoding = threading.Lock(), threading.Semaphore(_AT_ONCE)

    def picture(self, name: str, make: Callable[[], bytes | None]) -> bytes | None:
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        with self._decoding:
            made = make()
        if made is None:
            return None
        with self._lock:
            if name not in self._kept:
                self._kept[name] = made
                self._bytes += len(made)
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return made
