"""What of a finished sample is measured again: which versions are out of date, and what follows from what."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from annotation.base import Annotator

Versions = Mapping[str, Mapping[str, Any]]


def out_of_date(stored: Versions, installed: Versions) -> set[str]:
    """Fields of KEY.json's `annotators` (member suffixes and label fields) that today's code would fill differently.

    Versions have no order: one that differs counts. A track also counts when it was kept while a track that it follows
    from was measured again (`after`, see `kept_after`). Fields that nothing installed writes do not count.
    """
    by_name = {each["name"]: each["version"] for field, each in installed.items()}
    found = set()
    for field, now in installed.items():
        then = stored.get(field, {})
        followed = then.get("after", {})
        if then.get("version") != now["version"] or any(by_name.get(name) != was for name, was in followed.items()):
            found.add(field)
    return found


def with_followers(
    annotators: Sequence[Annotator], names: Collection[str], there: Collection[str], alone: bool = False
) -> list[str]:
    """The annotators to run again, in the order of the catalog.

    names: those asked for. there: those whose tracks the sample has; what a named one needs and the sample lacks runs
    too, and unless alone, everything that follows from one that runs.
    """
    running: set[str] = set()
    wanted = set(names)
    for annotator in reversed(annotators):
        if annotator.name in wanted:
            wanted |= set(annotator.after) - set(there)
    for annotator in annotators:
        if annotator.name in wanted or (not alone and running & set(annotator.after)):
            running.add(annotator.name)
    return [annotator.name for annotator in annotators if annotator.name in running]


def kept_after(annotator: Annotator, stored: Mapping[str, Any], stored_after: Mapping[str, str]) -> dict[str, Any]:
    """The `annotators` entry of a track that was kept although what it follows from was measured again.

    stored: its entry so far. stored_after: name -> version of those tracks as they were when it was measured.
    """
    after = {name: stored_after[name] for name in annotator.after if name in stored_after}
    return {**stored, "after": {**after, **stored.get("after", {})}}
