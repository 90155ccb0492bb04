"""motionloom shards: look into a DATASET. Also `python -m pipelines.shards`."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from pipelines.arguments import local_path, location
from pipelines.shard_check import check_dataset
from pipelines.terminal import number_text, print_json, print_lines, print_table, size_text
from schemas.codecs import decode_json
from schemas.errors import CorruptShard, RecipeError, SchemaError
from schemas.index import SampleEntry, load_overlays, load_samples, load_shards
from schemas.label_quality import LABEL_QUALITY, LABEL_QUALITY_NAMES
from schemas.overlay import load_overlay
from schemas.shard import member_overlays, read_members, read_sample
from schemas.storage import Location, answering
from schemas.tracks import TRACKS, BodyTrack, CameraTrack, ContactTrack, FaceTrack, HandsTrack, Track

HELP = "list, show, count, verify and draw the samples of a dataset"
LABEL_FIELDS = ("actions", "expressions", "interactions", "gestures")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, text: str) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=text, description=text)
        sub.add_argument(
            "dataset", type=location, metavar="DATASET", help="folder or URI written by motionloom annotate"
        )
        sub.add_argument("--json", action="store_true", help="print one JSON document")
        return sub

    action("ls", "one row per sample").add_argument(
        "--limit", type=int, metavar="N", help="show only the first N samples"
    )
    action("show", "everything about one sample").add_argument("key", metavar="KEY", help="a key that ls lists")
    action("stats", "totals, distributions and labels")
    action("verify", "find damage and disagreement; exit 1 if there is any").add_argument(
        "--deep", action="store_true", help="also decode every clip and count its frames"
    )
    action("card", "write DATASET/README.md: what is in it, how it was made, lines that read it").add_argument(
        "--output", type=local_path, metavar="FILE", help="write it there instead; replaced when it exists"
    )
    from pipelines.viewer.command import add_arguments as add_view_arguments

    add_view_arguments(action("view", "draw one sample, or browse, print and export them all"))


def run(args: argparse.Namespace) -> int:
    commands: dict[str, Callable[[argparse.Namespace], int]] = {
        "ls": _ls,
        "show": _show,
        "stats": _stats,
        "verify": _verify,
        "card": _card,
        "view": _view,
    }
    with answering(args.dataset):
        return commands[args.action](args)


def _view(args: argparse.Namespace) -> int:
    from pipelines.viewer.command import run as view

    return view(args)


def _card(args: argparse.Namespace) -> int:
    from pipelines.dataset_card import run as card

    return card(args)


def _ls(args: argparse.Namespace) -> int:
    if args.limit is not None and args.limit < 0:
        raise RecipeError(f"--limit {args.limit}: expected 0 or more")
    entries = load_samples(args.dataset)
    shown = entries[: args.limit]
    if args.json:
        print_json({"dataset": str(args.dataset), "total": len(entries), "samples": [entry.row() for entry in shown]})
        return 0
    rows = [
        (
            entry.key,
            f"{entry.duration_s:.2f}",
            f"{entry.width_px}x{entry.height_px}",
            entry.frames,
            size_text(entry.size_bytes),
            entry.shard,
            entry.caption,
        )
        for entry in shown
    ]
    columns = ("key", "seconds", "size", "frames", "bytes", "shard", "caption")
    title = f"{len(entries)} samples" if len(shown) == len(entries) else f"first {len(shown)} of {len(entries)} samples"
    print_table(title, columns, rows, right=("seconds", "frames", "bytes"))
    return 0


def find_entry(entries: list[SampleEntry], key: str) -> SampleEntry:
    """Raises: RecipeError naming the nearest key."""
    by_key = {entry.key: entry for entry in entries}
    if key not in by_key:
        near = difflib.get_close_matches(key, by_key, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"motionloom shards ls lists all {len(entries)}"
        raise RecipeError(f"no sample {key}; {hint}")
    return by_key[key]


def track_summary(track: Track) -> dict[str, Any]:
    """What a person asks of a track first: how long, how many, how often present (0-1)."""

    def share(present: Any) -> float:
        return float(np.mean(present)) if np.size(present) else 0.0

    summary: dict[str, Any] = {"frames": len(track.pts_s_T)}
    if isinstance(track, BodyTrack):
        summary["people"] = len(track.present_PT)
        summary["present_fraction"] = share(track.present_PT.any(axis=0))
        summary["main_subject_fraction"] = share(track.present_PT[:1])
    elif isinstance(track, FaceTrack):
        summary["present_fraction"] = share(track.present_T)
        summary["coefficients"] = len(track.expression_names)
    elif isinstance(track, HandsTrack):
        summary["present_fraction"] = share(track.present_T2.any(axis=1))
        summary["left_fraction"], summary["right_fraction"] = (
            share(track.present_T2[:, 0]),
            share(track.present_T2[:, 1]),
        )
    elif isinstance(track, CameraTrack):
        summary["mean_inlier_fraction"] = share(track.inlier_fraction_T)
    elif isinstance(track, ContactTrack):
        summary["known_fraction"] = share(track.known_T2.any(axis=1))
    return summary


def _show(args: argparse.Namespace) -> int:
    entry = find_entry(load_samples(args.dataset), args.key)
    members = read_sample(args.dataset, entry)
    if "json" not in members:
        raise CorruptShard(f"shard {entry.shard}, sample {entry.key}: member json is missing")
    metadata = decode_json(members["json"])
    tracks = {suffix: track_summary(TRACKS[suffix].from_npz(members[suffix])) for suffix in TRACKS if suffix in members}
    sizes = {suffix: len(data) for suffix, data in sorted(members.items())}
    overlay_of = member_overlays(entry)
    document = {
        **entry.row(), "members": sizes, "member_overlays": {suffix: overlay_of.get(suffix) for suffix in sizes},
        "metadata": metadata, "tracks": tracks,
    }  # fmt: skip
    if args.json:
        print_json(document)
        return 0
    print_lines(f"{entry.key} in {entry.shard}, bytes {entry.offset} to {entry.offset + entry.size_bytes}")
    facts = [(name, number_text(value) if isinstance(value, float) else value)
             for name, value in metadata.items() if not isinstance(value, dict | list)]  # fmt: skip
    print_table("metadata", ("field", "value"), facts)
    places = [(suffix, size, overlay_of.get(suffix) or "shard") for suffix, size in sizes.items()]
    print_table("members", ("member", "bytes", "from"), places, right=("bytes",))
    track_rows = [
        (suffix, ", ".join(f"{name} {number_text(value)}" for name, value in summary.items()))
        for suffix, summary in tracks.items()
    ]
    print_table("tracks", ("track", "summary"), track_rows)
    scores = metadata.get("scores") or {}
    print_table(
        "scores", ("score", "value"), [(k, number_text(v)) for k, v in sorted(scores.items())], right=("value",)
    )
    print_table(
        "label quality",
        ("measure", "value", "unit"),
        [(spec.name, number_text(entry.label_quality.get(spec.name)), spec.unit) for spec in LABEL_QUALITY],
        right=("value",),
    )
    labels = [
        (field, label.get("label"), number_text(label.get("start_s")), number_text(label.get("end_s")),
         number_text(label.get("confidence")))
        for field, found in labels_of(metadata).items()
        for label in found
    ]  # fmt: skip
    print_table("labels", ("field", "label", "from s", "to s", "confidence"), labels)
    return 0


def labels_of(metadata: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Every labelled interval of a KEY.json, by field; camera moves come under `camera.moves`."""
    camera = metadata.get("camera")
    fields = {name: metadata.get(name) for name in LABEL_FIELDS}
    fields["camera.moves"] = camera.get("moves") if isinstance(camera, dict) else None
    return {
        name: [label for label in found if isinstance(label, dict)] if isinstance(found, list) else []
        for name, found in fields.items()
    }


