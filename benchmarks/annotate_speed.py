"""CPU time of annotating against MediaPipe's bare inference on the same frames plus one decode.

    python benchmarks/annotate_speed.py CLIPS [--only NAME...] [--seconds S] [--runs N]

For each video of CLIPS, over its first S seconds, in CPU milliseconds per frame, best of N runs each:
  decode   the frames that the annotators ask for (short side 480 px), handed to nobody
  bare     mp.solutions Pose (complexity 1), Hands (2, complexity 1) and FaceMesh (refined) on those frames
  ours     decode, every annotator and the labels, captions included; split by annotator and into the labels
and the ratio ours / (decode + bare). Networks are loaded before. Prints a line per clip on stderr and JSON on stdout.
Run alone on the machine: CPU time grows under load.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.base import DENSE, ClipFrame
from annotation.catalog import ClipAnnotation, annotator_versions, make_annotators
from annotation.sample import describe
from curation.decode import decode_for
from curation.probe import probe
from schemas.errors import DataError

warnings.filterwarnings("ignore", message="SymbolDatabase.GetPrototype")
SUFFIXES = (".mp4", ".avi", ".mov", ".webm")


class Timed:
    """A session whose CPU seconds are added up under its annotator's name."""

    def __init__(self, session: Any, name: str, spent_s: dict[str, float]) -> None:
        self._session, self._name, self._spent_s = session, name, spent_s

    def observe(self, frames: Any) -> None:
        began_s = time.process_time()
        self._session.observe(frames)
        self._spent_s[self._name] += time.process_time() - began_s

    def finish(self, earlier: Any) -> Any:
        began_s = time.process_time()
        track = self._session.finish(earlier)
        self._spent_s[self._name] += time.process_time() - began_s
        return track


class TimedAnnotator:
    """Stands before an annotator and hands out timed sessions."""

    def __init__(self, annotator: Any, spent_s: dict[str, float]) -> None:
        self._annotator, self._spent_s = annotator, spent_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._annotator, name)

    def open(self, clip: ClipFrame) -> Timed:
        return Timed(self._annotator.open(clip), self._annotator.name, self._spent_s)


class Bare:
    """MediaPipe's three solutions as its users run them on a video."""

    def __init__(self) -> None:
        import mediapipe

        solutions = mediapipe.solutions
        self._networks = (
            solutions.pose.Pose(model_complexity=1),
            solutions.hands.Hands(max_num_hands=2, model_complexity=1),
            solutions.face_mesh.FaceMesh(max_num_faces=1, refine_landmarks=True),
        )

    def __call__(self, frames: list[NDArray[np.uint8]]) -> float:
        """CPU seconds for one clip; the first frame is seen once before, so that nothing is loaded meanwhile."""
        for network in self._networks:
            network.process(frames[0])
            network.reset()
        began_s = time.process_time()
        for rgb_HWC in frames:
            for network in self._networks:
                network.process(rgb_HWC)
        return time.process_time() - began_s


def measure(path: Path, seconds: float, runs: int, annotators: Any, bare: Bare) -> dict[str, Any]:
    """Raises: DataError when the file cannot be decoded."""
    facts = probe(path)
    clip = ClipFrame(facts.width_px, facts.height_px, facts.fps)
    end_s = min(seconds, facts.header_duration_s or seconds)
    frames: list[NDArray[np.uint8]] = []
    decode_for(
        path, [DENSE], lambda _, batch: frames.extend(np.array(each) for each in batch.rgb_THWC),
        facts.rotation_deg, 0.0, end_s,
    )  # fmt: skip
    best: dict[str, float] = {}

    def keep(name: str, spent_s: float) -> None:
        best[name] = min(best.get(name, np.inf), spent_s)

    for _ in range(runs):
        began_s = time.process_time()
        decode_for(path, [DENSE], lambda *_: None, facts.rotation_deg, 0.0, end_s)
        keep("decode", time.process_time() - began_s)
        keep("bare", bare(frames))
        parts: dict[str, float] = defaultdict(float)
        timed: list[Any] = [TimedAnnotator(each, parts) for each in annotators]
        annotation = ClipAnnotation(timed, clip)
        began_s = time.process_time()
        decode_for(path, annotation.requests(), annotation.observe, facts.rotation_deg, 0.0, end_s)
        tracks = annotation.finish()
        labels_began_s = time.process_time()
        describe(tracks, None, clip, annotator_versions(annotators))
        now_s = time.process_time()
        keep("ours", now_s - began_s)
        keep("labels", now_s - labels_began_s)
        for name, spent_s in parts.items():
            keep(name, spent_s)
    count = len(frames)
    return {
        "frames": count,
        **{f"{name}_ms": round(spent_s / count * 1e3, 2) for name, spent_s in best.items()},
        "ratio": round(best["ours"] / (best["decode"] + best["bare"]), 3),
    }


def pooled(clips: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Means over all frames; the ratio of the sums, and how the clips' own ratios lie."""
    rows = list(clips.values())
    frames = sum(row["frames"] for row in rows)
    names = [name for name in rows[0] if name.endswith("_ms")]
    mean = {name: round(sum(row[name] * row["frames"] for row in rows) / frames, 2) for name in names}
    ratios = sorted(row["ratio"] for row in rows)
    return {
        "clips": len(rows), "frames": frames, **mean,
        "ratio": round(mean["ours_ms"] / (mean["decode_ms"] + mean["bare_ms"]), 3),
        "ratio_median_clip": float(np.median(ratios)), "ratio_worst_clip": ratios[-1],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--only", nargs="*", help="names of videos without their ending")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each video at most")
    parser.add_argument("--runs", type=int, default=2)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    annotators, bare = make_annotators(), Bare()
    clips: dict[str, dict[str, Any]] = {}
    # The first clip is measured twice, so that no network loads while it counts.
    files = [path for path in sorted(args.clips.iterdir()) if path.suffix in SUFFIXES]
    files = [path for path in files if args.only is None or path.stem in args.only]
    for path in [files[0], *files]:
        try:
            clips[path.stem] = measure(path, args.seconds, args.runs, annotators, bare)
            print(path.stem, json.dumps(clips[path.stem]), file=sys.stderr, flush=True)
        except DataError as error:
            print(path.stem, error, file=sys.stderr, flush=True)
    print(json.dumps({"all": pooled(clips), "clips": clips}, indent=1))


if __name__ == "__main__":
    main()
