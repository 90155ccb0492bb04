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
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from builders import write_video
from numpy.typing import NDArray

from annotation.base import DENSE, ClipFrame
from annotation.body import BodyAnnotator
from annotation.camera import CameraAnnotator
from annotation.camera_moves import Interval, camera_moves
from annotation.camera_text import camera_text
from curation.decode import decode_for
from schemas.errors import DataError
from schemas.frames import FrameBatch
from schemas.tracks import BodyTrack, CameraTrack

Frames = NDArray[np.uint8]
Path33 = NDArray[np.float64]

AXES = ("pan", "tilt", "roll", "zoom")
NAMES = {
    "pan": ("pan_right", "pan_left"),
    "tilt": ("tilt_up", "tilt_down"),
    "roll": ("roll_cw", "roll_ccw"),
    "zoom": ("zoom_in", "zoom_out"),
}
# kind -> axes that move; "shake" is a hand's. "stops" starts and ends at once, between stretches of stillness; "turn"
# is a rotation in space, perspective and all, where "pan" and "tilt" shift the window; "mover" is a thing that sways.
KINDS: dict[str, tuple[str, ...]] = {
    "static": (),
    "pan": ("pan",),
    "tilt": ("tilt",),
    "roll": ("roll",),
    "zoom": ("zoom",),
    "pan+tilt": ("pan", "tilt"),
    "pan+zoom": ("pan", "zoom"),
    "zoom+roll": ("zoom", "roll"),
    "handheld": ("shake",),
    "pan+handheld": ("pan", "shake"),
    "pan-stops": ("pan",),
    "turn-pan": ("pan",),
    "turn-tilt": ("tilt",),
    "static-mover": (),
}
SIZES_WH = ((640, 360), (854, 480), (1280, 720), (480, 854), (640, 640))


@dataclass(frozen=True)
class Move:
    """What a window does: the camera's motion in px of the window (right, up), rad clockwise, log of magnification."""

    kind: str
    right_up_px_T2: NDArray[np.float64]
    turn_rad_T: NDArray[np.float64]
    log_scale_T: NDArray[np.float64]
    # Angles to the right and up in space, seen with a focal length of focal_px.
    yaw_pitch_rad_T2: NDArray[np.float64] | None = None
    focal_px: float = 1.0

    def window_from_frame(self, size_wh: tuple[int, int], base_px: NDArray[np.float64]) -> Path33:
        """Maps px of each output frame (T, 3, 3) to px of the source; base_px (3, 3) maps an unmoved frame there."""
        maps = []
        for (right, up), turn, log_scale in zip(self.right_up_px_T2, self.turn_rad_T, self.log_scale_T, strict=True):
            cos, sin = np.cos(turn) / np.exp(log_scale), np.sin(turn) / np.exp(log_scale)
            center = np.array([[1, 0, -size_wh[0] / 2], [0, 1, -size_wh[1] / 2], [0, 0, 1.0]])
            turned = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
            back = np.array([[1, 0, size_wh[0] / 2 + right], [0, 1, size_wh[1] / 2 - up], [0, 0, 1]])
            maps.append(base_px @ back @ turned @ center)
        if self.yaw_pitch_rad_T2 is not None:
            maps = [M @ self._rotated(*angles, size_wh) for M, angles in zip(maps, self.yaw_pitch_rad_T2, strict=True)]
        return np.array(maps)

    def _rotated(self, yaw: float, pitch: float, size_wh: tuple[int, int]) -> NDArray[np.float64]:
        """K R K^-1: where a turned camera's pixels lie in the picture of one that was not turned."""
        K = np.array([[self.focal_px, 0, size_wh[0] / 2], [0, self.focal_px, size_wh[1] / 2], [0, 0, 1]])
        right = cv2.Rodrigues(np.array([0, yaw, 0]))[0]
        up = cv2.Rodrigues(np.array([pitch, 0, 0]))[0]
        return np.asarray(K @ right @ up @ np.linalg.inv(K))


@dataclass
class Case:
    name: str
    kind: str
    path: Path
    size_wh: tuple[int, int]
    fps: float
    truth: dict[str, float] = field(default_factory=dict)


