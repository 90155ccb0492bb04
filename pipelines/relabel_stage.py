"""The unit of relabelling: what changes of one finished sample, from its tracks and, for new ones, its own mp4."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotation.base import DENSE, Annotator
from annotation.catalog import ClipAnnotation, annotator_versions, make_annotators
from annotation.staleness import kept_after
from curation.decode import decode_for
from pipelines.judges import Judges, make_judges
from pipelines.labels import caption_text, clip_frame, labelled
from pipelines.recipe_models import LanguageModel
from pipelines.sink import UnitStore
from pipelines.stages import Row, RowFunction
from schemas.clip import FailureRecord
from schemas.codecs import decode_json, decode_npz, encode_json
from schemas.errors import CorruptShard, DataError, DecodeError, SchemaError, WorkerLost
from schemas.frames import FrameBatch
from schemas.index import SampleEntry, index_facts
from schemas.shard import read_members, read_sample, read_span, sample_tar
from schemas.tracks import TRACKS, Track


@dataclass(frozen=True, slots=True)
class RelabelStage:
    """Makes the row function of relabelling.

    Rows in: entry (a row of index.parquet) and rerun, the annotators to run in the order of the catalog; labels are
    made anew either way. Rows out: key, failure (why it failed, or None). A unit holds the members that changed, the
    JSON always among them, so that an overlay has every sample; one that fails keeps its JSON.
    Raises: CorruptShard, naming shard and key, when a stored member is not what was written.
    """

    dataset: Path
    units_dir: Path
    language_model: LanguageModel
    zero_shot: bool

    def __call__(self) -> RowFunction:
        annotators, units = make_annotators(), UnitStore(self.units_dir)
        judges = make_judges(self.language_model, self.zero_shot)

        def relabel_one(row: Row) -> Row:
            entry = SampleEntry.from_row(row["entry"])
            before = _read(self.dataset, entry, whole=bool(row["rerun"]) or judges.make_pictures() is not None)
            failure = None
            try:
                after, document = _relabel(entry, before, row["rerun"], annotators, judges)
            except CorruptShard:
                raise
            except DataError as error:
                failure, after, document = error, {"json": before["json"]}, _stored_json(entry, before)
            return _commit(units, entry, before, after, document, failure)

        return relabel_one

    def lost(self, row: Row, error: WorkerLost) -> Row:
        """The sample stays as it is; for `Stage.lost`."""
        entry = SampleEntry.from_row(row["entry"])
        before = _read(self.dataset, entry, whole=False)
        kept = {"json": before["json"]}
        return _commit(UnitStore(self.units_dir), entry, before, kept, _stored_json(entry, before), error)


def _commit(
    units: UnitStore,
    entry: SampleEntry,
    before: Mapping[str, bytes],
    after: Mapping[str, bytes],
    document: dict[str, Any],
    error: DataError | None,
) -> Row:
    """Writes the unit; error: why the sample stayed as it was."""
    failure = None
    if error is not None:
        failure = FailureRecord.of(error, document.get("uri", ""), "relabel", entry.key).row()
    changed = {name: data for name, data in after.items() if name == "json" or before.get(name) != data}
    tar = pa.table({"tar": pa.array([sample_tar(entry.key, changed)], pa.large_binary())})
    units.commit(entry.key, [tar], {"index": index_facts(document), "members": sorted(changed), "failure": failure})
    return {"key": entry.key, "failure": None if error is None else str(error)}


def _read(dataset: Path, entry: SampleEntry, whole: bool) -> dict[str, bytes]:
    """Members of a sample; without its video unless whole, and then checked by hash first."""
    if not whole:
        members = read_members(dataset, entry, ("json", "txt", *TRACKS))
    else:
        read_span(dataset, entry)
        members = read_sample(dataset, entry)
    if "json" not in members:
        raise CorruptShard(f"shard {entry.shard}, sample {entry.key}: member json is missing")
    return members


def _stored_json(entry: SampleEntry, members: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        document = decode_json(members["json"])
    except SchemaError as error:
        raise CorruptShard(f"shard {entry.shard}, sample {entry.key}: json: {error}") from error
    if not isinstance(document, dict):
        raise CorruptShard(f"shard {entry.shard}, sample {entry.key}: json holds a {type(document).__name__}")
    return document


def _stored_track(entry: SampleEntry, suffix: str, data: bytes) -> Track:
    """Raises: CorruptShard for damaged bytes, SchemaError for a track of another form (an earlier version's)."""
    try:
        arrays = decode_npz(data)
    except SchemaError as error:
        raise CorruptShard(f"shard {entry.shard}, sample {entry.key}: {suffix}: {error}") from error
    try:
        return TRACKS[suffix].from_npz(data)
    except SchemaError as error:
        name = suffix.removesuffix(".npz")
        raise SchemaError(f"{suffix} with {sorted(arrays)} cannot be kept ({error}); relabel --only {name}") from error


def _relabel(
    entry: SampleEntry,
    members: Mapping[str, bytes],
    rerun: Sequence[str],
    annotators: Sequence[Annotator],
    judges: Judges,
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Members made anew, by suffix, and the sample's JSON. Raises: DataError."""
    document = _stored_json(entry, members)
    anew = {annotator.suffix for annotator in annotators if annotator.name in rerun}
    tracks = {
        suffix: _stored_track(entry, suffix, members[suffix])
        for suffix in TRACKS
        if suffix in members and suffix not in anew
    }
    pictures = judges.make_pictures()
    by_name = {a.name: tracks[a.suffix] for a in annotators if a.suffix in tracks}
    annotation = ClipAnnotation(annotators, clip_frame(document), rerun, by_name)
    if rerun or pictures is not None:
        clock = _Clock(entry, members)

        def observe(request_name: str, frames: FrameBatch) -> None:
            timed = clock.timed(frames)
            if rerun:
                annotation.observe(request_name, timed)
            if pictures is not None:
                pictures.observe(timed)

        if "mp4" not in members:
            raise DecodeError("it has no mp4")
        result = decode_for(io.BytesIO(members["mp4"]), annotation.requests() or [DENSE], observe)
        if result.frames != entry.frames:
            why = f": {result.error}" if result.error else ""
            raise DecodeError(f"its mp4 has {result.frames} frames, the index says {entry.frames}{why}")
    measured = annotation.finish()
    versions = _versions(document.get("annotators", {}), annotators, rerun)
    document = labelled(document, {**tracks, **measured}, versions, judges, pictures)
    made = {suffix: track.to_npz() for suffix, track in measured.items()}
    return {**made, "json": encode_json(document), "txt": caption_text(document)}, document


class _Clock:
    """Gives decoded frames the times that the sample's tracks have: the mp4 holds them rounded to its time base."""

    def __init__(self, entry: SampleEntry, members: Mapping[str, bytes]) -> None:
        self._pts_s_T: NDArray[np.float64] | None = None
        self._seen = 0
        for suffix in sorted(TRACKS.keys() & members.keys()):
            with contextlib.suppress(SchemaError):
                pts_s_T = TRACKS[suffix].from_npz(members[suffix]).pts_s_T
                if len(pts_s_T) == entry.frames:
                    self._pts_s_T = pts_s_T
                    return

    def timed(self, frames: FrameBatch) -> FrameBatch:
        start, self._seen = self._seen, self._seen + len(frames.pts_s_T)
        # More frames than the tracks have are counted, and refused, when the clip ends.
        if self._pts_s_T is None or self._seen > len(self._pts_s_T):
            return frames
        return FrameBatch(frames.rgb_THWC, self._pts_s_T[start : self._seen])


def _versions(
    stored: Mapping[str, Mapping[str, Any]], annotators: Sequence[Annotator], rerun: Sequence[str]
) -> dict[str, Mapping[str, Any]]:
    """Member suffix -> {name, version, ...} of the sample's tracks after the rerun.

    A track measured again says on what (`frames`: the sample's mp4, where annotation saw the footage); one that was
    kept although it follows from such a track says so too (`after`).
    """
    versions = {suffix: entry for suffix, entry in stored.items() if suffix.endswith(".npz")}
    was = {entry["name"]: entry["version"] for entry in versions.values()}
    for annotator in annotators:
        if annotator.name in rerun:
            versions[annotator.suffix] = {**annotator_versions([annotator])[annotator.suffix], "frames": "mp4"}
        elif annotator.suffix in versions and set(annotator.after) & set(rerun):
            before = {name: was[name] for name in rerun if name in was}
            versions[annotator.suffix] = kept_after(annotator, versions[annotator.suffix], before)
    return versions
