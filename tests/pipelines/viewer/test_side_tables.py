"""What the viewer makes of a dataset and a run: every score and label, once, beside the dataset."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="needs the extra viewer")
import pyarrow.parquet as pq

from pipelines.viewer.side_tables import (
    cache_folder,
    clear_left_behind,
    has_kept_of,
    rejected_table,
    remove_once,
    samples_table,
)
from schemas.codecs import decode_json, encode_json
from schemas.errors import DataError, RecipeError, SchemaError
from schemas.index import load_samples
from tests import builders


def test_scores_labels_and_facts_of_every_sample(viewed: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in viewed.rglob("*")}
    rows = pq.read_table(samples_table(viewed, tmp_path)).to_pylist()
    assert [row["row"] for row in rows] == list(range(5))
    assert [row["key"] for row in rows] == [entry.key for entry in load_samples(viewed)]
    assert [row["quality"] for row in rows] == [0.0, 0.2, None, pytest.approx(0.6), 0.8]
    assert rows[0]["style_estimate"] == "real"
    assert [row["licence"] for row in rows] == ["CC0"] * 3 + [None] * 2
    assert rows[0]["body_measured_fraction"] == 1.0
    assert rows[4]["actions"] == ["walking", "dancing"]
    assert rows[4]["actions:confidence"] == [pytest.approx(0.9), 0.9]
    assert not rows[1]["actions"]
    assert rows[0]["camera.moves"] == ["static"]
    assert {path: path.stat().st_mtime_ns for path in viewed.rglob("*")} == before, "a dataset is never changed"


def test_made_once_and_anew_for_another_dataset(viewed: Path, tmp_path: Path) -> None:
    table = samples_table(viewed, tmp_path)
    made = table.stat().st_mtime_ns
    assert samples_table(viewed, tmp_path) == table
    assert table.stat().st_mtime_ns == made
    other = builders.dataset(tmp_path / "other", n=2)
    assert samples_table(other, tmp_path) != table


def test_a_sample_without_readable_json_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mp4 = builders.moving_square_video(tmp_path / "square.mp4").read_bytes()
    samples = {key: builders.sample(key, mp4) for key in ("a", "b")}
    dataset = builders.dataset_of(tmp_path / "dataset", samples)
    shard = dataset / "shards" / "000000.tar"
    data = shard.read_bytes()
    at = data.index(b"a.json") + 512
    assert data[at : at + 1] == b"{"
    shard.write_bytes(data[:at] + b"!" + data[at + 1 :])
    rows = pq.read_table(samples_table(dataset, tmp_path)).to_pylist()
    assert "cannot be read" in rows[0]["problem"]
    assert rows[1]["problem"] is None
    assert rows[1]["quality"] == 0.8
    assert "1 samples have no readable JSON" in capsys.readouterr().err


def test_what_a_run_rejected(tmp_path: Path) -> None:
    run = builders.run_folder(tmp_path / "run")
    rows = pq.read_table(rejected_table(run, tmp_path)).to_pylist()
    assert [(row["row"], row["clip_id"]) for row in rows] == [(0, "clip-000"), (1, "clip-002")]
    assert rows[1]["why"] == "quality 0.5 < 0.6"
    assert rows[1]["reasons"] == ["quality"]
    assert rows[1]["quality"] == 0.5
    first = rejected_table(run, tmp_path)
    part = run / "decisions" / "part-00000.parquet"
    os.utime(part, ns=(1, 1))
    assert rejected_table(run, tmp_path) != first, "other verdicts make another table"


def test_no_run_and_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no clips and decisions"):
        rejected_table(tmp_path / "nothing", tmp_path)
    run = builders.run_folder(tmp_path / "run")
    (run / "clips" / "part-00000.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(DataError, match="cannot be read"):
        rejected_table(run, tmp_path)


def test_where_the_cache_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder(None) == tmp_path / "motionloom" / "viewer"
    assert cache_folder(tmp_path / "here") == tmp_path / "here"
    (tmp_path / "file").touch()
    with pytest.raises(RecipeError, match="--cache"):
        cache_folder(tmp_path / "file")


def test_a_failed_read_is_not_kept(viewed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A shard is moved away, then comes back: the next table is whole."""
    dataset = builders.dataset(tmp_path / "dataset", n=3)
    shard, away = dataset / "shards" / "000000.tar", tmp_path / "away.tar"
    shard.rename(away)
    for _ in range(2):
        table = samples_table(dataset, tmp_path)
        assert pq.read_table(table)["problem"].null_count == 1
        assert "2 samples have no readable JSON" in capsys.readouterr().err
    away.rename(shard)
    whole = samples_table(dataset, tmp_path)
    assert "problem" not in pq.read_table(whole).column_names
    remove_once(table)
    remove_once(whole)
    assert [path.name for path in tmp_path.glob("*.parquet")] == [whole.name]


