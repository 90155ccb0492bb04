"""Logs for machines: every line an object that says which run, stage, video and clip it is about."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import moving_square_video

from pipelines.logs import JsonLines, start_logs
from schemas.errors import RecipeError


@contextlib.contextmanager
def fresh_logging() -> Iterator[None]:
    """Nobody's handlers, pytest's own among them, which come before every test."""
    root, rows = logging.getLogger(), logging.getLogger("motionloom.rows")
    handlers, levels = root.handlers[:], (root.level, rows.level)
    root.handlers.clear()
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        rows.setLevel(levels[1])


@pytest.mark.slow
def test_lines_of_a_run_name_run_video_and_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipeline: Any) -> None:
    moving_square_video(tmp_path / "footage" / "a.mp4", frames=20)
    (tmp_path / "footage" / "b.mp4").write_bytes(b"no video\nin here")
    monkeypatch.setenv("MOTIONLOOM_LOG", "json")
    run, dataset = tmp_path / "run", tmp_path / "dataset"
    curated = pipeline(
        "curate", "--input", tmp_path / "footage", "--output", run, "--recipe", "keep_all", "--runner", "local",
        "--set", "scorers=[technical]",
    )  # fmt: skip
    lines = [json.loads(line) for line in curated.stderr.splitlines()]
    rows = {Path(line["uri"]).name: line for line in lines if line["logger"] == "motionloom.rows"}
    assert {line["command"] for line in lines} == {"curate"}
    assert {line["run"] for line in rows.values()} == {str(run)}
    assert (rows["a.mp4"]["level"], rows["a.mp4"]["clips"], rows["a.mp4"]["footage_s"]) == ("INFO", 1, 2.5)
    assert (rows["b.mp4"]["level"], rows["b.mp4"]["stage"]) == ("WARNING", "curate")
    assert "cannot be opened" in rows["b.mp4"]["failure"]
    assert len(rows["b.mp4"]["video_id"]) == 16

    annotated = pipeline("annotate", run, "--output", dataset, "--runner", "local")
    (row,) = [line for line in map(json.loads, annotated.stderr.splitlines()) if line["logger"] == "motionloom.rows"]
    assert (row["command"], row["run"], row["stage"]) == ("annotate", str(dataset), "annotate")
    assert row["key"].startswith(rows["a.mp4"]["video_id"])


def test_one_line_is_one_object_whatever_is_in_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MOTIONLOOM_LOG", "json")
    with fresh_logging():
        start_logs("doctor", logging.INFO)
        logging.getLogger("x").warning("two\nlines \x1b[31m%s", "of\u2028text")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "two\nlines \x1b[31mof\u2028text"
    try:
        raise ValueError("what")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "it broke", None, sys.exc_info())
    assert "ValueError: what" in json.loads(JsonLines().format(record))["exception"]


def test_people_are_not_told_every_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("MOTIONLOOM_LOG", raising=False)
    with fresh_logging():
        start_logs("curate", logging.INFO)
        logging.getLogger("motionloom.rows").warning("a row failed")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("MOTIONLOOM_LOG", "xml")
    with pytest.raises(RecipeError, match="MOTIONLOOM_LOG=xml: text or json"):
        start_logs("curate", logging.INFO)
