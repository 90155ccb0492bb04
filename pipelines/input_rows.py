"""Inputs as rows of curation, made when they are asked for: of a million files only names are held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

from curation.inputs import InputFile
from curation.probe import video_id_of
from pipelines.stages import Row
from schemas.clip import NOTE_FIELDS, SourceNote
from schemas.storage import NO_STATE, Location, located, state_of

_T = TypeVar("_T")
_UNNOTED = SourceNote()


class Lazy(Sequence[_T]):
    """What is made of things, each time anew."""

    def __init__(self, things: Sequence[Any], make: Callable[[Any], _T]) -> None:
        self._things, self._make = things, make

    def __len__(self) -> int:
        return len(self._things)

    @overload
    def __getitem__(self, index: int) -> _T: ...

    @overload
    def __getitem__(self, index: slice) -> Lazy[_T]: ...

    def __getitem__(self, index: int | slice) -> _T | Lazy[_T]:
        if isinstance(index, slice):
            return Lazy(self._things[index], self._make)
        return self._make(self._things[index])

    def __iter__(self) -> Iterator[_T]:
        return map(self._make, self._things)


def video_id(file: InputFile) -> str:
    return video_id_of(file.uri)


def bytes_of(row: Row) -> float:
    """Of the file; what it costs to measure grows with them."""
    return float(row["stamp"]["size_bytes"] or 0)


def input_row(file: InputFile, notes: Mapping[Location, SourceNote], made_by: dict[str, Any]) -> Row:
    """A row of `CurateStage`; its `stamp` tells whether the file changed since it was measured.

    made_by: what measuring depends on, of the recipe.
    """
    note = notes.get(file.location, _UNNOTED)
    fields = {name: getattr(note, name) for name in NOTE_FIELDS}
    # A link that leads nowhere has none; probing says so.
    state = state_of(file.location) if file.state is None else file.state
    truth = NO_STATE if note.ground_truth is None else state_of(located(note.ground_truth))
    uri = file.uri.encode("utf-8", "backslashreplace").decode()
    return {
        "uri": uri,
        "video_id": video_id(file),
        "stamp": {**state, **fields, "ground_truth_state": truth},
        "note": fields,
        "refused": None if uri == file.uri else "its file name is not valid UTF-8; rename it",
        "made_by": made_by,
    }
