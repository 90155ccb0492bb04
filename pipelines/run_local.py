"""Runs a stage in this process, row after row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipelines.stages import Row, Stage


def run_local(stage: Stage, rows: Sequence[Row], workers: int) -> Iterator[Row]:
    """The same values as on Ray; `workers` does not matter here."""
    function = stage.make()
    for row in rows:
        yield function(row)
