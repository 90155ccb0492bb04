"""Does quality fall at every step of blur, noise, enlargement and compression, and does it tell clean from ruined?

    python benchmarks/quality_ladders.py CLIPS_FOLDER --seed 1 [--clips 20] [--half even|odd]

Takes 12 frames of each clip at a random place and cuts 480 px (short side) out of their middle, adds two generated
scenes, builds the ladders on luma, and prints per ladder the share of steps at which `quality` falls, from the
untouched excerpt on. `re` ladders are encoded again, at crf 18 after noise, else at crf 10. What was encoded has the
quantiser of its encoding, all else that of the file it came from: a fine copy of a coarse file gains by it. Then:
quality of untouched excerpts and of ruins (the last step of each ladder, and noise of 20), and how often an excerpt
lies above a ruin (AUC).
--half takes every second clip of the sorted folder: constants were chosen on the odd ones, the even are the check.
"""

from __future__ import annotations

import argparse
import io
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from curation.coding import coding_step, export_coding
from curation.ops.bars import is_black
from curation.planes import FramePlanes
from curation.scorers.technical import Technical
from schemas.frames import LumaBatch
from schemas.scores import Fact, FrameFacts

Luma = NDArray[np.uint8]
FRAMES, SHORT_SIDE_PX, LONG_SIDE_PX = 12, 480, 640
INTERPOLATIONS = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}


@dataclass(frozen=True)
class Clip:
    """Luma of some frames, and the quantiser step that each was coded with (curation/coding.py) where it is known."""

    luma_THW: Luma
    coding_step_T: tuple[float | None, ...]

    def with_luma(self, luma_THW: NDArray[Any]) -> Clip:
        """Other pixels that say the same of their coding: what no encoder has touched is judged by its pixels alone."""
        return Clip(np.clip(np.rint(luma_THW), 0, 255).astype(np.uint8), self.coding_step_T)

    def each(self, change: Callable[[Luma], Luma]) -> Clip:
        return self.with_luma(np.stack([change(luma_HW) for luma_HW in self.luma_THW]))


def decoded(source: Path | io.BytesIO, first: int = 0) -> Clip:
    """FRAMES frames from the first one on, or as many as there are."""
    with av.open(source) as container:
        export_coding(container.streams.video[0])
        frames = list(itertools.islice(container.decode(video=0), first, first + FRAMES))
        pictures = [FramePlanes(frame).luma((frame.width, frame.height), 0) for frame in frames]
        return Clip(np.asarray(pictures, dtype=np.uint8), tuple(coding_step(frame) for frame in frames))


def excerpt(path: Path, rng: np.random.Generator) -> Clip | None:
    """Consecutive frames from a random place, the middle of the picture, at even size.

    None where five places show nothing: a black picture has no worse copy.
    """
    with av.open(str(path)) as container:
        count = sum(packet.size > 0 for packet in container.demux(video=0))
    for _ in range(5):
        clip = decoded(path, int(rng.integers(0, max(1, count - FRAMES + 1))))
        shown = [luma_HW.std() > 8 and not is_black(middle(luma_HW)) for luma_HW in clip.luma_THW]
        if shown and all(shown):
            return clip.each(middle)
    return None


def middle(luma_HW: Luma) -> Luma:
    """The middle of the picture, at most 480 by 640 pixels, cut on multiples of 16 so that coding blocks stay put."""
    height, width = luma_HW.shape
    most_hw = (SHORT_SIDE_PX, LONG_SIDE_PX) if width >= height else (LONG_SIDE_PX, SHORT_SIDE_PX)
    rows, columns = min(height, most_hw[0]) // 2 * 2, min(width, most_hw[1]) // 2 * 2
    top, left = (height - rows) // 2 // 16 * 16, (width - columns) // 2 // 16 * 16
    return luma_HW[top : top + rows, left : left + columns]


def scene(octaves_px: tuple[float, ...], discs: int, rng: np.random.Generator) -> Clip:
    """A panned picture of noise in several octaves, with discs on it."""
    wide_HW = np.zeros((360, 640 + 2 * FRAMES), dtype=np.float32)
    for sigma_px in octaves_px:
        grain_HW = rng.normal(0, 1, wide_HW.shape).astype(np.float32)
        grain_HW = cv2.GaussianBlur(grain_HW, (0, 0), sigma_px)
        wide_HW += grain_HW / grain_HW.std() * np.sqrt(sigma_px)
    wide_HW = wide_HW / wide_HW.std() * 35 + 125
    for _ in range(discs):
        x, y, radius = (int(rng.integers(*span)) for span in ((0, wide_HW.shape[1]), (0, 360), (8, 50)))
        cv2.circle(wide_HW, (x, y), radius, float(rng.uniform(30, 220)), -1)
    picture_HW = np.clip(np.rint(wide_HW), 0, 255).astype(np.uint8)
    luma_THW = np.stack([picture_HW[:, 2 * t : 2 * t + 640] for t in range(FRAMES)])
    return Clip(luma_THW, (None,) * FRAMES)


