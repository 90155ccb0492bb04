"""Do the motion scores behave like the quantities they are named after? Answers known by construction.

    python benchmarks/motion_truth.py FOLDER [--seed N] [--seconds S] [--clips N]

From excerpts of real clips (their longest shot, at most S seconds, short side at most 480 px) it makes: the same at
double speed, at half the frame rate, at two thirds of the size, frozen, and with three kinds of judder; from stills of
the same clips a camera moves over a photograph. Every variant is encoded and measured as a file. It prints the share of
clips for which each statement holds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from builders import write_video
from numpy.typing import NDArray

from curation.catalog import make_scorers
from curation.cuts import CutRules, cut_clips
from curation.decode import decode_for, scaled_size_wh
from curation.measure import measure_video
from curation.planes import frame_rgb
from schemas.errors import DataError

Frames = NDArray[np.uint8]
SCORERS = ("motion", "cadence")
# Below this amplitude a clip shows nothing that moves; doubling nothing proves nothing.
MOVES_DIAG_PER_S = 0.01
ENCODING = {"crf": "18", "preset": "veryfast"}


def scores_of(path: Path) -> dict[str, float | None]:
    scorers = [scorer for scorer in make_scorers() if scorer.name in SCORERS]
    facts, _ = measure_video(path, 0, scorers)
    found: dict[str, float | None] = {}
    for scorer in scorers:
        found.update(scorer.reduce(facts))  # type: ignore[arg-type]
    return found


def longest_shot(path: Path, seconds: float) -> tuple[Frames, Fraction] | None:
    """Frames of the middle of the longest shot, and their rate; None for a file that is unreadable or too short."""
    cut = [scorer for scorer in make_scorers() if scorer.name == "cut_strength"]
    try:
        facts, _ = measure_video(path, 0, cut)
    except DataError:
        return None
    clips = cut_clips("video", str(path), facts, CutRules(max_clip_s=1e6))
    if not clips:
        return None
    longest = max(clips, key=lambda clip: clip.duration_s)
    start_s, end_s = longest.start_s, longest.end_s
    middle_s = (start_s + end_s) / 2
    start_s, end_s = max(start_s, middle_s - seconds / 2), min(end_s, middle_s + seconds / 2)
    frames: list[Frames] = []

    def keep(_: float, frame: av.VideoFrame) -> None:
        frames.append(frame_rgb(frame, scaled_size_wh(frame.width, frame.height, 480), 0))

    decode_for(path, (), lambda *_: None, 0, start_s, end_s, keep)
    inside = facts.between(start_s, end_s)
    if len(frames) < 24:
        return None
    fps = Fraction(len(frames) / (inside.end_s - float(inside.pts_s_T[0]))).limit_denominator(1001)
    return np.stack(frames), fps


def scaled(frames: Frames, factor: float) -> Frames:
    return np.stack([cv2.resize(f, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) for f in frames])


def held(count: int, which: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Frame numbers where a frame marked in `which` shows the one before again."""
    shown = np.arange(count)
    for t in range(1, count):
        if which[t]:
            shown[t] = shown[t - 1]
    return shown


def judders(count: int, rng: np.random.Generator) -> dict[str, NDArray[np.intp]]:
    """Every fourth frame repeated; a random third repeated; held for two to five frames, then jumping."""
    third = rng.random(count) < 1 / 3
    jumpy = np.zeros(count, dtype=np.bool_)
    t = 1
    while t < count:
        hold = int(rng.integers(1, 5))
        jumpy[t : t + hold] = True
        t += hold + 1
    return {
        "pulldown": held(count, np.arange(count) % 4 == 3),
        "random": held(count, third),
        "jumpy": held(count, jumpy),
    }


