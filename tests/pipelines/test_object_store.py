"""The chain from bucket to bucket, through a store that fails now and then, equals the chain between folders."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from builders import moving_square_video

from curation.inputs import find_inputs, read_notes
from curation.probe import video_id_of
from pipelines.annotate import annotate
from pipelines.cli import main
from pipelines.curate import curate
from pipelines.output_folder import output_folder
from pipelines.recipe_models import annotate_recipe, curate_recipe
from schemas import retries
from schemas.errors import RecipeError, ResourceError
from tests.object_store import KEYS, ObjectStore, object_store, shard_members, table_rows

RECIPE, ANNOTATE = curate_recipe("keep_all", ["scorers=[technical]"]), annotate_recipe("default")
# Which split a video falls into, unless stated, is drawn by its id, and ids are of URIs.
MANIFEST = "file,licence,ground_truth,split\n0.mp4,CC-BY,0.json,train\n1.mp4,,,val\n2.mp4,,,val\n"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    monkeypatch.setattr(retries, "FIRST_WAIT_S", 0.01)
    with object_store(("footage", "results"), failing=0.1, seed=1) as made:
        yield made


@pytest.fixture
def footage(tmp_path: Path, store: ObjectStore) -> Path:
    """A folder and, in the bucket of that name, the same."""
    folder = tmp_path / "footage"
    for number in range(3):
        moving_square_video(folder / f"{number}.mp4", frames=10 + number)
    (folder / "manifest.csv").write_text(MANIFEST)
    (folder / "0.json").write_text('{"truth": 1}')
    (folder / "broken.mp4").write_bytes(b"no video")
    for path in folder.iterdir():
        store.put("footage", f"day one/{path.name}", path.read_bytes())
    return folder


def chain(footage: str, run: str, dataset: str) -> None:
    curate([footage], run, RECIPE, "local")
    annotate(run, dataset, ANNOTATE, "local")


@pytest.mark.slow
def test_from_bucket_to_bucket_as_from_folder_to_folder(tmp_path: Path, store: ObjectStore, footage: Path) -> None:
    chain(str(footage), str(tmp_path / "run"), str(tmp_path / "dataset"))
    chain("s3://footage/day one", "s3://results/run", "s3://results/dataset")
    assert sum(store.faults.values()) > 0, "a test of faults needs some"

    names = {}
    for path in footage.glob("*.mp4"):
        uri = f"s3://footage/day one/{path.name}"
        names.update({uri: str(path), video_id_of(uri): video_id_of(str(path))})
    names["s3://footage/day one/0.json"] = str(footage / "0.json")
    for table in ("videos", "clips", "decisions", "failures"):
        here = table_rows((tmp_path / "run" / table / "part-00000.parquet").read_bytes(), {})
        there = table_rows(store.get("results", f"run/{table}/part-00000.parquet"), names)
        assert here == there, table
    (shard,) = (tmp_path / "dataset" / "shards").iterdir()
    assert shard_members(store.get("results", f"dataset/shards/{shard.name}"), names) == shard_members(
        shard.read_bytes(), {}
    )

    keys = store.keys("results")
    assert not [key for key in keys if key.endswith(".part") or "/." in key]
    assert not [key for key in keys if key.startswith("dataset/units")], "a whole dataset keeps no units"
    for key in keys:
        data = store.get("results", key)
        assert not any(secret.encode() in data for name, secret in KEYS.items() if name != "AWS_DEFAULT_REGION"), key


@pytest.mark.slow
def test_a_rerun_does_what_is_missing(store: ObjectStore, footage: Path, tmp_path: Path) -> None:
    first = curate(["s3://footage/day one"], "s3://results/run", RECIPE, "local")
    assert (first["counts"]["videos"], first["counts"]["failures"]) == (3, 1)
    moving_square_video(tmp_path / "3.mp4", frames=13)
    store.put("footage", "day one/3.mp4", (tmp_path / "3.mp4").read_bytes())
    plan = curate(["s3://footage/day one"], "s3://results/run", RECIPE, "local", plan_only=True)["plan"]
    assert (plan["to_measure"], plan["reused"], plan["run"]) == (2, 3, "s3://results/run")
    again = curate(["s3://footage/day one/*.mp4"], "s3://results/run", RECIPE, "local")
    assert (again["counts"]["videos"], again["counts"]["reused"]) == (4, 3)
    recipe = curate_recipe("keep_all", ["scorers=[technical]", "write_clips.mode=encode"])
    with pytest.raises(RecipeError, match="write_clips writes into a folder of this machine"):
        curate(["s3://footage/day one"], "s3://results/run", recipe, "local")


@pytest.mark.slow
def test_a_run_in_a_store_is_decided_anew_and_reported(
    store: ObjectStore, footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    curate(["s3://footage/day one"], "s3://results/run", RECIPE, "local")
    before = {key: store.get("results", key) for key in store.keys("results")}
    policy = ["--recipe", "keep_all", "--set", "policy.rules=[{score: duration_s, at_least: 9}]"]
    assert main(["redecide", "s3://results/run", *policy, "--dry-run"]) == 0
    assert {key: store.get("results", key) for key in store.keys("results")} == before
    assert main(["redecide", "s3://results/run", *policy]) == 0
    after = {key: store.get("results", key) for key in store.keys("results")}
    changed = {key.split("/")[1] for key in after if after[key] != before.get(key, b"")}
    assert {"run.json", "decisions"} <= changed <= {"run.json", "decisions", "balance"}
    assert {key for key in before if not key.endswith("/")} <= after.keys(), "units and frames stay"
    decisions = pq.read_table(io.BytesIO(after["run/decisions/part-00000.parquet"])).to_pylist()
    assert [row["kept"] for row in decisions] == [False] * 3

    assert main(["report", "s3://results/run"]) == 2
    assert "name a page to write" in capsys.readouterr().err
    page = tmp_path / "page.html"
    assert main(["report", "s3://results/run", "--output", str(page)]) == 0
    assert "run – run report" in page.read_text(encoding="utf-8")


def test_inputs_are_folders_globs_and_objects(store: ObjectStore, footage: Path) -> None:
    prefix = "s3://footage/day one"
    every = [f"{prefix}/0.mp4", f"{prefix}/1.mp4", f"{prefix}/2.mp4", f"{prefix}/broken.mp4"]
    assert find_inputs([prefix]) == every
    assert find_inputs([f"{prefix}/[12].mp4", f"{prefix}/1.mp4"]) == every[1:3]
    assert find_inputs(["s3://footage"]) == every
    with pytest.raises(RecipeError, match="holds and matches no video files"):
        find_inputs([f"{prefix}/nothing"])
    notes = read_notes(find_inputs([prefix]))
    assert notes[every[0]].licence == "CC-BY"
    assert notes[every[0]].ground_truth == f"{prefix}/0.json"


def test_what_others_put_into_the_folder_stays_and_no_name_leads_out_of_it(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with output_folder("s3://results/run", "run.json") as output:
        for name in ("run.json", "table/part.parquet"):
            (output.folder / name).parent.mkdir(exist_ok=True)
            (output.folder / name).write_text(name)
        output.publish()
        store.put("results", "run/notes.txt", b"from a colleague, meanwhile")
        (output.folder / "table" / "part.parquet").rename(output.folder / "table" / "other.parquet")
        output.publish()
    # Marks in place of folders, which object stores keep, are no files.
    files = sorted(key for key in store.keys("results") if not key.endswith("/"))
    assert files == ["run/notes.txt", "run/run.json", "run/table/other.parquet"]
    store.put("results", "run/units/ab/unit.parquet", b"facts")
    with output_folder("s3://results/run", "run.json", ("units",)) as output:
        assert not (output.folder / "units").exists()
        (output.folder / "table" / "other.parquet").unlink()
        output.publish()
    assert "run/units/ab/unit.parquet" in store.keys("results"), "what was not looked at stays"
    assert "run/table/other.parquet" not in store.keys("results")
    with (
        pytest.raises(RecipeError, match="s3://results/run is no good"),
        output_folder("s3://results/run", "x") as there,
    ):
        raise RecipeError(f"{there.folder} is no good")
    for name in ("../out.txt", "a/../../out.txt", "/out.txt", "a//b"):
        monkeypatch.setattr("pipelines.output_folder.listed", lambda folder, name=name: [(f"{folder}/{name}", 3)])
        with pytest.raises(ResourceError, match="is no name of a file below"), output_folder("s3://x/run", "run.json"):
            pass
