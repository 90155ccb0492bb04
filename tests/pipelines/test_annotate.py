from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from builders import moving_square_video

from pipelines.annotate import annotate
from pipelines.curate import curate
from pipelines.demo import footage_files
from pipelines.recipe_models import annotate_recipe, curate_recipe
from schemas.errors import RecipeError
from schemas.fingerprint import file_sha256
from schemas.index import load_samples, load_shards
from schemas.label_quality import label_quality_columns
from schemas.shard import read_sample
from schemas.tracks import TRACKS

RECIPE = annotate_recipe("default")


def run_on(footage: Path, run_dir: Path) -> Path:
    curate([str(footage)], run_dir, curate_recipe("keep_all"), "local")
    return run_dir


def shard_hashes(dataset: Path) -> dict[str, str]:
    hashes = {path.name: file_sha256(path) for path in sorted((dataset / "shards").iterdir())}
    assert hashes
    return hashes


def member_hashes(dataset: Path) -> dict[str, str]:
    """Every member of every shard by name: says which track a difference between two datasets lies in."""
    hashes: dict[str, str] = {}
    for path in sorted((dataset / "shards").iterdir()):
        with tarfile.open(path) as shard:
            for member in shard:
                content = shard.extractfile(member)
                assert content is not None
                hashes[member.name] = hashlib.sha256(content.read()).hexdigest()
    return hashes


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    for number in range(3):
        moving_square_video(tmp_path / "footage" / f"{number}.mp4", frames=10 + number)
    return tmp_path / "footage"


@pytest.mark.slow
def test_samples_hold_every_member_and_the_same_clips_give_the_same_bytes(squares: Path, tmp_path: Path) -> None:
    run_dir = run_on(squares, tmp_path / "run")
    result = annotate(run_dir, tmp_path / "a", RECIPE, "local")
    assert (result["samples"], result["failed"]) == (3, [])
    for entry in load_samples(tmp_path / "a"):
        members = read_sample(tmp_path / "a", entry)
        assert sorted(members) == sorted(["mp4", "json", "txt", *TRACKS])
        document = json.loads(members["json"])
        assert document["clip_id"] == entry.key
        assert document["scores"]["quality"] is not None
        assert document["caption"] + "\n" == members["txt"].decode()
        # Nobody is in the pictures: that was measured, and nothing else of a body was.
        assert entry.label_quality == label_quality_columns(document)
        assert (entry.label_quality["body_measured_fraction"], entry.label_quality["body_swap_fraction"]) == (0.0, None)
        for suffix, kind in TRACKS.items():
            assert len(kind.from_npz(members[suffix]).pts_s_T) == entry.frames
    annotate(run_dir, tmp_path / "b", RECIPE, "local")
    assert shard_hashes(tmp_path / "a") == shard_hashes(tmp_path / "b")


@pytest.mark.slow
def test_a_finished_dataset_is_left_as_it_is_and_another_recipe_is_refused(squares: Path, tmp_path: Path) -> None:
    run_dir = run_on(squares, tmp_path / "run")
    annotate(run_dir, tmp_path / "data", RECIPE, "local")
    changed_at = (tmp_path / "data" / "index.json").stat().st_mtime_ns
    annotate(run_dir, tmp_path / "data", RECIPE, "local")
    assert (tmp_path / "data" / "index.json").stat().st_mtime_ns == changed_at
    with pytest.raises(RecipeError, match=r"another annotate recipe \(it differs in: recipe\.video\.crf\)"):
        annotate(run_dir, tmp_path / "data", annotate_recipe("default", ["video.crf=30"]), "local")


@pytest.mark.slow
def test_a_clip_that_cannot_be_read_any_more_is_a_failure_and_the_others_are_kept(
    squares: Path, tmp_path: Path
) -> None:
    run_dir = run_on(squares, tmp_path / "run")
    whole = (squares / "1.mp4").read_bytes()
    moving_square_video(squares / "1.mp4", frames=30)
    result = annotate(run_dir, tmp_path / "data", RECIPE, "local")
    assert result["samples"] == 2
    assert [Path(failure["uri"]).name for failure in result["failed"]] == ["1.mp4"]
    assert "run motionloom curate again" in result["failed"][0]["message"]
    assert result["over_budget"]
    # Once the file is back, the same call completes the dataset.
    (squares / "1.mp4").write_bytes(whole)
    assert annotate(run_dir, tmp_path / "data", RECIPE, "local")["samples"] == 3
    assert not (tmp_path / "data" / "units").exists()


@pytest.mark.slow
def test_a_dataset_killed_between_its_two_indices_recovers(squares: Path, tmp_path: Path) -> None:
    run_dir = run_on(squares, tmp_path / "run")
    annotate(run_dir, tmp_path / "whole", RECIPE, "local")
    annotate(run_dir, tmp_path / "data", RECIPE, "local")
    (tmp_path / "data" / "index.json").unlink()
    assert annotate(run_dir, tmp_path / "data", RECIPE, "local")["samples"] == 3
    assert shard_hashes(tmp_path / "whole") == shard_hashes(tmp_path / "data")


