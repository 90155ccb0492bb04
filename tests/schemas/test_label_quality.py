"""The names of the measures, their page in docs/, and their way from a sample's JSON into the index."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import dataset, dataset_of, moving_square_video, sample

from pipelines.run_tables import clips_schema
from schemas.errors import CorruptShard, RecipeError, SchemaError
from schemas.index import (
    INDEX_PARQUET,
    LABEL_QUALITY_COLUMNS,
    SAMPLE_COLUMNS,
    label_quality_table,
    load_samples,
    load_shards,
    write_index,
)
from schemas.label_quality import LABEL_QUALITY, LABEL_QUALITY_NAMES, label_quality_columns
from schemas.shard import read_sample

DOC = Path(__file__).parents[2] / "docs" / "label_quality.md"


def test_every_measure_has_a_row_with_its_unit_and_direction_and_no_other_has() -> None:
    rows = {}
    for line in DOC.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            first, *others = (cell.strip() for cell in line.strip().strip("|").split("|"))
            rows[first.strip("`")] = others
    assert tuple(rows) == LABEL_QUALITY_NAMES
    for spec in LABEL_QUALITY:
        unit, direction, *rest = rows[spec.name]
        assert (unit, direction) == (spec.unit, spec.direction)
        assert all(rest), f"meaning and limits of {spec.name} are said"


def test_a_rule_can_name_them_without_meaning_a_column_of_clips() -> None:
    assert not set(LABEL_QUALITY_NAMES) & {*clips_schema().names, *SAMPLE_COLUMNS.names}


def test_the_index_says_what_the_json_says_and_null_is_not_measured(tmp_path: Path) -> None:
    path = dataset(tmp_path / "data", n=2)
    row = pq.read_table(path / INDEX_PARQUET).to_pylist()[1]
    document = json.loads(read_sample(path, load_samples(path)[1])["json"])
    assert {name: row[name] for name in LABEL_QUALITY_NAMES} == label_quality_columns(document)
    assert (row["jitter_body_heights"], row["hand_swap_fraction"]) == (0.001, None)
    assert pq.read_schema(path / INDEX_PARQUET).names == [*SAMPLE_COLUMNS.names, *LABEL_QUALITY_NAMES]
    assert load_samples(path)[1].label_quality == label_quality_columns(document)


def test_an_index_of_before_them_is_read_and_says_nothing(tmp_path: Path) -> None:
    path = dataset(tmp_path / "data", n=2)
    entries = load_samples(path)
    table = pq.read_table(path / INDEX_PARQUET)
    pq.write_table(table.drop_columns(list(LABEL_QUALITY_NAMES)), path / INDEX_PARQUET)
    old = load_samples(path)
    assert old == [replace(entry, label_quality={}) for entry in entries]
    assert old[0].row()["jitter_body_heights"] is None
    with pytest.raises(RecipeError, match=r"lacks body_measured_fraction, .*motionloom relabel measures them"):
        label_quality_table(path)
    write_index(path, load_shards(path), old, {})
    assert label_quality_table(path).column("jitter_body_heights").to_pylist() == [None, None]


def test_the_table_is_of_all_samples_and_of_these_columns_only(tmp_path: Path) -> None:
    mp4 = moving_square_video(tmp_path / "x.mp4").read_bytes()
    samples = {key: sample(key, mp4, label_quality={"limb_length_cv": value}) for key, value in (("a", 0.1), ("b", 0))}
    table = label_quality_table(dataset_of(tmp_path / "data", samples))
    assert table.schema == pa.schema([SAMPLE_COLUMNS.field("key"), *LABEL_QUALITY_COLUMNS])
    assert table.select(["key", "limb_length_cv"]).to_pylist() == [
        {"key": "a", "limb_length_cv": 0.1},
        {"key": "b", "limb_length_cv": 0.0},
    ]
    (tmp_path / "data" / INDEX_PARQUET).write_bytes(b"PAR1 and nothing else")
    with pytest.raises(CorruptShard, match="cannot be read"):
        label_quality_table(tmp_path / "data")
    with pytest.raises(RecipeError, match="is not a dataset"):
        label_quality_table(tmp_path)


@pytest.mark.parametrize("value", [True, "0.5", float("nan"), float("inf"), [0.5]])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(SchemaError, match=r"label_quality.limb_length_cv is .*, expected a number or null"):
        label_quality_columns({"label_quality": {"limb_length_cv": value}})
    with pytest.raises(SchemaError, match="expected an object"):
        label_quality_columns({"label_quality": [value]})


def test_a_sample_of_before_them_has_nothing_measured() -> None:
    assert label_quality_columns({}) == dict.fromkeys(LABEL_QUALITY_NAMES)
