"""Which samples a dataset's card is about: a line in it names them by their hashes."""

from __future__ import annotations

import re

from schemas.fingerprint import fingerprint
from schemas.index import load_index, load_overlays, load_shards
from schemas.storage import Location, is_file, joined, read_bytes

CARD = "README.md"
MARK = "written by motionloom for"
_MARK_LINE = re.compile(rf"^<!-- {MARK} ([0-9a-f]+):", re.MULTILINE)


def content_fingerprint(dataset: Location) -> str:
    """Of shards and overlays, by their hashes, and of what made them. Raises: RecipeError, CorruptShard."""
    shards, overlays = load_shards(dataset), load_overlays(dataset)
    made_by = load_index(dataset).get("made_by")
    hashes = [*([each.name, each.sha256] for each in shards), *([each.name, each.sha256] for each in overlays)]
    return fingerprint([made_by, hashes])


def described_content(dataset: Location) -> str | None:
    """What the dataset's card is about; "" for a card of somebody's own, None where there is none. Raises: OSError."""
    path = joined(dataset, CARD)
    if not is_file(path):
        return None
    found = _MARK_LINE.search(read_bytes(path).decode("utf-8", "replace"))
    return found[1] if found else ""
