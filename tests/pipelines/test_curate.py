from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from builders import moving_square_video, write_video

from curation.catalog import COSTLY, make_scorers
from pipelines.curate import curate
from pipelines.recipe_models import curate_recipe
from pipelines.redecide import redecide
from pipelines.run_tables import read_run, read_table
from pipelines.sink import claim_folder
from schemas.errors import RecipeError

TABLES = ("videos", "frames", "clips", "decisions", "failures")


def tables(run_dir: Path) -> dict[str, pa.Table]:
    return {name: read_table(run_dir, name) for name in TABLES}


def assert_same_tables(one: Path, other: Path) -> None:
    first, second = tables(one), tables(other)
    for name in TABLES:
        assert first[name].equals(second[name]), f"{name} differs"
    assert first["videos"].num_rows > 0


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """Two moving squares, one with a hard cut, and three files that are no video."""
    folder = tmp_path / "footage"
    moving_square_video(folder / "square.mp4", frames=24)
    rng = np.random.default_rng(1)
    shots = [np.full((12, 64, 96, 3), colour, dtype=np.uint8) for colour in ((200, 40, 40), (30, 60, 220))]
    noisy = np.clip(np.concatenate(shots) + rng.integers(-3, 4, (24, 64, 96, 3)), 0, 255).astype(np.uint8)
    write_video(folder / "two_shots.mp4", noisy)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("not a video")
    (folder / "half.mp4").write_bytes((folder / "square.mp4").read_bytes()[:400])
    return folder


