"""What lies where in a dataset: `index.json` (shards and their hashes) and `index.parquet` (a row per sample).

Both also name the overlays, where members of samples were added or replaced without touching the shards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import CorruptShard, RecipeError

INDEX_JSON = "index.json"
INDEX_PARQUET = "index.parquet"
SHARDS_DIR = "shards"
OVERLAYS_DIR = "overlays"
FORMAT_VERSION = 1
SHARD_NAME_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,80}\.tar\Z")
OVERLAY_NAME_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,80}\Z")

SAMPLE_COLUMNS = pa.schema(
    [
        ("key", pa.string()),
        ("shard", pa.string()),
        ("offset", pa.int64()),
        ("bytes", pa.int64()),
        ("duration_s", pa.float64()),
        ("width_px", pa.int64()),
        ("height_px", pa.int64()),
        ("frames", pa.int64()),
        ("fps", pa.float64()),
        ("members", pa.list_(pa.string())),
        ("caption", pa.string()),
        ("sha256", pa.string()),
    ]
)
# Only where there are overlays: the oldest first, members of a later one win.
OVERLAYS_COLUMN = pa.field(
    "overlays",
    pa.list_(
        pa.struct(
            [
                ("name", pa.string()),
                ("offset", pa.int64()),
                ("bytes", pa.int64()),
                ("members", pa.list_(pa.string())),
                ("sha256", pa.string()),
            ]
        )
    ),
)
_FACTS = ("duration_s", "width_px", "height_px", "frames", "fps", "caption")


def index_facts(document: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that repeat a sample's JSON. Whoever writes a sample's JSON writes them from it."""
    return {name: document[name] for name in _FACTS if name in document}


@dataclass(frozen=True, slots=True)
class OverlaySpan:
    """Where an overlay has members of a sample: bytes [offset, offset + size_bytes) of its shard of the same name."""

    name: str
    offset: int
    size_bytes: int
    members: tuple[str, ...]
    sha256: str

    def row(self) -> dict[str, Any]:
        row = asdict(self)
        row["bytes"] = row.pop("size_bytes")
        row["members"] = list(self.members)
        return row


@dataclass(frozen=True, slots=True)
class SampleEntry:
    """One sample: bytes [offset, offset + size_bytes) of its shard are a run of tar members that all begin with key.

    sha256 is that of those bytes (write_shards fills it in); the shard's own hash cannot say which sample is damaged.
    members: those of the sample with its overlays, whose members stand in for the shard's. The oldest overlay is first.
    """

    key: str
    shard: str
    offset: int
    size_bytes: int
    duration_s: float
    width_px: int
    height_px: int
    frames: int
    fps: float
    members: tuple[str, ...]
    caption: str
    sha256: str = ""
    overlays: tuple[OverlaySpan, ...] = ()

    def row(self) -> dict[str, Any]:
        row = asdict(self)
        row["bytes"] = row.pop("size_bytes")
        row["members"] = list(self.members)
        row["overlays"] = [span.row() for span in self.overlays]
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> SampleEntry:
        values = {**row, "size_bytes": row["bytes"], "members": tuple(row["members"])}
        values["overlays"] = tuple(
            OverlaySpan(span["name"], span["offset"], span["bytes"], tuple(span["members"]), span["sha256"])
            for span in row.get("overlays") or ()
        )
        del values["bytes"]
        return cls(**values)


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """One tar file, named relative to DATASET/shards."""

    name: str
    samples: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class OverlayEntry:
    """One finished overlay, with the hash of its own index.json, which has those of its shards."""

    name: str
    sha256: str


