"""Do a dataset's overlays lie over its shards as they promise? Hashes, and every sample in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from schemas.errors import CorruptShard
from schemas.fingerprint import file_sha256
from schemas.index import INDEX_JSON, INDEX_PARQUET, SampleEntry, ShardEntry, load_overlays
from schemas.overlay import Overlay, load_overlay, overlay_folder
from schemas.shard import iterate_shard
from schemas.storage import Location, fetched, is_file, joined, sha256_of

# shard, key, message; shard or key is None when the finding is not about one.
Finding = tuple[str | None, str | None, str]


def check_overlays(
    dataset: Location, shards: Sequence[ShardEntry], samples: Sequence[SampleEntry]
) -> Iterator[Finding]:
    """What is wrong with the overlays themselves; damaged members of samples are found with the samples."""
    try:
        overlays = load_overlays(dataset)
    except CorruptShard as error:
        yield None, None, str(error)
        return
    if not overlays and not any(sample.overlays for sample in samples):
        return
    names = [overlay.name for overlay in overlays]
    keys: dict[str, list[str]] = {shard.name: [] for shard in shards}
    for sample in sorted(samples, key=lambda sample: sample.offset):
        keys.setdefault(sample.shard, []).append(sample.key)
    for sample in samples:
        spans = [span.name for span in sample.overlays]
        if spans != names:
            yield (
                sample.shard, sample.key,
                f"{INDEX_PARQUET} has it in overlays {spans}, {INDEX_JSON} lists {names}: relabelling broke off; "
                "the same motionloom relabel call completes it",
            )  # fmt: skip
    for row in overlays:
        try:
            overlay = load_overlay(dataset, row.name)
        except CorruptShard as error:
            yield None, None, str(error)
            continue
        if sha256_of(joined(overlay_folder(dataset, row.name), INDEX_JSON)) != row.sha256:
            yield None, None, f"overlay {row.name}: sha256 of its {INDEX_JSON} differs from the dataset's {INDEX_JSON}"
        if overlay.base != {shard.name: shard.sha256 for shard in shards}:
            yield None, None, f"overlay {row.name} was made over other shards"
        yield from _check_shards(dataset, row.name, overlay, keys)


def _check_shards(dataset: Location, name: str, overlay: Overlay, keys: Mapping[str, list[str]]) -> Iterator[Finding]:
    """keys: of the samples of each shard, in their order."""
    for shard in overlay.shards:
        path = joined(overlay_folder(dataset, name), shard.name)
        if not is_file(path):
            yield shard.name, None, f"overlay {name}: the file is missing"
            continue
        with fetched(path) as local:
            yield from _check_file(local, f"overlay {name}", shard, keys.get(shard.name, []))


def _check_file(path: Path, where: str, shard: ShardEntry, keys: list[str]) -> Iterator[Finding]:
    if (size_bytes := path.stat().st_size) != shard.size_bytes:
        yield shard.name, None, f"{where}: the file has {size_bytes} bytes, not {shard.size_bytes}"
    if file_sha256(path) != shard.sha256:
        yield shard.name, None, f"{where}: sha256 differs from the overlay's {INDEX_JSON}"
    try:
        members = [member.partition(".") for member, _, _ in iterate_shard(path)]
    except CorruptShard as error:
        yield shard.name, None, f"{where}: {error}"
        return
    if [key for key, _ in groupby(key for key, _, _ in members)] != keys:
        yield shard.name, None, f"{where}: its samples are not those of the shard, in the same order"
