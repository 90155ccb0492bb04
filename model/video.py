"""Read clips from memory, write clips and pictures; PyAV only.

Axis legend: T frames, H W pixels, C colour channels; rgb is uint8, pts_s are presentation times in seconds.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from schemas.errors import DataError, DecodeError

RgbHWC = NDArray[np.uint8]
RgbTHWC = NDArray[np.uint8]
TIME_BASE = Fraction(1, 90_000)
"""The 90 kHz clock of MPEG systems: exact enough for any frame rate."""


def iterate_mp4(data: bytes, where: str) -> Iterator[tuple[RgbHWC, float]]:
    """Frames of a video in memory with their presentation times; the first shown frame is at its own pts, not at 0.

    Raises: DecodeError naming `where` when the bytes are no video or hold no decodable frame.
    """
    frames = 0
    # One converter for all frames: made anew for each, as frame.to_ndarray does, it costs more than the decoding.
    # One thread: starting more takes longer than converting such small pictures.
    converter = VideoReformatter()
    try:
        with av.open(io.BytesIO(data)) as container:
            if not container.streams.video:
                raise DecodeError(f"{where}: the mp4 has no video stream; annotate the dataset again")
            for frame in container.decode(container.streams.video[0]):
                time_s = frame.time if frame.time is not None else float(frames)
                rgb_HWC = converter.reformat(frame, format="rgb24", threads=1).to_ndarray()
                yield np.asarray(rgb_HWC, np.uint8), float(time_s)
                frames += 1
    except FFmpegError as error:
        raise DecodeError(f"{where}: the mp4 cannot be decoded after {frames} frames ({error})") from error
    if frames == 0:
        raise DecodeError(f"{where}: the mp4 holds no frame; annotate the dataset again")


def write_mp4(path: Path, rgb_THWC: RgbTHWC, pts_s_T: NDArray[np.float64], crf: int = 18) -> None:
    """Write H.264 (yuv420p) with one video frame per input frame at its own time; odd sizes lose a row or column.

    The file appears under its name only when complete.
    Raises: DataError when there is no frame or the times do not increase.
    """
    if len(rgb_THWC) == 0 or len(rgb_THWC) != len(pts_s_T):
        raise DataError(f"{path}: {len(rgb_THWC)} frames with {len(pts_s_T)} times; nothing to write")
    if np.any(np.diff(pts_s_T) <= 0):
        raise DataError(f"{path}: frame times must increase")
    height, width = (int(side) // 2 * 2 for side in rgb_THWC.shape[1:3])
    typical_s = float(np.median(np.diff(pts_s_T))) if len(pts_s_T) > 1 else 1 / 25
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with av.open(str(part), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(1 / typical_s).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        stream.time_base = TIME_BASE
        stream.options = {"crf": str(crf), "preset": "veryfast"}
        for rgb_HWC, time_s in zip(rgb_THWC, pts_s_T, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb_HWC[:height, :width]), format="rgb24")
            frame.pts, frame.time_base = round((time_s - pts_s_T[0]) / TIME_BASE), TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    part.replace(path)


def png_bytes(rgb_HWC: RgbHWC) -> bytes:
    """A PNG picture, losslessly."""
    context = av.CodecContext.create("png", "w")
    context.height, context.width = rgb_HWC.shape[:2]
    context.pix_fmt, context.time_base = "rgb24", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb_HWC), format="rgb24")
    packets = context.encode(frame) + context.encode(None)
    return b"".join(bytes(packet) for packet in packets)