def write_index(
    dataset: Path,
    shards: list[ShardEntry],
    samples: list[SampleEntry],
    made_by: dict[str, object],
    overlays: Sequence[OverlayEntry] = (),
) -> None:
    """Writes both files, each in one step and index.json last: it makes the dataset, or a new overlay, complete.

    made_by (recipe, versions, failures) goes into index.json as it is.
    """
    shard_rows = [
        {"name": shard.name, "samples": shard.samples, "bytes": shard.size_bytes, "sha256": shard.sha256}
        for shard in shards
    ]
    document = {"format_version": FORMAT_VERSION, "samples": len(samples), "shards": shard_rows, "made_by": made_by}
    schema = SAMPLE_COLUMNS
    if overlays:
        document["overlays"] = [asdict(overlay) for overlay in overlays]
        schema = schema.append(OVERLAYS_COLUMN)
    table = pa.Table.from_pylist([sample.row() for sample in samples], schema=schema)
    parquet_part, json_part = (dataset / f".{name}.part" for name in (INDEX_PARQUET, INDEX_JSON))
    pq.write_table(table, parquet_part)
    json_part.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    parquet_part.replace(dataset / INDEX_PARQUET)
    json_part.replace(dataset / INDEX_JSON)


def load_index(dataset: Path) -> dict[str, Any]:
    """index.json as it is. Raises: RecipeError when the folder is no dataset, CorruptShard when it cannot be read."""
    path = dataset / INDEX_JSON
    if not path.is_file():
        raise RecipeError(f"{dataset} is not a dataset: it has no {INDEX_JSON} (motionloom annotate writes one)")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CorruptShard(f"{path} cannot be read: {error!r}") from error
    if not isinstance(document, dict):
        raise CorruptShard(f"{path} cannot be read: it holds a {type(document).__name__}, expected an object")
    return document


def load_overlays(dataset: Path) -> list[OverlayEntry]:
    """The finished overlays, oldest first. Raises: as load_index."""
    rows = load_index(dataset).get("overlays", [])
    try:
        overlays = [OverlayEntry(row["name"], row["sha256"]) for row in rows]
    except (KeyError, TypeError) as error:
        raise CorruptShard(f"{dataset / INDEX_JSON} cannot be read: {error!r}") from error
    _check_overlay_names(dataset / INDEX_JSON, {overlay.name for overlay in overlays})
    return overlays


def load_shards(dataset: Path) -> list[ShardEntry]:
    """Raises: RecipeError when the folder is no dataset, CorruptShard when its index cannot be read."""
    path = dataset / INDEX_JSON
    document = load_index(dataset)
    try:
        rows = document["shards"]
        shards = [ShardEntry(row["name"], int(row["samples"]), int(row["bytes"]), row["sha256"]) for row in rows]
        _check_shard_names(path, {shard.name for shard in shards})
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise CorruptShard(f"{path} cannot be read: {error!r}") from error
    return shards


def load_samples(dataset: Path) -> list[SampleEntry]:
    """All samples in key order. Raises: RecipeError when the folder is no dataset, CorruptShard for a bad index."""
    path = dataset / INDEX_PARQUET
    if not path.is_file():
        raise RecipeError(f"{dataset} is not a dataset: it has no {INDEX_PARQUET} (motionloom annotate writes one)")
    try:
        table = pq.read_table(path)
        with_overlays = OVERLAYS_COLUMN.name in table.column_names
        schema = SAMPLE_COLUMNS.append(OVERLAYS_COLUMN) if with_overlays else SAMPLE_COLUMNS
        table = table.select(schema.names).cast(schema)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise CorruptShard(f"{path} cannot be read: {error}") from error
    holes = [name for name in table.column_names if table[name].null_count]
    if holes:
        raise CorruptShard(f"{path} has empty values in {holes}")
    rows = table.to_pylist()
    _check_shard_names(path, {row["shard"] for row in rows})
    _check_overlay_names(path, {span["name"] for row in rows for span in row.get("overlays", ())})
    return [SampleEntry.from_row(row) for row in rows]


def _check_shard_names(path: Path, names: set[str]) -> None:
    """An index from elsewhere must not lead a reader out of the shards folder."""
    bad = sorted(name for name in names if not SHARD_NAME_PATTERN.match(name))
    if bad:
        raise CorruptShard(f"{path} names {bad[0]!r} as a shard; a shard is a plain file name that ends in .tar")


def _check_overlay_names(path: Path, names: set[str]) -> None:
    bad = sorted(str(name) for name in names if not OVERLAY_NAME_PATTERN.match(str(name)))
    if bad:
        raise CorruptShard(f"{path} names {bad[0]!r} as an overlay; an overlay is a plain folder name")
