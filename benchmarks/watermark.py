"""The watermark: found after what a video goes through, false alarms on unmarked ones, distortion, and cost.

    PYTHONPATH=.:tests python benchmarks/watermark.py WHAT FOLDER [--keys 3] [--only 64x8,512x24] [--json FILE]

WHAT    marks    PSNR; share found and read after encoding (crf 18, 23, 28), after resizing by 0.75, after both, and
                 after changes that nothing is promised for; at several sizes and lengths, under several keys
        alarms   unmarked videos: windows of FOLDER's clips and made ones, encoded or not, and videos marked with
                 another key; then the statistics of the same videos under random keys, for the tail
        cost     CPU ms per frame of embedding and of detecting, median of repetitions; set OMP_NUM_THREADS=1

Windows are square, cut from the middle of each clip of FOLDER that has enough frames, and resized.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from model.data.framing import choose_square, crop_resized
from model.video import iterate_mp4, write_mp4
from model.watermark import (
    FALSE_ALARMS,
    LAYOUTS,
    PUBLIC_KEY,
    _carriers,
    _mean_luma,
    _measure,
    _present,
    _z,
    detect,
    embed,
)  # fmt: skip

Rgb = NDArray[np.uint8]
FPS = 25.0
MARKED = ((64, 8), (64, 24), (96, 8), (112, 8), (128, 8), (128, 24), (256, 24), (512, 24), (512, 100))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("marks", "alarms", "cost"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keys", type=int, default=3)
    parser.add_argument("--only", help="sizes and lengths for marks, as 64x8,512x24")
    parser.add_argument(
        "--tail-keys", type=int, default=400, help="random keys per video for the tail; 0 leaves it out"
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    keys = [PUBLIC_KEY, *(hashlib.sha256(f"benchmark {i}".encode()).digest() for i in range(1, args.keys))]
    wanted = MARKED
    if args.only:
        wanted = tuple((int(size), int(length)) for size, length in (part.split("x") for part in args.only.split(",")))
    work = {
        "marks": lambda: marks(args.folder, keys, wanted),
        "alarms": lambda: alarms(args.folder, keys, args.tail_keys),
    }
    result = work.get(args.what, lambda: cost(args.folder, keys))()
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def clips(folder: Path, frames: int, skip: int = 5, every: int = 1) -> Iterator[tuple[str, list[Rgb]]]:
    """Consecutive frames of each readable clip that has as many."""
    for path in sorted(folder.iterdir())[::every]:
        if path.suffix not in (".mp4", ".avi", ".mov", ".webm") or path.name.startswith("bad_"):
            continue
        taken: list[Rgb] = []
        try:
            with av.open(str(path)) as container:
                for number, frame in enumerate(container.decode(video=0)):
                    if number >= skip:
                        taken.append(frame.to_ndarray(format="rgb24"))
                    if len(taken) == frames:
                        break
        except (av.FFmpegError, IndexError):
            continue
        if len(taken) == frames and min(taken[0].shape[:2]) >= 64:
            yield path.stem, taken


def window(frames: list[Rgb], size_px: int) -> Rgb:
    square = choose_square((frames[0].shape[0], frames[0].shape[1]), None)
    return np.stack([crop_resized(frame, square, size_px) for frame in frames])


def encoded(rgb_THWC: Rgb, crf: int) -> Rgb:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.mp4"
        write_mp4(path, rgb_THWC, np.arange(len(rgb_THWC)) / FPS, crf)
        return np.stack([frame for frame, _ in iterate_mp4(path.read_bytes(), "x")])


def resized(rgb_THWC: Rgb, factor: float) -> Rgb:
    return np.stack([cv2.resize(f, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) for f in rgb_THWC])


def brighter(rgb_THWC: Rgb) -> Rgb:
    return np.clip(rgb_THWC * 1.1 + 5, 0, 255).astype(np.uint8)


def cropped(rgb_THWC: Rgb) -> Rgb:
    edge = max(1, round(0.03 * rgb_THWC.shape[1]))
    return np.ascontiguousarray(rgb_THWC[:, edge:-edge, edge:-edge])


PROMISED: dict[str, Callable[[Rgb], Rgb]] = {
    "untouched": lambda rgb: rgb,
    "crf 18": lambda rgb: encoded(rgb, 18),
    "crf 23": lambda rgb: encoded(rgb, 23),
    "crf 28": lambda rgb: encoded(rgb, 28),
    "x0.75": lambda rgb: resized(rgb, 0.75),
    "x0.75, crf 28": lambda rgb: encoded(resized(rgb, 0.75), 28),
}
BEYOND: dict[str, Callable[[Rgb], Rgb]] = {
    "x0.5, crf 28": lambda rgb: encoded(resized(rgb, 0.5), 28),
    "first half": lambda rgb: rgb[: len(rgb) // 2],
    "contrast x1.1, +5": brighter,
    "3 % cut off each side": cropped,
    "mirrored": lambda rgb: np.ascontiguousarray(rgb[:, :, ::-1]),
}


def marks(folder: Path, keys: list[bytes], wanted: Sequence[tuple[int, int]]) -> dict[str, object]:
    rows: dict[str, object] = {}
    for size_px, frames in wanted:
        every = 1 if size_px < 512 else 4
        psnr_db: list[float] = []
        outcomes: dict[str, list[tuple[bool, bool, bool]]] = defaultdict(list)
        for number, (_, taken) in enumerate(clips(folder, frames, every=every)):
            plain = window(taken, size_px)
            for key in keys:
                payload = (number * 2654435761 + size_px) % 2**32
                marked = embed(plain, key, payload)
                psnr_db.append(psnr(plain, marked))
                for name, change in (PROMISED | BEYOND).items():
                    seen = detect(change(marked), key)
                    wrong = seen.payload is not None and seen.payload != payload
                    outcomes[name].append((seen.found, seen.payload == payload, wrong))
        low, middle = np.quantile(psnr_db, [0.0, 0.5])
        print(f"\n{size_px} px, {frames} frames: {len(psnr_db)} marks, PSNR {middle:.1f} dB (least {low:.1f})")
        shares = {name: np.mean(values, axis=0).round(3).tolist() for name, values in outcomes.items()}
        for name, (found, read, wrong_share) in shares.items():
            print(f"| {name} | {found:.2f} | {read:.2f} | {wrong_share:.3f} |", flush=True)
        rows[f"{size_px}x{frames}"] = {"marks": len(psnr_db), "psnr_db": [low, middle], "found_read_wrong": shares}
    return rows


def psnr(plain: Rgb, marked: Rgb) -> float:
    return 10 * math.log10(255**2 / max(float(np.mean((plain.astype(np.float32) - marked) ** 2)), 1e-9))


def unmarked(folder: Path) -> Iterator[tuple[str, Rgb]]:
    """Windows of real clips at several places, sizes and codings, and made videos."""
    for name, taken in clips(folder, 24):
        for size_px in (48, 64, 96, 128, 192, 256):
            for start in (0, 8, 16):
                plain = window(taken[start : start + 8], size_px)
                yield f"{name} {size_px} {start}", plain
                if start == 0:
                    yield f"{name} {size_px} crf 28", encoded(plain, 28)
    for seed in range(200):
        source = np.random.default_rng(seed)
        size_px = int(source.choice([48, 64, 128, 256]))
        grain = int(source.choice([1, 4, 16]))
        coarse = source.integers(0, 256, (8, size_px // grain, size_px // grain, 3)).astype(np.uint8)
        if seed % 2:
            coarse[:] = coarse[0]
        yield (
            f"made {seed}",
            np.stack([cv2.resize(f, (size_px, size_px), interpolation=cv2.INTER_CUBIC) for f in coarse]),
        )
    for level in range(0, 256, 5):
        yield f"plain {level}", np.full((8, 64, 64, 3), level, np.uint8)


def alarms(folder: Path, keys: list[bytes], tail_keys: int) -> dict[str, object]:
    counts = {"unmarked": [0, 0], "marked with another key": [0, 0]}
    payloads = 0
    statistics: list[float] = []
    lumas: list[NDArray[np.float32]] = []
    for number, (name, plain) in enumerate(unmarked(folder)):
        lumas.append(_mean_luma(plain))
        cases = [("unmarked", plain)]
        if number % 4 == 0:
            cases.append(("marked with another key", embed(plain, b"a key that nobody looks for", number)))
        for what, video in cases:
            for key in keys:
                seen = detect(video, key)
                counts[what][0] += 1
                counts[what][1] += seen.found
                payloads += seen.payload is not None
                if seen.found:
                    print(f"false alarm: {name}, {what}: {seen}")
    for what, (total, wrong) in counts.items():
        print(f"{what}: {wrong} false alarms in {total}, at most {upper_bound(wrong, total):.2e} (95 %, one-sided)")
    print(f"payloads read from videos without that key's mark: {payloads}")
    if not tail_keys:
        return {"counts": counts, "promised": FALSE_ALARMS}
    # The sync statistic alone under many keys: what the normal tail is compared with.
    for number, luma_HW in enumerate(lumas):
        for draw in range(tail_keys):
            key = f"tail {number} {draw}".encode()
            carriers = _present(_carriers.__wrapped__(key, LAYOUTS[0]), (luma_HW.shape[0], luma_HW.shape[1]))
            sync_D = carriers.bit_D < 0
            phase_D = (_measure(luma_HW, carriers) / carriers.step_D - carriers.dither_D)[sync_D]
            statistics.append(_z(float(np.cos(2 * np.pi * phase_D).sum()), int(sync_D.sum())))
    z_N = np.array(statistics)
    print(
        f"sync statistic, {len(z_N)} draws of key and video: mean {z_N.mean():.4f}, standard deviation {z_N.std():.4f}"
    )
    for level in (2.0, 3.0, 3.5, 3.9, 4.5):
        expected = 0.5 * math.erfc(level / math.sqrt(2))
        print(f"| {level} | {(z_N >= level).mean():.2e} | {expected:.2e} | {tail_bound(level, LAYOUTS[0].sync):.2e} |")
    return {"counts": counts, "promised": FALSE_ALARMS, "z_mean": z_N.mean(), "z_std": z_N.std(), "z_max": z_N.max()}


def upper_bound(wrong: int, total: int) -> float:
    """The one-sided 95 % bound of Clopper and Pearson."""
    from scipy.stats import beta

    return float(beta.ppf(0.95, wrong + 1, total - wrong))


def tail_bound(z: float, count: int) -> float:
    """Chernoff's bound on the tail of a sum of cosines of uniform phases; its moments are Bessel functions."""
    from scipy.optimize import minimize_scalar
    from scipy.special import ive

    mean = z / math.sqrt(2.0 * count)
    best = minimize_scalar(lambda s: math.log(ive(0, s)) + s - s * mean, bounds=(0.0, 50.0), method="bounded")
    return math.exp(count * float(best.fun))


def cost(folder: Path, keys: list[bytes]) -> dict[str, object]:
    rows: dict[str, object] = {}
    for size_px, frames in ((64, 8), (64, 100), (128, 24), (256, 24), (256, 100), (512, 24), (512, 100)):
        _, taken = next(clips(folder, frames))
        plain = window(taken, size_px)
        embed_ms, detect_ms = [], []
        for _ in range(9):
            began_cpu_s = time.process_time()
            marked = embed(plain, keys[0], 1)
            embed_ms.append((time.process_time() - began_cpu_s) * 1e3 / frames)
            began_cpu_s = time.process_time()
            detect(marked, keys[0])
            detect_ms.append((time.process_time() - began_cpu_s) * 1e3 / frames)
        rows[f"{size_px}x{frames}"] = [float(np.median(embed_ms)), float(np.median(detect_ms))]
        print(f"| {size_px} | {frames} | {np.median(embed_ms):.3f} | {np.median(detect_ms):.3f} |", flush=True)
    return rows


if __name__ == "__main__":
    main()
