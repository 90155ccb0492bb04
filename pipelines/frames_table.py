"""`frames/`: the facts of all videos in one table, though not every video has every fact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from curation.catalog import make_scorers
from curation.measure import in_schema
from pipelines.table_writer import GROUP_ROWS, TableWriter, table_writer


def frames_schema(stored: Iterable[pa.Schema]) -> pa.Schema:
    """video_id, pts_s and a column per fact: a number, or a list where any of the stored units has a descriptor."""
    lists = {field.name: field.type for schema in stored for field in schema if pa.types.is_list(field.type)}
    names = [name for scorer in make_scorers() for name in scorer.fact_names]
    facts = [(name, lists.get(name, pa.float32())) for name in names]
    return pa.schema([("video_id", pa.string()), ("pts_s", pa.float64()), *facts])


class FramesWriter:
    """Rows of units as rows of `frames/`. Columns are filled up for many units at once: for each it would cost more
    than reading it."""

    def __init__(self, writer: TableWriter, schema: pa.Schema) -> None:
        self._writer, self._schema = writer, schema
        self._types = dict(zip(schema.names, schema.types, strict=True))
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def add(self, part: pa.Table) -> None:
        """Columns that the table lacks, or has of another type (a descriptor that was never measured), are null."""
        if not part.num_rows:
            return
        known = [field.name for field in part.schema if self._types.get(field.name) == field.type]
        self._waiting.append(part.select(known))
        self._rows += part.num_rows
        if self._rows >= GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            together = pa.concat_tables(self._waiting, promote_options="default")
            self._writer.add(in_schema(together, self._schema))
            self._waiting, self._rows = [], 0


@contextmanager
def frames_writer(run_dir: Path, schema: pa.Schema) -> Iterator[FramesWriter]:
    """Replaces `frames/` when the block ends well."""
    with table_writer(run_dir / "frames", schema) as writer:
        frames = FramesWriter(writer, schema)
        yield frames
        frames.flush()
