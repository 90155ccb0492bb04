"""The corpus step of a run: which of its clips are copies of each other, from the facts of all units."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from curation.dedup import TraceStore, copy_columns, copy_quality, find_copies
from curation.measure import facts_from_table
from pipelines.sink import UnitStore

_FACTS = ("picture_hash", "frame_change")


def copies_of_run(units: UnitStore, documents: Iterable[dict[str, Any]]) -> dict[str, tuple[str, float]]:
    """{clip_id: (copy_group, copy_quality)} of the clips that have copies; one pass over the units.

    documents: of the units, in a fixed order (which copy wins must not depend on who finished first).
    Memory: what curation.dedup.TraceStore says, and one unit.
    """
    store, qualities = TraceStore(), []
    for document in documents:
        if not document["clips"]:
            continue
        video = document["video"]
        table = units.table(video["video_id"], ("pts_s", *_FACTS))
        facts = facts_from_table(table, video["duration_s"])
        for row in document["clips"]:
            store.add(row["clip_id"], row["video_id"], row["start_s"], row["end_s"], facts)
            qualities.append(copy_quality(row))
    return copy_columns(find_copies(store), store.clip_ids, qualities)
