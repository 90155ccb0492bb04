"""Tables as directories of parquet part files, replaced as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.sink import made_whole

GROUP_ROWS = 25_000
"""Rows that are written, and read, at once; ten groups make a file."""
PART_ROWS = 10 * GROUP_ROWS
_BATCH_ROWS = 5_000


class TableWriter:
    """Writes rows into part files of a folder, in order; the files do not tell in which pieces the rows came."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.rows = 0
        self._folder, self._schema = folder, schema
        self._waiting, self._waiting_rows = [schema.empty_table()], 0
        self._dicts: list[dict[str, Any]] = []
        self._file: pq.ParquetWriter | None = None

    def finish(self) -> None:
        """Writes what waits; a table without rows has one file all the same."""
        self._collect()
        if self._waiting_rows or not self.rows:
            self._write(pa.concat_tables(self._waiting))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, table: pa.Table) -> None:
        """Its columns may be of types that cast to the schema's."""
        self._waiting.append(table if table.schema.equals(self._schema) else table.cast(self._schema))
        self._waiting_rows += table.num_rows
        if self._waiting_rows >= GROUP_ROWS:
            together = pa.concat_tables(self._waiting)
            whole = self._waiting_rows - self._waiting_rows % GROUP_ROWS
            for begin in range(0, whole, GROUP_ROWS):
                self._write(together.slice(begin, GROUP_ROWS))
            self._waiting, self._waiting_rows = [together.slice(whole)], self._waiting_rows - whole

    def add_row(self, row: dict[str, Any]) -> None:
        """Rows and tables of one writer do not mix."""
        self._dicts.append(row)
        if len(self._dicts) >= _BATCH_ROWS:
            self._collect()

    def _collect(self) -> None:
        if self._dicts:
            self.add(pa.Table.from_pylist(self._dicts, schema=self._schema))
            self._dicts = []

    def _write(self, group: pa.Table) -> None:
        if self._file is None or self.rows % PART_ROWS == 0:
            if self._file is not None:
                self._file.close()
            name = f"part-{self.rows // PART_ROWS:05d}.parquet"
            self._file = pq.ParquetWriter(self._folder / name, self._schema)
        self._file.write_table(group.combine_chunks())
        self.rows += group.num_rows


@contextmanager
def table_writer(folder: Path, schema: pa.Schema) -> Iterator[TableWriter]:
    """Replaces a directory of part files by the rows that it gets, when the block ends well.

    Readers see the old directory or the new one; memory holds one group of rows.
    """
    with made_whole(folder) as fresh:
        writer = TableWriter(fresh, schema)
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()


def publish_table(folder: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> int:
    """Replaces a directory of part files by these tables, in order. Returns: the number of rows."""
    with table_writer(folder, schema) as writer:
        for table in tables:
            writer.add(table)
    return writer.rows
