"""Hard cuts and soft transitions against truth: ours and PySceneDetect's detectors on the same frames.

Usage: python benchmarks/cuts.py [--clips DIR] [--seed N] [--pairs N] [--theirs]

(a) DIR/cuts_truth.json with its clips (dissolves and fades are given as intervals),
(b) constructed: random pairs of textures and of DIR's single shots, joined by hard cuts, dissolves and fades.
A hard cut counts within 2 frames of its place, a soft one within 0.5 s of its interval.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect.common import FrameTimecode
from scenedetect.detectors import AdaptiveDetector, ContentDetector, HistogramDetector, ThresholdDetector

from curation.cuts import CutRules, find_transitions
from curation.measure import measure_video
from curation.scorers.cut_strength import CutStrength
from schemas.frames import LumaBatch
from schemas.scores import Fact, FrameFacts

Interval = tuple[float, float]
# Clips of one shot by cuts_truth's author and by eye; what constructed truth is joined from.
MATERIAL = ("tvhost_hands_gesturing", "hoi_pour_coffee", "face_fast_head_motion_pen", "halfbody_pullback_hands")
DETECTORS = (AdaptiveDetector, ContentDetector, HistogramDetector, ThresholdDetector)
FPS = 25.0


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


def small_rgb(path: Path, most: int = 150) -> NDArray[np.uint8]:
    """(T, 72, 128, 3): the first frames of a clip, small and of one shape."""
    frames = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            frames.append(frame.reformat(128, 72, "rgb24", interpolation="AREA").to_ndarray())
            if len(frames) == most:
                break
    return np.stack(frames)


def texture_pan(rng: np.random.Generator, frames: int = 150) -> NDArray[np.uint8]:
    """(T, 72, 128, 3): a window that moves over coloured smooth noise."""
    noise = cv2.GaussianBlur(rng.normal(0, 1, (90, 300, 3)).astype(np.float32), (0, 0), float(rng.uniform(3, 9)))
    wide = np.clip(noise / noise.std() * 40 + rng.uniform(80, 160), 0, 255).astype(np.uint8)
    speed = rng.uniform(0, 1)
    return np.stack([wide[9:81, int(speed * t) : int(speed * t) + 128] for t in range(frames)])


def join(
    rng: np.random.Generator, material: Sequence[NDArray[np.uint8]]
) -> tuple[NDArray[np.uint8], list[tuple[float, float, float]]]:
    """Two to four shots joined at random. Returns: the frames, and (start, end, tolerance) of each transition."""
    order = rng.permutation(len(material))[: int(rng.integers(2, 5))]
    out = [material[order[0]][:75].astype(np.float32)]
    truth = []
    for index in order[1:]:
        shot = material[index].astype(np.float32)[:125]
        kind = rng.choice(["hard", "dissolve", "black"])
        length = int(rng.uniform(0.3, 2.0) * FPS)
        at = sum(map(len, out))
        if kind == "hard":
            truth.append((at / FPS, at / FPS, 2.5 / FPS))
        elif kind == "dissolve":
            length = min(length, len(out[-1]) - 15, len(shot) - 15)
            share = ((np.arange(length) + 1) / (length + 1))[:, None, None, None]
            mixed = out[-1][-length:] * (1 - share) + shot[:length] * share
            out[-1], shot = out[-1][:-length], np.concatenate([mixed, shot[length:]])
            truth.append(((at - length) / FPS, at / FPS, 0.5))
        else:
            half = max(5, min(length // 2, 20))
            down = np.linspace(1, 0, half)[:, None, None, None]
            out[-1][-half:] *= down
            shot[:half] *= down[::-1]
            truth.append(((at - half) / FPS, (at + half) / FPS, 0.5))
        out.append(shot)
    return np.concatenate(out).astype(np.uint8), truth


def facts_of(rgb_THWC: NDArray[np.uint8]) -> FrameFacts:
    """Our facts of frames that are already small."""
    luma, chroma = [], []
    for rgb in rgb_THWC:
        ycc = cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)
        luma.append(ycc[..., 0])
        chroma.append(cv2.resize(ycc[..., 2:0:-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    pts_s_T = np.arange(len(luma)) / FPS
    session = CutStrength().open()
    pieces = [session.measure(LumaBatch(np.stack(luma), pts_s_T, np.stack(chroma))), session.finish()]
    columns = {n: Fact.full(np.concatenate([p[n].values_T for p in pieces])) for n in pieces[0]}
    return FrameFacts(pts_s_T, len(luma) / FPS, columns)


def their_cuts(make: type, rgb_THWC: NDArray[np.uint8], fps: float = FPS) -> list[Interval]:
    """What one of PySceneDetect's detectors finds with its defaults."""
    detector, found = make(), []
    for t, rgb in enumerate(rgb_THWC):
        found += detector.process_frame(FrameTimecode(t, fps), np.ascontiguousarray(rgb[..., ::-1]))
    found += detector.post_process(FrameTimecode(len(rgb_THWC) - 1, fps))
    return [(cut.frame_num / fps, cut.frame_num / fps) for cut in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--theirs", action="store_true")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rules = CutRules()
    material: list[NDArray[np.uint8]] = []
    if arguments.clips:
        total = np.zeros(3, dtype=int)
        entries = json.loads((arguments.clips / "cuts_truth.json").read_text(encoding="utf-8"))["clips"]
        for name, entry in entries.items():
            facts, _ = measure_video(arguments.clips / name, 0, [CutStrength()])
            found = [(t.start_s, t.end_s) for t in find_transitions(facts, rules)]
            truth = shared_truth(entry, float(np.median(np.diff(facts.pts_s_T))))
            counts = matches(found, truth)
            total += counts
            print(name, counts, [f"{a:.2f}-{b:.2f}" for a, b in found])
        print("shared clips, ours:", f1(*map(int, total)))
        material = [small_rgb(arguments.clips / f"{name}.mp4") for name in MATERIAL]
    rng = np.random.default_rng(arguments.seed)
    totals = {name: np.zeros(3, dtype=int) for name in ("ours", *(d.__name__ for d in DETECTORS))}
    for _ in range(arguments.pairs):
        rgb_THWC, truth = join(rng, [*material, *(texture_pan(rng) for _ in range(4))])
        totals["ours"] += matches([(t.start_s, t.end_s) for t in find_transitions(facts_of(rgb_THWC), rules)], truth)
        if arguments.theirs:
            for make in DETECTORS:
                totals[make.__name__] += matches(their_cuts(make, rgb_THWC), truth)
    for name, counts in totals.items():
        if counts.any():
            print(f"constructed, seed {arguments.seed}, {name}:", f1(*map(int, counts)))


if __name__ == "__main__":
    main()
