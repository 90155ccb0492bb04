"""What can be asked of a table's columns: which there are, of which kind, and which operators fit a kind.

Labels lie in two lists of equal length, a name once with the highest confidence it has in the sample:
`actions` and, out of sight, `actions:confidence`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

Kind = Literal["number", "text", "flag", "labels"]
OPERATORS: Mapping[Kind, tuple[str, ...]] = {
    "number": (">=", "<=", ">", "<", "=", "!=", "missing", "known"),
    "text": ("contains", "is", "is not", "missing", "known"),
    "flag": ("is", "missing", "known"),
    "labels": ("has", "has not", "missing", "known"),
}
WITHOUT_VALUE = ("missing", "known")
ROW = "row"
"""The column that numbers a table's rows from 0, in the order in which they lie."""
CONFIDENCE = ":confidence"
LOWERED = ":lower"
"""Beside a text that is searched: the same in small letters, which a million times takes longer than the search."""
# Names come from outside, as the keys of a sample's JSON.
NAME_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,79}\Z")


@dataclass(frozen=True, slots=True)
class Column:
    """sure: whether its labels have confidences. lowered: whether its text also lies there in small letters."""

    name: str
    kind: Kind
    sure: bool = False
    lowered: bool = False


def columns_of(schema: pa.Schema) -> dict[str, Column]:
    """The columns of a table that can be asked, by name, in its order."""
    found: dict[str, Column] = {}
    for field in schema:
        kind = _kind(field.type)
        if kind is not None and field.name != ROW and NAME_PATTERN.match(field.name):
            beside = (f"{field.name}{suffix}" in schema.names for suffix in (CONFIDENCE, LOWERED))
            found[field.name] = Column(field.name, kind, *beside)
    return found


def _kind(type_: pa.DataType) -> Kind | None:
    if pa.types.is_boolean(type_):
        return "flag"
    if pa.types.is_integer(type_) or pa.types.is_floating(type_):
        return "number"
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return "text"
    if pa.types.is_list(type_) and pa.types.is_string(type_.value_type):
        return "labels"
    return None
