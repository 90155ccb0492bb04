"""A selection of samples as a folder that FiftyOne reads, written without FiftyOne.

    FOLDER/metadata.json, samples.json, frames/KEY.json, data/KEY.mp4, load.py

The layout is that of `fiftyone.types.LegacyFiftyOneDataset`: documents whose fields FiftyOne takes from what they hold.
The newer one states the fields of a certain version's database, which the next version migrates. Points are shares of
width and height, frames are numbered from 1, labels are intervals of frames (first and last).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.render.tracks import frame_at
from annotation.render.wireframe import BODY_BONES, FACE_LINES, HAND_BONES
from annotation.timed_labels import TimedLabel, timed_labels
from pipelines.progress import track
from pipelines.shards import labels_of
from pipelines.sink import check_new, made_whole, write_text
from pipelines.viewer.columns import Column
from pipelines.viewer.media import open_member
from pipelines.viewer.numbers import with_finite_numbers
from pipelines.viewer.query import Query
from pipelines.viewer.samples import SAMPLES
from pipelines.viewer.tables import MAX_PAGE, Tables
from schemas.codecs import decode_json
from schemas.errors import CorruptShard, DataError
from schemas.index import SampleEntry
from schemas.shard import check_name, read_members
from schemas.storage import Location, name_of
from schemas.tracks import (
    BODY_JOINTS,
    HAND_JOINTS,
    TRACKS,
    BodyTrack,
    CameraTrack,
    ContactTrack,
    FaceTrack,
    HandsTrack,
    Track,
)

LOADER = "load.py"
_FACE_DRAWN = sorted({landmark for _, line in FACE_LINES for landmark in line})
_SIDES = ("left", "right")
# Columns that FiftyOne has a place of its own for, or that say where bytes lie.
_NOT_FIELDS = ("key", "shard", "offset", "bytes", "sha256", "width_px", "height_px", "frames", "fps", "duration_s")
# Facts of a sample's JSON under these names would take the place of FiftyOne's own.
_FIFTYONES = frozenset(
    ("id", "_id", "filepath", "tags", "metadata", "media_type", "frames", "_media_type", "_rand", "_dataset_id",
     "dataset_id", "created_at", "last_modified_at", "key")
)  # fmt: skip
_LOADER = '''"""Loads this folder into FiftyOne: python load.py, then `fiftyone app launch NAME`."""

import json
from pathlib import Path

import fiftyone as fo

folder = Path(__file__).resolve().parent
about = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
dataset = fo.Dataset.from_dir(
    dataset_dir=str(folder), dataset_type=fo.types.LegacyFiftyOneDataset, name=about["name"], overwrite=True
)
dataset.skeletons = {
    field: fo.KeypointSkeleton(edges=skeleton["edges"]) for field, skeleton in about["info"]["skeletons"].items()
}
dataset.persistent = True
print(f"{len(dataset)} samples in the dataset {dataset.name}")
'''


def export_fiftyone(dataset: Location, tables: Tables, query: Query, limit: int | None, folder: Path) -> dict[str, Any]:
    """Writes the first `limit` samples of what was asked for; the folder appears when it is complete.

    Returns: folder, samples and bytes of videos. Raises: RecipeError when the folder holds something, CorruptShard.
    """
    check_new(folder, "--fiftyone")
    total = tables.count(SAMPLES, query)
    wanted = total if limit is None else min(limit, total)
    bytes_written = 0
    with made_whole(folder) as part:
        for name in ("data", "frames"):
            (part / name).mkdir()
        with (part / "samples.json").open("w", encoding="utf-8") as file:
            file.write('{"samples": [')
            for number, row in enumerate(track(_rows(tables, query, wanted), "exporting", wanted)):
                document, video_bytes = _export_sample(dataset, row, tables.columns[SAMPLES], part)
                bytes_written += video_bytes
                file.write((",\n" if number else "\n") + _json(document))
            file.write("\n]}\n")
        write_text(part / "metadata.json", json.dumps(_about(name_of(dataset)), indent=1) + "\n")
        write_text(part / LOADER, _LOADER)
    return {"folder": str(folder), "samples": wanted, "bytes": bytes_written}


def _json(document: dict[str, Any]) -> str:
    try:
        return json.dumps(document, allow_nan=False)
    except ValueError:
        # Rare, and looking at every number of every frame takes longer than writing them.
        return json.dumps(with_finite_numbers(document), allow_nan=False)


def _rows(tables: Tables, query: Query, wanted: int) -> Iterator[dict[str, Any]]:
    for offset in range(0, wanted, MAX_PAGE):
        yield from tables.page(SAMPLES, query, offset, min(MAX_PAGE, wanted - offset))


def _about(name: str) -> dict[str, Any]:
    place = {landmark: n for n, landmark in enumerate(_FACE_DRAWN)}
    face = [[place[j] for j in (*line, line[0])] if closed else [place[j] for j in line] for closed, line in FACE_LINES]
    skeletons = {
        "frames.body": {"edges": [list(bone) for bone in BODY_BONES], "joints": BODY_JOINTS},
        "frames.hands": {"edges": [list(bone) for bone in HAND_BONES], "joints": HAND_JOINTS},
        "frames.face": {"edges": face, "joints": len(_FACE_DRAWN)},
    }
    return {"name": name, "media_type": "video", "info": {"skeletons": skeletons}}


def _export_sample(
    dataset: Location, row: Mapping[str, Any], columns: Mapping[str, Column], folder: Path
) -> tuple[dict[str, Any], int]:
    entry = SampleEntry.from_row(row)
    check_name(entry.key, "mp4")
    file, video_bytes = open_member(dataset, entry, "mp4")
    with file, (folder / "data" / f"{entry.key}.mp4").open("wb") as video:
        shutil.copyfileobj(file, video)
    members = read_members(dataset, entry, ("json", *TRACKS))
    try:
        labels, _ = timed_labels(labels_of(decode_json(members["json"])))
        tracks = {suffix: TRACKS[suffix].from_npz(members[suffix]) for suffix in TRACKS if suffix in members}
    except (DataError, KeyError) as error:
        raise CorruptShard(f"shard {entry.shard}, sample {entry.key}: {error}") from error
    pts_s_T = next((found.pts_s_T for found in tracks.values() if len(found.pts_s_T)), np.zeros(0))
    if not len(pts_s_T):
        pts_s_T = np.arange(entry.frames) / (entry.fps or 1)
    frames = {str(t + 1): _frame(t, float(pts_s), tracks, entry) for t, pts_s in enumerate(pts_s_T)}
    write_text(folder / "frames" / f"{entry.key}.json", _json({"frames": frames}))
    document = {
        "filepath": f"data/{entry.key}.mp4",
        "tags": [str(row["split"])] if row.get("split") else [],
        "metadata": {
            "_cls": "VideoMetadata", "size_bytes": video_bytes, "mime_type": "video/mp4",
            "frame_width": entry.width_px, "frame_height": entry.height_px, "frame_rate": entry.fps,
            "total_frame_count": len(pts_s_T), "duration": entry.duration_s,
        },
        "key": entry.key,
        **_fields(row, columns),
        **_temporal(labels, pts_s_T),
        "frames": f"frames/{entry.key}.json",
    }  # fmt: skip
    return document, video_bytes


def _fields(row: Mapping[str, Any], columns: Mapping[str, Column]) -> dict[str, Any]:
    """Scores and facts; a dot in a name would mean a part of another field to FiftyOne."""
    return {
        name.replace(".", "_"): row[name]
        for name, column in columns.items()
        if column.kind != "labels"
        and name not in _NOT_FIELDS
        and row[name] is not None
        and name.replace(".", "_").lower() not in _FIFTYONES
    }


def _temporal(labels: Sequence[TimedLabel], pts_s_T: NDArray[np.float64]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for label in labels:
        inside = [t for t, pts_s in enumerate(pts_s_T) if label.holds_at(float(pts_s))]
        if not inside:
            # Shorter than a frame: the one that is shown then.
            inside = [max(0, int(np.searchsorted(pts_s_T, label.start_s, side="right")) - 1)]
        detection: dict[str, Any] = {
            "_cls": "TemporalDetection",
            "label": label.name,
            "support": [inside[0] + 1, inside[-1] + 1],
        }
        if label.confidence is not None:
            detection["confidence"] = label.confidence
        field = fields.setdefault(label.field.replace(".", "_"), {"_cls": "TemporalDetections", "detections": []})
        field["detections"].append(detection)
    return fields


def _frame(t: int, pts_s: float, tracks: Mapping[str, Track], entry: SampleEntry) -> dict[str, Any]:
    size_2 = np.array([max(entry.width_px, 1), max(entry.height_px, 1)], np.float64)
    frame: dict[str, Any] = {"frame_number": t + 1, "pts_s": round(pts_s, 6)}
    for found in tracks.values():
        if isinstance(found, ContactTrack):
            # On the frame of the look itself.
            boxes = [
                _box(found, n, size_2)
                for n, seen_s in enumerate(found.thing_s_N)
                if frame_at(found, float(seen_s), entry.fps) == t
            ]
            if boxes:
                frame["things"] = {"_cls": "Detections", "detections": boxes}
            continue
        row = frame_at(found, pts_s, entry.fps)
        if row is None:
            continue
        if isinstance(found, CameraTrack):
            frame["camera_pan_tilt_roll_rad"] = [round(float(v), 7) for v in found.pan_tilt_roll_rad_T3[row]]
            frame["camera_zoom"] = float(found.zoom_T[row])
            continue
        points = list(_keypoints(found, row, size_2))
        if points:
            name = {BodyTrack: "body", FaceTrack: "face", HandsTrack: "hands"}[type(found)]
            frame[name] = {"_cls": "Keypoints", "keypoints": points}
    return frame


def _keypoints(found: Track, t: int, size_2: NDArray[np.float64]) -> Iterator[dict[str, Any]]:
    if isinstance(found, BodyTrack):
        for person in np.flatnonzero(found.present_PT[:, t]):
            conf_J = found.conf_PTJ[person, t]
            yield {
                **_points(f"person {person}", found.joints_px_PTJ2[person, t] / size_2, conf_J),
                "filled": bool(found.filled_PT[person, t]),
            }
    elif isinstance(found, FaceTrack) and found.present_T[t]:
        yield _points("face", found.landmarks_px_TL2[t, _FACE_DRAWN] / size_2, None)
    elif isinstance(found, HandsTrack):
        px_ET2J2 = np.concatenate([found.joints_px_T2J2[None], found.others_px_QT2J2])
        present_ET2 = np.concatenate([found.present_T2[None], found.others_present_QT2])
        conf_ET2 = np.concatenate([found.conf_T2[None], found.others_conf_QT2])
        for person, side in zip(*np.nonzero(present_ET2[:, t]), strict=True):
            name = f"{_SIDES[side]} hand" + (f" of person {person}" if person else "")
            yield _points(name, px_ET2J2[person, t, side] / size_2, np.full(HAND_JOINTS, conf_ET2[person, t, side]))


def _points(label: str, share_J2: NDArray[np.float64], conf_J: NDArray[np.float32] | None) -> dict[str, Any]:
    point: dict[str, Any] = {"_cls": "Keypoint", "label": label, "points": np.round(share_J2, 5).tolist()}
    if conf_J is not None:
        point["confidence"] = np.round(conf_J.astype(np.float64), 3).tolist()
    return point


def _box(found: ContactTrack, n: int, size_2: NDArray[np.float64]) -> dict[str, Any]:
    corners_22 = found.thing_px_N4[n].astype(np.float64).reshape(2, 2) / size_2
    box = [*corners_22[0], *(corners_22[1] - corners_22[0])]
    return {"_cls": "Detection", "label": found.thing_names[n], "bounding_box": [round(float(v), 5) for v in box]}
