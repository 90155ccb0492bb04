"""Does a DATASET hold what it promises? Compares index.json, index.parquet and the tar files, and reads every sample.

Nothing here raises for damaged data: each finding is a `Problem` with shard and key.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.card_state import CARD, content_fingerprint, described_content
from pipelines.overlay_check import check_overlays
from schemas.codecs import decode_json, decode_npz
from schemas.errors import CorruptShard, RecipeError, SchemaError
from schemas.fingerprint import file_sha256
from schemas.index import (
    INDEX_JSON,
    INDEX_PARQUET,
    SHARDS_DIR,
    SampleEntry,
    ShardEntry,
    load_index,
    load_samples,
    load_shards,
)
from schemas.label_quality import label_quality_columns
from schemas.shard import iterate_shard, parse_sample, read_overlay
from schemas.storage import Location, fetched, is_file, joined, listed, name_of
from schemas.tracks import TRACKS

REQUIRED_MEMBERS = ("mp4", "json", "txt")
_BLOCK_BYTES = 512

Track = Callable[[Iterable[ShardEntry], str, int], Iterator[ShardEntry]]


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. shard or key is None when the finding is not about one."""

    shard: str | None
    key: str | None
    message: str

    def __str__(self) -> str:
        place = [f"shard {self.shard}"] if self.shard else []
        place += [f"sample {self.key}"] if self.key else []
        return f"{', '.join(place) or 'dataset'}: {self.message}"


@dataclass(frozen=True, slots=True)
class Span:
    """A run of tar members with one key: where it begins, how long it is, what is in it."""

    key: str
    offset: int
    size_bytes: int
    suffixes: tuple[str, ...]


def check_dataset(dataset: Location, deep: bool, track: Track | None = None) -> list[Problem]:
    """All problems, in shard order.

    deep:   also decode every clip and count its frames.
    track:  wraps the list of shards, to show progress.
    Raises: RecipeError when the folder is no dataset at all.
    """
    problems: list[Problem] = []
    try:
        shards = load_shards(dataset)
    except CorruptShard as error:
        return [Problem(None, None, str(error))]
    try:
        samples = load_samples(dataset)
    except (CorruptShard, RecipeError) as error:
        problems.append(Problem(None, None, str(error)))
        samples = []
    problems += _check_indices(dataset, shards, samples)
    by_shard: dict[str, list[SampleEntry]] = {shard.name: [] for shard in shards}
    for sample in samples:
        by_shard.setdefault(sample.shard, []).append(sample)
    for shard in track(shards, "verify", len(shards)) if track else shards:
        problems += check_shard(dataset, shard, by_shard[shard.name], deep)
    problems += [Problem(*finding) for finding in check_overlays(dataset, shards, samples)]
    if described_content(dataset) not in (None, "", content_fingerprint(dataset)):
        text = f"{CARD} describes other shards or overlays; motionloom shards card {dataset} writes it anew"
        problems.append(Problem(None, None, text))
    return problems


def _check_indices(dataset: Location, shards: list[ShardEntry], samples: list[SampleEntry]) -> Iterator[Problem]:
    """The two indices against each other and against the list of files."""
    promised = {shard.name for shard in shards}
    if len(promised) != len(shards):
        yield Problem(None, None, f"{INDEX_JSON} lists a shard twice")
    for name in sorted(_files_in(joined(dataset, SHARDS_DIR)) - promised):
        yield Problem(name, None, f"the file is not in {INDEX_JSON}")
    claimed = load_index(dataset).get("samples")
    if claimed != len(samples):
        yield Problem(None, None, f"{INDEX_JSON} says {claimed} samples, {INDEX_PARQUET} has {len(samples)} rows")
    seen: set[str] = set()
    for sample in samples:
        if sample.key in seen:
            yield Problem(sample.shard, sample.key, f"{INDEX_PARQUET} lists the key twice")
        if sample.shard not in promised:
            yield Problem(sample.shard, sample.key, f"{INDEX_PARQUET} names a shard that {INDEX_JSON} does not list")
        seen.add(sample.key)


def _files_in(folder: Location) -> set[str]:
    if isinstance(folder, Path):
        return {path.name for path in folder.glob("*")} if folder.is_dir() else set()
    return {name_of(uri) for uri, _ in listed(folder)}


