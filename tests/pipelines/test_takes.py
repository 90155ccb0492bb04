"""Takes of several views through curation: joint cuts, resume, broken views, verdicts for whole sets."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import write_video

from pipelines import take_stage
from pipelines.curate import curate
from pipelines.recipe_models import CurateRecipe, curate_recipe
from pipelines.redecide import redecide
from pipelines.run_tables import read_run, read_table
from tests.curation.footage import shots

TABLES = ("videos", "frames", "clips", "decisions", "failures")
# Enough to cut and to judge by; networks would only take time.
QUICK = ("scorers=[technical]",)
SMALL_IS_BAD = "policy.rules=[{score: short_side_px, at_least: 90}]"


def recipe(*overrides: str) -> CurateRecipe:
    return curate_recipe("keep_all", [*QUICK, *overrides])


def write_manifest(folder: Path, **offsets_s: float | str) -> None:
    """Names the views of the take `dance` and where its clock begins in them."""
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "take_id", "view_id", "offset_s"])
        rows.writerows([f"{name}.mp4", "dance", name, offset_s] for name, offset_s in offsets_s.items())


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """A take of two views and a file of its own.

    left: 3 s at 25 frames a second, cuts at 2 s. right: 2.4 s at 20, begins 0.6 s later, smaller, one shot.
    """
    folder = tmp_path / "footage"
    write_video(folder / "left.mp4", shots((50, 25)), 25)
    write_video(folder / "right.mp4", shots((48,), size_hw=(72, 128)), 20)
    write_video(folder / "alone.mp4", shots((20, 20)), 25)
    write_manifest(folder, left="", right=-0.6)
    return folder


def clips_of(run_dir: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows of `clips/` with their verdicts, by name of the file."""
    found: dict[str, list[dict[str, Any]]] = {}
    decisions = read_table(run_dir, "decisions").to_pylist()
    for row, decision in zip(read_table(run_dir, "clips").to_pylist(), decisions, strict=True):
        assert row["clip_id"] == decision["clip_id"]
        found.setdefault(Path(row["uri"]).stem, []).append({**row, **decision})
    return found


def intervals(rows: list[dict[str, Any]]) -> list[tuple[float, float]]:
    return [(round(row["start_s"], 6), round(row["end_s"], 6)) for row in rows]


def assert_same_tables(one: Path, other: Path) -> None:
    for name in TABLES:
        assert read_table(one, name).equals(read_table(other, name)), f"{name} differs"


def units_written(run_dir: Path) -> dict[str, int]:
    return {path.stem: path.stat().st_mtime_ns for path in run_dir.glob("units/*/*.parquet")}


