"""Tables are asked, not held: right answers, quickly, and nothing beside the tables can be read."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="needs the extra viewer")
import duckdb
import pyarrow.parquet as pq

from pipelines.viewer.query import BadQueryError, Condition, Query
from pipelines.viewer.side_tables import write_table
from pipelines.viewer.tables import TableGoneError, Tables, connection

ROWS = 50_000


def row(i: int) -> dict[str, object]:
    """Quality falls from 1 with the row number; every tenth is null. Label a or b, its confidence i % 100 / 100."""
    return {
        "key": f"k{i:06d}",
        "quality": None if i % 10 == 9 else 1 - i / ROWS,
        "caption": f"Person {i} DANCES in the hall" if i % 1000 == 0 else f"person {i}",
        "actions": ["a" if i % 2 else "b"],
        "actions:confidence": [i % 100 / 100],
    }


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "samples.parquet"
    write_table((row(i) for i in range(ROWS)), path)
    return path


@pytest.fixture(scope="module")
def tables(table: Path) -> Iterator[Tables]:
    found = Tables({"samples": table})
    yield found
    found.close()


def keys(tables: Tables, query: Query, offset: int = 0, limit: int = 3) -> list[str]:
    return [found["key"] for found in tables.page("samples", query, offset, limit, ("key",))]


def where(*condition: object) -> Query:
    return Query((Condition(*condition),))  # type: ignore[arg-type]


def test_order_and_pages(tables: Tables) -> None:
    assert keys(tables, Query()) == ["k000000", "k000001", "k000002"]
    assert keys(tables, Query(), ROWS - 1) == [f"k{ROWS - 1:06d}"]
    assert keys(tables, Query(), ROWS) == []
    assert keys(tables, Query(descending=True)) == [f"k{ROWS - 1 - i:06d}" for i in range(3)]
    rising = Query(sort="quality")
    assert keys(tables, rising) == ["k049998", "k049997", "k049996"]
    # What has no quality comes last, whichever way.
    assert keys(tables, rising, ROWS - 1) == keys(tables, Query(sort="quality", descending=True), ROWS - 1)
    everything = [key for offset in range(0, 600, 200) for key in keys(tables, rising, offset, 200)]
    assert len(set(everything)) == 600


def test_filters(tables: Tables) -> None:
    assert tables.count("samples", Query()) == ROWS
    assert tables.count("samples", where("quality", "missing")) == ROWS // 10
    assert tables.count("samples", where("quality", ">", 0.5)) == sum(
        1 - i / ROWS > 0.5 for i in range(ROWS) if i % 10 != 9
    )
    assert keys(tables, where("caption", "contains", "HALL dances"), limit=2) == ["k000000", "k001000"]
    assert tables.count("samples", where("actions", "has", "a")) == ROWS // 2
    assert tables.count("samples", where("actions", "has", "a", 0.9)) == ROWS // 100 * 5
    assert tables.count("samples", where("actions", "has not", "a", 0.9)) == ROWS - ROWS // 100 * 5
    assert tables.count("samples", where("caption", "is", "x' OR '1'='1")) == 0


def test_histogram_and_values(tables: Tables) -> None:
    found = tables.histogram("samples", where("actions", "has", "b"), "quality")
    assert (found["known"], found["high"]) == (ROWS // 2, 1.0)
    assert sum(found["counts"]) == ROWS // 2
    assert max(found["counts"]) - min(found["counts"]) <= 2
    assert tables.values("samples", "actions") == [("a", ROWS // 2), ("b", ROWS // 2)]
    for column in ("caption", "nothing", "row"):
        with pytest.raises(BadQueryError):
            tables.histogram("samples", Query(), column)
    with pytest.raises(BadQueryError):
        tables.values("samples", "quality")


@pytest.mark.parametrize(("offset", "limit"), [(-1, 10), (0, 0), (0, 201)])
def test_pages_have_bounds(tables: Tables, offset: int, limit: int) -> None:
    with pytest.raises(BadQueryError):
        tables.page("samples", Query(), offset, limit)


def test_it_is_quick(tables: Tables) -> None:
    """A million have a second (benchmarks/viewer_million.py); a twentieth of them on a busy machine has it too."""
    questions = [
        Query(),
        Query(sort="quality", descending=True),
        Query((Condition("caption", "contains", "dances"), Condition("actions", "has", "b", 0.0)), "quality"),
    ]
    for question in questions:
        started = time.monotonic()
        assert tables.page("samples", question, 0, 60)
        tables.count("samples", question)
        assert time.monotonic() - started < 1.0, question


def test_several_threads_at_once(tables: Tables) -> None:
    found: list[int] = []

    def ask() -> None:
        found.extend(tables.count("samples", where("quality", ">", 0.5)) for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 30
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM read_text('/etc/hostname')", "COPY samples TO '{}/out.parquet'", "SET threads = 8",
            "ATTACH '{}/other.duckdb'", "INSTALL httpfs", "SELECT * FROM '{}/other.parquet'"],
)  # fmt: skip
def test_nothing_but_the_tables_can_be_reached(tables: Tables, table: Path, tmp_path: Path, sql: str) -> None:
    (tmp_path / "other.parquet").write_bytes(table.read_bytes())
    with tables._cursor() as cursor, pytest.raises(duckdb.Error):
        cursor.execute(sql.format(tmp_path)).fetchall()
    assert not (tmp_path / "out.parquet").exists()


def test_columns_need_not_be_the_same_everywhere(tmp_path: Path) -> None:
    """In one row a score is a number, 5,000 rows later a text, and another one exists only there."""
    rows = [{"key": str(i), "score": 0.5} for i in range(5000)] + [{"key": "x", "score": "high", "late": 1.0}]
    write_table(iter(rows), tmp_path / "t.parquet")
    with connection() as duck:
        found = duck.execute(f"SELECT row, score, late FROM '{tmp_path}/t.parquet' WHERE row IN (0, 5000)").fetchall()
    assert sorted(found) == [(0, "0.5", None), (5000, "high", 1.0)]
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]
    with pq.ParquetFile(tmp_path / "t.parquet") as file:
        assert file.metadata.num_rows == 5001


@pytest.mark.parametrize("left", [None, 0, 100])
def test_a_table_that_went_away_is_told(tmp_path: Path, left: int | None) -> None:
    path = tmp_path / "t.parquet"
    write_table((row(i) for i in range(50)), path)
    with contextlib.closing(Tables({"samples": path})) as tables:
        if left is None:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:left])
        with pytest.raises(TableGoneError, match="start the viewer again"):
            tables.count("samples", where("quality", ">", 0.5))
