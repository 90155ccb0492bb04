"""Putting an overlay over a dataset's shards, and taking it off again: index.parquet is what readers go by."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.dataset_card import refresh_card
from pipelines.folder_lock import only_one
from schemas.codecs import decode_json
from schemas.errors import CorruptShard, RecipeError, SchemaError
from schemas.index import (
    OVERLAY_NAME_PATTERN,
    OVERLAYS_DIR,
    SHARDS_DIR,
    OverlaySpan,
    SampleEntry,
    index_facts,
    load_index,
    load_overlays,
    load_samples,
    load_shards,
    write_index,
)
from schemas.overlay import Overlay, overlay_folder, write_overlay_index
from schemas.shard import iterate_shard, read_members, write_shard

# What an overlay has for one sample: its `sample_tar` bytes, their members, and the sample's facts for the index.
Part = tuple[bytes, tuple[str, ...], dict[str, Any]]


def check_overlay_name(name: str) -> str:
    """Raises: RecipeError for a name that could leave the folder or hide in it."""
    if not OVERLAY_NAME_PATTERN.match(name):
        raise RecipeError(f"overlay {name!r}: only letters, digits, '-' and '_', at most 80")
    return name


def finished_samples(dataset: Path) -> list[SampleEntry]:
    """The samples as of the overlays that index.json lists: one that was killed while it was put on does not count.

    Raises: RecipeError when an overlay was only half taken off, CorruptShard.
    """
    entries, names = load_samples(dataset), [overlay.name for overlay in load_overlays(dataset)]
    seen = {span.name for entry in entries for span in entry.overlays}
    gone = [name for name in names if name not in seen]
    if entries and gone:
        raise RecipeError(f"overlay {gone[-1]} was taken off in part; motionloom relabel {dataset} --remove {gone[-1]}")
    return entries if seen <= set(names) else _without(dataset, entries, seen - set(names))


def put_overlay(
    dataset: Path, name: str, entries: Sequence[SampleEntry], part_of: Callable[[SampleEntry], Part], made_by: Any
) -> None:
    """Writes the overlay's shards and its index, then the dataset's indices: index.parquet is the moment it counts.

    entries: `finished_samples`. Every sample has a part, so that the overlay is aligned with the shards.
    """
    document, shards, overlays = load_index(dataset), load_shards(dataset), load_overlays(dataset)
    folder = overlay_folder(dataset, name)
    by_shard: dict[str, list[SampleEntry]] = {shard.name: [] for shard in shards}
    for entry in entries:
        by_shard[entry.shard].append(entry)
    fresh, own = [], []
    for shard in shards:
        here = sorted(by_shard[shard.name], key=lambda entry: entry.offset)
        told: list[tuple[str, tuple[str, ...], dict[str, Any]]] = []

        def parts(here: list[SampleEntry] = here, told: list[Any] = told) -> Any:
            for entry in here:
                data, members, facts = part_of(entry)
                told.append((hashlib.sha256(data).hexdigest(), members, facts))
                yield data

        written, spans = write_shard(folder / shard.name, parts())
        own.append(written)
        for entry, (offset, size_bytes), (sha256, members, facts) in zip(here, spans, told, strict=True):
            span = OverlaySpan(name, offset, size_bytes, members, sha256)
            everything = tuple(sorted({*entry.members, *members}))
            fresh.append(replace(entry, **facts, members=everything, overlays=(*entry.overlays, span)))
    base = {shard.name: shard.sha256 for shard in shards}
    row = write_overlay_index(dataset, name, Overlay(base, own, made_by))
    fresh.sort(key=lambda entry: entry.key)
    write_index(dataset, shards, fresh, document["made_by"], [*overlays, row])


def remove_overlay(dataset: Path, name: str) -> bool:
    """Takes off the newest overlay, or clears away one that was never finished; the shards are as they always were.

    A card is brought up to date.
    Returns: whether it was finished.
    Raises: RecipeError when there is none of that name, another lies over it, or another call is at work.
    """
    check_overlay_name(name)
    load_index(dataset)
    with only_one(dataset, "relabel --remove"):
        document, overlays = load_index(dataset), load_overlays(dataset)
        names = [overlay.name for overlay in overlays]
        folder = overlay_folder(dataset, name)
        if name in names and name != names[-1]:
            above = ", ".join(reversed(names[names.index(name) + 1 :]))
            raise RecipeError(f"overlay {name} lies under {above}: remove what lies over it first")
        if name not in names and not folder.is_dir():
            raise RecipeError(f"{dataset} has no overlay {name}; it has {', '.join(names) or 'none'}")
        entries = load_samples(dataset)
        if name in names or any(span.name == name for entry in entries for span in entry.overlays):
            rest = [overlay for overlay in overlays if overlay.name != name]
            write_index(dataset, load_shards(dataset), _without(dataset, entries, {name}), document["made_by"], rest)
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            (dataset / OVERLAYS_DIR).rmdir()
        refresh_card(dataset)
        return name in names


def _without(dataset: Path, entries: Sequence[SampleEntry], names: set[str]) -> list[SampleEntry]:
    """The rows as they are without these overlays: members from the shards' headers, facts from the JSON beneath."""
    held: dict[str, set[str]] = {}
    for shard in sorted({entry.shard for entry in entries}):
        for member, _, _ in iterate_shard(dataset / SHARDS_DIR / shard):
            key, _, suffix = member.partition(".")
            held.setdefault(key, set()).add(suffix)
    rows = []
    for entry in entries:
        spans = tuple(span for span in entry.overlays if span.name not in names)
        members = tuple(sorted(held.get(entry.key, set()).union(*(span.members for span in spans))))
        bare = replace(entry, members=members, overlays=spans)
        where = f"shard {entry.shard}, sample {entry.key}"
        try:
            rows.append(replace(bare, **index_facts(decode_json(read_members(dataset, bare, ("json",))["json"]))))
        except (SchemaError, KeyError) as error:
            raise CorruptShard(f"{where}: json: {error}") from error
    return rows