def test_views_are_cut_together_on_the_clock_of_the_take(footage: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    curate([str(footage)], run_dir, recipe(), "local")
    clips = clips_of(run_dir)
    assert intervals(clips["left"]) == [(0, 0.6), (0.6, 2), (2, 3)]
    assert intervals(clips["right"]) == [(0, 1.4), (1.4, 2.4)]
    assert [row["take_clip"] for row in clips["left"]] == [None, *(row["take_clip"] for row in clips["right"])]
    assert len({row["take_clip"] for row in clips["right"]} - {None}) == 2
    assert {row["offset_s"] for row in clips["right"]} == {-0.6}
    assert intervals(clips["alone"]) == [(0, 0.8), (0.8, 1.6)]
    assert {row["take_clip"] for row in clips["alone"]} == {None}
    assert [row["frames"] for row in clips["left"]] == [15, 35, 25]
    assert [row["sharpness"] is not None for row in clips["right"]] == [True, True]


def test_a_recipe_may_cut_every_view_for_itself(footage: Path, tmp_path: Path) -> None:
    curate([str(footage)], tmp_path / "run", recipe("clips.cut_takes_together=false"), "local")
    clips = clips_of(tmp_path / "run")
    assert intervals(clips["left"]) == [(0, 2), (2, 3)]
    assert intervals(clips["right"]) == [(0, 2.4)]
    assert {row["take_clip"] for rows in clips.values() for row in rows} == {None}


def test_a_second_call_cuts_nothing_and_a_changed_sibling_cuts_again_without_measuring(
    footage: Path, tmp_path: Path
) -> None:
    run_dir, fresh = tmp_path / "run", tmp_path / "fresh"
    curate([str(footage)], run_dir, recipe(), "local")
    before = units_written(run_dir)
    curate([str(footage)], run_dir, recipe(), "local")
    assert units_written(run_dir) == before
    left = next(row["video_id"] for row in read_table(run_dir, "videos").to_pylist() if row["view_id"] == "left")
    write_video(footage / "right.mp4", shots((24, 24), size_hw=(72, 128)), 20)
    result = curate([str(footage)], run_dir, recipe(), "local")
    assert result["counts"]["reused"] == 2, "left was measured again"
    after = units_written(run_dir)
    assert after[left] != before[left]
    assert sum(after[name] == before[name] for name in before) == 1, "alone was touched"
    # The new cut lies 1.2 s into the right view: 1.8 s into the take.
    assert intervals(clips_of(run_dir)["left"]) == [(0, 0.6), (0.6, 1.8), (1.8, 2), (2, 3)]
    curate([str(footage)], fresh, recipe(), "local")
    assert_same_tables(run_dir, fresh)


def test_a_run_that_ended_before_its_takes_were_cut_goes_on_there(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir, whole = tmp_path / "run", tmp_path / "whole"
    curate([str(footage)], whole, recipe(), "local")
    with monkeypatch.context() as patched:
        patched.setattr(take_stage, "cut_take", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            curate([str(footage)], run_dir, recipe(), "local")
    assert not (run_dir / "run.json").exists()
    # Even a call with another input does not leave the take without clips.
    curate([str(footage / "alone.mp4")], run_dir, recipe(), "local")
    assert_same_tables(run_dir, whole)


def test_a_view_that_comes_later_cuts_its_siblings_again(footage: Path, tmp_path: Path) -> None:
    run_dir, whole = tmp_path / "run", tmp_path / "whole"
    curate([str(footage)], whole, recipe(), "local")
    curate([str(footage / "left.mp4"), str(footage / "alone.mp4")], run_dir, recipe(), "local")
    assert intervals(clips_of(run_dir)["left"]) == [(0, 2), (2, 3)]
    curate([str(footage / "right.mp4")], run_dir, recipe(), "local")
    assert_same_tables(run_dir, whole)


def test_a_broken_view_costs_its_siblings_nothing(footage: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    (footage / "top.mp4").write_text("not a video")
    write_manifest(footage, left="", right=-0.6, top=0)
    curate([str(footage)], run_dir, recipe(), "local")
    (failure,) = read_table(run_dir, "failures").to_pylist()
    assert (Path(failure["uri"]).name, failure["stage"]) == ("top.mp4", "probe")
    clips = clips_of(run_dir)
    assert intervals(clips["left"]) == [(0, 0.6), (0.6, 2), (2, 3)]
    # The take is then one of a single view, and that is cut like any file.
    (footage / "right.mp4").write_text("not a video either")
    curate([str(footage)], run_dir, recipe(), "local")
    assert read_table(run_dir, "failures").num_rows == 2
    (rows,) = (rows for name, rows in clips_of(run_dir).items() if name == "left")
    assert intervals(rows) == [(0, 2), (2, 3)]
    assert {row["take_clip"] for row in rows} == {None}


def test_a_view_that_breaks_off_is_cut_as_far_as_it_goes(footage: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (60, 64, 96, 3), dtype=np.uint8)
    whole = write_video(footage / "right.mkv", noise, 20, options={"crf": "20", "preset": "ultrafast", "g": "10"})
    (footage / "right.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    whole.unlink()
    write_manifest(footage, left="", right=0)
    curate([str(footage)], tmp_path / "run", recipe(), "local")
    clips = clips_of(tmp_path / "run")
    end_s = clips["right"][-1]["end_s"]
    assert 0.5 < end_s < 2.5
    assert end_s == pytest.approx(min(row["end_s"] for row in clips["left"] if row["end_s"] > end_s - 0.1), abs=0.04)
    assert [row["take_clip"] for row in clips["right"]] == [
        row["take_clip"] for row in clips["left"] if row["take_clip"] is not None
    ]


@pytest.mark.parametrize("way", ["curate", "redecide"])
def test_a_clip_whose_sibling_is_rejected_is_rejected_with_its_reasons(footage: Path, tmp_path: Path, way: str) -> None:
    run_dir, together = tmp_path / "run", recipe(SMALL_IS_BAD, "policy.keep_takes_together=true")
    if way == "curate":
        curate([str(footage)], run_dir, together, "local")
    else:
        curate([str(footage)], run_dir, recipe(SMALL_IS_BAD), "local")
        assert [row["kept"] for row in clips_of(run_dir)["left"]] == [True, True, True]
        changed = redecide(run_dir, together)
        assert changed["changes"]["rejected_for"] == {"sibling": 2}
    clips = clips_of(run_dir)
    # What no other view shows stays.
    assert [row["kept"] for row in clips["left"]] == [True, False, False]
    siblings = [row["clip_id"] for row in clips["right"]]
    assert [row["reasons"] for row in clips["left"][1:]] == [
        [f"sibling {clip_id}: short_side_px 72 < 90"] for clip_id in siblings
    ]
    assert [row["reasons"] for row in clips["right"]] == [["short_side_px 72 < 90"]] * 2
    assert read_run(run_dir)["counts"]["reasons"] == {"short_side_px": 2, "sibling": 2}
    assert [row["kept"] for row in clips["alone"]] == [True, True]


def test_asking_for_whole_takes_where_there_are_none_is_said(
    footage: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    curate([str(footage / "alone.mp4")], tmp_path / "run", recipe("policy.keep_takes_together=true"), "local")
    assert "keep_takes_together has no effect" in caplog.text


@pytest.mark.slow
def test_ray_cuts_takes_as_the_local_runner_does(footage: Path, tmp_path: Path, pipeline) -> None:  # type: ignore[no-untyped-def]
    policy = (SMALL_IS_BAD, "policy.keep_takes_together=true")
    curate([str(footage)], tmp_path / "local", recipe(*policy), "local")
    sets = [argument for override in (*QUICK, *policy) for argument in ("--set", override)]
    arguments = ("--input", footage, "--recipe", "keep_all", *sets, "--runner", "ray", "--workers", 2)
    done = pipeline("curate", *arguments, "--output", tmp_path / "ray")
    assert done.returncode == 0, done.stderr
    assert_same_tables(tmp_path / "local", tmp_path / "ray")
    assert [row["kept"] for row in clips_of(tmp_path / "ray")["left"]] == [True, False, False]


@pytest.mark.slow
@pytest.mark.parametrize(("shortest_s", "left_over"), [(0.7, [False, True, True]), (1.5, [False, False, False])])
def test_measuring_until_rejected_scores_the_common_clips_that_are_left(
    footage: Path, tmp_path: Path, shortest_s: float, left_over: list[bool]
) -> None:
    rules = f"[{{score: short_side_px, at_least: 90}}, {{score: duration_s, at_least: {shortest_s}}}]"
    policy = [f"policy.rules={rules}", "scorers=[technical, text]"]
    whole, spared, later = tmp_path / "whole", tmp_path / "spared", tmp_path / "later"
    curate([str(footage)], whole, recipe(*policy), "local")
    curate([str(footage)], spared, recipe(*policy), "local", measure="until_rejected")
    expected, lean = clips_of(whole), clips_of(spared)
    assert [row["text_fraction"] is None for row in lean["right"]] == [True, True]
    # Text is looked for every 2 s, so not in the clip between.
    assert [row["text_fraction"] is not None for row in expected["left"]] == [True, False, True]
    pairs = zip(expected["left"], left_over, strict=True)
    spared_of = [row if is_left else {**row, "text_fraction": None} for row, is_left in pairs]
    assert lean["left"] == spared_of
    # Cut alone first, then with its sibling: what was measured for the clips of before leaves no trace.
    for names in (("left", "alone"), ("right",)):
        files = [str(footage / f"{name}.mp4") for name in names]
        curate(files, later, recipe(*policy), "local", measure="until_rejected")
    assert_same_tables(later, spared)


@pytest.mark.slow
def test_a_view_that_is_gone_when_its_clips_are_scored_is_a_failure_and_its_siblings_are_cut_without_it(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir, policy = tmp_path / "run", ("scorers=[technical, text]",)
    cut_take = take_stage.cut_take

    def cut_and_lose(*arguments: Any) -> Any:
        (footage / "right.mp4").unlink(missing_ok=True)
        return cut_take(*arguments)

    monkeypatch.setattr(take_stage, "cut_take", cut_and_lose)
    curate([str(footage)], run_dir, recipe(*policy), "local", measure="until_rejected")
    (failure,) = read_table(run_dir, "failures").to_pylist()
    assert os.path.basename(failure["uri"]) == "right.mp4"
    assert {row["take_clip"] for row in clips_of(run_dir)["left"]} == {None}
    assert intervals(clips_of(run_dir)["left"]) == [(0, 2), (2, 3)]
    assert set(read_table(run_dir, "frames").column("video_id").to_pylist()) == set(
        read_table(run_dir, "videos").column("video_id").to_pylist()
    )
