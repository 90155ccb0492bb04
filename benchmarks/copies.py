"""Copies of known origin: are all of them found, and is nothing else taken for one?

Makes copies of real and synthetic clips with PyAV (re-encoded, resized, at half the frame rate, trimmed, mirrored, and
all of it together) beside stretches that only look alike (the other half of a take, another pan over one picture,
another walk through one scene), measures and cuts them as `motionloom curate` does, and groups them.

    python -m benchmarks.copies --clips FOLDER --seed 0 [--sources 12] [--same A B] [--json FILE]
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from curation.copy_candidates import candidate_pairs
from curation.copy_proof import MIN_FRAMES, MIN_OVERLAP_S
from curation.cuts import CutRules, cut_clips
from curation.decode import decode_for
from curation.dedup import TraceStore, copy_columns, find_copies
from curation.measure import measure_video
from curation.probe import probe
from curation.scorers.base import FrameScorer
from curation.scorers.cadence import Cadence
from curation.scorers.cut_strength import CutStrength
from curation.scorers.signature import Signature
from schemas.errors import DataError
from schemas.frames import FrameBatch, FrameRequest

_TICKS = 90_000
# Clips that share less of their source than this are distinct; from there to a copy's overlap either answer is right.
_DISTINCT_S = 0.25
# Shorter clips, and those that are black but for three hashed frames, can prove nothing; policies refuse them.
_SHORTEST_S = 0.6
# Takes at least this long may be given as two halves.
_HALVED_S = 3.0
_SUFFIXES = (".mp4", ".avi", ".mov", ".webm", ".mkv")


@dataclass(frozen=True, slots=True)
class Source:
    """rgb_THWC at pts_s_T; `scene` names what looks alike: sources of one scene are distinct and hard to tell apart."""

    name: str
    scene: str
    rgb_THWC: NDArray[np.uint8]
    pts_s_T: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Piece:
    """A clip of a variant: what it shows of its source, in the source's time."""

    source: str
    kind: str
    video_id: str
    start_s: float
    end_s: float
    short_side_px: int


