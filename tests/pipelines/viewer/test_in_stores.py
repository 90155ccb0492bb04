"""A dataset and a run in an object store, with a store that fails now and then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="needs the extra viewer")
import pyarrow.parquet as pq

from pipelines.cli import main
from pipelines.viewer.media import open_member
from pipelines.viewer.side_tables import rejected_table, samples_table
from schemas import retries
from schemas.index import load_samples
from schemas.shard import read_members
from tests import builders
from tests.object_store import ObjectStore, object_store

URI = "s3://results/day one"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    monkeypatch.setattr(retries, "FIRST_WAIT_S", 0.01)
    with object_store(("results",), failing=0.1, seed=2) as made:
        yield made


def put(store: ObjectStore, folder: Path, name: str) -> str:
    for path in folder.rglob("*"):
        if path.is_file():
            store.put("results", f"day one/{name}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return f"{URI}/{name}"


def test_the_same_tables_members_and_page(store: ObjectStore, viewed: Path, tmp_path: Path) -> None:
    there = put(store, viewed, "data")
    for cache in ("a", "b"):
        (tmp_path / cache).mkdir()
    tables = [pq.read_table(samples_table(d, tmp_path / c)) for d, c in ((viewed, "a"), (there, "b"))]
    assert tables[0].equals(tables[1])
    entry = load_samples(viewed)[2]
    file, size_bytes = open_member(there, entry, "mp4")
    with file:
        file.seek(100)
        assert file.read() == read_members(viewed, entry, ("mp4",))["mp4"][100:]
        assert file.tell() == size_bytes
    pages = [tmp_path / "here.html", tmp_path / "there.html"]
    for dataset, page in zip((str(viewed), there), pages, strict=True):
        assert main(["shards", "view", dataset, "--static", str(page), "--cache", str(tmp_path / "a")]) == 0
    assert pages[0].read_text().replace("<title>dataset", "<title>data").count("jpeg;base64") == 5
    assert pages[0].stat().st_size == pytest.approx(pages[1].stat().st_size, abs=20)


def test_the_same_rejected_clips(store: ObjectStore, tmp_path: Path) -> None:
    run = builders.run_folder(tmp_path / "run")
    there = put(store, run, "run")
    tables = [pq.read_table(rejected_table(each, tmp_path)) for each in (run, there)]
    assert tables[0].equals(tables[1])
    assert tables[0].num_rows == 2