@pytest.mark.slow
def test_every_input_is_accounted_for_and_cuts_become_clips(footage: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    result = curate([str(footage)], run_dir, curate_recipe("keep_all"), "local")
    rows = tables(run_dir)
    videos, failures = rows["videos"].column("uri").to_pylist(), rows["failures"].column("uri").to_pylist()
    assert sorted(Path(uri).name for uri in videos) == ["square.mp4", "two_shots.mp4"]
    assert sorted(Path(uri).name for uri in failures) == ["empty.mp4", "half.mp4", "text.mp4"]
    assert all(message for message in rows["failures"].column("message").to_pylist())
    cuts = [row["start_s"] for row in rows["clips"].to_pylist() if row["uri"].endswith("two_shots.mp4")]
    assert sorted(cuts) == [0.0, 1.5]
    assert result["counts"]["clips"] == rows["decisions"].num_rows == 3
    assert read_run(run_dir)["counts"]["failures"] == 3


@pytest.mark.slow
def test_a_second_call_measures_nothing_and_a_changed_file_is_measured_again(footage: Path, tmp_path: Path) -> None:
    run_dir, recipe = tmp_path / "run", curate_recipe("keep_all")
    curate([str(footage)], run_dir, recipe, "local")
    before = tables(run_dir)
    assert curate([str(footage)], run_dir, recipe, "local")["counts"]["reused"] == 2, "failed inputs are tried again"
    assert all(before[name].equals(table) for name, table in tables(run_dir).items())
    moving_square_video(footage / "empty.mp4", frames=8)
    assert curate([str(footage)], run_dir, recipe, "local")["counts"]["reused"] == 2
    moving_square_video(footage / "square.mp4", frames=9)
    assert curate([str(footage)], run_dir, recipe, "local")["counts"]["reused"] == 2
    assert read_table(run_dir, "videos").num_rows == 3


def test_plan_says_what_would_run_and_writes_nothing(footage: Path, tmp_path: Path) -> None:
    plan = curate([str(footage)], tmp_path / "run", curate_recipe("keep_all"), "local", plan_only=True)["plan"]
    assert (plan["inputs"], plan["to_measure"]) == (5, 5)
    assert not (tmp_path / "run").exists()


def test_an_output_of_something_else_is_refused_before_any_work(footage: Path, tmp_path: Path) -> None:
    other = curate_recipe("keep_all")
    claim_folder(tmp_path / "dataset", {}, "annotate", "hint")
    with pytest.raises(RecipeError, match="is a folder of motionloom annotate"):
        curate([str(footage)], tmp_path / "dataset", other, "local")
    foreign = tmp_path / "letters"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("dear")
    with pytest.raises(RecipeError, match="was not made by motionloom"):
        curate([str(footage)], foreign, other, "local")


@pytest.mark.slow
def test_wrong_calls_end_with_exit_2_and_name_the_fix(tmp_path: Path, pipeline) -> None:  # type: ignore[no-untyped-def]
    moving_square_video(tmp_path / "a.mp4", frames=4)
    call = ("curate", "--input", tmp_path / "a.mp4", "--output", tmp_path / "run", "--runner", "local")
    misspelt = pipeline(*call, "--set", "clips.max_clip=3")
    assert misspelt.returncode == 2
    assert "did you mean max_clip_s?" in misspelt.stderr
    nowhere = pipeline("curate", "--input", tmp_path / "nowhere", "--output", tmp_path / "run")
    assert nowhere.returncode == 2
    assert "nowhere" in nowhere.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_failure_budget_decides_the_exit_code(footage: Path, tmp_path: Path) -> None:
    within = curate([str(footage)], tmp_path / "a", curate_recipe("keep_all", ["failure_budget=0.6"]), "local")
    beyond = curate([str(footage)], tmp_path / "b", curate_recipe("keep_all", ["failure_budget=0.5"]), "local")
    assert (within["over_budget"], beyond["over_budget"]) == (False, True)


def test_redecide_changes_verdicts_without_the_footage(footage: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    curate([str(footage / "two_shots.mp4")], run_dir, curate_recipe("keep_all"), "local")
    (footage / "two_shots.mp4").unlink()
    strict = curate_recipe("default")
    dry = redecide(run_dir, strict, dry_run=True)
    assert len(dry["newly_rejected"]) == 2
    assert read_table(run_dir, "decisions").column("kept").to_pylist() == [True, True]
    redecide(run_dir, strict)
    decisions = read_table(run_dir, "decisions").to_pylist()
    assert not any(row["kept"] for row in decisions)
    assert all("person_fraction 0 < 0.6" in row["reasons"] for row in decisions)
    assert len(redecide(run_dir, curate_recipe("keep_all"))["newly_kept"]) == 2


@pytest.mark.slow
def test_a_call_with_other_inputs_adds_to_the_run(footage: Path, tmp_path: Path) -> None:
    run_dir, recipe = tmp_path / "run", curate_recipe("keep_all")
    curate([str(footage / "square.mp4")], run_dir, recipe, "local")
    curate([str(footage / "two_shots.mp4"), str(footage / "empty.mp4")], run_dir, recipe, "local")
    assert read_table(run_dir, "videos").num_rows == 2
    assert read_run(run_dir)["counts"]["inputs"] == 3


def test_one_file_under_three_names_is_one_input(footage: Path, tmp_path: Path) -> None:
    (footage / "link.mp4").symlink_to(footage / "square.mp4")
    names = [str(footage / "square.mp4"), str(footage / ".." / "footage" / "square.mp4"), str(footage / "link.mp4")]
    curate(names, tmp_path / "run", curate_recipe("keep_all"), "local")
    assert read_table(tmp_path / "run", "videos").num_rows == 1


def test_curate_does_not_undo_redecide(footage: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    curate([str(footage / "square.mp4")], run_dir, curate_recipe("keep_all"), "local")
    redecide(run_dir, curate_recipe("keep_all", ["policy.rules=[{score: duration_s, at_least: 9}]"]))
    with pytest.raises(RecipeError, match="decided by another policy"):
        curate([str(footage / "square.mp4")], run_dir, curate_recipe("keep_all"), "local")
    assert read_table(run_dir, "decisions").column("kept").to_pylist() == [False]


@pytest.mark.slow
def test_names_and_headers_that_nobody_expects_are_rows_not_crashes(footage: Path, tmp_path: Path) -> None:
    strange = (footage / "square.mp4").read_bytes().replace(b"avc1", b"zzzz")
    (footage / "unknown_codec.mp4").write_bytes(strange)
    (footage / "nowhere.mp4").symlink_to(tmp_path / "gone.mp4")
    with open(os.fsencode(footage) + b"/caf\xe9.mp4", "wb") as file:
        file.write((footage / "square.mp4").read_bytes())
    curate([str(footage)], tmp_path / "run", curate_recipe("keep_all"), "local")
    failures = {Path(row["uri"]).name: row["message"] for row in read_table(tmp_path / "run", "failures").to_pylist()}
    assert "decoder" in failures["unknown_codec.mp4"]
    assert "cannot be read" in failures["gone.mp4"]
    assert "UTF-8" in failures["caf\\udce9.mp4"]
    assert read_table(tmp_path / "run", "videos").num_rows == 2


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["local", "ray"])
def test_a_killed_run_continues_to_the_tables_of_an_unbroken_local_one(
    footage: Path, tmp_path: Path, runner: str, pipeline, request
) -> None:  # type: ignore[no-untyped-def]
    """Also that Ray gives the values of the local runner: cuts, scores, failures and all."""
    for number in range(6):
        moving_square_video(footage / f"{number}.mp4", frames=24 + number, size_hw=(128, 192))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    curate([str(footage)], whole, curate_recipe("keep_all"), "local")
    arguments = ["curate", "--input", footage, "--recipe", "keep_all", "--workers", 2]
    command = [sys.executable, "-m", *map(str, ["pipelines.curate", *arguments[1:], "--runner", runner])]
    # A killed run cannot remove its Ray folder: it gets one that the test removes (short, for the sockets' sake).
    scratch = Path(tempfile.mkdtemp(prefix="mloom-"))
    request.addfinalizer(lambda: shutil.rmtree(scratch, ignore_errors=True))
    process = subprocess.Popen(
        [*command, "--output", str(broken)],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline_s = time.monotonic() + 240
    while time.monotonic() < deadline_s and process.poll() is None and len(list(broken.glob("units/*/*.parquet"))) < 4:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = len(list(broken.glob("units/*/*.parquet")))
    assert 4 <= finished < 11, "the run was to be killed half-way"
    assert not (broken / "run.json").exists()
    again = pipeline(*arguments, "--runner", runner, "--output", broken, "--json")
    assert again.returncode == 0, again.stderr
    # The three inputs that fail are tried again.
    assert json.loads(again.stdout)["counts"]["reused"] >= finished - 3
    assert_same_tables(whole, broken)


@pytest.mark.clips
@pytest.mark.slow
def test_all_real_clips_are_accounted_for(clips_dir: Path, tmp_path: Path, pipeline) -> None:  # type: ignore[no-untyped-def]
    done = pipeline("curate", "--input", clips_dir, "--output", tmp_path / "run", "--json", timeout_s=580)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["counts"]
    assert (counts["inputs"], counts["videos"] + counts["failures"]) == (40, 40)


@pytest.mark.slow
def test_measuring_until_rejected_spares_networks_and_changes_no_verdict(footage: Path, tmp_path: Path) -> None:
    # The blue shot is darker than the red one; both rules speak of cheap scores, the third of a costly one.
    policy = ["policy.rules=[{score: luma_mean, at_least: 70}, {score: person_fraction, at_most: 0.5}]"]
    recipe = curate_recipe("keep_all", policy)
    whole, spared = tmp_path / "whole", tmp_path / "spared"
    curate([str(footage)], whole, recipe, "local")
    curate([str(footage)], spared, recipe, "local", measure="until_rejected")
    kept = {name: tables(run)["decisions"].column("kept").to_pylist() for name, run in (("a", whole), ("b", spared))}
    assert kept["a"] == kept["b"]
    assert set(kept["a"]) == {True, False}
    costly = {spec.name for scorer in make_scorers() if scorer.name in COSTLY for spec in scorer.specs}
    pairs = zip(tables(whole)["clips"].to_pylist(), tables(spared)["clips"].to_pylist(), strict=True)
    for (full, lean), is_kept in zip(pairs, kept["a"], strict=True):
        expected = full if is_kept else {**full, **dict.fromkeys(costly)}
        assert lean == expected
    rule = "{score: person_fraction, at_most: 0.5}"
    with pytest.raises(RecipeError, match="measured until rejected: 2 clips that this policy"):
        redecide(spared, curate_recipe("keep_all", [f"policy.rules=[{rule}]"]))
    # A policy that asks more of the cheap scores, or nothing of the others, can be told from what was measured.
    for rules in (f"{{score: luma_mean, at_least: 75}}, {rule}", "{score: luma_mean, at_least: 10}"):
        policy = curate_recipe("keep_all", [f"policy.rules=[{rules}]"])
        assert redecide(spared, policy)["counts"]["kept"] == redecide(whole, policy)["counts"]["kept"]
    # What was spared is measured when everything is asked for.
    for run in (spared, whole):
        redecide(run, recipe)
    plan = curate([str(footage)], spared, recipe, "local", plan_only=True)["plan"]
    assert plan["to_update"]["scorers"].keys() == COSTLY
    curate([str(footage)], spared, recipe, "local")
    assert tables(spared)["clips"].equals(tables(whole)["clips"])