def camera_over_photo(photo: Frames, rng: np.random.Generator, frames: int = 60) -> Frames:
    """A window moves over the photograph: pan, tilt, zoom and a little roll at even or handheld-like speed."""
    height, width = photo.shape[:2]
    out_wh = (384, 216)
    scale0 = min(width / out_wh[0], height / out_wh[1]) * rng.uniform(0.45, 0.6)
    kind = rng.choice(["pan", "zoom", "roll", "handheld", "mixed"])
    direction, amount = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.9)
    pictures = []
    for t in np.linspace(0, 1, frames):
        x, y = width / 2, height / 2
        scale, angle = scale0, 0.0
        if kind in ("pan", "mixed"):
            x += np.cos(direction) * (t - 0.5) * amount * (width - scale0 * out_wh[0]) * 0.6
            y += np.sin(direction) * (t - 0.5) * amount * (height - scale0 * out_wh[1]) * 0.6
        if kind in ("zoom", "mixed"):
            scale *= 1.0 + (0.5 if kind == "zoom" else 0.25) * t
        if kind in ("roll", "mixed"):
            angle = 20.0 * amount * t
        if kind == "handheld":
            x += 0.04 * width * np.sin(7 * t + direction) + 0.02 * width * np.sin(19 * t)
            y += 0.04 * height * np.cos(9 * t) + 0.02 * height * np.sin(23 * t + direction)
        matrix = cv2.getRotationMatrix2D((x, y), angle, 1 / scale)
        matrix[:, 2] += np.array(out_wh) / 2 - (x, y)
        pictures.append(cv2.warpAffine(photo, matrix, out_wh, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT))
    return np.stack(pictures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--only", default="", help="part of a file name")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(args.seed)
    held_true: dict[str, list[bool]] = {}
    values: list[dict[str, object]] = []

    def note(statement: str, holds: bool) -> None:
        held_true.setdefault(statement, []).append(bool(holds))

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)

        def measure(frames: Frames, fps: Fraction) -> dict[str, float | None]:
            height, width = (side // 2 * 2 for side in frames.shape[1:3])
            return scores_of(write_video(folder / "v.mp4", frames[:, :height, :width], fps, options=ENCODING))

        for path in sorted(
            p for p in args.folder.iterdir() if p.suffix in (".mp4", ".avi", ".mov") and args.only in p.name
        )[: args.clips]:
            shot = longest_shot(path, args.seconds)
            if shot is None:
                continue
            frames, fps = shot
            values.append(_one_clip(path.name, frames, fps, measure, note, rng))
            if args.verbose:
                print(json.dumps(values[-1]), flush=True)
    for statement, results in held_true.items():
        print(f"{statement:58s} {100 * np.mean(results):5.1f} % of {len(results)}")


def _one_clip(
    name: str, frames: Frames, fps: Fraction, measure: Callable[..., dict[str, float | None]],
    note: Callable[[str, bool], None], rng: np.random.Generator,
) -> dict[str, object]:  # fmt: skip
    base = measure(frames, fps)
    amplitude = base["motion_amplitude_diag_per_s"] or 0.0
    row: dict[str, object] = {"clip": name, "amplitude": amplitude, "fluency": base["motion_fluency"]}
    if amplitude >= MOVES_DIAG_PER_S:
        double = (measure(frames[::2], fps)["motion_amplitude_diag_per_s"] or 0.0) / amplitude
        half = (measure(frames[::2], fps / 2)["motion_amplitude_diag_per_s"] or 0.0) / amplitude
        small = (measure(scaled(frames, 2 / 3), fps)["motion_amplitude_diag_per_s"] or 0.0) / amplitude
        row.update(double=round(double, 3), half=round(half, 3), small=round(small, 3))
        note("amplitude 1.6-2.4 times at double speed", 1.6 <= double <= 2.4)
        note("amplitude within 20 % at half the frame rate", abs(half - 1) <= 0.2)
        note("amplitude within 15 % at two thirds of the size", abs(small - 1) <= 0.15)
        frozen = measure(np.repeat(frames[:1], len(frames), axis=0), fps)["motion_amplitude_diag_per_s"] or 0.0
        note("amplitude under 5 % when frozen", frozen < 0.05 * amplitude)
        row["frozen"] = round(frozen / amplitude, 4)
        for kind, shown in judders(len(frames), rng).items():
            fluency = measure(frames[shown], fps)["motion_fluency"]
            row[kind] = fluency
            falls = fluency is not None and base["motion_fluency"] is not None and fluency < base["motion_fluency"]
            note("fluency falls under judder", falls)
    photo = cv2.resize(frames[len(frames) // 2], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    moved = measure(camera_over_photo(photo, rng), Fraction(30))
    ratio = (moved["motion_amplitude_diag_per_s"] or 0.0) / max(moved["camera_motion_diag_per_s"] or 0.0, 1e-9)
    row["photo"] = round(ratio, 4)
    note("residual under 15 % of camera motion over a photograph", ratio < 0.15)
    return row


if __name__ == "__main__":
    main()
