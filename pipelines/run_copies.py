"""The corpus step of a run: which of its clips are copies of each other, from the facts of all units."""

from __future__ import annotations

from curation.dedup import TraceStore, copy_columns, copy_quality, find_copies
from curation.measure import facts_from_table
from pipelines.sink import Unit

_FACTS = ("pts_s", "picture_hash", "frame_change")


class RunCopies:
    """Takes the units of a run in a fixed order: which copy wins must not depend on who finished first.

    Memory: what curation.dedup.TraceStore says, and two facts of one unit.
    """

    def __init__(self) -> None:
        self._store, self._qualities = TraceStore(), list[float]()

    def add(self, unit: Unit) -> None:
        """Its clips, with what they look like."""
        clips, video = unit.document["clips"], unit.document["video"]
        if not clips:
            return
        facts = facts_from_table(unit.table(_FACTS), video["duration_s"])
        for row in clips:
            self._store.add(row["clip_id"], row["video_id"], row["start_s"], row["end_s"], facts)
            self._qualities.append(copy_quality(row))

    def columns(self) -> dict[str, tuple[str, float]]:
        """{clip_id: (copy_group, copy_quality)} of the clips that have copies."""
        return copy_columns(find_copies(self._store), self._store.clip_ids, self._qualities)