def make_move(kind: str, T: int, fps: float, size_wh: tuple[int, int], rng: np.random.Generator) -> Move:
    """Amounts and courses drawn at random: even speed, or a start and a stop that ease."""
    along = np.linspace(0, 1, T)
    if rng.random() < 0.5:
        along = along * along * (3 - 2 * along)
    sign = {axis: rng.choice([-1.0, 1.0]) for axis in AXES}
    amount = {
        "pan": rng.uniform(0.07, 0.3) * size_wh[0],
        "tilt": rng.uniform(0.07, 0.3) * size_wh[1],
        "roll": np.radians(rng.uniform(4, 20)),
        "zoom": np.log(rng.uniform(1.08, 1.5)),
    }
    path = {axis: sign[axis] * amount[axis] * along * (axis in KINDS[kind]) for axis in AXES}
    if kind == "pan-stops":
        path["pan"] = sign["pan"] * amount["pan"] * np.clip((np.linspace(0, 1, T) - 0.3) / 0.4, 0, 1)
    right_up = np.stack([path["pan"], path["tilt"]], axis=1)
    turn = path["roll"].copy()
    if "shake" in KINDS[kind]:
        sway = hand_shake(T, fps, rng)
        right_up += sway[:, :2] * rng.uniform(0.006, 0.015) * max(size_wh)
        turn += sway[:, 2] * np.radians(rng.uniform(0.2, 0.5))
    # A view that grows wider starts narrow, one that narrows starts wide: it stays inside the source.
    log_scale = path["zoom"] - min(0.0, float(path["zoom"][-1]))
    if kind.startswith("turn"):
        focal_px = float(rng.uniform(0.8, 1.6)) * max(size_wh)
        return Move(kind, np.zeros((T, 2)), turn, log_scale, np.arctan(right_up / focal_px), focal_px)
    return Move(kind, right_up, turn, log_scale)


def hand_shake(T: int, fps: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(T, 3), root mean square 1: sway of 0.3-2 Hz with some tremor up to 6 Hz, falling with frequency."""
    t_s = np.arange(T) / fps
    waves = np.zeros((T, 3))
    for hz in rng.uniform(0.3, 6.0, 24):
        phase, weight = rng.uniform(0, 2 * np.pi, 3), rng.normal(0, 1, 3) / hz
        waves += weight * np.sin(2 * np.pi * hz * t_s[:, None] + phase)
    return np.asarray(waves / np.maximum(waves.std(axis=0), 1e-9))


def totals(frame_from_previous_T33: Path33, size_wh: tuple[int, int]) -> dict[str, float]:
    """Sums of what the picture's middle does from frame to frame: pan and tilt in px, roll in rad, zoom as a log."""
    center = np.array([size_wh[0] / 2, size_wh[1] / 2, 1])
    total = dict.fromkeys(AXES, 0.0)
    for H in frame_from_previous_T33[1:].astype(np.float64):
        moved = H @ center
        # A small square around the middle says how it turns and grows.
        square = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0.0]])[:, :2]
        a, b = H @ (center + square[:, 0]), H @ (center + square[:, 1])
        x, y = a[:2] / a[2] - moved[:2] / moved[2], b[:2] / b[2] - moved[:2] / moved[2]
        shift = moved[:2] / moved[2] - center[:2]
        total["pan"] -= shift[0]
        total["tilt"] += shift[1]
        total["roll"] -= float(np.arctan2(x[1] - y[0], x[0] + y[1]))
        total["zoom"] += 0.5 * float(np.log(max(1e-9, x[0] * y[1] - x[1] * y[0])))
    return total


def steps_between(maps_T33: Path33) -> Path33:
    steps = [np.eye(3)]
    for before, after in itertools.pairwise(maps_T33):
        step = np.linalg.inv(after) @ before
        steps.append(step / step[2, 2])
    return np.array(steps)