@pytest.mark.parametrize("left", [0, 1000])
def test_a_table_that_was_cut_short_is_made_again(viewed: Path, tmp_path: Path, left: int) -> None:
    run = builders.run_folder(tmp_path / "run")
    for make, source in ((samples_table, viewed), (rejected_table, run)):
        table = make(source, tmp_path)
        whole = pq.read_table(table)
        table.write_bytes(table.read_bytes()[:left])
        assert make(source, tmp_path) == table
        assert pq.read_table(table).equals(whole)


def dataset_with(folder: Path, texts: list[str]) -> Path:
    """A sample for each text, which is JSON that its own is extended by."""
    mp4 = builders.moving_square_video(folder / "square.mp4").read_bytes()
    samples = {}
    for i, text in enumerate(texts):
        members = builders.sample(f"s{i}", mp4)
        body = encode_json(json.loads(members["json"])).decode().rstrip().removesuffix("}").rstrip()
        samples[f"s{i}"] = {**members, "json": f"{body}, {text}}}".encode()}
    return builders.dataset_of(folder / "dataset", samples)


def test_numbers_that_no_float_holds_are_none(tmp_path: Path) -> None:
    label = '{"label": "x", "start_s": 0, "end_s": 1, "confidence": 1e999}'
    odd = f'"a": 1e999, "b": 1{"0" * 400}, "c": 1, "actions": [{label}]'
    rows = pq.read_table(samples_table(dataset_with(tmp_path, [odd]), tmp_path)).to_pylist()
    assert "a" not in rows[0]
    assert "b" not in rows[0]
    assert rows[0]["c"] == 1.0
    assert (rows[0]["actions"], rows[0]["actions:confidence"]) == (["x"], [1.0])


def test_an_integer_of_thousands_of_digits_is_no_readable_json() -> None:
    with pytest.raises(SchemaError, match="digits"):
        decode_json(b"1" * 5000)


def test_names_that_differ_in_case_are_one_column(tmp_path: Path) -> None:
    dataset = dataset_with(tmp_path, ['"Caption": "other", "Mood": "a", "Actions": 1, "Row": 2', '"mood": "b"'])
    table = pq.read_table(samples_table(dataset, tmp_path))
    names = [name.lower() for name in table.column_names]
    assert len(names) == len(set(names))
    assert not [name for name in names if name.endswith("_1")]
    assert table["Mood"].to_pylist() == ["a", "b"]
    assert "other" not in table["caption"].to_pylist()


def test_whether_a_run_made_the_dataset(viewed: Path, tmp_path: Path) -> None:
    run = builders.run_folder(tmp_path / "run")
    assert has_kept_of(run, samples_table(viewed, tmp_path))
    assert not has_kept_of(run, samples_table(dataset_with(tmp_path, ['"a": 1']), tmp_path))


def test_what_a_killed_maker_left_is_removed(tmp_path: Path) -> None:
    for name in (".making-old", ".making-new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").touch()
    for name in (".t.parquet.1.part", "samples-x.parquet"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1, 1))
    os.utime(tmp_path / ".making-old", (1, 1))
    clear_left_behind(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".making-new", "samples-x.parquet"]
