"""Tables as directories of parquet part files, replaced as a whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

GROUP_ROWS = 25_000
"""Rows that are written, and read, at once; ten groups make a file."""
PART_ROWS = 10 * GROUP_ROWS
_BATCH_ROWS = 5_000


class TableWriter:
    """Replaces a directory of part files by the rows that it gets, in order, when its block ends well.

    Readers see the old directory or the new one; memory holds one group of rows. The files do not tell in which pieces
    the rows came.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.rows = 0
        self._folder, self._schema = folder, schema
        self._fresh = folder.with_name(f".{folder.name}.part")
        self._waiting, self._waiting_rows = [schema.empty_table()], 0
        self._dicts: list[dict[str, Any]] = []
        self._file: pq.ParquetWriter | None = None

    def __enter__(self) -> TableWriter:
        shutil.rmtree(self._fresh, ignore_errors=True)
        self._fresh.mkdir(parents=True)
        return self

    def __exit__(self, error: type[BaseException] | None, *_rest: object) -> None:
        if error is None:
            self._collect()
            if self._waiting_rows or not self.rows:
                self._write(pa.concat_tables(self._waiting))
        if self._file is not None:
            self._file.close()
        if error is not None:
            shutil.rmtree(self._fresh, ignore_errors=True)
            return
        old = self._folder.with_name(f".{self._folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if self._folder.exists():
            self._folder.replace(old)
        self._fresh.replace(self._folder)
        shutil.rmtree(old, ignore_errors=True)

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
            self._file = pq.ParquetWriter(self._fresh / name, self._schema)
        self._file.write_table(group.combine_chunks())
        self.rows += group.num_rows


def publish_table(folder: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> int:
    """Replaces a directory of part files by these tables, in order. Returns: the number of rows."""
    with TableWriter(folder, schema) as writer:
        for table in tables:
            writer.add(table)
    return writer.rows
