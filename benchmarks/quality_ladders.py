"""Does quality fall at every step of blur, noise, enlargement and compression?

    python benchmarks/quality_ladders.py CLIPS_FOLDER --seed 1 [--clips 20]

Takes a short excerpt of each clip at a random place, builds the ladders on its luma, and prints per ladder the share of
steps at which the logit of `quality` falls, from the untouched excerpt on. `re` ladders are encoded again at crf 10.
"""

from __future__ import annotations

import argparse
import io
import itertools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from curation.planes import frame_luma
from curation.scorers.technical import Technical
from schemas.frames import LumaBatch
from schemas.scores import FrameFacts

Clip = NDArray[np.uint8]
FRAMES, MEASURED = 12, 4
INTERPOLATIONS = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}


def excerpt(path: Path, rng: np.random.Generator) -> Clip:
    """(T, H, W) luma of consecutive frames from a random place, at even size."""
    with av.open(str(path)) as container:
        count = sum(packet.size > 0 for packet in container.demux(video=0))
    first, frames = int(rng.integers(0, max(1, count - FRAMES))), []
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index >= first:
                frames.append(frame_luma(frame, (frame.width, frame.height), 0))
            if len(frames) == FRAMES:
                break
    clip = np.stack(frames)
    return clip[:, : clip.shape[1] // 2 * 2, : clip.shape[2] // 2 * 2]


def encoded(clip_THW: Clip, crf: int) -> Clip:
    """The clip through x264 and back."""
    data = io.BytesIO()
    with av.open(data, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = clip_THW.shape[2], clip_THW.shape[1], "yuvj420p"
        stream.options = {"crf": str(crf), "preset": "veryfast"}
        for luma_HW in clip_THW:
            grey = np.full((luma_HW.shape[0] // 2, luma_HW.shape[1]), 128, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(np.concatenate([luma_HW, grey]), format="yuvj420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    data.seek(0)
    with av.open(data) as container:
        return np.stack([frame_luma(f, (f.width, f.height), 0) for f in container.decode(video=0)])


def ladders(clip_THW: Clip, rng: np.random.Generator) -> Iterator[tuple[str, list[Clip]]]:
    """Name and steps, mildest first."""
    yield "blur", [np.stack([cv2.GaussianBlur(f, (0, 0), s) for f in clip_THW]) for s in (0.5, 1, 2, 4)]
    noise = [np.clip(np.rint(clip_THW + rng.normal(0, s, clip_THW.shape)), 0, 255) for s in (2, 5, 10, 20, 40)]
    yield "noise", [step.astype(np.uint8) for step in noise]
    yield "noise re", [encoded(step.astype(np.uint8), 18) for step in noise]
    for name, how in INTERPOLATIONS.items():
        yield f"enlarged {name}", [enlarged(clip_THW, factor, how) for factor in (1.25, 1.5, 2, 3, 4)]
    compressed = [encoded(clip_THW, crf) for crf in (18, 24, 30, 36, 42, 48)]
    yield "x264", compressed
    yield "x264 re", [encoded(step, 10) for step in compressed]
    jpegs = [np.stack([jpeg(f, q) for f in clip_THW]) for q in (90, 70, 50, 30, 15, 8)]
    yield "jpeg", jpegs
    yield "jpeg re", [encoded(step, 10) for step in jpegs]


def enlarged(clip_THW: Clip, factor: float, how: int) -> Clip:
    height, width = clip_THW.shape[1:]
    small_wh = (round(width / factor), round(height / factor))
    small = [cv2.resize(frame, small_wh, interpolation=cv2.INTER_AREA) for frame in clip_THW]
    return np.stack([cv2.resize(frame, (width, height), interpolation=how) for frame in small])


def jpeg(luma_HW: Clip, quality: int) -> Clip:
    data = cv2.imencode(".jpg", luma_HW, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))


def logit(clip_THW: Clip) -> float:
    """Logarithm of the odds of `quality` over a few frames: it does not run out of digits near 0 and 1."""
    chosen = np.unique(np.linspace(0, len(clip_THW) - 1, MEASURED).astype(int))
    facts = Technical().open().measure(LumaBatch(clip_THW[chosen], np.arange(len(chosen), dtype=np.float64)))
    scores = Technical().reduce(FrameFacts(np.arange(len(chosen), dtype=np.float64), float(len(chosen)), facts))
    quality = float(scores["quality"] or 0.0)
    return float(np.log(quality + 1e-300) - np.log1p(-quality))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clips", type=int, default=20)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(args.seed)
    paths = sorted(p for p in args.folder.iterdir() if p.suffix in {".mp4", ".avi", ".mkv", ".webm", ".mov"})
    paths = [p for p in paths if not p.name.startswith(("bad_", "odd_"))]
    fell: dict[str, list[bool]] = defaultdict(list)
    for index in sorted(rng.permutation(len(paths))[: args.clips]):
        clip_THW = excerpt(paths[index], rng)
        untouched = logit(clip_THW)
        for name, steps in ladders(clip_THW, rng):
            values = [untouched, *(logit(step) for step in steps)]
            fell[name] += [after < before for before, after in itertools.pairwise(values)]
    for name, falls in fell.items():
        print(f"{name:18} {np.mean(falls):.3f} of {len(falls)}")
    print(f"{'overall':18} {np.mean([fall for falls in fell.values() for fall in falls]):.3f}")


if __name__ == "__main__":
    main()
