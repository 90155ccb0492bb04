"""Does the camera track tell travel from turning? Scenes with depth, made by hand, of which both are known.

    python benchmarks/parallax_truth.py [--photos FOLDER…] [--clips FOLDER] [--seed N] [--rounds N] [--kinds KIND…]
        [--work FOLDER]

--photos: folders with pictures, cut out and set up at several distances (made_travel). Every scene is encoded, decoded
as the annotation pipeline does it and annotated; four in ten have somebody walk by whom no mask covers. It prints, per
kind of move, what was said of the moves found. --clips: clips of people before a static camera, over which a window
turns, pans and zooms (camera_truth): nothing travels. --work keeps the encoded scenes, so that a second run is quick.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from builders import write_video
from camera_truth import body_of, camera_of, cases, decoded, photos_in, seeded
from made_travel import FLAT, ROTATIONS, TRAVELS, travel_case
from numpy.typing import NDArray

from annotation.body import BodyAnnotator
from annotation.camera import CameraAnnotator
from annotation.camera_moves import AXIS_OF, camera_moves
from annotation.camera_text import camera_text
from annotation.camera_travel import TravelEvidence, travel_of
from schemas.tracks import CameraTrack

_WAYS = {
    "left": (-1, 0, 0), "right": (1, 0, 0), "up": (0, -1, 0), "down": (0, 1, 0), "backward": (0, 0, -1),
    "forward": (0, 0, 1),
}  # fmt: skip
# Right is a named direction within 53 degrees of the true one, and a turn of this size or more that is named.
_COS_RIGHT = 0.6
_TURNED_RAD = 0.005


@dataclass
class Told:
    """Of one kind of move, in moves."""

    scenes: int = 0
    by: dict[str | None, int] = field(default_factory=lambda: {"translation": 0, "rotation": 0, None: 0})
    ways: int = 0
    ways_right: int = 0
    turns: int = 0
    turns_right: int = 0


def made(args: argparse.Namespace, work: Path) -> Iterator[tuple[str, str, Path, dict[str, list[float]]]]:
    photos = [
        np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1]) for each in args.photos for path in photos_in(each)
    ]
    for kind in args.kinds or (*ROTATIONS, *TRAVELS, *FLAT):
        for round_ in range(args.rounds):
            video, facts = work / f"{kind}_{args.seed}_{round_}.mp4", work / f"{kind}_{args.seed}_{round_}.json"
            if not facts.is_file():
                rng = seeded(args.seed, kind, round_)
                frames, path, fps, _ = travel_case(photos, kind, rng)
                write_video(video, frames, round(fps), options={"crf": str(rng.integers(18, 30)), "preset": "veryfast"})
                went_3 = path.went_3 / max(1e-9, float(np.linalg.norm(path.went_3)))
                facts.write_text(json.dumps({"went": went_3.tolist(), "turn": path.turn_rad_T3.tolist()}))
            yield video.stem, kind, video, json.loads(facts.read_text())


def annotated(video: Path) -> tuple[CameraTrack, int, float]:
    """The track, its frames, and the seconds of CPU time that looking for parallax took."""
    batches, clip = decoded(video)
    session = CameraAnnotator().open(clip)
    spent_s = 0.0
    add = TravelEvidence.add

    def timed(self: TravelEvidence, *about: object) -> None:
        nonlocal spent_s
        start = time.process_time()
        add(self, *about)  # type: ignore[arg-type]
        spent_s += time.process_time() - start

    TravelEvidence.add = timed  # type: ignore[method-assign, assignment]
    try:
        for batch in batches:
            session.observe(batch)
        track = session.finish({})
    finally:
        TravelEvidence.add = add  # type: ignore[method-assign]
    return track, len(track.pts_s_T), spent_s


def turned_right(turns: str, turn_rad_T3: NDArray[np.float64], inside_T: NDArray[np.bool_]) -> bool:
    went_3 = np.ptp(turn_rad_T3[inside_T][[0, -1]], axis=0) * np.sign(
        turn_rad_T3[inside_T][-1] - turn_rad_T3[inside_T][0]
    )
    return {"left": -went_3[0], "right": went_3[0], "up": went_3[1], "down": -went_3[1]}[turns] > _TURNED_RAD


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="*", default=[])
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--kinds", nargs="*", default=[])
    parser.add_argument("--work", type=Path)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        if args.photos:
            measure(args, work)
        if args.clips:
            over_clips(args, work)


def over_clips(args: argparse.Namespace, work: Path) -> None:
    windows = argparse.Namespace(
        photos=None, clips=args.clips, seed=args.seed, rounds=args.rounds, share=1.0, seconds=3.0,
        kinds=args.kinds or ["turn-pan", "turn-tilt", "pan", "zoom", "pan+handheld"],
    )  # fmt: skip
    annotator = BodyAnnotator()
    told: dict[str, dict[str | None, int]] = {}
    for case in cases(windows, work):
        batches, clip = decoded(case.path)
        track, _ = camera_of(batches, clip, body_of(batches, clip, annotator, case.path.with_suffix(".body.npz")))
        here = told.setdefault(case.kind, {"translation": 0, "rotation": 0, None: 0})
        for move in camera_moves(track):
            if move.label in AXIS_OF:
                found = travel_of(track, move)
                here[found.by] += 1
                if found.by == "translation" or args.verbose:
                    print(f"    {case.name}: {move.label} {found}", flush=True)
    print(f"{'over clips':14s} moves  translation  rotation  untold")
    for kind, by in told.items():
        print(f"{kind:14s} {sum(by.values()):5d} {by['translation']:12d} {by['rotation']:9d} {by[None]:7d}")


def measure(args: argparse.Namespace, work: Path) -> None:
    told: dict[str, Told] = {}
    frames, spent_s = 0, 0.0
    for name, kind, video, facts in made(args, work):
        track, count, seconds = annotated(video)
        frames, spent_s = frames + count, spent_s + seconds
        here = told.setdefault(kind, Told())
        here.scenes += 1
        moves = [move for move in camera_moves(track) if move.label in AXIS_OF]
        for move in moves:
            found = travel_of(track, move)
            here.by[found.by] += 1
            if found.travel is not None:
                here.ways += 1
                here.ways_right += float(np.dot(_WAYS[found.travel], facts["went"])) > _COS_RIGHT
            if found.turns is not None:
                inside_T = (track.pts_s_T >= move.start_s) & (track.pts_s_T < move.end_s)
                here.turns += 1
                here.turns_right += turned_right(found.turns, np.array(facts["turn"]), inside_T)
            if args.verbose:
                print(f"    {move.label} {found} of {np.round(facts['went'], 2)}")
        if args.verbose:
            print(name, camera_text(moves, float(track.pts_s_T[-1]), track), flush=True)
    print(f"{'kind':14s} scenes moves  translation  rotation  untold   direction right     turn right")
    for kind, each in told.items():
        ways, turns = f"{each.ways_right} of {each.ways}", f"{each.turns_right} of {each.turns}"
        counts = each.by["translation"], each.by["rotation"], each.by[None]
        print(
            f"{kind:14s} {each.scenes:6d} {sum(counts):5d} {counts[0]:12d} {counts[1]:9d} {counts[2]:7d}"
            f" {ways:>17s} {turns:>14s}"
        )
    for title, kinds in (("turns alone", ROTATIONS), ("travels", TRAVELS), ("flat or still", FLAT)):
        by = {
            name: sum(told[kind].by[name] for kind in kinds if kind in told)
            for name in ("translation", "rotation", None)
        }
        every = max(1, sum(by.values()))
        print(
            f"{title}: of {every} moves translation {100 * by['translation'] / every:.1f} %, "
            f"rotation {100 * by['rotation'] / every:.1f} %, untold {100 * by[None] / every:.1f} %"
        )
    print(f"parallax: {1000 * spent_s / max(1, frames):.2f} CPU ms per frame")


if __name__ == "__main__":
    main()
