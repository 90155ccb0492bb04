"""WebDataset shards that are the same bytes whenever they hold the same samples.

A sample is its key and a mapping from suffix ("mp4", "body.npz") to bytes. Keys have no dots, because readers split a
member's name at its first dot. Members are sorted, dates and owners are zero, the tar format is USTAR.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from schemas.errors import CorruptShard, SchemaError
from schemas.fingerprint import file_sha256
from schemas.index import OVERLAYS_DIR, SHARDS_DIR, OverlaySpan, SampleEntry, ShardEntry
from schemas.storage import Location, joined, name_of, opened

KEY_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,80}\Z")
SUFFIX_PATTERN = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*\Z")
_BLOCK_BYTES = 512
_DAMAGED_TAR = (tarfile.TarError, OSError, EOFError, ValueError, OverflowError)


def check_name(key: str, suffix: str) -> None:
    """Raises: SchemaError for a key or suffix that a reader could split wrongly or that could leave the folder."""
    if not KEY_PATTERN.match(key):
        raise SchemaError(f"sample key {key!r}: only letters, digits, '-' and '_', at most 80")
    if not SUFFIX_PATTERN.match(suffix):
        raise SchemaError(f"sample {key}: member suffix {suffix!r}: only lower-case letters, digits, '_' and dots")


def sample_tar(key: str, members: Mapping[str, bytes]) -> bytes:
    """One sample as tar members without the archive's closing blocks, so that samples can be joined end to end."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for suffix in sorted(members):
            check_name(key, suffix)
            info = tarfile.TarInfo(f"{key}.{suffix}")
            info.size = len(members[suffix])
            info.mode = 0o644
            archive.addfile(info, io.BytesIO(members[suffix]))
        end = archive.offset
    return buffer.getvalue()[:end]


def parse_sample(data: bytes, key: str) -> dict[str, bytes]:
    """The members of one sample, by suffix. Raises: CorruptShard when the bytes are no tar or belong to another key."""
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for info in archive:
                name, _, suffix = info.name.partition(".")
                # A link would be followed to another member, or to nothing.
                content = archive.extractfile(info) if info.isreg() else None
                if name != key or content is None:
                    raise CorruptShard(f"sample {key}: found member {info.name} in its place")
                members[suffix] = content.read()
    except _DAMAGED_TAR as error:
        raise CorruptShard(f"sample {key}: its part of the shard is not a tar ({error})") from error
    return members


def read_sample(dataset: Location, entry: SampleEntry) -> dict[str, bytes]:
    """One sample's members by suffix, read with a single seek, and one more for every overlay.

    Raises: CorruptShard, naming overlay, shard and key, when one does not hold what the index says.
    """
    path, where = joined(dataset, SHARDS_DIR, entry.shard), f"shard {entry.shard}"
    members = _parsed(_read_span(path, entry.key, entry.offset, entry.size_bytes, where), entry.key, where)
    for span in entry.overlays:
        members.update(read_overlay(dataset, entry, span))
    missing = sorted(set(entry.members) - set(members))
    if missing:
        raise CorruptShard(f"shard {entry.shard}, sample {entry.key}: the index lists {missing}, the shard lacks them")
    return members


def read_span(dataset: Location, entry: SampleEntry) -> bytes:
    """The shard's part of a sample as it lies there. Raises: CorruptShard when it is not what was written (by hash)."""
    path, where = joined(dataset, SHARDS_DIR, entry.shard), f"shard {entry.shard}"
    data = _read_span(path, entry.key, entry.offset, entry.size_bytes, where)
    if entry.sha256 and hashlib.sha256(data).hexdigest() != entry.sha256:
        raise CorruptShard(f"{where}, sample {entry.key}: sha256 differs from the index")
    return data


