"""Overlays: members added to the samples of a finished dataset, or put in the place of theirs, beside the shards.

    DATASET/overlays/NAME/000000.tar, ...   one for every shard, of the same name, with the same keys in the same order
    DATASET/overlays/NAME/index.json        their hashes, and those of the shards that they lie over

A finished overlay is never changed. DATASET/index.parquet says where each sample's members are, and is replaced in one
step: until then a reader sees the dataset without the overlay.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from schemas.errors import CorruptShard
from schemas.fingerprint import file_sha256
from schemas.index import FORMAT_VERSION, INDEX_JSON, OVERLAYS_DIR, OverlayEntry, ShardEntry
from schemas.storage import Location, joined, read_bytes


@dataclass(frozen=True, slots=True)
class Overlay:
    """An overlay's index.json. base: name -> sha256 of the shards beneath; made_by: what was done, as it is."""

    base: dict[str, str]
    shards: list[ShardEntry]
    made_by: dict[str, Any]


@overload
def overlay_folder(dataset: Path, name: str) -> Path: ...
@overload
def overlay_folder(dataset: Location, name: str) -> Location: ...
def overlay_folder(dataset: Location, name: str) -> Location:
    return joined(dataset, OVERLAYS_DIR, name)


def write_overlay_index(dataset: Path, name: str, overlay: Overlay) -> OverlayEntry:
    """Writes the overlay's index.json in one step. Returns: its row for the dataset's."""
    shard_rows = [
        {"name": shard.name, "samples": shard.samples, "bytes": shard.size_bytes, "sha256": shard.sha256}
        for shard in overlay.shards
    ]
    document = {
        "format_version": FORMAT_VERSION,
        "base": overlay.base,
        "shards": shard_rows,
        "made_by": overlay.made_by,
    }
    path = overlay_folder(dataset, name) / INDEX_JSON
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    part.replace(path)
    return OverlayEntry(name, file_sha256(path))


def load_overlay(dataset: Location, name: str) -> Overlay:
    """Raises: CorruptShard when the overlay's index.json is missing or cannot be read."""
    path = joined(overlay_folder(dataset, name), INDEX_JSON)
    try:
        document = json.loads(read_bytes(path).decode("utf-8"))
        shards = [
            ShardEntry(row["name"], int(row["samples"]), int(row["bytes"]), row["sha256"]) for row in document["shards"]
        ]
        return Overlay(dict(document["base"]), shards, dict(document["made_by"]))
    except OSError as error:
        raise CorruptShard(f"overlay {name}: {path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptShard(f"overlay {name}: {path} cannot be read: {error!r}") from error
