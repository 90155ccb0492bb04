"""What lies where in a dataset: `index.json` (shards and their hashes) and `index.parquet` (a row per sample).

Both also name the overlays, where members of samples were added or replaced without touching the shards.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import CorruptShard, RecipeError, ResourceError
from schemas.label_quality import LABEL_QUALITY_NAMES, label_quality_columns
from schemas.storage import Location, joined, parquet_source, read_bytes

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
# Null where not measured; an index of before label quality lacks them.
LABEL_QUALITY_COLUMNS = pa.schema([(name, pa.float64()) for name in LABEL_QUALITY_NAMES])
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
# Only where somebody is named: who the main subject is, so that other clips can show the same person.
SUBJECT_COLUMN = pa.field("subject", pa.string())
_FACTS = ("duration_s", "width_px", "height_px", "frames", "fps", "caption")


def index_facts(document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of SampleEntry that repeat a sample's JSON. Whoever writes a sample's JSON makes them from it.

    Raises: SchemaError when label quality in it is malformed.
    """
    facts = {name: document[name] for name in _FACTS if name in document}
    subject = document.get("subject") or document.get("take_id") or ""
    return {**facts, "subject": str(subject), "label_quality": label_quality_columns(document)}


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
    label_quality: `label_quality_columns` of the sample's JSON; a name that is missing was not measured.
    subject: who is shown, by the manifest's word or as the take that several cameras saw; empty where unknown.
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
    label_quality: Mapping[str, float | None] = field(default_factory=dict, hash=False)
    subject: str = ""

    def row(self) -> dict[str, Any]:
        row = asdict(self)
        row["bytes"] = row.pop("size_bytes")
        row["members"] = list(self.members)
        row["overlays"] = [span.row() for span in self.overlays]
        del row["label_quality"]
        return {**row, **{name: self.label_quality.get(name) for name in LABEL_QUALITY_NAMES}}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> SampleEntry:
        """A row of index.parquet, of any version: what it has no column for is as if there were none of it."""
        overlays = tuple(
            OverlaySpan(span["name"], span["offset"], span["bytes"], tuple(span["members"]), span["sha256"])
            for span in row.get("overlays") or ()
        )
        return cls(
            key=row["key"],
            shard=row["shard"],
            offset=row["offset"],
            size_bytes=row["bytes"],
            duration_s=row["duration_s"],
            width_px=row["width_px"],
            height_px=row["height_px"],
            frames=row["frames"],
            fps=row["fps"],
            members=tuple(row["members"]),
            caption=row["caption"],
            sha256=row["sha256"],
            label_quality={name: row[name] for name in LABEL_QUALITY_NAMES if name in row},
            overlays=overlays,
            subject=row.get("subject") or "",
        )


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
    schema = pa.schema([*SAMPLE_COLUMNS, *LABEL_QUALITY_COLUMNS])
    if overlays:
        document["overlays"] = [asdict(overlay) for overlay in overlays]
        schema = schema.append(OVERLAYS_COLUMN)
    if any(sample.subject for sample in samples):
        schema = schema.append(SUBJECT_COLUMN)
    table = pa.Table.from_pylist([sample.row() for sample in samples], schema=schema)
    parquet_part, json_part = (dataset / f".{name}.part" for name in (INDEX_PARQUET, INDEX_JSON))
    pq.write_table(table, parquet_part)
    json_part.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    parquet_part.replace(dataset / INDEX_PARQUET)
    json_part.replace(dataset / INDEX_JSON)


def load_index(dataset: Location) -> dict[str, Any]:
    """index.json as it is.

    Raises: RecipeError when the folder is no dataset, CorruptShard when it cannot be read, ResourceError for a store
    that does not answer.
    """
    path = joined(dataset, INDEX_JSON)
    try:
        with _told(dataset, INDEX_JSON):
            document = json.loads(read_bytes(path).decode("utf-8"))
    except ValueError as error:
        raise CorruptShard(f"{path} cannot be read: {error!r}") from error
    if not isinstance(document, dict):
        raise CorruptShard(f"{path} cannot be read: it holds a {type(document).__name__}, expected an object")
    return document