def check_shard(dataset: Location, shard: ShardEntry, samples: list[SampleEntry], deep: bool) -> list[Problem]:
    """One tar file against both indices, then every sample in it."""
    path = joined(dataset, SHARDS_DIR, shard.name)
    if not is_file(path):
        return [Problem(shard.name, None, f"the file is missing; {INDEX_JSON} promises {shard.samples} samples")]
    with fetched(path) as local:
        return list(_check_file(dataset, local, shard, samples, deep))


def _check_file(
    dataset: Location, path: Path, shard: ShardEntry, samples: list[SampleEntry], deep: bool
) -> Iterator[Problem]:
    if shard.samples != len(samples):
        text = f"{INDEX_JSON} says {shard.samples} samples, {INDEX_PARQUET} has {len(samples)}"
        yield Problem(shard.name, None, text)
    size_bytes = path.stat().st_size
    if size_bytes != shard.size_bytes:
        text = f"the file has {size_bytes} bytes, {INDEX_JSON} says {shard.size_bytes}"
        yield Problem(shard.name, None, text)
    damaged = False
    try:
        spans = list(sample_spans(path))
        for problem in _check_spans(shard.name, spans, samples):
            damaged |= problem.key is not None
            yield problem
    except CorruptShard as error:
        yield Problem(shard.name, None, str(error))
    with path.open("rb") as file:
        for sample in samples:
            file.seek(max(sample.offset, 0))
            data = file.read(max(sample.size_bytes, 0))
            for text in check_sample(dataset, sample, data, deep):
                damaged = True
                yield Problem(shard.name, sample.key, text)
    if file_sha256(path) != shard.sha256:
        text = f"sha256 differs from {INDEX_JSON}"
        if not damaged:
            text += "; no sample is damaged, so the change is between or after the samples"
        yield Problem(shard.name, None, text)


