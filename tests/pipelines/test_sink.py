"""Units and tables: in parts, whole or not at all, and the same files however the rows came."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipelines.table_writer
from pipelines.sink import UnitStore
from pipelines.table_writer import publish_table

SCHEMA = pa.schema([("n", pa.int64())])


def numbers(first: int, last: int) -> pa.Table:
    return pa.table({"n": pa.array(range(first, last), pa.int64())})


def test_a_unit_is_read_as_it_was_committed(tmp_path: Path) -> None:
    units, document = UnitStore(tmp_path), {"clips": []}

    def tables() -> Iterator[pa.Table]:
        for first in (0, 3, 5):
            document["clips"].append(first)
            yield numbers(first, first + 2)

    units.commit("abc", tables(), document)
    assert units.document("abc") == {"clips": [0, 3, 5]}
    with units.open("abc") as unit:
        assert [part.column("n").to_pylist() for part in unit.parts()] == [[0, 1], [3, 4], [5, 6]]
    assert units.table("abc").column("n").to_pylist() == [0, 1, 3, 4, 5, 6]
    assert units.schema("abc") == SCHEMA
    assert units.ids() == ["abc"]


def test_a_unit_that_breaks_off_leaves_the_one_before(tmp_path: Path) -> None:
    units = UnitStore(tmp_path)
    units.commit("abc", [numbers(0, 2)], {"is": "whole"})

    def breaking() -> Iterator[pa.Table]:
        yield numbers(0, 9)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        units.commit("abc", breaking(), {"is": "broken"})
    assert units.document("abc") == {"is": "whole"}
    assert units.table("abc").num_rows == 2
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["abc.parquet"]


def test_an_empty_unit(tmp_path: Path) -> None:
    units = UnitStore(tmp_path)
    units.commit("abc", [numbers(0, 0)], {})
    assert units.document("abc") == {}
    assert units.table("abc").num_rows == 0
    with units.open("abc") as unit:
        assert sum(part.num_rows for part in unit.parts()) == 0


def test_tables_do_not_tell_how_their_rows_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines.table_writer, "GROUP_ROWS", 10)
    monkeypatch.setattr(pipelines.table_writer, "PART_ROWS", 30)
    ways = {"once": [numbers(0, 65)], "singly": [numbers(n, n + 1) for n in range(65)], "unevenly": [
        numbers(0, 0), numbers(0, 7), numbers(7, 48), numbers(48, 48), numbers(48, 65)
    ]}  # fmt: skip
    for name, tables in ways.items():
        assert publish_table(tmp_path / name, tables, SCHEMA) == 65
    files = {name: sorted((tmp_path / name).iterdir()) for name in ways}
    assert [pq.read_metadata(path).num_rows for path in files["once"]] == [30, 30, 5]
    assert [pq.read_metadata(path).num_row_groups for path in files["once"]] == [3, 3, 1]
    assert pq.read_table(tmp_path / "once").column("n").to_pylist() == list(range(65))
    for name in ("singly", "unevenly"):
        assert [path.read_bytes() for path in files[name]] == [path.read_bytes() for path in files["once"]]


def test_a_table_without_rows(tmp_path: Path) -> None:
    assert publish_table(tmp_path / "none", [], SCHEMA) == 0
    assert pq.read_table(tmp_path / "none").schema == SCHEMA


def test_a_table_that_breaks_off_leaves_the_one_before(tmp_path: Path) -> None:
    publish_table(tmp_path / "table", [numbers(0, 3)], SCHEMA)
    with pytest.raises(pa.ArrowInvalid):
        publish_table(tmp_path / "table", [numbers(0, 9), pa.table({"n": ["no number"]})], SCHEMA)
    assert pq.read_table(tmp_path / "table").num_rows == 3
    assert [path.name for path in tmp_path.iterdir()] == ["table"]