def read_overlay(dataset: Location, entry: SampleEntry, span: OverlaySpan) -> dict[str, bytes]:
    """An overlay's members of one sample. Raises: CorruptShard, as read_sample and when their hash is another."""
    path, where = joined(dataset, OVERLAYS_DIR, span.name, entry.shard), f"overlay {span.name}, shard {entry.shard}"
    data = _read_span(path, entry.key, span.offset, span.size_bytes, where)
    if hashlib.sha256(data).hexdigest() != span.sha256:
        raise CorruptShard(f"{where}, sample {entry.key}: sha256 differs from the index")
    members = _parsed(data, entry.key, where)
    if sorted(members) != sorted(span.members):
        raise CorruptShard(f"{where}, sample {entry.key}: has {sorted(members)}, the index says {sorted(span.members)}")
    return members


def _read_span(path: Location, key: str, offset: int, size_bytes: int, where: str) -> bytes:
    try:
        with opened(path) as file:
            file.seek(offset)
            data = file.read(size_bytes)
    except OSError as error:
        raise CorruptShard(f"{where}, sample {key}: {error.strerror or error}") from error
    if len(data) != size_bytes:
        raise CorruptShard(f"{where}, sample {key}: {len(data)} bytes at offset {offset}, the index says {size_bytes}")
    return data


def _parsed(data: bytes, key: str, where: str) -> dict[str, bytes]:
    try:
        return parse_sample(data, key)
    except CorruptShard as error:
        raise CorruptShard(f"{where}: {error}") from error


def read_members(dataset: Location, entry: SampleEntry, suffixes: Collection[str]) -> dict[str, bytes]:
    """Some members of one sample, by suffix, without reading the others; those that it lacks are left out.

    Raises: CorruptShard, naming shard and key, when the shard cannot be read there.
    """
    members: dict[str, bytes] = {}
    wanted = set(suffixes)
    for span in reversed(entry.overlays):
        here = wanted & set(span.members)
        if here:
            found = read_overlay(dataset, entry, span)
            members.update({suffix: found[suffix] for suffix in here})
            wanted -= here
    if entry.overlays and not wanted & set(entry.members):
        return members
    try:
        with opened(joined(dataset, SHARDS_DIR, entry.shard)) as file:
            file.seek(entry.offset)
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for info in archive:
                    name, _, suffix = info.name.partition(".")
                    if name != entry.key or info.offset >= entry.offset + entry.size_bytes:
                        break
                    content = archive.extractfile(info) if suffix in wanted and info.isreg() else None
                    if content is not None:
                        members[suffix] = content.read()
    except _DAMAGED_TAR as error:
        raise CorruptShard(f"shard {entry.shard}, sample {entry.key}: {error}") from error
    return members


def find_member(dataset: Location, entry: SampleEntry, suffix: str) -> tuple[Location, int, int]:
    """Where one member's own bytes lie: file, offset, bytes. Only headers are read.

    Raises: CorruptShard when it is not there.
    """
    path, offset, end = joined(dataset, SHARDS_DIR, entry.shard), entry.offset, entry.offset + entry.size_bytes
    for span in reversed(entry.overlays):
        if suffix in span.members:
            path = joined(dataset, OVERLAYS_DIR, span.name, entry.shard)
            offset, end = span.offset, span.offset + span.size_bytes
            break
    where = f"{name_of(path)}, sample {entry.key}"
    try:
        with opened(path) as file:
            file.seek(offset)
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for info in archive:
                    # The archive begins where the file stood.
                    if not info.name.startswith(f"{entry.key}.") or info.offset >= end:
                        break
                    if info.name == f"{entry.key}.{suffix}" and info.isreg():
                        return path, info.offset_data, info.size
    except _DAMAGED_TAR as error:
        raise CorruptShard(f"{where}: {error}") from error
    raise CorruptShard(f"{where}: member {suffix} is missing")


def member_overlays(entry: SampleEntry) -> dict[str, str | None]:
    """Member suffix -> the overlay that a reader takes it from, None for the shard's own."""
    return {**dict.fromkeys(entry.members), **{name: span.name for span in entry.overlays for name in span.members}}


