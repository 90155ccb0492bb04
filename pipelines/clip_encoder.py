"""Writes a clip's frames as H.264 in MP4: native size and times, the same bytes on every run."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import cv2

from curation.container import square_size_wh
from curation.planes import frame_rgb
from pipelines.recipe_models import VideoEncoding
from schemas.errors import DecodeError

# MPEG's clock: fine enough for every frame rate in use, so variable rates keep their times.
_TICKS_PER_S = 90_000
# CV_CPU_AVX512_SKX of opencv2/core/cvdef.h, which has no name in Python: the subsets that x264 asks for as "AVX512".
_AVX512_SKX = 256


def _same_bytes_everywhere() -> dict[str, str]:
    """Options that keep libx264 to code whose result depends on the pictures alone.

    The AVX-512 code of its macroblock tree reads memory that it never wrote (found with MALLOC_PERTURB_=1): on a busy
    machine one clip in a hundred came out different. The AVX2 code gives the bytes that AVX-512 gives when it is right.
    Asked for by name, x264 trusts the caller that the processor has it, hence the question.
    """
    return {"x264-params": "asm=avx2"} if cv2.checkHardwareSupport(_AVX512_SKX) else {}


class ClipEncoder:
    """Takes decoded frames with their clip time; `finish` gives the MP4.

    Pixels that are not square in the file are written square.
    4:2:0 chroma needs even sides: an odd last row or column is cropped off, so that pixel positions stay as they are.
    """

    def __init__(self, encoding: VideoEncoding, fps: float, rotation_deg: int, pixel_aspect: float = 1.0) -> None:
        self._encoding, self._rotation_deg, self._aspect = encoding, rotation_deg, pixel_aspect
        self._rate = Fraction(fps or 25.0).limit_denominator(1001)
        self._buffer = io.BytesIO()
        # bitexact leaves the library's version and the date out of the file
        self._container = av.open(self._buffer, "w", format="mp4", options={"fflags": "+bitexact"})
        self._stream: av.video.stream.VideoStream | None = None
        self.frames = 0
        self.width_px = 0
        self.height_px = 0

    def add(self, pts_s: float, frame: av.VideoFrame) -> None:
        """Encodes one frame; times must increase. Raises: DecodeError for a frame that H.264 or MP4 cannot hold."""
        size_wh = square_size_wh(frame.width, frame.height, self._aspect)
        if self._rotation_deg or size_wh != (frame.width, frame.height) or frame.width % 2 or frame.height % 2:
            rgb = frame_rgb(frame, size_wh, self._rotation_deg)
            rgb = rgb[: rgb.shape[0] // 2 * 2, : rgb.shape[1] // 2 * 2]
            frame = av.VideoFrame.from_ndarray(rgb.copy(), format="rgb24")
        picture = frame.reformat(format="yuv420p")
        if self._stream is None:
            self._open(picture.width, picture.height)
        assert self._stream is not None
        picture.pts = round(pts_s * _TICKS_PER_S)
        picture.time_base = Fraction(1, _TICKS_PER_S)
        picture.pict_type = av.video.frame.PictureType.NONE
        try:
            self._container.mux(self._stream.encode(picture))
        except av.FFmpegError as error:
            raise DecodeError(f"the frame at {pts_s:.6f} s cannot be encoded: {error}") from error
        self.frames += 1

    def finish(self) -> bytes:
        """The MP4's bytes; empty when no frame came."""
        try:
            if self._stream is not None:
                self._container.mux(self._stream.encode(None))
            self._container.close()
        except av.FFmpegError as error:
            raise DecodeError(f"the clip cannot be encoded: {error}") from error
        return self._buffer.getvalue() if self.frames else b""

    def _open(self, width_px: int, height_px: int) -> None:
        stream = self._container.add_stream("libx264", rate=self._rate)
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS_PER_S)
        # One thread: x264's output depends on how many it has, and clips run beside each other anyway.
        stream.codec_context.thread_count = 1
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        stream.options = {"crf": str(self._encoding.crf), "preset": self._encoding.preset, **_same_bytes_everywhere()}
        self._stream, self.width_px, self.height_px = stream, width_px, height_px