@contextlib.contextmanager
def _told(dataset: Location, name: str) -> Iterator[None]:
    """Says of one of the index's files why it cannot be opened."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RecipeError(f"{dataset} is not a dataset: it has no {name} (motionloom annotate writes one)") from error
    except OSError as error:
        kind = ResourceError if isinstance(dataset, str) else CorruptShard
        raise kind(f"{joined(dataset, name)} cannot be read: {error.strerror or error}") from error


def load_overlays(dataset: Location) -> list[OverlayEntry]:
    """The finished overlays, oldest first. Raises: as load_index."""
    rows = load_index(dataset).get("overlays", [])
    try:
        overlays = [OverlayEntry(row["name"], row["sha256"]) for row in rows]
    except (KeyError, TypeError) as error:
        raise CorruptShard(f"{joined(dataset, INDEX_JSON)} cannot be read: {error!r}") from error
    _check_overlay_names(joined(dataset, INDEX_JSON), {overlay.name for overlay in overlays})
    return overlays


def load_shards(dataset: Location) -> list[ShardEntry]:
    """Raises: RecipeError when the folder is no dataset, CorruptShard when its index cannot be read."""
    path = joined(dataset, INDEX_JSON)
    document = load_index(dataset)
    try:
        rows = document["shards"]
        shards = [ShardEntry(row["name"], int(row["samples"]), int(row["bytes"]), row["sha256"]) for row in rows]
        _check_shard_names(path, {shard.name for shard in shards})
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise CorruptShard(f"{path} cannot be read: {error!r}") from error
    return shards


def load_samples(dataset: Location) -> list[SampleEntry]:
    """All samples in key order. Raises: RecipeError when the folder is no dataset, CorruptShard for a bad index."""
    return list(iterate_samples(dataset))


def iterate_samples(dataset: Location, rows_at_once: int = 1 << 16) -> Iterator[SampleEntry]:
    """The same one after another, for an index that is larger than memory should be.

    Raises: as load_samples, at the first sample that the index describes wrongly."""
    path = joined(dataset, INDEX_PARQUET)
    try:
        with _told(dataset, INDEX_PARQUET), pq.ParquetFile(parquet_source(path)) as file:
            later = [
                column
                for column in (*LABEL_QUALITY_COLUMNS, OVERLAYS_COLUMN, SUBJECT_COLUMN)
                if column.name in file.schema_arrow.names
            ]
            schema = pa.schema([*SAMPLE_COLUMNS, *later])
            for batch in file.iter_batches(rows_at_once, columns=schema.names):
                yield from _entries(path, pa.Table.from_batches([batch]).select(schema.names).cast(schema))
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise CorruptShard(f"{path} cannot be read: {error}") from error


def _entries(path: Location, table: pa.Table) -> list[SampleEntry]:
    holes = [name for name in SAMPLE_COLUMNS.names if table[name].null_count]
    if holes:
        raise CorruptShard(f"{path} has empty values in {holes}")
    rows = table.to_pylist()
    _check_shard_names(path, {row["shard"] for row in rows})
    _check_overlay_names(path, {span["name"] for row in rows for span in row.get("overlays") or ()})
    return [SampleEntry.from_row(row) for row in rows]


def label_quality_table(dataset: Location) -> pa.Table:
    """`key` and the label-quality columns of every sample, read without the others.

    Raises: RecipeError when the folder is no dataset or of before label quality, CorruptShard for a bad index.
    """
    path = joined(dataset, INDEX_PARQUET)
    try:
        with _told(dataset, INDEX_PARQUET), pq.ParquetFile(parquet_source(path)) as file:
            missing = sorted(set(LABEL_QUALITY_COLUMNS.names) - set(file.schema_arrow.names))
            if missing:
                raise RecipeError(
                    f"{dataset} was annotated by another motionloom: its {INDEX_PARQUET} lacks {', '.join(missing)}; "
                    "motionloom relabel measures them"
                )
            schema = pa.schema([SAMPLE_COLUMNS.field("key"), *LABEL_QUALITY_COLUMNS])
            return file.read(columns=schema.names).select(schema.names).cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise CorruptShard(f"{path} cannot be read: {error}") from error


def _check_shard_names(path: Location, names: set[str]) -> None:
    """An index from elsewhere must not lead a reader out of the shards folder."""
    bad = sorted(name for name in names if not SHARD_NAME_PATTERN.match(name))
    if bad:
        raise CorruptShard(f"{path} names {bad[0]!r} as a shard; a shard is a plain file name that ends in .tar")


def _check_overlay_names(path: Location, names: set[str]) -> None:
    bad = sorted(str(name) for name in names if not OVERLAY_NAME_PATTERN.match(str(name)))
    if bad:
        raise CorruptShard(f"{path} names {bad[0]!r} as an overlay; an overlay is a plain folder name")
