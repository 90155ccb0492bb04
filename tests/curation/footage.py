"""Footage with known answers: textures, shots, pans, uneven clocks, damaged and odd files."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from builders import write_video
from numpy.typing import NDArray

from curation.cuts import CutRules, cut_clips
from curation.measure import measure_video
from curation.probe import probe
from curation.scorers.base import FrameScorer
from schemas.clip import ClipSpan, VideoRecord
from schemas.scores import Fact, FrameFacts

TIME_BASE = Fraction(1, 1000)


def texture(seed: int = 0, size_hw: tuple[int, int] = (144, 192), grain_px: float = 2.0) -> NDArray[np.uint8]:
    """(H, W) uint8: smoothed noise of mean 120 and deviation 40; unlike seeds give unlike pictures."""
    noise_HW = np.random.default_rng(seed).normal(0, 1, size_hw).astype(np.float32)
    smooth_HW = cv2.GaussianBlur(noise_HW, (0, 0), grain_px)
    return np.clip((smooth_HW - smooth_HW.mean()) / smooth_HW.std() * 40 + 120, 0, 255).astype(np.uint8)


def coloured(luma_HW: NDArray[np.uint8], hue: int) -> NDArray[np.uint8]:
    """(H, W, 3): the picture as brightness of one colour (OpenCV hue, 0-179)."""
    hsv_HWC = np.stack([np.full_like(luma_HW, hue), np.full_like(luma_HW, 160), luma_HW], axis=-1)
    return np.asarray(cv2.cvtColor(hsv_HWC, cv2.COLOR_HSV2RGB), dtype=np.uint8)


def shots(lengths: Sequence[int], size_hw: tuple[int, int] = (96, 128), pan_px: int = 1) -> NDArray[np.uint8]:
    """(T, H, W, 3): shots of these many frames, each a slow pan over a picture of its own colour."""
    height, width = size_hw
    frames = []
    for seed, length in enumerate(lengths):
        wide_HW = texture(seed, (height, width + pan_px * length))
        hue = (seed * 67) % 180
        frames += [coloured(wide_HW[:, pan_px * t : pan_px * t + width], hue) for t in range(length)]
    return np.stack(frames)


def numbered(frames: int, size_hw: tuple[int, int] = (32, 48)) -> NDArray[np.uint8]:
    """(T, H, W, 3): every frame is one grey level that grows by 2, so that a frame can be told by its mean."""
    levels_T = 16 + 2 * np.arange(frames, dtype=np.uint8)
    return np.broadcast_to(levels_T[:, None, None, None], (frames, *size_hw, 3)).copy()


def write_timed(path: Path, rgb_THWC: NDArray[np.uint8], pts_ms_T: Sequence[int]) -> Path:
    """A Matroska file whose frames are shown at exactly these milliseconds. Returns: path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = rgb_THWC.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = TIME_BASE
        stream.options = {"crf": "18", "preset": "ultrafast"}
        for rgb_HWC, pts_ms in zip(rgb_THWC, pts_ms_T, strict=True):
            frame = av.VideoFrame.from_ndarray(rgb_HWC, format="rgb24")
            frame.pts, frame.time_base = pts_ms, TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def long_gop_video(path: Path, rgb_THWC: NDArray[np.uint8], keyframe_every: int) -> Path:
    """25 frames a second that depend on later ones, in open groups: the hardest file to enter midway. Returns: path."""
    params = f"keyint={keyframe_every}:min-keyint={keyframe_every}:open-gop=1:bframes=3:scenecut=0"
    return write_video(path, rgb_THWC, 25, options={"crf": "12", "preset": "fast", "x264-params": params})


def truncated(path: Path, keep_share: float) -> Path:
    """A streamable mp4 of 100 noisy frames (header in front), cut off after this share of its bytes. Returns: path."""
    rng = np.random.default_rng(0)
    rgb_THWC = rng.integers(0, 255, (100, 64, 96, 3), dtype=np.uint8)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.options = {"crf": "28", "preset": "ultrafast", "g": "10"}
        for rgb_HWC in rgb_THWC:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb_HWC, format="rgb24")))
        container.mux(stream.encode())
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep_share)])
    return path


def audio_only(path: Path) -> Path:
    """Half a second of silence as AAC in mp4. Returns: path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        for start in range(0, 8192, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def rotate_by_header(path: Path) -> Path:
    """Changes an mp4's display matrix to a quarter turn clockwise, as a phone held upright writes it. Returns: path."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    values = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    data[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    path.write_bytes(bytes(data))
    return path


def video_record(path: Path, size_wh: tuple[int, int] = (128, 96), style: str | None = None) -> VideoRecord:
    """What a run would note about the file; only size and style matter to scores."""
    return VideoRecord(
        video_id="video", uri=str(path), size_bytes=1, codec="h264", pixel_format="yuv420p",
        width_px=size_wh[0], height_px=size_wh[1], fps=25.0, duration_s=1.0, rotation_deg=0, frames=25,
        status="ok", status_message=None, licence=None, consent=None, source=None, style=style,
    )  # fmt: skip


def measured(
    path: Path, scorers: Sequence[FrameScorer], rules: CutRules | None = None
) -> tuple[FrameFacts, list[ClipSpan]]:
    """Facts and clips of a file; scorers must include the one of cut strength."""
    facts, _ = measure_video(path, probe(path).rotation_deg, scorers)
    return facts, cut_clips("video", str(path), facts, rules or CutRules())


def whole(facts: FrameFacts, scorer: FrameScorer) -> dict[str, float]:
    """Clip scores over everything that was measured, as numbers."""
    return {name: value for name, value in scorer.reduce(facts).items() if isinstance(value, float)}


def clip_of(change_T: Sequence[float], fps: float = 25.0) -> FrameFacts:
    """Facts of a clip whose only fact is a content change per frame."""
    pts_s_T = np.arange(len(change_T)) / fps
    return FrameFacts(pts_s_T, len(change_T) / fps, {"content_change": Fact.full(np.asarray(change_T, np.float32))})
