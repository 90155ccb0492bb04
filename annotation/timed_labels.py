"""The labelled intervals of a sample's JSON as values: what timelines draw and recordings tell.

KEY.json comes from outside: entries that are no intervals are counted, never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TimedLabel:
    """A label over [start_s, end_s) of clip time. name: the label, with its object and hand where it has them."""

    field: str
    name: str
    start_s: float
    end_s: float
    confidence: float | None

    def holds_at(self, pts_s: float) -> bool:
        # Interval ends are written in milliseconds.
        return self.start_s - 5e-4 <= pts_s < self.end_s - 5e-4


def timed_labels(fields: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[list[TimedLabel], int]:
    """Labels in order of field and start, and how many entries were unreadable."""
    found: list[TimedLabel] = []
    unreadable = 0
    for field, rows in fields.items():
        labels = [label for row in rows if (label := _read(field, row)) is not None]
        unreadable += len(rows) - len(labels)
        found += sorted(labels, key=lambda label: (label.start_s, label.end_s, label.name))
    return found, unreadable


def _read(field: str, row: Mapping[str, Any]) -> TimedLabel | None:
    name, confidence = row.get("label"), row.get("confidence")
    try:
        start_s, end_s = float(row["start_s"]), float(row["end_s"])
        sure = None if confidence is None else float(confidence)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if (
        not isinstance(name, str)
        or not name.strip()
        or not math.isfinite(start_s)
        or not math.isfinite(end_s)
        or end_s < start_s
    ):
        return None
    thing, hand = row.get("object"), row.get("hand")
    parts = [name, *([str(thing)] if thing else []), *([f"({hand})"] if hand else [])]
    # JSON has no infinity, and whoever draws or sends it on needs a number.
    return TimedLabel(
        field, " ".join(parts), start_s, end_s, sure if sure is not None and math.isfinite(sure) else None
    )
