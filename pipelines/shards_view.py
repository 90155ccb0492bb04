"""motionloom shards view: one sample as an overlay video, a contact sheet and, on request, a Rerun recording."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from annotation.base import ClipFrame
from annotation.exports.rerun_recording import write_recording
from annotation.exports.rerun_stream import require_rerun
from annotation.render.sheet import contact_sheet, sheet_jpeg
from annotation.timed_labels import timed_labels
from pipelines.shards import find_entry, labels_of, track_summary
from pipelines.terminal import number_text, print_json, print_lines
from pipelines.view_files import ClipTimes, Shown, clip_times, draw_views
from schemas.codecs import decode_json
from schemas.errors import CorruptShard, DataError, RecipeError
from schemas.index import SampleEntry, load_samples
from schemas.shard import check_name, read_sample
from schemas.storage import Location
from schemas.tracks import TRACKS, Track

SHEET_FRAMES = 12
# What a person asks of a clip first (docs/scores.md), where it was measured.
_SCORES = (
    "quality", "aesthetic", "motion_amplitude_diag_per_s", "camera_motion_diag_per_s", "subject_motion_body_per_s",
    "motion_fluency", "subject_consistency", "text_fraction",
)  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Raises: RecipeError for an unknown key, DataError when sample or clip cannot be read, ResourceError."""
    entry = find_entry(load_samples(args.dataset), args.key)
    check_name(entry.key, "mp4")
    if args.rerun:
        require_rerun()
    if args.output.exists() and not args.output.is_dir():
        raise RecipeError(f"--output {args.output} is a file, expected a folder")
    shown, metadata, notes = _read(args.dataset, entry)
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecipeError(f"--output {args.output} cannot be made: {error.strerror or error}") from error
    if not os.access(args.output, os.W_OK):
        raise RecipeError(f"--output {args.output} cannot be written to")
    overlay = None if args.no_video else args.output / f"{entry.key}.overlay.mp4"
    sheet = args.output / f"{entry.key}.sheet.jpg"
    recording = args.output / f"{entry.key}.rrd" if args.rerun else None
    cells = draw_views(shown, overlay, _sheet_times_s(shown.times))
    facts = [*_facts(entry, shown, metadata), *(f"note: {note}" for note in notes)]
    drawn = contact_sheet(entry.key, facts, cells, shown.labels, shown.caption, shown.times.duration_s)
    _write(sheet, sheet_jpeg(drawn))
    if recording is not None:
        tracks = list(shown.tracks.values())
        write_recording(recording, entry.key, shown.mp4, shown.times.pts_s_T, tracks, shown.labels, shown.caption)
    files = {"overlay": overlay, "sheet": sheet, "rerun": recording}
    document = {
        "key": entry.key,
        **{name: str(path) if path is not None else None for name, path in files.items()},
        "frames": len(shown.times.pts_s_T),
        "duration_s": shown.times.duration_s,
        "missing_tracks": [suffix for suffix in TRACKS if suffix not in shown.tracks],
        "notes": notes,
    }
    if args.json:
        print_json(document)
    else:
        print_lines(*(path for path in files.values() if path is not None), *(f"note: {note}" for note in notes))
    return 0


def _read(dataset: Location, entry: SampleEntry) -> tuple[Shown, Mapping[str, Any], list[str]]:
    """What is to be drawn, the sample's JSON, and what a person should know about it.

    Raises: CorruptShard, naming shard and key.
    """
    members = read_sample(dataset, entry)
    where = f"shard {entry.shard}, sample {entry.key}"
    for suffix in ("mp4", "json"):
        if suffix not in members:
            raise CorruptShard(f"{where}: member {suffix} is missing")
    try:
        metadata = decode_json(members["json"])
        tracks: dict[str, Track] = {s: TRACKS[s].from_npz(members[s]) for s in TRACKS if s in members}
    except DataError as error:
        raise CorruptShard(f"{where}: {error}") from error
    try:
        times = clip_times(members["mp4"])
    except DataError as error:
        raise CorruptShard(f"{where}: the clip {error}") from error
    labels, unreadable = timed_labels(labels_of(metadata))
    # Tracks are in px of the stated size, also where the clip has another.
    clip = ClipFrame(entry.width_px or times.size_wh[0], entry.height_px or times.size_wh[1], entry.fps)
    shown = Shown(members["mp4"], times, tracks, clip, labels, str(metadata.get("caption") or ""))
    return shown, metadata, _notes(entry, times, tracks, unreadable)


def _notes(entry: SampleEntry, times: ClipTimes, tracks: Mapping[str, Track], unreadable: int) -> list[str]:
    frames = len(times.pts_s_T)
    missing = [suffix for suffix in TRACKS if suffix not in tracks]
    notes = [f"without {', '.join(missing)}"] if missing else []
    for suffix, track in tracks.items():
        if len(track.pts_s_T) != frames:
            notes.append(f"{suffix} has {len(track.pts_s_T)} frames, the clip {frames}: drawn where times agree")
    if times.size_wh != (entry.width_px, entry.height_px):
        stated = f"{entry.width_px}x{entry.height_px}"
        notes.append(f"the clip is {times.size_wh[0]}x{times.size_wh[1]} px, the index says {stated}")
    if unreadable:
        notes.append(f"{unreadable} labels are unreadable and not shown")
    return notes


def _sheet_times_s(times: ClipTimes) -> list[float]:
    """Times of frames in the middle of equal parts of the clip; all frames of a clip that has no more."""
    count = min(SHEET_FRAMES, len(times.pts_s_T))
    index = np.floor((np.arange(count) + 0.5) / count * len(times.pts_s_T)).astype(int)
    return [float(pts_s) for pts_s in times.pts_s_T[index]]


def _facts(entry: SampleEntry, shown: Shown, metadata: Mapping[str, Any]) -> Sequence[str]:
    times = shown.times
    size = f"{times.size_wh[0]}x{times.size_wh[1]} px"
    facts = [
        f"{size}, {entry.fps:.4g} frames/s, {len(times.pts_s_T)} frames, {times.duration_s:.2f} s"
        f"  ·  {metadata.get('uri', '')}  ·  licence {metadata.get('licence') or 'not stated'}"
    ]
    scores = metadata.get("scores")
    if isinstance(scores, dict):
        known = [f"{name} {number_text(scores[name])}" for name in _SCORES if scores.get(name) is not None]
        facts.append("  ·  ".join(known))
    measured = [f"{name} {number_text(value)}" for name, value in entry.label_quality.items() if value is not None]
    if measured:
        facts.append("labels: " + "  ·  ".join(measured))
    summaries = {suffix: track_summary(track) for suffix, track in shown.tracks.items()}
    facts.append(
        "  ·  ".join(
            f"{suffix.removesuffix('.npz')}: "
            + ", ".join(f"{n.replace('_', ' ')} {number_text(v)}" for n, v in summary.items() if n != "frames")
            for suffix, summary in summaries.items()
        )
    )
    return [fact for fact in facts if fact]


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.replace(path)
