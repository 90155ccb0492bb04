"""One sample as the pages show it, read from its shard when it is asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from annotation.base import ClipFrame
from annotation.timed_labels import timed_labels
from pipelines.shards import labels_of
from pipelines.viewer.numbers import with_finite_numbers
from pipelines.viewer.query import Query
from pipelines.viewer.tables import Tables
from pipelines.viewer.track_arrays import track_blob
from schemas.codecs import decode_json
from schemas.errors import CorruptShard, DataError
from schemas.index import INDEX_JSON, OVERLAY_NAME_PATTERN, SAMPLE_COLUMNS, SHARD_NAME_PATTERN, SampleEntry
from schemas.label_quality import LABEL_QUALITY, LABEL_QUALITY_NAMES
from schemas.shard import read_members
from schemas.storage import Location
from schemas.tracks import TRACKS, Track

SAMPLES = "samples"
_KEPT = 4096
# What a SampleEntry is made of, as far as the table has it.
_ENTRY = (*SAMPLE_COLUMNS.names, *LABEL_QUALITY_NAMES, "overlays", "subject")
# Told under these headings; what else is plain in a sample's JSON comes under "more".
_PROVENANCE = ("uri", "source", "video_id", "start_s", "end_s", "take_id", "view_id", "split", "split_key", "time")
_RIGHTS = ("licence", "consent", "subject")
_ELSEWHERE = ("caption", "clip_id", "duration_s", "width_px", "height_px", "fps", "frames")


class DatasetChangedError(DataError):
    """The dataset is not the one that the table was made of."""


class Samples:
    """The samples of a dataset by key. Those of pages that were asked for lately are known without another question: a
    page asks for sixty pictures."""

    def __init__(self, dataset: Location, tables: Tables) -> None:
        self.dataset, self._tables = dataset, tables
        self._columns = [name for name in _ENTRY if tables.has(SAMPLES, name)]
        self._kept: OrderedDict[str, SampleEntry] = OrderedDict()
        self._lock = threading.Lock()
        self._stamp = self._index_stamp()

    def check_unchanged(self) -> None:
        """Of a dataset on this machine; asking a store would cost a request for every picture.

        Raises: DatasetChangedError when its index was written again since.
        """
        if self._index_stamp() != self._stamp:
            raise DatasetChangedError("the dataset has changed; start the viewer again")

    def _index_stamp(self) -> tuple[int, int] | None:
        if not isinstance(self.dataset, Path):
            return None
        try:
            found = (self.dataset / INDEX_JSON).stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns

    def page(self, query: Query, offset: int, limit: int, columns: Sequence[str]) -> list[dict[str, Any]]:
        """As `Tables.page`, of these columns. Raises: BadQueryError."""
        rows = self._tables.page(SAMPLES, query, offset, limit, list(dict.fromkeys([*columns, *self._columns])))
        for row in rows:
            self._keep(row)
        return [{name: row[name] for name in columns} for row in rows]

    def entry(self, key: str) -> SampleEntry | None:
        """None when there is no such sample. Raises: CorruptShard for a name that leads out of the dataset."""
        with self._lock:
            entry = self._kept.get(key)
        if entry is None:
            row = self._tables.row(SAMPLES, "key", key, self._columns)
            entry = None if row is None else self._keep(row)
        if entry is not None:
            names = [span.name for span in entry.overlays]
            if not SHARD_NAME_PATTERN.match(entry.shard) or not all(map(OVERLAY_NAME_PATTERN.match, names)):
                raise CorruptShard(f"sample {key}: {entry.shard!r} is no name of a shard")
        return entry

    def _keep(self, row: dict[str, Any]) -> SampleEntry:
        entry = SampleEntry.from_row(row)
        with self._lock:
            self._kept[entry.key] = entry
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return entry

    def facts(self, entry: SampleEntry) -> dict[str, Any]:
        """Everything about a sample but its tracks. Raises: CorruptShard, naming shard and key."""
        where = f"shard {entry.shard}, sample {entry.key}"
        members = read_members(self.dataset, entry, ("json",))
        if "json" not in members:
            raise CorruptShard(f"{where}: member json is missing")
        try:
            document = decode_json(members["json"])
        except DataError as error:
            raise CorruptShard(f"{where}: {error}") from error
        labels, unreadable = timed_labels(labels_of(document))
        scores = document.get("scores")
        scores = scores if isinstance(scores, dict) else {}
        told = {*_PROVENANCE, *_RIGHTS, *_ELSEWHERE, *scores}
        plain = {n: v for n, v in document.items() if n not in told and (v is None or isinstance(v, str | int | float))}
        made_by = document.get("annotators")
        groups = {
            "rights": {name: document.get(name) for name in _RIGHTS},
            "where it comes from": {
                **{name: document.get(name) for name in _PROVENANCE}, "shard": entry.shard,
                "overlays": ", ".join(span.name for span in entry.overlays) or None,
            },
            "scores": dict(sorted(scores.items())),
            "label quality": {spec.name: entry.label_quality.get(spec.name) for spec in LABEL_QUALITY},
            "made by": {
                suffix: " ".join(map(str, each.values())) if isinstance(each, dict) else str(each)
                for suffix, each in sorted(made_by.items())
            } if isinstance(made_by, dict) else {},
            "more": dict(sorted(plain.items())),
        }  # fmt: skip
        facts = {
            "key": entry.key,
            "caption": str(document.get("caption") or ""),
            "duration_s": entry.duration_s,
            "size_wh": [entry.width_px, entry.height_px],
            "fps": entry.fps,
            "frames": entry.frames,
            "labels": [
                {
                    "field": each.field,
                    "name": each.name,
                    "start_s": each.start_s,
                    "end_s": each.end_s,
                    "confidence": each.confidence,
                }
                for each in labels
            ],
            "groups": groups,
            "notes": [f"{unreadable} labels are unreadable and not shown"] if unreadable else [],
        }
        return {name: with_finite_numbers(value) for name, value in facts.items()}

    def tracks(self, entry: SampleEntry) -> bytes:
        """`track_blob` of the tracks that the sample has. Raises: CorruptShard, naming shard and key."""
        members = read_members(self.dataset, entry, tuple(TRACKS))
        try:
            tracks: dict[str, Track] = {s: TRACKS[s].from_npz(members[s]) for s in TRACKS if s in members}
        except DataError as error:
            raise CorruptShard(f"shard {entry.shard}, sample {entry.key}: {error}") from error
        return track_blob(tracks, ClipFrame(entry.width_px, entry.height_px, entry.fps))
