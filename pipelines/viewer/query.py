"""What somebody asks for, as SQL with parameters: no text from outside becomes a part of the statement.

Columns and operators are looked up in what the table has, values are parameters.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.viewer.columns import CONFIDENCE, LOWERED, OPERATORS, ROW, WITHOUT_VALUE, Column
from schemas.errors import RecipeError

MAX_CONDITIONS = 24
MAX_TEXT = 400
_CONDITION = re.compile(
    r"\s*(?P<column>[\w.]+)(?:\s*(?P<sign>>=|<=|!=|>|<|=)|\s+(?P<word>[a-z]+(?:\s+not)?)(?=\s|\Z))\s*(?P<value>.*)\Z",
    re.DOTALL,
)
_SURE = re.compile(r"(?P<name>.+?)\s+at\s+(?P<at_least>[0-9.]+)\Z", re.DOTALL)
# "at" where no such number follows. A label may have the word in it: "look at camera".
_UNSURE = re.compile(r".*\sat(?:\s+[-+.0-9]\S*)?\Z", re.DOTALL)
_COMPARISONS = {">=": ">=", "<=": "<=", ">": ">", "<": "<", "=": "=", "!=": "<>"}

_WITH_VALUE = {each for operators in OPERATORS.values() for each in operators} - set(WITHOUT_VALUE)


class BadQueryError(RecipeError):
    """A question that the table cannot be asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Condition:
    """at_least: the confidence that a label must have; None asks for none."""

    column: str
    operator: str
    value: str | float | bool | None = None
    at_least: float | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """Rows that meet all conditions, by one column; without it in the order of the table."""

    conditions: tuple[Condition, ...] = ()
    sort: str | None = None
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Compiled:
    """where and order are SQL; parameters are those of where."""

    where: str
    order: str
    parameters: tuple[Any, ...]


def compiled(query: Query, columns: Mapping[str, Column]) -> Compiled:
    """Raises: BadQueryError."""
    if len(query.conditions) > MAX_CONDITIONS:
        raise BadQueryError(f"{len(query.conditions)} conditions, at most {MAX_CONDITIONS} are taken")
    parts, parameters = ["TRUE"], []
    # The cheap ones first: what they leave out, the costly ones are not asked of.
    for condition in sorted(query.conditions, key=lambda each: _cost(each, columns)):
        sql, values = _condition(condition, _column(condition.column, columns))
        parts.append(sql)
        parameters += values
    order = quoted(ROW)
    if query.sort is not None:
        column = _column(query.sort, columns)
        if column.kind == "labels":
            raise BadQueryError(f"{column.name} holds labels; sort by a number or a text")
        order = f"{quoted(column.name)} {'DESC' if query.descending else 'ASC'} NULLS LAST, {quoted(ROW)}"
    elif query.descending:
        order = f"{quoted(ROW)} DESC"
    return Compiled(" AND ".join(parts), order, tuple(parameters))


