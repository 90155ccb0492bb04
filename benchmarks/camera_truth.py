"""Does the camera track say how the camera moved? Moves made by hand, and clips whose camera is known.

    python benchmarks/camera_truth.py --photos FOLDER --clips FOLDER [--seed N] [--rounds N] [--work FOLDER]

--photos: a folder with pictures (searched through); a window moves over each.
--clips:  a folder with manifest.csv (columns file, camera, shots, people): clips of one shot with people before a
          static camera are moved over in the same way.
Every variant is encoded, decoded as the annotation pipeline does it and annotated with the body masked out. It prints
shares and errors per kind of move. --work keeps the encoded variants and body tracks, so that a second run is quick.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from builders import write_video
from made_moves import KINDS, NAMES, Frames, Move, clip_case, photo_case, steps_between, totals

from annotation.base import DENSE, ClipFrame
from annotation.body import BodyAnnotator
from annotation.camera import CameraAnnotator
from annotation.camera_moves import Interval, camera_moves
from annotation.camera_text import camera_text
from curation.decode import decode_for
from schemas.errors import DataError
from schemas.frames import FrameBatch
from schemas.tracks import BodyTrack, CameraTrack


@dataclass
class Case:
    name: str
    kind: str
    path: Path
    size_wh: tuple[int, int]
    fps: float
    truth: dict[str, float] = field(default_factory=dict)


def decoded(path: Path, seconds: float | None = None) -> tuple[list[FrameBatch], ClipFrame]:
    """The frames that annotators ask for, and the clip's native size and rate."""
    batches: list[FrameBatch] = []
    native: list[tuple[int, int]] = []
    decode_for(
        path, (DENSE,), lambda _, batch: batches.append(batch), 0, 0.0, seconds,
        lambda _, frame: native.append((frame.width, frame.height)),
    )  # fmt: skip
    pts = np.concatenate([batch.pts_s_T for batch in batches])
    fps = 1 / float(np.median(np.diff(pts))) if len(pts) > 1 else 1.0
    return batches, ClipFrame(*native[0], fps)


def body_of(batches: Sequence[FrameBatch], clip: ClipFrame, annotator: BodyAnnotator, kept: Path | None) -> BodyTrack:
    if kept is not None and kept.is_file():
        return BodyTrack.from_npz(kept.read_bytes())
    session = annotator.open(clip)
    for batch in batches:
        session.observe(batch)
    body = session.finish({})
    if kept is not None:
        kept.write_bytes(body.to_npz())
    return body


def camera_of(batches: Sequence[FrameBatch], clip: ClipFrame, body: BodyTrack | None) -> tuple[CameraTrack, float]:
    """The track and CPU milliseconds per frame."""
    start = time.process_time()
    session = CameraAnnotator().open(clip)
    for batch in batches:
        session.observe(batch)
    track = session.finish({} if body is None else {"body": body})
    frames = sum(len(batch.pts_s_T) for batch in batches)
    return track, 1000 * (time.process_time() - start) / max(1, frames)


def seconds_by_label(moves: Sequence[Interval]) -> dict[str, float]:
    found: dict[str, float] = {}
    for move in moves:
        found[move.label] = found.get(move.label, 0.0) + move.end_s - move.start_s
    return found


def told(moves: Sequence[Interval], kind: str) -> set[str]:
    """The labels, less the stillness that belongs to a move that stops or eases."""
    labels = set(seconds_by_label(moves))
    return labels if KINDS[kind] == () or labels == {"static"} else labels - {"static"}


def dominant(moves: Sequence[Interval]) -> str:
    """The label that holds longest; between equals the surer one."""
    seconds = seconds_by_label(moves)
    sure = {label: max(m.confidence for m in moves if m.label == label) for label in seconds}
    return max(seconds, key=lambda label: (round(seconds[label], 2), sure[label]), default="none")


def expected(kind: str, truth: dict[str, float]) -> list[str]:
    if kind.startswith(("static", "handheld")):
        return [kind.split("-")[0]]
    labels = [NAMES[axis][0 if truth[axis] > 0 else 1] for axis in KINDS[kind] if axis != "shake"]
    return labels + (["handheld"] if "shake" in KINDS[kind] else [])


def photos_in(folder: Path) -> list[Path]:
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return [p for p in paths if min(cv2.imread(str(p)).shape[:2]) >= 300]