def warp(source_HWC: Frames, window_from_frame_33: NDArray[np.float64], size_wh: tuple[int, int]) -> Frames:
    """Pixel centres are at halves in our maps and at whole numbers in OpenCV's."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    M = np.linalg.inv(half) @ window_from_frame_33 @ half
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    return np.asarray(
        cv2.warpPerspective(source_HWC, M, size_wh, flags=flags, borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )


def base_window(source_wh: tuple[int, int], size_wh: tuple[int, int], move: Move) -> NDArray[np.float64]:
    """The largest scale and the place at which every moved window lies inside the source."""
    corners = np.array([[0, 0, 1], [size_wh[0], 0, 1], [0, size_wh[1], 1], [*size_wh, 1]], np.float64).T
    mapped = [M @ corners for M in move.window_from_frame(size_wh, np.eye(3))]
    reach = np.concatenate([(px[:2] / px[2]).T for px in mapped])
    low, high = reach.min(axis=0), reach.max(axis=0)
    scale = 0.98 * float((np.array(source_wh) / (high - low)).min())
    place = np.array(source_wh) / 2 - scale * (low + high) / 2
    return np.array([[scale, 0, place[0]], [0, scale, place[1]], [0, 0, 1]])


def shrunk_for(source_HWC: Frames, base: NDArray[np.float64]) -> tuple[Frames, NDArray[np.float64]]:
    """A source larger than its view is made smaller first, so that sampling it makes no moire."""
    factor = 1 / base[0, 0]
    if factor >= 0.9:
        return source_HWC, base
    small = cv2.resize(source_HWC, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), np.diag([factor, factor, 1.0]) @ base


def photo_case(photo: Frames, kind: str, rng: np.random.Generator) -> tuple[Frames, Move, float]:
    fps = float(rng.choice([24, 25, 30, 50]))
    T = round(fps * rng.uniform(1.5, 4.0))
    size_wh = SIZES_WH[int(rng.integers(len(SIZES_WH)))]
    move = make_move(kind, T, fps, size_wh, rng)
    base = base_window((photo.shape[1], photo.shape[0]), size_wh, move)
    source, base = shrunk_for(photo, base)
    maps = move.window_from_frame(size_wh, base)
    frames = np.stack([warp(source, M, size_wh) for M in maps])
    return (cross(frames, rng) if kind == "static-mover" else frames), move, fps


def cross(frames: Frames, rng: np.random.Generator) -> Frames:
    """A cut-out of the same picture, a fifth to two fifths of the frame, sways like a body that no mask covers."""
    T, height, width = frames.shape[:3]
    thing = np.ascontiguousarray(frames[0][:, ::-1])
    axes = np.array([width * rng.uniform(0.22, 0.32), height * rng.uniform(0.3, 0.42)])
    place = np.array([width * rng.uniform(0.3, 0.7), height * 0.55])
    swing, hz, phase = rng.uniform(0.05, 0.2) * width, rng.uniform(0.2, 0.8), rng.uniform(0, 2 * np.pi)
    moved = frames.copy()
    for t in range(T):
        angle = phase + 2 * np.pi * hz * t / 25
        x, y = swing * np.sin(angle), 0.2 * swing * np.cos(1.7 * angle)
        M = np.array([[1, 0, x], [0, 1, y]], np.float64)
        mask = np.zeros((height, width), np.uint8)
        center = (int(place[0] + x), int(place[1] + y))
        cv2.ellipse(mask, center, (int(axes[0]), int(axes[1])), 10 * np.sin(angle), 0, 360, 255, -1)
        shifted = cv2.warpAffine(thing, M, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        moved[t][mask > 0] = shifted[mask > 0]
    return moved


def clip_case(clip: Frames, fps: float, kind: str, rng: np.random.Generator) -> tuple[Frames, Move]:
    """The window moves over a clip that plays: people in it move as they did."""
    size_wh = (clip.shape[2] // 2 * 2, clip.shape[1] // 2 * 2)
    move = make_move(kind, len(clip), fps, size_wh, rng)
    base = base_window((clip.shape[2], clip.shape[1]), size_wh, move)
    maps = move.window_from_frame(size_wh, base)
    return np.stack([warp(frame, M, size_wh) for frame, M in zip(clip, maps, strict=True)]), move


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
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        measure(cases(args, work), args.verbose)


def measure(made: Iterator[Case], verbose: bool) -> None:
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
    every_error = np.abs(np.concatenate([np.array(v) for v in errors.values()])) if errors else np.zeros(0)
    if len(every_error):
        print(f"{'all totals':32s} {100 * np.mean(every_error <= 0.05):9.1f} % of {len(every_error):3d}")
    print(f"camera annotator: {np.mean(ms):.2f} CPU ms per frame")


if __name__ == "__main__":
    main()