def quoted(name: str) -> str:
    """An identifier as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def _cost(condition: Condition, columns: Mapping[str, Column]) -> int:
    if condition.operator == "contains":
        return 3
    return {"number": 0, "flag": 0, "text": 1, "labels": 2}[_column(condition.column, columns).kind]


def _column(name: str, columns: Mapping[str, Column]) -> Column:
    if name not in columns:
        near = difflib.get_close_matches(name, columns, n=1)
        raise BadQueryError(f"there is no column {name[:80]!r}" + (f"; did you mean {near[0]}?" if near else ""))
    return columns[name]


def _condition(condition: Condition, column: Column) -> tuple[str, list[Any]]:
    operators, name = OPERATORS[column.kind], quoted(column.name)
    if condition.operator not in operators:
        raise BadQueryError(
            f"{column.name} is a {column.kind} column: {', '.join(operators)}; not {condition.operator[:20]!r}"
        )
    if condition.at_least is not None and not (column.sure and condition.operator in ("has", "has not")):
        raise BadQueryError(f"{column.name} {condition.operator}: no confidence is known here")
    if condition.operator in WITHOUT_VALUE:
        known = f"coalesce(len({name}), 0) > 0" if column.kind == "labels" else f"{name} IS NOT NULL"
        return (known if condition.operator == "known" else f"NOT ({known})"), []
    value = _value(condition, column)
    if column.kind == "number":
        return f"{name} {_COMPARISONS[condition.operator]} ?", [value]
    if column.kind == "flag":
        return f"{name} = ?", [value]
    if column.kind == "labels":
        return _label_condition(condition, column, value)
    if condition.operator == "contains":
        words = str(value).lower().split()
        text = quoted(column.name + LOWERED) if column.lowered else f"lower({name})"
        return "(" + " AND ".join([f"contains({text}, ?)"] * len(words)) + ")", words
    return f"{name} {'=' if condition.operator == 'is' else 'IS DISTINCT FROM'} ?", [value]


def _label_condition(condition: Condition, column: Column, value: Any) -> tuple[str, list[Any]]:
    name, values = quoted(column.name), [value]
    has = f"coalesce(list_contains({name}, ?), FALSE)"
    if condition.at_least is not None:
        confidence = quoted(column.name + CONFIDENCE)
        has = f"coalesce(list_extract({confidence}, list_position({name}, ?)) >= ?, FALSE)"
        values.append(_number(condition.at_least, column.name))
    return (has if condition.operator == "has" else f"NOT {has}"), values


def _value(condition: Condition, column: Column) -> Any:
    value = condition.value
    if column.kind == "number":
        return _number(value, column.name)
    if column.kind == "flag":
        text = str(value).lower()
        if text not in ("true", "false", "yes", "no"):
            raise BadQueryError(f"{column.name} is yes or no, not {text[:40]!r}")
        return text in ("true", "yes")
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT or not _is_utf8(value):
        raise BadQueryError(f"{column.name} {condition.operator}: a text of 1 to {MAX_TEXT} characters is wanted")
    return value.strip()


def _is_utf8(text: str) -> bool:
    """Half a pair of surrogates, or what a terminal sent as bytes, is no text that DuckDB takes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _number(value: Any, what: str) -> float:
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not math.isfinite(number):
        raise BadQueryError(f"{what} is compared with a number, not {str(value)[:40]!r}")
    return number


def query_of(filters: str, sort: str, descending: str) -> Query:
    """What a page's address says: filters is JSON, a list of [column, operator, value, confidence at least].

    Raises: BadQueryError.
    """
    try:
        rows = json.loads(filters) if filters else []
    except (ValueError, RecursionError) as error:
        raise BadQueryError("filters are a JSON list") from error
    if not isinstance(rows, list):
        raise BadQueryError("filters are a JSON list")
    return Query(tuple(_condition_of(row) for row in rows), sort or None, descending == "1")


def _condition_of(row: Any) -> Condition:
    if not isinstance(row, list) or not 2 <= len(row) <= 4 or not all(isinstance(part, str) for part in row[:2]):
        raise BadQueryError("a filter is [column, operator, value, confidence at least]; the last two may be left out")
    column, operator, value, at_least = [*row, None, None][:4]
    if value is not None and not isinstance(value, str | int | float):
        raise BadQueryError(f"{column[:80]}: a value is a text or a number")
    return Condition(
        column, operator, value, None if at_least is None else _number(at_least, f"{column[:80]}'s confidence")
    )


def parsed_conditions(texts: Iterable[str]) -> tuple[Condition, ...]:
    """Conditions as they are typed: "quality >= 0.5", "caption contains dance", "actions has walk at 0.6".

    Raises: BadQueryError.
    """
    return tuple(_parsed(text) for text in texts)


def _parsed(text: str) -> Condition:
    match = _CONDITION.match(text)
    if match is None:
        raise BadQueryError(f"--where {text[:120]!r}: expected COLUMN OPERATOR VALUE, such as 'duration_s >= 2'")
    column, value = match["column"], match["value"].strip()
    operator = match["sign"] or " ".join(match["word"].split())
    if operator in WITHOUT_VALUE and value:
        raise BadQueryError(f"--where {text[:120]!r}: {operator} takes no value")
    if operator in _WITH_VALUE and not value:
        raise BadQueryError(f"--where {text[:120]!r}: {operator} is followed by a value")
    sure = _SURE.match(value) if operator in ("has", "has not") else None
    if sure is not None:
        return Condition(column, operator, sure["name"], _number(sure["at_least"], f"{column}'s confidence"))
    if operator in ("has", "has not") and _UNSURE.match(value):
        raise BadQueryError(f"--where {text[:120]!r}: 'at' is followed by a confidence, such as 'at 0.6'")
    return Condition(column, operator, value or None)