def static_people_clips(folder: Path) -> list[Path]:
    with (folder / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [
        folder / row["file"]
        for row in rows
        if row["camera"].strip() == "static" and row["shots"].startswith("1") and row["people"][:1].isdigit()
        and not row["people"].startswith("0")
    ]  # fmt: skip


def rgb_of(path: Path, seconds: float) -> tuple[Frames, float]:
    batches, clip = decoded(path, seconds)
    return np.concatenate([batch.rgb_THWC for batch in batches]), clip.fps


def seeded(*parts: object) -> np.random.Generator:
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def build(name: str, kind: str, work: Path, render: Callable[[], tuple[Frames, Move, float]], crf: int) -> Case:
    """Renders and encodes a variant unless `work` has it already."""
    video, facts = work / f"{name}.mp4", work / f"{name}.json"
    if not facts.is_file():
        frames, move, fps = render()
        size_wh = (frames.shape[2], frames.shape[1])
        write_video(video, frames, round(fps), options={"crf": str(crf), "preset": "veryfast"})
        truth = totals(steps_between(move.window_from_frame(size_wh, np.eye(3))), size_wh)
        facts.write_text(json.dumps({"size_wh": size_wh, "fps": fps, "truth": truth}))
    stored = json.loads(facts.read_text())
    return Case(name, kind, video, tuple(stored["size_wh"]), stored["fps"], stored["truth"])


def cases(args: argparse.Namespace, work: Path) -> Iterator[Case]:
    kinds = [kind for kind in KINDS if not args.kinds or kind in args.kinds]
    for round_ in range(args.rounds):
        for path in photos_in(args.photos) if args.photos else []:
            photo = np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])
            for kind in kinds:
                rng = seeded(args.seed, round_, path.name, kind)
                if rng.random() > args.share:
                    continue
                crf = int(rng.integers(18, 30))
                name = f"photo_{args.seed}_{round_}_{path.stem}_{kind}"
                yield build(name, kind, work, lambda p=photo, k=kind, r=rng: photo_case(p, k, r), crf)
        for path in static_people_clips(args.clips) if args.clips else []:
            clip: tuple[Frames, float] | None = None
            for kind in kinds:
                rng = seeded(args.seed, round_, path.name, kind)
                if rng.random() > args.share or kind == "static-mover":
                    continue
                name = f"clip_{args.seed}_{round_}_{path.stem}_{kind}"
                if not (work / f"{name}.json").is_file() and clip is None:
                    try:
                        clip = rgb_of(path, args.seconds)
                    except DataError:
                        break

                def render(k: str = kind, r: np.random.Generator = rng, c: object = clip) -> tuple[Frames, Move, float]:
                    assert isinstance(c, tuple)
                    frames, move = clip_case(c[0], c[1], k, r)
                    return frames, move, c[1]

                yield build(name, kind, work, render, int(rng.integers(18, 30)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0, help="share of all combinations to make, drawn at random")
    parser.add_argument("--seconds", type=float, default=3.0, help="of every real clip")
    parser.add_argument("--kinds", nargs="*", default=[])
    parser.add_argument("--work", type=Path)
    parser.add_argument("--doubtful", nargs="*", default=[], help="clips not static in truth: told, but not counted")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        measure(cases(args, work), args.verbose, args.doubtful)


def measure(made: Iterator[Case], verbose: bool, doubtful: Sequence[str] = ()) -> None:
    annotator = BodyAnnotator()
    right: dict[str, list[bool]] = {}
    complete: dict[str, list[bool]] = {}
    errors: dict[str, list[float]] = {}
    ms: list[float] = []
    for case in made:
        batches, clip = decoded(case.path)
        body = body_of(batches, clip, annotator, case.path.with_suffix(".body.npz"))
        track, ms_per_frame = camera_of(batches, clip, body)
        ms.append(ms_per_frame)
        moves = camera_moves(track)
        want = expected(case.kind, case.truth)
        source = case.name.split("_")[0]
        if any(name in case.name for name in doubtful):
            source = "doubtful"
        best = (
            dominant([m for m in moves if m.label != "static"] or moves)
            if case.kind == "pan-stops"
            else dominant(moves)
        )
        right.setdefault(f"{source} {case.kind}", []).append(best in want)
        complete.setdefault(f"{source} {case.kind}", []).append(set(want) == told(moves, case.kind))
        found = totals(track.frame_from_previous_T33, case.size_wh)
        off = {}
        for axis in KINDS[case.kind]:
            if axis != "shake":
                off[axis] = found[axis] / case.truth[axis] - 1
                errors.setdefault(f"{source} {case.kind} {axis}", []).append(off[axis])
        bad = best not in want or any(abs(value) > 0.05 for value in off.values())
        if verbose or bad:
            held = {label: round(s, 2) for label, s in seconds_by_label(moves).items()}
            offs = {axis: f"{100 * value:+.1f}%" for axis, value in off.items()}
            inliers = float(track.inlier_fraction_T[1:].mean())
            text = camera_text(moves, float(track.pts_s_T[-1]))
            print(
                f"{'BAD ' if bad else '    '}{case.name}: want {want} got {held} off {offs} in {inliers:.2f} {text}",
                flush=True,
            )
    print(f"{'kind':24s} {'dominant right':>16s} {'all labels, no other':>22s}")
    for kind, results in right.items():
        share, whole = 100 * np.mean(results), 100 * np.mean(complete[kind])
        print(f"{kind:24s} {share:9.1f} % of {len(results):3d} {whole:14.1f} %")
    for source in sorted({kind.split()[0] for kind in right}):
        every = [each for kind, results in right.items() if kind.startswith(source) for each in results]
        print(f"{source + ': all':24s} {100 * np.mean(every):9.1f} % of {len(every):3d}")
    print(f"{'totals':32s} {'within 5 %':>16s} {'median error':>14s} {'worst':>8s}")
    for key, values in errors.items():
        size = np.abs(values)
        print(
            f"{key:32s} {100 * np.mean(size <= 0.05):9.1f} % of {len(size):3d} "
            f"{100 * np.median(size):11.2f} % {100 * size.max():7.1f} %"
        )
    counted = [np.array(v) for key, v in errors.items() if not key.startswith("doubtful")]
    every_error = np.abs(np.concatenate(counted)) if counted else np.zeros(0)
    if len(every_error):
        print(f"{'all totals':32s} {100 * np.mean(every_error <= 0.05):9.1f} % of {len(every_error):3d}")
    print(f"camera annotator: {np.mean(ms):.2f} CPU ms per frame")


if __name__ == "__main__":
    main()