@pytest.mark.slow
def test_shards_are_bounded_and_ordered(squares: Path, tmp_path: Path) -> None:
    run_dir = run_on(squares, tmp_path / "run")
    annotate(run_dir, tmp_path / "data", annotate_recipe("default", ["shards.max_samples=2"]), "local")
    assert [shard.samples for shard in load_shards(tmp_path / "data")] == [2, 1]
    names: list[str] = []
    for path in sorted((tmp_path / "data" / "shards").iterdir()):
        with tarfile.open(path) as shard:
            names += shard.getnames()
    assert names == sorted(names)


def test_nothing_kept_and_no_run_stop_before_work(tmp_path: Path) -> None:
    moving_square_video(tmp_path / "a.mp4", frames=6)
    curate([str(tmp_path / "a.mp4")], tmp_path / "run", curate_recipe("default"), "local")
    with pytest.raises(RecipeError, match="kept no clip"):
        annotate(tmp_path / "run", tmp_path / "data", RECIPE, "local")
    with pytest.raises(RecipeError, match="not a finished run"):
        annotate(tmp_path, tmp_path / "data", RECIPE, "local")
    assert not (tmp_path / "data").exists()


def test_a_run_without_a_column_that_samples_state_is_named_as_old(tmp_path: Path) -> None:
    moving_square_video(tmp_path / "a.mp4", frames=6)
    run_on(tmp_path / "a.mp4", tmp_path / "run")
    (part,) = (tmp_path / "run" / "clips").glob("*.parquet")
    pq.write_table(pq.read_table(part).drop_columns(["take_clip"]), part)
    with pytest.raises(RecipeError, match="earlier motionloom: its clips/ lacks take_clip"):
        annotate(tmp_path / "run", tmp_path / "data", RECIPE, "local")
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_killed_and_continued_on_ray_gives_the_bytes_of_an_unbroken_local_run(tmp_path: Path, pipeline) -> None:  # type: ignore[no-untyped-def]
    # A talking face in seven clips: all four tracks have something to say.
    run_dir = tmp_path / "run"
    in_seven = curate_recipe("keep_all", ["clips.max_clip_s=0.6"])
    curate([str(footage_files()["carphone_pristine.mp4"])], run_dir, in_seven, "local")
    annotate(run_dir, tmp_path / "whole", RECIPE, "local")
    broken = tmp_path / "broken"
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.annotate", str(run_dir), "--output", str(broken), "--runner", "local"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline_s = time.monotonic() + 240
    while time.monotonic() < deadline_s and process.poll() is None and len(list(broken.glob("units/*/*.parquet"))) < 2:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 2 <= len(list(broken.glob("units/*/*.parquet"))) < 7, "the run was to be killed half-way"
    assert not (broken / "index.json").exists()
    again = pipeline("annotate", run_dir, "--output", broken, "--runner", "ray", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["failed"] == []
    assert member_hashes(tmp_path / "whole") == member_hashes(broken)
    assert shard_hashes(tmp_path / "whole") == shard_hashes(broken)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("language_model.paraphrase=true", "need url"),
        ("language_model.url=http://127.0.0.1:9/v1", "url without model"),
        ("language_model.url=ftp://a", "language_model.url"),
        ("language_model.key=secret", "unknown key language_model.key"),
    ],
)
def test_a_language_model_is_asked_for_in_full_and_its_key_never_stands_in_a_recipe(override: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        annotate_recipe("default", [override])


def test_zero_shot_without_a_model_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLOOM_WEIGHTS", str(tmp_path / "empty"))
    with pytest.raises(RecipeError, match="zero_shot needs an open_clip model"):
        annotate(tmp_path / "run", tmp_path / "a", annotate_recipe("default", ["zero_shot=true"]), "local")


def test_an_endpoint_that_nobody_serves_costs_the_wording_and_no_sample(squares: Path, tmp_path: Path) -> None:
    recipe = annotate_recipe(
        "default",
        [
            "language_model.url=http://127.0.0.1:9/v1",
            "language_model.model=a-model",
            "language_model.paraphrase=true",
            "language_model.attempts=1",
        ],
    )
    result = annotate(run_on(squares, tmp_path / "run"), tmp_path / "a", recipe, "local")
    assert (result["samples"], result["failed"]) == (3, [])
    entry = load_samples(tmp_path / "a")[0]
    document = json.loads(read_sample(tmp_path / "a", entry)["json"])
    assert document["caption"] == document["refinement"]["caption_offline"]
    assert document["refinement"]["problems"]["caption"].startswith("no connection")


@pytest.mark.slow
def test_a_dataset_takes_other_ways_of_working_on_it_and_no_other_recipe(squares: Path, tmp_path: Path) -> None:
    run_dir = run_on(squares, tmp_path / "run")
    first = annotate(run_dir, tmp_path / "dataset", RECIPE, "local")
    before = shard_hashes(tmp_path / "dataset")
    patient = annotate_recipe("default", ["stalled_s=900", "cpus_per_worker=0.5", "failure_budget=0.9"])
    assert annotate(run_dir, tmp_path / "dataset", patient, "local")["samples"] == first["samples"]
    assert shard_hashes(tmp_path / "dataset") == before
    with pytest.raises(RecipeError, match=r"differs in: recipe\.video\.crf"):
        annotate(run_dir, tmp_path / "dataset", annotate_recipe("default", ["video.crf=30"]), "local")
