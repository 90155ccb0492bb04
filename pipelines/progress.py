"""How far a run is and how fast: a bar on a terminal, a file beside the results for everybody else."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipelines.logs import log_row
from pipelines.sink import write_text
from pipelines.stages import Row

_T = TypeVar("_T")

PROGRESS_FILE = "progress.json"
NOTE_EVERY_S = 5.0
"""Between two writings of it."""


def bar(more: str = "") -> Progress:
    """A progress display that writes to stderr and leaves stdout to results.

    more: a task's field to show at the end.
    """
    return Progress(
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        *([TextColumn(f"{{task.fields[{more}]}}")] if more else []),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )


def track(items: Iterable[_T], description: str, total: int) -> Iterator[_T]:
    """Passes the items on and shows how many of `total` have come."""
    with bar() as progress:
        task = progress.add_task(description, total=total)
        for item in items:
            yield item
            progress.advance(task)


class Throughput:
    """What a stage has done so far and how fast. Rows may say `clips`, `footage_s` and `failure`."""

    def __init__(self, stage: str, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._stage, self._total, self._clock, self._began_s = stage, total, clock, clock()
        self._done = self._failed = self._clips = 0
        self._footage_s = 0.0

    def add(self, row: Row) -> None:
        self._done += 1
        self._failed += row.get("failure") is not None
        self._clips += int(row.get("clips") or 0)
        self._footage_s += float(row.get("footage_s") or 0.0)

    def numbers(self) -> dict[str, Any]:
        """done, failed and total count rows; footage_per_s is seconds of footage per second; eta_s is None before the
        first row."""
        elapsed_s = self._clock() - self._began_s
        per_s = 1.0 / elapsed_s if elapsed_s > 0 else 0.0
        return {
            "stage": self._stage,
            "done": self._done,
            "failed": self._failed,
            "total": self._total,
            "clips": self._clips,
            "footage_s": round(self._footage_s, 3),
            "elapsed_s": round(elapsed_s, 3),
            "clips_per_s": round(self._clips * per_s, 3),
            "footage_per_s": round(self._footage_s * per_s, 3),
            "eta_s": round(elapsed_s * (self._total - self._done) / self._done, 1) if self._done else None,
        }


def watch_stage(rows: Iterable[Row], stage: str, total: int, folder: Path) -> Iterator[Row]:
    """Passes a stage's rows on, shows and notes in `folder` how far it is. The note goes when the stage ends well.

    A note that stays is of a run that ended early, and says how far it came.
    """
    note, throughput, noted_s = folder / PROGRESS_FILE, Throughput(stage, total), time.monotonic()
    write_text(note, json.dumps(throughput.numbers()) + "\n")
    with bar("speed") as progress:
        task = progress.add_task(stage, total=total, speed="")
        for row in rows:
            throughput.add(row)
            log_row(stage, row)
            numbers = throughput.numbers()
            progress.update(task, advance=1, speed=speed(numbers))
            if time.monotonic() - noted_s >= NOTE_EVERY_S:
                noted_s = time.monotonic()
                write_text(note, json.dumps(numbers) + "\n")
            yield row
    note.unlink(missing_ok=True)


def speed(numbers: dict[str, Any]) -> str:
    """For people: clips a second, and hours of footage an hour."""
    return f"{numbers['clips_per_s']:.2f} clips/s, {numbers['footage_per_s']:.1f} h of footage/h"