def dataset_totals(dataset: Location) -> dict[str, Any]:
    """Counts and distributions; reads json and tracks of every sample, never its video.

    Raises: RecipeError, CorruptShard.
    """
    from pipelines.progress import track

    entries = load_samples(dataset)
    shards = load_shards(dataset)
    labels: dict[str, Counter[str]] = {}
    present: Counter[str] = Counter()
    for entry in track(entries, "stats", len(entries)):
        members = read_members(dataset, entry, ("json", "body.npz", "face.npz", "hands.npz"))
        try:
            for field, found in labels_of(decode_json(members["json"])).items():
                labels.setdefault(field, Counter()).update(str(label.get("label")) for label in found)
            for suffix, name in (("body.npz", "body"), ("face.npz", "face"), ("hands.npz", "hands")):
                if suffix in members:
                    seen = track_summary(TRACKS[suffix].from_npz(members[suffix]))["present_fraction"]
                    present[name] += seen > 0
        except (SchemaError, KeyError) as error:
            raise CorruptShard(f"shard {entry.shard}, sample {entry.key}: {error}") from error
    durations = [entry.duration_s for entry in entries]
    return {
        "dataset": str(dataset),
        "samples": len(entries),
        "shards": len(shards),
        "hours": sum(durations) / 3600,
        "frames": sum(entry.frames for entry in entries),
        "bytes": sum(shard.size_bytes for shard in shards),
        "overlay_bytes": _overlay_bytes(dataset),
        "duration_s": _quantiles(durations),
        "resolutions": dict(Counter(f"{e.width_px}x{e.height_px}" for e in entries).most_common()),
        "fps": dict(Counter(f"{e.fps:g}" for e in entries).most_common()),
        "samples_with": {name: present[name] for name in ("body", "face", "hands")},
        "labels": {field: dict(counts.most_common()) for field, counts in labels.items()},
        "label_quality": {name: _measured_quantiles(entries, name) for name in LABEL_QUALITY_NAMES},
    }


