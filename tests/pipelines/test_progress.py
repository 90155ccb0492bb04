"""How far and how fast, in numbers that anybody can read beside the results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import progress
from pipelines.progress import PROGRESS_FILE, Throughput, speed, watch_stage
from pipelines.stages import Row
from pipelines.summary import time_spent


def test_throughput_counts_clips_footage_failures_and_tells_when_it_ends() -> None:
    now = iter([100.0, 110.0, 120.0])
    throughput = Throughput("curate", 8, lambda: next(now))
    assert throughput.numbers()["eta_s"] is None
    throughput.add({"failure": None, "clips": 3, "footage_s": 60.0})
    throughput.add({"failure": "gone", "clips": 0, "footage_s": 0.0})
    numbers = throughput.numbers()
    assert {name: numbers[name] for name in ("done", "failed", "total", "clips")} == {
        "done": 2, "failed": 1, "total": 8, "clips": 3,
    }  # fmt: skip
    assert (numbers["elapsed_s"], numbers["clips_per_s"], numbers["footage_per_s"]) == (20.0, 0.15, 3.0)
    assert numbers["eta_s"] == 60.0
    assert speed(numbers) == "0.15 clips/s, 3.0 h of footage/h"


def test_the_note_is_there_while_the_stage_runs_and_stays_of_one_that_broke_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "NOTE_EVERY_S", 0.0)
    rows: list[Row] = [{"failure": None, "clips": 1, "footage_s": 2.0}] * 3
    seen = []
    for _ in watch_stage(rows, "annotate", 3, tmp_path):
        seen.append(json.loads((tmp_path / PROGRESS_FILE).read_text())["done"])
    assert seen == [1, 2, 3]
    assert not (tmp_path / PROGRESS_FILE).exists()

    def breaks_off() -> Iterator[Row]:
        yield rows[0]
        raise RuntimeError("the driver was ended")

    with pytest.raises(RuntimeError):
        list(watch_stage(breaks_off(), "annotate", 3, tmp_path))
    note = json.loads((tmp_path / PROGRESS_FILE).read_text())
    assert (note["stage"], note["done"], note["total"], note["footage_s"]) == ("annotate", 1, 3, 2.0)


def test_where_the_time_went_the_largest_part_first() -> None:
    seconds = {
        "probe": {"wall_s": 1.0, "cpu_s": 1.0},
        "measure": {"wall_s": 9.0, "cpu_s": 8.0},
        "clip": {"wall_s": 1.0, "cpu_s": 1.0},
    }
    assert next(iter(time_spent(seconds).items())) == ("  measure", "80% of 10.0 CPU s")
    assert time_spent({}) == {}
