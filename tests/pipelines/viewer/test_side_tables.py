"""What the viewer makes of a dataset and a run: every score and label, once, beside the dataset."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="needs the extra viewer")
import pyarrow.parquet as pq

from pipelines.viewer.side_tables import cache_folder, rejected_table, samples_table
from schemas.errors import DataError, RecipeError
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