class ShardWriter:
    """Joins finished samples into shards of bounded size, one sample in memory at a time.

    A shard appears under its name only when complete; samples must arrive in key order, so that the same set of
    samples always gives the same shards.
    """

    def __init__(self, shards_dir: Path, max_samples: int, max_bytes: int) -> None:
        self._dir = shards_dir
        self._max_samples = max_samples
        self._max_bytes = max_bytes
        self._part = shards_dir / ".writing.tar"
        self._file: io.BufferedWriter | None = None
        self._samples = 0
        self._last_key = ""
        self.shards: list[ShardEntry] = []
        shards_dir.mkdir(parents=True, exist_ok=True)

    def add(self, key: str, tar_bytes: bytes) -> tuple[str, int]:
        """Appends `sample_tar` bytes. Returns: shard name and byte offset."""
        if key <= self._last_key:
            raise SchemaError(f"sample {key} came after {self._last_key}; samples are written in key order, once each")
        self._last_key = key
        if self._file is not None and (
            self._samples >= self._max_samples or self._file.tell() + len(tar_bytes) > self._max_bytes
        ):
            self._finish_shard()
        if self._file is None:
            self._file = self._part.open("wb")
        offset = self._file.tell()
        self._file.write(tar_bytes)
        self._samples += 1
        return f"{len(self.shards):06d}.tar", offset

    def close(self) -> list[ShardEntry]:
        """Completes the last shard. Returns: all shards in order."""
        if self._file is not None:
            self._finish_shard()
        return self.shards

    def _finish_shard(self) -> None:
        assert self._file is not None
        _end_archive(self._file)
        self._file.close()
        name = f"{len(self.shards):06d}.tar"
        path = self._part.replace(self._dir / name)
        self.shards.append(ShardEntry(name, self._samples, path.stat().st_size, file_sha256(path)))
        self._file, self._samples = None, 0


def _end_archive(file: io.BufferedWriter) -> None:
    file.write(b"\0" * (2 * _BLOCK_BYTES))
    # tar readers expect whole records of 20 blocks
    file.write(b"\0" * (-file.tell() % tarfile.RECORDSIZE))


def write_shard(path: Path, samples: Iterable[bytes]) -> tuple[ShardEntry, list[tuple[int, int]]]:
    """One shard of `sample_tar` bytes in the order given; it appears under its name when complete.

    Returns: its row, and offset and size in bytes of every sample.
    """
    part, spans = path.with_name(f".{path.name}.part"), []
    with part.open("wb") as file:
        for data in samples:
            spans.append((file.tell(), len(data)))
            file.write(data)
        _end_archive(file)
    part.replace(path)
    return ShardEntry(path.name, len(spans), path.stat().st_size, file_sha256(path)), spans


def write_shards(
    shards_dir: Path,
    keys: Iterable[str],
    sample_bytes: Callable[[str], bytes],
    describe: Callable[[str, str, int, int], SampleEntry],
    max_samples: int,
    max_bytes: int,
) -> tuple[list[ShardEntry], list[SampleEntry]]:
    """Writes all samples in key order.

    sample_bytes(key) gives `sample_tar` bytes; describe(key, shard, offset, size_bytes) gives the index row, whose
    sha256 is filled in here.
    """
    writer = ShardWriter(shards_dir, max_samples, max_bytes)
    entries = []
    for key in sorted(keys):
        data = sample_bytes(key)
        shard, offset = writer.add(key, data)
        entry = describe(key, shard, offset, len(data))
        entries.append(replace(entry, sha256=hashlib.sha256(data).hexdigest()))
    return writer.close(), entries


def iterate_shard(path: Path) -> Iterator[tuple[str, int, int]]:
    """Walks a shard as any tar reader would: member name, offset of its header, size in bytes.

    Raises: CorruptShard when the file is no tar or ends early.
    """
    try:
        with tarfile.open(path, mode="r:") as archive:
            for info in archive:
                yield info.name, info.offset, info.size
    except _DAMAGED_TAR as error:
        raise CorruptShard(f"shard {path.name} is not a readable tar: {error}") from error