def sample_spans(path: Path) -> Iterator[Span]:
    """The samples that a tar reader finds, in file order. Raises: CorruptShard."""
    key, start, end, suffixes = "", 0, 0, list[str]()
    for name, offset, size_bytes in iterate_shard(path):
        member_key, _, suffix = name.partition(".")
        if suffixes and member_key != key:
            yield Span(key, start, end - start, tuple(suffixes))
            suffixes = []
        if not suffixes:
            key, start = member_key, offset
        suffixes.append(suffix)
        end = offset + _BLOCK_BYTES + -(-size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES
    if suffixes:
        yield Span(key, start, end - start, tuple(suffixes))


def _check_spans(shard: str, spans: list[Span], samples: list[SampleEntry]) -> Iterator[Problem]:
    """Keys, offsets and sizes as found in the tar against index.parquet."""
    found: dict[str, Span] = {}
    for span in spans:
        if span.key in found:
            yield Problem(shard, span.key, "the shard holds the key twice")
        found[span.key] = span
    promised = {sample.key: sample for sample in samples}
    for key in sorted(found.keys() - promised.keys()):
        yield Problem(shard, key, f"the shard holds a sample that {INDEX_PARQUET} does not list")
    for key in sorted(promised.keys() - found.keys()):
        yield Problem(shard, key, f"{INDEX_PARQUET} lists a sample that the shard does not hold")
    for key in sorted(found.keys() & promised.keys()):
        span, sample = found[key], promised[key]
        if (span.offset, span.size_bytes) != (sample.offset, sample.size_bytes):
            yield Problem(
                shard,
                key,
                f"lies at offset {span.offset} with {span.size_bytes} bytes, "
                f"{INDEX_PARQUET} says {sample.offset} with {sample.size_bytes}",
            )
        for suffix in sorted(set(span.suffixes) - set(sample.members)):
            yield Problem(shard, key, f"member {suffix} is not in {INDEX_PARQUET}")


def check_sample(dataset: Location, entry: SampleEntry, data: bytes, deep: bool) -> Iterator[str]:
    """Findings about one sample: its bytes in the shard, and what it is with the members of its overlays."""
    if len(data) != entry.size_bytes:
        yield f"{len(data)} bytes at offset {entry.offset}, {INDEX_PARQUET} says {entry.size_bytes}"
    elif entry.sha256 and hashlib.sha256(data).hexdigest() != entry.sha256:
        yield f"sha256 differs from {INDEX_PARQUET}"
    try:
        members = parse_sample(data, entry.key)
    except CorruptShard as error:
        yield str(error)
        return
    for span in entry.overlays:
        try:
            members.update(read_overlay(dataset, entry, span))
        except CorruptShard as error:
            yield str(error)
    for suffix in sorted({*entry.members, *REQUIRED_MEMBERS} - members.keys()):
        yield f"member {suffix} is missing"
    if "json" in members:
        yield from _check_metadata(entry, members)
    for suffix, read in (("truth.json", decode_json), ("truth.npz", decode_npz)):
        try:
            read(members[suffix]) if suffix in members else None
        except SchemaError as error:
            yield f"{suffix}: {error}"
    for suffix in sorted(TRACKS.keys() & members.keys()):
        try:
            frames = len(TRACKS[suffix].from_npz(members[suffix]).pts_s_T)
        except SchemaError as error:
            yield f"{suffix}: {error}"
            continue
        if frames != entry.frames:
            yield f"{suffix} has {frames} frames, {INDEX_PARQUET} says {entry.frames}"
    if "mp4" in members:
        yield from _decode_mp4(entry, members["mp4"]) if deep else _walk_mp4(members["mp4"])


def _check_metadata(entry: SampleEntry, members: dict[str, bytes]) -> Iterator[str]:
    try:
        metadata: Any = decode_json(members["json"])
    except SchemaError as error:
        yield f"json: {error}"
        return
    if not isinstance(metadata, dict):
        yield f"json holds a {type(metadata).__name__}, expected an object"
        return
    for name in ("duration_s", "width_px", "height_px", "fps", "caption"):
        if metadata.get(name) != getattr(entry, name):
            yield f"json says {name} {metadata.get(name)!r}, {INDEX_PARQUET} says {getattr(entry, name)!r}"
    yield from _check_label_quality(entry, metadata)
    caption = str(metadata.get("caption"))
    if "txt" in members and members["txt"].decode("utf-8", "replace").strip() != caption.strip():
        yield "txt differs from the caption in json"


def _check_label_quality(entry: SampleEntry, metadata: dict[str, Any]) -> Iterator[str]:
    try:
        measured = label_quality_columns(metadata)
    except SchemaError as error:
        yield str(error)
        return
    for name, value in measured.items():
        if value != entry.label_quality.get(name):
            yield f"json says {name} {value!r}, {INDEX_PARQUET} says {entry.label_quality.get(name)!r}"


def _walk_mp4(data: bytes) -> Iterator[str]:
    """The boxes of an mp4 must fill it exactly and hold an index (moov) and frames (mdat). Source: ISO/IEC 14496-12."""
    position, kinds = 0, list[bytes]()
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16], "big")
        elif size == 0:
            size = len(data) - position
        if size < 8:
            break
        kinds.append(data[position + 4 : position + 8])
        position += size
    missing = [kind.decode() for kind in (b"ftyp", b"moov", b"mdat") if kind not in kinds]
    if position != len(data) or missing:
        yield "mp4 is damaged: " + (f"it has no {missing[0]} box" if missing else "its boxes do not fill it exactly")


def _decode_mp4(entry: SampleEntry, data: bytes) -> Iterator[str]:
    """Every frame must decode, and there must be as many, and as large, as promised."""
    import av

    frames, sizes = 0, set[tuple[int, int]]()
    try:
        with av.open(io.BytesIO(data)) as container:
            for frame in container.decode(video=0):
                frames += 1
                sizes.add((frame.width, frame.height))
    except (av.FFmpegError, IndexError, ValueError) as error:
        yield f"mp4 breaks off after {frames} frames: {error}"
        return
    if frames != entry.frames:
        yield f"mp4 has {frames} frames, {INDEX_PARQUET} says {entry.frames}"
    if sizes - {(entry.width_px, entry.height_px)}:
        text = ", ".join(f"{width}x{height}" for width, height in sorted(sizes))
        yield f"mp4 has frames of {text}, {INDEX_PARQUET} says {entry.width_px}x{entry.height_px}"
