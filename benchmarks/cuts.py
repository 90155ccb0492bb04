"""Hard cuts and soft transitions against truth: ours and PySceneDetect's detectors on the same frames.

Usage: python benchmarks/cuts.py --clips DIR [--half 0|1] [--seeds N ...] [--sequences N] [--theirs]

(a) DIR/cuts_truth.json with its clips, and every other clip of DIR as footage that should have no cut,
(b) constructed: 4 to 6 shots of one half of DIR's clips (every second one by name) and moving textures, joined by hard
cuts, dissolves of 0.3-2 s and fades through black. Frames are joined as 128x72 planes at 25 fps and measured as the
decoder would deliver them; they are not compressed again.
A hard cut counts within 2 frames of its place, a soft one within 0.5 s of its interval.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect.common import FrameTimecode
from scenedetect.detectors import AdaptiveDetector, ContentDetector, HistogramDetector, ThresholdDetector

from curation.cuts import CutRules, find_transitions
from curation.decode import decode_for
from curation.scorers.cut_strength import CutStrength
from schemas.frames import LumaBatch
from schemas.scores import Fact, FrameFacts

Interval = tuple[float, float]
Truth = tuple[float, float, float]
# Luma (T, H, W) and chroma (T, H/2, W/2, 2) of one shot.
Shot = tuple[NDArray[np.uint8], NDArray[np.uint8]]
DETECTORS = (AdaptiveDetector, ContentDetector, HistogramDetector, ThresholdDetector)
FPS = 25.0
# A shot for joining keeps this far from a true transition, and has at least so many frames.
CLEAR_S, LEAST_FRAMES = 0.25, 40


def matches(found: Sequence[Interval], truth: Sequence[tuple[float, float, float]]) -> tuple[int, int, int]:
    """Hits, false alarms and misses; truth is (start, end, tolerance) in seconds, each matched once."""
    open_truth = list(truth)
    hits = 0
    for start_s, end_s in found:
        middle_s = (start_s + end_s) / 2
        fitting = [t for t in open_truth if t[0] - t[2] <= middle_s <= t[1] + t[2]]
        if fitting:
            hits += 1
            open_truth.remove(fitting[0])
    return hits, len(found) - hits, len(open_truth)


def f1(hits: int, false: int, missed: int) -> str:
    """Precision, recall and F1 as one line."""
    precision, recall = hits / max(1, hits + false), hits / max(1, hits + missed)
    score = 2 * hits / max(1, 2 * hits + false + missed)
    return f"precision {precision:.3f} recall {recall:.3f} F1 {score:.3f} ({hits} hits, {false} false, {missed} missed)"


def shared_truth(entry: dict[str, object], step_s: float) -> list[tuple[float, float, float]]:
    """(start, end, tolerance) of a clip in cuts_truth.json; step_s is the time between two frames."""
    given = entry.get("cuts_s") or [frame * step_s for frame in entry.get("hard_frames", [])]  # type: ignore[attr-defined]
    hard = [(s, s, 2.5 * step_s) for s in given]  # type: ignore[attr-defined]
    soft = [(a, b, 0.5) for key in ("fade_in_s", "fade_out_s", "dissolve_s") for a, b in entry.get(key, [])]  # type: ignore[attr-defined]
    return sorted(hard + soft)


def planes_of(path: Path) -> tuple[NDArray[np.float64], float, Shot]:
    """Times, end and planes of a whole clip, as the scorer is given them."""
    batches: list[LumaBatch] = []

    def keep(_: str, batch: Any) -> None:
        batches.append(LumaBatch(batch.luma_THW.copy(), batch.pts_s_T.copy(), batch.chroma_THW2.copy()))

    result = decode_for(path, [CutStrength.needs], keep, 0, on_frame=lambda *_: None)
    luma, chroma = (np.concatenate([getattr(b, name) for b in batches]) for name in ("luma_THW", "chroma_THW2"))
    return np.concatenate([b.pts_s_T for b in batches]), result.end_s, (luma, chroma)


def single_shots(pts_s_T: NDArray[np.float64], planes: Shot, truth: Sequence[Truth]) -> list[Shot]:
    """The stretches between true transitions, 128x72."""
    found, start_s = [], float(pts_s_T[0])
    for first_s, second_s in [*((a, b) for a, b, _ in truth), (float(pts_s_T[-1]) + 1, 0.0)]:
        inside = (pts_s_T >= start_s) & (pts_s_T <= first_s - CLEAR_S)
        start_s = second_s + CLEAR_S
        if inside.sum() >= LEAST_FRAMES:
            found.append((resized(planes[0][inside], (128, 72)), resized(planes[1][inside], (64, 36))))
    return found


def resized(frames_THW: NDArray[np.uint8], size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    return np.stack([cv2.resize(frame, size_wh, interpolation=cv2.INTER_AREA) for frame in frames_THW])


def texture_pan(rng: np.random.Generator, frames: int = 150) -> Shot:
    """A window that moves by up to 2 pixels a frame over coloured smooth noise."""
    noise = cv2.GaussianBlur(rng.normal(0, 1, (110, 128 + 2 * frames, 3)).astype(np.float32), (0, 0), rng.uniform(2, 9))
    noise /= noise.std()
    luma = np.clip(noise[..., 0] * rng.uniform(20, 45) + rng.uniform(80, 160), 0, 255).astype(np.uint8)
    chroma = np.clip(noise[..., 1:] * 15 + rng.uniform(100, 156, 2), 0, 255).astype(np.uint8)
    across, down = rng.uniform(0, 2), rng.uniform(0, 0.25)
    windows = [
        (slice(int(down * t), int(down * t) + 72), slice(int(across * t), int(across * t) + 128)) for t in range(frames)
    ]
    return np.stack([luma[w] for w in windows]), resized(np.stack([chroma[w] for w in windows]), (64, 36))


def join(rng: np.random.Generator, material: Sequence[Shot]) -> tuple[Shot, list[tuple[str, Truth]]]:
    """Four to six shots joined at random. Returns: the planes, and kind and truth of each transition."""
    parts: list[list[NDArray[np.float32]]] = [[], []]
    truth: list[tuple[str, Truth]] = []
    for index in rng.permutation(len(material))[: int(rng.integers(4, 7))]:
        shot = material[index] if rng.random() < 0.75 else texture_pan(rng)
        wanted = int(rng.integers(75, 150))
        # A short shot is played forth and back.
        order = np.resize([*range(len(shot[0])), *range(len(shot[0]) - 2, 0, -1)], wanted)
        kind = str(rng.choice(["hard", "dissolve", "black"])) if truth or parts[0] else "first"
        frames = int(rng.uniform(0.3, 2.0) * FPS)
        frames = {"dissolve": min(frames, wanted - 20), "black": max(4, frames // 2)}.get(kind, 0)
        at = sum(map(len, parts[0]))
        for part, plane, black in zip(parts, shot, (0.0, 128.0), strict=True):
            new = plane[order].astype(np.float32)
            share = np.linspace(0, 1, frames + 2, dtype=np.float32)[1:-1].reshape(-1, *[1] * (new.ndim - 1))
            if kind == "dissolve":
                # The shot before may itself begin with a dissolve: what lies there is blended whole.
                whole = np.concatenate(part)
                new[:frames] = whole[-frames:] * (1 - share) + new[:frames] * share
                part[:] = [whole[:-frames]]
            elif kind == "black":
                part[-1][-frames:] = (part[-1][-frames:] - black) * (1 - share) + black
                new[:frames] = (new[:frames] - black) * share + black
            part.append(new)
        first, last = {"dissolve": (at - frames, at), "black": (at - frames, at + frames)}.get(kind, (at, at))
        if kind != "first":
            truth.append((kind, (first / FPS, last / FPS, 2.5 / FPS if kind == "hard" else 0.5)))
    luma, chroma = (np.concatenate(part).round().astype(np.uint8) for part in parts)
    return (luma, chroma), truth


def facts_of(planes: Shot, pts_s_T: NDArray[np.float64], end_s: float) -> tuple[FrameFacts, float]:
    """Our facts of frames in windows of 64, and the CPU seconds they took."""
    session, started_s = CutStrength().open(), time.process_time()
    windows = [slice(i, i + 64) for i in range(0, len(pts_s_T), 64)]
    pieces = [session.measure(LumaBatch(planes[0][w], pts_s_T[w], planes[1][w])) for w in windows]
    pieces.append(session.finish())
    taken_s = time.process_time() - started_s
    columns = {n: Fact.full(np.concatenate([p[n].values_T for p in pieces])) for n in pieces[0]}
    return FrameFacts(pts_s_T, end_s, columns), taken_s


def their_cuts(make: type, planes: Shot) -> list[Interval]:
    """What one of PySceneDetect's detectors finds with its defaults."""
    detector, found = make(), []
    for t, (luma, chroma) in enumerate(zip(*planes, strict=True)):
        wide = cv2.resize(chroma, luma.shape[::-1])
        bgr = cv2.cvtColor(np.dstack([luma, wide[..., 1], wide[..., 0]]), cv2.COLOR_YCrCb2BGR)
        found += detector.process_frame(FrameTimecode(t, FPS), bgr)
    found += detector.post_process(FrameTimecode(len(planes[0]) - 1, FPS))
    return [(cut.frame_num / FPS, cut.frame_num / FPS) for cut in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--half", type=int, choices=(0, 1), default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[201])
    parser.add_argument("--sequences", type=int, default=20)
    parser.add_argument("--theirs", action="store_true")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rules, total, taken_s, frames = CutRules(), np.zeros(3, dtype=int), 0.0, 0
    entries = json.loads((arguments.clips / "cuts_truth.json").read_text(encoding="utf-8"))["clips"]
    material: list[Shot] = []
    paths = [p for p in sorted(arguments.clips.glob("*.*")) if p.suffix in (".mp4", ".avi")]
    for index, path in enumerate(p for p in paths if not p.name.startswith(("bad_", "odd_"))):
        pts_s_T, end_s, planes = planes_of(path)
        facts, spent_s = facts_of(planes, pts_s_T, end_s)
        taken_s, frames = taken_s + spent_s, frames + len(pts_s_T)
        found = [(t.start_s, t.end_s) for t in find_transitions(facts, rules)]
        truth = shared_truth(entries.get(path.name, {}), float(np.median(np.diff(pts_s_T))))
        counts = matches(found, truth)
        if path.name in entries:
            total += counts
        if any(counts):
            print(path.name, counts, [f"{a:.2f}-{b:.2f}" for a, b in found], "" if path.name in entries else "no truth")
        # Garbage of a decoder is no material.
        if index % 2 == arguments.half and "not_cuts_frames" not in entries.get(path.name, {}):
            material += single_shots(pts_s_T, planes, truth)
    print("shared clips, ours:", f1(*map(int, total)), f"{1000 * taken_s / frames:.3f} ms per frame")
    for seed in arguments.seeds:
        rng = np.random.default_rng(seed)
        totals = {name: np.zeros(3, dtype=int) for name in ("ours", *(d.__name__ for d in DETECTORS))}
        missed = dict.fromkeys(("hard", "dissolve", "black"), 0)
        of_kind = dict.fromkeys(missed, 0)
        for _ in range(arguments.sequences):
            planes, kinds = join(rng, material)
            truth = [t for _, t in kinds]
            pts_s_T = np.arange(len(planes[0])) / FPS
            facts, _ = facts_of(planes, pts_s_T, len(pts_s_T) / FPS)
            found = [(t.start_s, t.end_s) for t in find_transitions(facts, rules)]
            totals["ours"] += matches(found, truth)
            for kind, (a, b, off) in kinds:
                of_kind[kind] += 1
                missed[kind] += not any(a - off <= (c + d) / 2 <= b + off for c, d in found)
            for make in DETECTORS if arguments.theirs else ():
                totals[make.__name__] += matches(their_cuts(make, planes), truth)
        print(f"seed {seed}, half {arguments.half}: missed {missed} of {of_kind}")
        for name, counts in totals.items():
            if counts.any():
                print(f"  {name}:", f1(*map(int, counts)))


if __name__ == "__main__":
    main()
