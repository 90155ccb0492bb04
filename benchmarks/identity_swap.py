"""Does `subject_consistency` tell one person throughout from a dissolve into another? Answers known by construction.

    python benchmarks/identity_swap.py FOLDER FILE... [--seed N] [--pairs N]

Each FILE of FOLDER shows one person (or one dominant person). Same: the first half of a clip, a dissolve, and its
second half, under other light in half of the cases. Swapped: the first half of one clip, a dissolve, and the second
half of another. Everything is encoded and measured as a file, whole, whatever the cuts say. It prints the area under
the ROC curve, and what the values came from: an open_clip model has a say where the weights folder has one.
"""

from __future__ import annotations

import argparse
import tempfile
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from builders import write_video
from numpy.typing import NDArray

from curation.decode import decode_for
from curation.measure import measure_video
from curation.scorers.base import ClipValue
from curation.scorers.subject import Subject
from schemas.frames import FrameRequest

SIZE_WH = (384, 288)
FPS = 12
DISSOLVE_S = 0.5
Frames = NDArray[np.uint8]


def frames_of(path: Path, seconds: float = 6.0) -> Frames:
    """(T, H, W, 3) at FPS, whole picture within SIZE_WH on black: people keep their proportions."""
    parts: list[Frames] = []
    decode_for(path, [FrameRequest("f", float(FPS), 288)], lambda _, b: parts.append(b.rgb_THWC), 0, 0.0, seconds)
    return np.stack([_fitted(rgb_HWC) for part in parts for rgb_HWC in part])


def _fitted(rgb_HWC: Frames) -> Frames:
    height, width = rgb_HWC.shape[:2]
    scale = min(SIZE_WH[0] / width, SIZE_WH[1] / height)
    small = cv2.resize(rgb_HWC, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    canvas = np.zeros((SIZE_WH[1], SIZE_WH[0], 3), dtype=np.uint8)
    top, left = (SIZE_WH[1] - small.shape[0]) // 2, (SIZE_WH[0] - small.shape[1]) // 2
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def dissolved(first: Frames, second: Frames) -> Frames:
    """First, a dissolve of DISSOLVE_S, second."""
    steps = round(DISSOLVE_S * FPS)
    share = ((np.arange(steps) + 0.5) / steps)[:, None, None, None]
    blend = (1 - share) * first[-steps:] + share * second[:steps]
    return np.concatenate([first[:-steps], np.rint(blend).astype(np.uint8), second[steps:]])


def relit(frames: Frames, rng: np.random.Generator) -> Frames:
    """Another exposure and a slight tint."""
    gain = rng.uniform(0.75, 1.2) * (1 + rng.uniform(-0.06, 0.06, 3))
    return np.clip(frames * gain, 0, 255).astype(np.uint8)


def area_under_curve(same: list[float], swapped: list[float]) -> float:
    one, other = np.array(same)[:, None], np.array(swapped)[None]
    return float(np.mean((one > other) + 0.5 * (one == other)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pairs", type=int, default=30)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(args.seed)
    clips = {name: frames_of(args.folder / name) for name in args.files}
    scorer = Subject()

    bases: set[ClipValue] = set()

    def measured(frames: Frames, folder: Path) -> float | None:
        path = write_video(folder / "v.mp4", frames, Fraction(FPS), options={"crf": "20", "preset": "veryfast"})
        scores = scorer.reduce(measure_video(path, 0, [scorer])[0])
        value = scores["subject_consistency"]
        bases.add(scores["subject_consistency_basis"])
        return value if isinstance(value, float) else None

    same: list[float] = []
    swapped: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        for position, frames in enumerate(clips.values()):
            half = len(frames) // 2
            second = frames[half:] if position % 2 else relit(frames[half:], rng)
            value = measured(dissolved(frames[:half], second), Path(scratch))
            same += [] if value is None else [value]
        names = list(clips)
        for _ in range(args.pairs):
            a, b = rng.choice(len(names), 2, replace=False)
            first, second = clips[names[a]], clips[names[b]]
            value = measured(dissolved(first[: len(first) // 2], second[len(second) // 2 :]), Path(scratch))
            swapped += [] if value is None else [value]
    print(f"same person: {len(same)}, lowest {min(same):.3f}, median {np.median(same):.3f}")
    print(f"swapped:     {len(swapped)}, highest {max(swapped):.3f}, median {np.median(swapped):.3f}")
    print(f"AUC {area_under_curve(same, swapped):.4f}, from {' | '.join(sorted(str(basis) for basis in bases))}")


if __name__ == "__main__":
    main()
