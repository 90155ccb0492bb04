"""Tables that are too large for memory, asked through DuckDB: parquet files that it may read, and nothing else.

Every question takes two steps. The first reads the columns of filter and order and gives row numbers, the second reads
the few rows that are shown, which the parquet statistics of the row column find without reading the others.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from pipelines.viewer.columns import ROW, Column, columns_of
from pipelines.viewer.query import BadQueryError, Compiled, Query, compiled, quoted
from schemas.errors import ResourceError

MAX_PAGE = 200
_BINS = 24
_MAX_VALUES = 300
_MEMORY = "1GB"
_THREADS = 2
# What DuckDB says of a file that is cut short or is not there: then it looks for a folder of that name, and may not.
_GONE = (duckdb.IOException, duckdb.InvalidInputException, duckdb.SerializationException, duckdb.PermissionException)


def connection(memory: str = _MEMORY) -> duckdb.DuckDBPyConnection:
    """DuckDB without a file of its own, which loads no extension and asks nobody."""
    settings = {"threads": str(_THREADS), "memory_limit": memory}
    return duckdb.connect(
        ":memory:",
        config={**settings, "autoinstall_known_extensions": "false", "autoload_known_extensions": "false"},
    )


def sql_text(text: object) -> str:
    """A literal, for the few places of a statement that take no parameter."""
    return "'" + str(text).replace("'", "''") + "'"


class TableGoneError(ResourceError):
    """A table's file was removed, or damaged, after it was opened."""


class Tables:
    """Parquet files by name, as views. May be asked from several threads at once.

    Every question raises TableGoneError when a file is no longer there.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._connection = connection()
        self._lock = threading.Lock()
        self.columns: dict[str, dict[str, Column]] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._total: dict[str, int] = {}
        self._values: dict[tuple[str, str], list[tuple[str, int]]] = {}
        paths = ", ".join(sql_text(path) for path in files.values())
        self._connection.execute(f"SET allowed_paths = [{paths}]")
        for name, path in files.items():
            with pq.ParquetFile(path) as file:
                self.columns[name] = columns_of(file.schema_arrow)
                self._names[name] = frozenset(file.schema_arrow.names)
                self._total[name] = file.metadata.num_rows
            self._connection.execute(f"CREATE VIEW {quoted(name)} AS SELECT * FROM read_parquet({sql_text(path)})")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def close(self) -> None:
        self._connection.close()

    def total(self, table: str) -> int:
        return self._total[table]

    def page(
        self, table: str, query: Query, offset: int, limit: int, columns: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Rows [offset, offset + limit) of what was asked for; columns: only these. Raises: BadQueryError."""
        if offset < 0 or not 0 < limit <= MAX_PAGE:
            raise BadQueryError(f"offset {offset}, limit {limit}: expected 0 or more, and 1 to {MAX_PAGE}")
        asked = self._compiled(table, query)
        if not query.conditions and query.sort is None and not query.descending:
            numbers = list(range(offset, min(offset + limit, self._total[table])))
        else:
            sql = (
                f"SELECT {quoted(ROW)} FROM {quoted(table)} WHERE {asked.where} ORDER BY {asked.order} LIMIT ? OFFSET ?"
            )
            numbers = [number for (number,) in self._rows(sql, [*asked.parameters, limit, offset])]
        if not numbers:
            return []
        names = "*" if columns is None else ", ".join(quoted(name) for name in (ROW, *columns))
        marks = ", ".join("?" * len(numbers))
        found = self._dicts(f"SELECT {names} FROM {quoted(table)} WHERE {quoted(ROW)} IN ({marks})", numbers)
        by_number = {row.pop(ROW): row for row in found}
        return [by_number[number] for number in numbers]

    def count(self, table: str, query: Query) -> int:
        """Raises: BadQueryError."""
        if not query.conditions:
            return self._total[table]
        asked = self._compiled(table, query)
        sql = f"SELECT count(*) FROM {quoted(table)} WHERE {asked.where}"
        return int(self._rows(sql, asked.parameters)[0][0])

    def has(self, table: str, column: str) -> bool:
        """Whether there is such a column, also one that cannot be asked."""
        return column in self._names[table]

    def row(self, table: str, column: str, value: str, columns: Sequence[str] | None = None) -> dict[str, Any] | None:
        """The first row that has this value; columns: only these."""
        names = "*" if columns is None else ", ".join(quoted(name) for name in columns)
        sql = f"SELECT {names} FROM {quoted(table)} WHERE {quoted(column)} = ? LIMIT 1"
        return next(iter(self._dicts(sql, [value])), None)

    def histogram(self, table: str, query: Query, column: str) -> dict[str, Any]:
        """low and high of a number column among what was asked for, and how many rows lie in each of equal parts.

        Raises: BadQueryError.
        """
        if column not in self.columns[table] or self.columns[table][column].kind != "number":
            raise BadQueryError(f"{column[:80]!r} is no column of numbers")
        asked, name = self._compiled(table, query), quoted(column)
        among = f"FROM {quoted(table)} WHERE {asked.where} AND {name} IS NOT NULL"
        low, high, known = self._rows(f"SELECT min({name}), max({name}), count(*) {among}", asked.parameters)[0]
        counts = [0] * _BINS
        if known and high > low:
            place = f"least({_BINS - 1}, CAST(floor(({name} - ?) / ? * {_BINS}) AS INTEGER))"
            width = float(high) - float(low)
            for bin_, count in self._rows(
                f"SELECT {place} AS bin, count(*) {among} GROUP BY bin", [float(low), width, *asked.parameters]
            ):
                counts[bin_] = count
        elif known:
            counts = [known]
        return {"low": low, "high": high, "known": known, "counts": counts}

    def values(self, table: str, column: str) -> list[tuple[str, int]]:
        """The commonest values of a text or label column with how many rows have them; kept, since tables do not
        change. Raises: BadQueryError."""
        found = self.columns[table].get(column)
        if found is None or found.kind not in ("text", "labels"):
            raise BadQueryError(f"{column[:80]!r} is no column of texts or labels")
        if (table, column) not in self._values:
            each = f"unnest({quoted(column)})" if found.kind == "labels" else quoted(column)
            sql = (
                f"SELECT value, count(*) AS n FROM (SELECT {each} AS value FROM {quoted(table)}) "
                f"WHERE value IS NOT NULL GROUP BY value ORDER BY n DESC, value LIMIT {_MAX_VALUES}"
            )
            self._values[table, column] = [(str(value), int(n)) for value, n in self._rows(sql, [])]
        return self._values[table, column]

    def _compiled(self, table: str, query: Query) -> Compiled:
        return compiled(query, self.columns[table])

    def _rows(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._asking() as cursor:
            return cursor.execute(sql, list(parameters)).fetchall()

    def _dicts(self, sql: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
        with self._asking() as cursor:
            answer = cursor.execute(sql, list(parameters))
            names = [column[0] for column in answer.description or ()]
            return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]

    @contextlib.contextmanager
    def _asking(self) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            with self._cursor() as cursor:
                yield cursor
        except _GONE as error:
            raise TableGoneError("the viewer's table is gone or damaged; start the viewer again") from error

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        # A connection is one thread's at a time; its cursors are connections of their own to the same views.
        with self._lock:
            return self._connection.cursor()
