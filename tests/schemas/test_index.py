from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from builders import dataset

from schemas.errors import CorruptShard, RecipeError
from schemas.fingerprint import file_sha256
from schemas.index import INDEX_JSON, INDEX_PARQUET, SHARDS_DIR, iterate_samples, load_samples, load_shards, write_index


def test_written_index_reads_back_equal(tmp_path: Path) -> None:
    path = dataset(tmp_path / "one", n=3)
    shards, samples = load_shards(path), load_samples(path)
    again = tmp_path / "two"
    again.mkdir()
    write_index(again, shards, samples, {})
    assert load_shards(again) == shards
    assert load_samples(again) == samples


def test_index_json_holds_hash_size_and_count_of_every_shard(tmp_path: Path) -> None:
    path = dataset(tmp_path, n=3)
    document = json.loads((path / INDEX_JSON).read_text())
    assert document["samples"] == 3
    for row in document["shards"]:
        file = path / SHARDS_DIR / row["name"]
        assert row["bytes"] == file.stat().st_size
        assert row["sha256"] == file_sha256(file)
    assert [row["samples"] for row in document["shards"]] == [2, 1]


def test_index_parquet_has_the_columns_of_the_contract(tmp_path: Path) -> None:
    table = pq.read_table(dataset(tmp_path, n=2) / INDEX_PARQUET)
    for column in ("key", "shard", "offset", "bytes", "duration_s", "width_px", "height_px", "frames"):
        assert column in table.column_names
    row = table.to_pylist()[1]
    assert (row["key"], row["frames"], row["duration_s"]) == ("clip-001", 16, 2.0)
    assert (row["width_px"], row["height_px"]) == (96, 64)


def test_written_twice_same_bytes(tmp_path: Path) -> None:
    one, two = dataset(tmp_path / "one", n=2), dataset(tmp_path / "two", n=2)
    for name in (INDEX_JSON, INDEX_PARQUET):
        assert (one / name).read_bytes() == (two / name).read_bytes()


@pytest.mark.parametrize("load", [load_shards, load_samples])
def test_a_folder_that_is_no_dataset_is_the_callers_mistake(tmp_path: Path, load: object) -> None:
    with pytest.raises(RecipeError, match="is not a dataset"):
        load(tmp_path)  # type: ignore[operator]


@pytest.mark.parametrize("text", ["", "[]", '{"shards": 3}', '{"shards": [{"name": "000000.tar"}]}', '{"samples": 1}'])
def test_a_damaged_index_json_is_corrupt(tmp_path: Path, text: str) -> None:
    (tmp_path / INDEX_JSON).write_text(text)
    with pytest.raises(CorruptShard, match="cannot be read"):
        load_shards(tmp_path)


def test_a_damaged_index_parquet_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / INDEX_PARQUET).write_bytes(b"PAR1 but nothing else")
    with pytest.raises(CorruptShard, match="cannot be read"):
        load_samples(tmp_path)


def test_an_index_parquet_without_a_column_is_corrupt(tmp_path: Path) -> None:
    path = dataset(tmp_path, n=1)
    table = pq.read_table(path / INDEX_PARQUET)
    pq.write_table(table.drop_columns(["offset"]), path / INDEX_PARQUET)
    with pytest.raises(CorruptShard, match="offset"):
        load_samples(path)


def test_a_large_index_is_read_in_parts(tmp_path: Path) -> None:
    path = dataset(tmp_path, n=5)
    assert list(iterate_samples(path, rows_at_once=2)) == load_samples(path)