def encoded(clip: Clip, crf: int) -> Clip:
    """The clip through x264 and back."""
    data = io.BytesIO()
    with av.open(data, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = clip.luma_THW.shape[2], clip.luma_THW.shape[1], "yuvj420p"
        stream.options = {"crf": str(crf), "preset": "veryfast"}
        for luma_HW in clip.luma_THW:
            grey = np.full((luma_HW.shape[0] // 2, luma_HW.shape[1]), 128, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(np.concatenate([luma_HW, grey]), format="yuvj420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    data.seek(0)
    return decoded(data)


def ladders(clip: Clip, rng: np.random.Generator) -> Iterator[tuple[str, list[Clip]]]:
    """Name and steps, mildest first."""
    yield "blur", [clip.each(partial(cv2.GaussianBlur, ksize=(0, 0), sigmaX=sigma)) for sigma in (0.5, 1, 2, 4)]
    shape = clip.luma_THW.shape
    noise = [clip.with_luma(clip.luma_THW + rng.normal(0, sigma, shape)) for sigma in (2, 5, 10, 20, 40)]
    yield "noise", noise
    yield "noise re", [encoded(step, 18) for step in noise]
    for name, how in INTERPOLATIONS.items():
        yield f"enlarged {name}", [clip.each(partial(enlarged, factor=f, how=how)) for f in (1.25, 1.5, 2, 3, 4)]
    compressed = [encoded(clip, crf) for crf in (18, 24, 30, 36, 42, 48)]
    yield "x264", compressed
    yield "x264 re", [encoded(step, 10) for step in compressed]
    jpegs = [clip.each(partial(jpeg, quality=q)) for q in (90, 70, 50, 30, 15, 8)]
    yield "jpeg", jpegs
    yield "jpeg re", [encoded(step, 10) for step in jpegs]


def enlarged(luma_HW: Luma, factor: float, how: int) -> Luma:
    height, width = luma_HW.shape
    small_wh = (round(width / factor), round(height / factor))
    small_HW = cv2.resize(luma_HW, small_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small_HW, (width, height), interpolation=how))


def jpeg(luma_HW: Luma, quality: int) -> Luma:
    data = cv2.imencode(".jpg", luma_HW, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))


def quality(clip: Clip) -> float:
    """`quality` of a clip whose every frame is measured."""
    pts_s_T = np.arange(len(clip.luma_THW), dtype=np.float64)
    batch = LumaBatch(clip.luma_THW, pts_s_T, coding_step=Fact.of(clip.coding_step_T))
    facts = Technical().open().measure(batch)
    return float(Technical().reduce(FrameFacts(pts_s_T, float(len(pts_s_T)), facts))["quality"] or 0.0)


def sources(folder: Path, half: str | None, clips: int, rng: np.random.Generator) -> Iterator[tuple[str, Clip]]:
    """Name and excerpt of the chosen clips, then of two generated scenes."""
    paths = sorted(p for p in folder.iterdir() if p.suffix in {".mp4", ".avi", ".mkv", ".webm", ".mov"})
    paths = [p for p in paths if not p.name.startswith(("bad_", "odd_"))]
    if half is not None:
        paths = paths[half == "odd" :: 2]
    for index in sorted(rng.permutation(len(paths))[:clips]):
        clip = excerpt(paths[index], rng)
        if clip is not None:
            yield paths[index].stem, clip
    yield "generated texture", scene((0.5, 1, 2, 4, 8), 0, rng)
    yield "generated discs", scene((1, 3, 9), 25, rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--half", choices=("even", "odd"))
    parser.add_argument("--failures", action="store_true", help="print every step at which quality does not fall")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(args.seed)
    fell: dict[str, list[bool]] = defaultdict(list)
    untouched, ruined = [], []
    for source, clip in sources(args.folder, args.half, args.clips, rng):
        untouched.append(quality(clip))
        for name, steps in ladders(clip, rng):
            values = [untouched[-1], *(quality(step) for step in steps)]
            falls = [after < before for before, after in itertools.pairwise(values)]
            fell[name] += falls
            ruined += values[-2:] if name.startswith("noise") else values[-1:]
            if args.failures and not all(falls):
                print(f"{source}, {name}: {' '.join(f'{value:.4f}' for value in values)}")
    for name, all_falls in fell.items():
        print(f"{name:18} {np.mean(all_falls):.3f} of {len(all_falls)}")
    print(f"{'overall':18} {np.mean([fall for falls in fell.values() for fall in falls]):.3f}")
    for name, values in (("untouched", untouched), ("ruined", ruined)):
        low, half_way, high = np.percentile(values, (10, 50, 90))
        print(f"{name:18} 10 % under {low:.2f}, half under {half_way:.2f}, 90 % under {high:.2f} (of {len(values)})")
    print(f"{'AUC':18} {np.mean([clean > ruin for clean in untouched for ruin in ruined]):.3f}")


if __name__ == "__main__":
    main()