def _overlay_bytes(dataset: Location) -> dict[str, int]:
    """By name, the oldest first."""
    names = [overlay.name for overlay in load_overlays(dataset)]
    return {name: sum(shard.size_bytes for shard in load_overlay(dataset, name).shards) for name in names}


def _measured_quantiles(entries: list[SampleEntry], name: str) -> dict[str, float | None]:
    values = [value for entry in entries if (value := entry.label_quality.get(name)) is not None]
    return {"measured": len(values), **_quantiles(values)}


def _quantiles(values: list[float]) -> dict[str, float | None]:
    names = ("min", "p10", "median", "p90", "max")
    if not values:
        return dict.fromkeys(names)
    return dict(zip(names, map(float, np.quantile(values, (0, 0.1, 0.5, 0.9, 1))), strict=True))


def _stats(args: argparse.Namespace) -> int:
    totals = dataset_totals(args.dataset)
    if args.json:
        print_json(totals)
        return 0
    rows = [
        ("samples", totals["samples"]),
        ("shards", totals["shards"]),
        ("hours", number_text(totals["hours"])),
        ("frames", totals["frames"]),
        ("size", size_text(totals["bytes"])),
        *((f"overlay {name}", size_text(size_bytes)) for name, size_bytes in totals["overlay_bytes"].items()),
        *(
            (f"duration {name}", number_text(value) and f"{value:.2f} s")
            for name, value in totals["duration_s"].items()
        ),
        *((f"with {name}", count) for name, count in totals["samples_with"].items()),
    ]
    print_table("totals", ("what", "value"), rows, right=("value",))
    counts = [("resolution", *item) for item in totals["resolutions"].items()]
    counts += [("fps", *item) for item in totals["fps"].items()]
    counts += [(field, *item) for field, found in totals["labels"].items() for item in found.items()]
    print_table("distribution", ("field", "value", "samples or labels"), counts, right=("samples or labels",))
    measures = ("measured", "min", "p10", "median", "p90", "max")
    quality = [
        (name, *(number_text(found[each]) for each in measures)) for name, found in totals["label_quality"].items()
    ]
    print_table("label quality", ("measure", *measures), quality, right=measures)
    return 0


def _verify(args: argparse.Namespace) -> int:
    from pipelines.progress import track

    problems = check_dataset(args.dataset, args.deep, track)
    shards = len(load_shards(args.dataset)) if not problems else None
    if args.json:
        document = {"dataset": str(args.dataset), "deep": args.deep, "ok": not problems}
        print_json({**document, "problems": [asdict(problem) for problem in problems]})
    elif problems:
        print_lines(*problems, f"{len(problems)} problems")
    else:
        how = "hashes, indices, tracks and every frame" if args.deep else "hashes, indices, tracks and mp4 structure"
        print_lines(f"no problems in {shards} shards ({how})")
    return 1 if problems else 0


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("shards"))