def real_sources(
    folder: Path, wanted: int, seconds: float, rng: np.random.Generator, skipped: Container[str] = ()
) -> Iterator[Source]:
    """The first seconds of some clips of the folder, at most 288 px high, without unreadable and very short ones."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    rng.shuffle(paths)  # type: ignore[arg-type]
    for path in paths:
        if wanted == 0:
            return
        pictures: list[NDArray[np.uint8]] = []
        times_s: list[float] = []

        def deliver(_: str, batch: FrameBatch, pictures: list[Any] = pictures, times_s: list[float] = times_s) -> None:
            pictures.extend(batch.rgb_THWC)
            times_s.extend(batch.pts_s_T.tolist())

        try:
            rotation_deg = probe(path).rotation_deg
            decode_for(path, [FrameRequest("copies", None, 288)], deliver, rotation_deg, 0.0, seconds)
        except DataError:
            continue
        if path.stem in skipped or len(times_s) < 16 or times_s[-1] < 1.0 or min(pictures[0].shape[:2]) < 64:
            continue
        wanted -= 1
        source = Source(path.stem, path.stem, np.stack(pictures), np.asarray(times_s))
        if times_s[-1] >= _HALVED_S and rng.random() < 0.5:
            yield from halved(source)
        else:
            yield source


def synthetic_sources(rng: np.random.Generator, seconds: float) -> Iterator[Source]:
    """Three pans over one picture, and three walks of one figure through one scene."""
    frames, height, width = int(seconds * 25), 180, 240
    pts_s_T = np.arange(frames) / 25
    grain = rng.uniform(0, 255, (height * 2, width * 3, 3)).astype(np.float32)
    picture = cv2.normalize(cv2.GaussianBlur(grain, (0, 0), 9), None, 10, 245, cv2.NORM_MINMAX).astype(np.uint8)  # type: ignore[call-overload]
    for number, (dx, dy) in enumerate(((1.0, 0.0), (-1.0, 0.3), (0.3, 1.0))):
        steps = np.linspace(-1, 1, frames)
        left, top = width + dx * steps * width * 0.5, height / 2 + dy * steps * height * 0.4
        views = [picture[int(y) : int(y) + height, int(x) : int(x) + width] for x, y in zip(left, top, strict=True)]
        yield Source(f"pan_{number}", "pan", np.stack(views), pts_s_T)
    scene = picture[:height, :width]
    for number in range(3):
        # A walk: smooth random steps of a dark figure before the same scene.
        walk = np.cumsum(cv2.GaussianBlur(rng.normal(0, 9, (frames, 1)), (1, 25), 6), axis=0)[:, 0]
        views = []
        for x in width / 2 + walk - walk.mean():
            view = scene.copy()
            cv2.ellipse(view, (int(np.clip(x, 20, width - 20)), 110), (18, 55), 0, 0, 360, (40, 30, 60), -1)
            views.append(view)
        yield Source(f"walk_{number}", "walk", np.stack(views), pts_s_T)


def halved(source: Source) -> Iterator[Source]:
    """The two halves of a take as sources of one scene: never copies of each other."""
    middle = len(source.pts_s_T) // 2
    for number, part in enumerate((slice(0, middle), slice(middle, None)), start=1):
        pts_s_T = source.pts_s_T[part]
        yield Source(f"{source.name}/{number}", source.scene, source.rgb_THWC[part], pts_s_T - pts_s_T[0])


def variants(source: Source, rng: np.random.Generator) -> Iterator[tuple[str, NDArray[np.uint8], slice, int]]:
    """(kind, pictures, which frames of the source, CRF)."""
    frames = len(source.pts_s_T)
    every = slice(0, frames)
    head, tail = (int(frames * share) for share in rng.uniform(0.15, 0.3, 2))
    rgb = source.rgb_THWC
    yield "original", rgb, every, 20
    yield "reencoded", rgb, every, 35
    yield "resized_2/3", _resized(rgb, 2 / 3), every, 26
    yield "resized_1/2", _resized(rgb, 1 / 2), every, 26
    yield "half_rate", rgb[::2], slice(0, frames, 2), 26
    yield "mirrored", rgb[:, :, ::-1], every, 24
    yield "trimmed_start", rgb[head:], slice(head, frames), 24
    yield "trimmed_end", rgb[: frames - tail], slice(0, frames - tail), 24
    inner = slice(head // 2, frames - tail // 2)
    yield "all_together", _resized(rgb[inner, :, ::-1], 1 / 2), inner, 33


def _resized(rgb_THWC: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    height, width = (max(2, round(side * factor)) for side in rgb_THWC.shape[1:3])
    return np.stack([cv2.resize(rgb_HWC, (width, height), interpolation=cv2.INTER_AREA) for rgb_HWC in rgb_THWC])


def encode(path: Path, rgb_THWC: NDArray[np.uint8], pts_s_T: NDArray[np.float64], crf: int) -> None:
    """H.264 with these times; odd sides lose a row or column."""
    height, width = (side - side % 2 for side in rgb_THWC.shape[1:3])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
        stream.codec_context.time_base = Fraction(1, _TICKS)
        for rgb_HWC, pts_s in zip(rgb_THWC, pts_s_T, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb_HWC[:height, :width]), format="rgb24")
            frame.pts, frame.time_base = round((pts_s - pts_s_T[0]) * _TICKS), Fraction(1, _TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def measure(sources: Iterator[Source], folder: Path, rng: np.random.Generator) -> tuple[TraceStore, list[Piece], Any]:
    """Every variant written, measured and cut; clip c of the store is piece c."""
    store, pieces, scenes = TraceStore(), [], {}
    scorers: tuple[FrameScorer, ...] = (CutStrength(), Cadence(), Signature())
    for source in sources:
        scenes[source.name] = source.scene
        for kind, rgb_THWC, frames, crf in variants(source, rng):
            path = folder / f"{len(scenes):03d}_{kind.replace('/', '_')}.mp4"
            encode(path, rgb_THWC, source.pts_s_T[frames], crf)
            facts, _ = measure_video(path, 0, scorers)
            path.unlink()
            shift_s = float(source.pts_s_T[frames.start])
            for span in cut_clips(path.stem, path.name, facts, CutRules()):
                hashed_T = facts.series("picture_hash")[0]
                hashed = int(((hashed_T >= span.start_s) & (hashed_T < span.end_s)).sum())
                if span.duration_s < _SHORTEST_S or hashed < MIN_FRAMES:
                    continue
                store.add(span.clip_id, span.video_id, span.start_s, span.end_s, facts)
                start_s, end_s = span.start_s + shift_s, span.end_s + shift_s
                short_side_px = min(rgb_THWC.shape[1:3])
                pieces.append(Piece(source.name, kind, span.video_id, start_s, end_s, short_side_px))
    return store, pieces, scenes


def judge(store: TraceStore, pieces: list[Piece], scenes: dict[str, str]) -> dict[str, Any]:
    """Recall of copies by kind, pairs wrongly merged, and copies left after keeping the best of each group."""
    began_s = time.process_time()
    groups = find_copies(store)
    seconds = time.process_time() - began_s
    group_of = {clip: number for number, group in enumerate(groups) for clip in group}
    shared = [float(np.log2(piece.short_side_px * (piece.end_s - piece.start_s))) for piece in pieces]
    columns = copy_columns(groups, store.clip_ids, shared)
    kept = [clip for clip, name in enumerate(store.clip_ids) if columns.get(name, (name,))[0] == name]
    found: dict[str, list[int]] = {}
    missed, merged = [], []
    for a, b in itertools.combinations(range(len(pieces)), 2):
        one, other = pieces[a], pieces[b]
        together = a in group_of and group_of[a] == group_of.get(b)
        overlap_s, shorter_s = _overlap_s(one, other)
        # Shots of one variant are joined only when one is a copy of the other, which no source here has.
        if overlap_s < _DISTINCT_S and together:
            alike = scenes[one.source] == scenes[other.source]
            merged.append({"pair": [_text(one), _text(other)], "one_scene": alike})
            continue
        kinds = {one.kind, other.kind}
        copies = one.source == other.source and overlap_s >= min(MIN_OVERLAP_S, 0.5 * shorter_s)
        if copies and "original" in kinds and len(kinds) == 2:
            (kind,) = kinds - {"original"}
            found.setdefault(kind, []).append(together)
            if not together:
                missed.append([_text(one), _text(other)])
    left = [
        [_text(pieces[a]), _text(pieces[b])]
        for a, b in itertools.combinations(kept, 2)
        if pieces[a].video_id != pieces[b].video_id
        and _overlap_s(pieces[a], pieces[b])[0] >= max(_DISTINCT_S, 0.5 * _overlap_s(pieces[a], pieces[b])[1])
    ]
    return {
        "clips": len(pieces),
        "groups": len(groups),
        "kept": len(kept),
        "candidate_pairs": len(candidate_pairs(*store.hashes())),
        "recall": {kind: [sum(hits), len(hits)] for kind, hits in sorted(found.items())},
        "missed": missed,
        "merged": merged,
        "copies_left": left,
        "grouping_cpu_s": round(seconds, 2),
    }


def _overlap_s(one: Piece, other: Piece) -> tuple[float, float]:
    """Seconds of source that both show (0 for different sources), and the shorter one's length."""
    shorter_s = min(one.end_s - one.start_s, other.end_s - other.start_s)
    if one.source != other.source:
        return 0.0, shorter_s
    return max(0.0, min(one.end_s, other.end_s) - max(one.start_s, other.start_s)), shorter_s


def _text(piece: Piece) -> str:
    return f"{piece.source} {piece.kind} {piece.start_s:.2f}-{piece.end_s:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, help="folder of real clips; without it only synthetic ones")
    parser.add_argument(
        "--same",
        nargs=2,
        action="append",
        default=[],
        metavar="NAME",
        help="stems of files that are copies: the second is left out",
    )
    parser.add_argument("--sources", type=int, default=12, help="how many of the real clips")
    parser.add_argument("--seconds", type=float, default=6.0, help="how much of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the result there as well")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(args.seed)
    sources = itertools.chain(
        synthetic_sources(rng, args.seconds),
        real_sources(args.clips, args.sources, args.seconds, rng, [second for _, second in args.same])
        if args.clips
        else (),
    )
    with tempfile.TemporaryDirectory(prefix="copies-") as folder:
        store, pieces, scenes = measure(sources, Path(folder), rng)
    result = {"seed": args.seed, "sources": len(scenes), **judge(store, pieces, scenes)}
    text = json.dumps(result, indent=1)
    print(text)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
