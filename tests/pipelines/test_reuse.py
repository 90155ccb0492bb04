from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from builders import moving_square_video

import annotation.sample
import pipelines.annotate_stage
from pipelines import run_tables
from pipelines.annotate import annotate
from pipelines.curate import curate
from pipelines.recipe_models import annotate_recipe, curate_recipe
from pipelines.redecide import redecide
from pipelines.relabel import relabel
from schemas.errors import RecipeError
from schemas.index import INDEX_JSON, load_samples
from schemas.shard import read_sample

# Every test annotates clips.
pytestmark = pytest.mark.slow
RECIPE = annotate_recipe("default")


def policy(*overrides: str) -> Any:
    return curate_recipe("keep_all", overrides)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run that keeps the two longer ones of three clips."""
    for number in range(3):
        moving_square_video(tmp_path / "footage" / f"{number}.mp4", frames=10 + 2 * number)
    recipe = policy("policy.rules=[{score: duration_s, at_least: 1.4}]")
    curate([str(tmp_path / "footage")], tmp_path / "run", recipe, "local")
    return tmp_path / "run"


@pytest.fixture
def old(run_dir: Path, tmp_path: Path) -> Path:
    assert annotate(run_dir, tmp_path / "old", RECIPE, "local")["samples"] == 2
    return tmp_path / "old"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The videos that annotation decodes."""
    seen: list[str] = []
    decode = pipelines.annotate_stage.decode_for

    def watched(path: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(Path(path).name)
        return decode(path, *args, **kwargs)

    monkeypatch.setattr(pipelines.annotate_stage, "decode_for", watched)
    return seen


def contents(dataset: Path) -> dict[str, bytes]:
    files = [path for path in sorted(dataset.rglob("*")) if path.is_file()]
    return {str(path.relative_to(dataset)): path.read_bytes() for path in files}


def test_a_looser_policy_costs_only_the_new_clip_and_gives_the_bytes_of_annotating_anew(
    run_dir: Path, old: Path, tmp_path: Path, decoded: list[str]
) -> None:
    redecide(run_dir, policy())
    result = annotate(run_dir, tmp_path / "new", RECIPE, "local", reuse=old)
    assert (result["samples"], result["reused"], result["failed"]) == (3, 2, [])
    assert decoded == ["0.mp4"]
    assert "reused" not in annotate(run_dir, tmp_path / "anew", RECIPE, "local")
    assert contents(tmp_path / "new") == contents(tmp_path / "anew")


def test_a_stricter_policy_decodes_nothing_and_needs_no_footage(
    run_dir: Path, old: Path, tmp_path: Path, decoded: list[str]
) -> None:
    redecide(run_dir, policy("policy.rules=[{score: duration_s, at_least: 1.6}]"))
    (tmp_path / "footage").rename(tmp_path / "away")
    result = annotate(run_dir, tmp_path / "new", RECIPE, "local", reuse=old)
    assert (result["samples"], result["reused"], decoded) == (1, 1, [])


def test_what_the_run_says_of_a_clip_is_written_anew(
    run_dir: Path, old: Path, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = load_samples(old)
    before = {entry.key: read_sample(old, entry) for entry in entries}
    monkeypatch.setattr("pipelines.run_balance.weights_of_run", lambda _: {entries[0].key: 0.25})
    annotate(run_dir, tmp_path / "new", RECIPE, "local", reuse=old)
    assert decoded == []
    for entry in load_samples(tmp_path / "new"):
        members = read_sample(tmp_path / "new", entry)
        document = json.loads(members.pop("json"))
        assert members == {name: data for name, data in before[entry.key].items() if name != "json"}
        known = json.loads(before[entry.key]["json"])
        weight = 0.25 if entry.key == entries[0].key else None
        assert document == {**known, "sampling_weight": weight}


def test_labels_of_another_version_are_made_anew(
    run_dir: Path, old: Path, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotation.sample, "ACTIONS_VERSION", "another")
    result = annotate(run_dir, tmp_path / "new", RECIPE, "local", reuse=old)
    assert (result["reused"], sorted(decoded)) == (0, ["1.mp4", "2.mp4"])
    # Relabelled first, the samples are taken with their newest labels.
    decoded.clear()
    relabel(old, runner="local")
    assert annotate(run_dir, tmp_path / "newer", RECIPE, "local", reuse=old)["reused"] == 2
    assert decoded == []
    document = json.loads(read_sample(tmp_path / "newer", load_samples(tmp_path / "newer")[0])["json"])
    assert document["annotators"]["actions"]["version"] == "another"
    assert not load_samples(tmp_path / "newer")[0].overlays


def test_a_clip_that_is_another_now_is_made_anew(
    run_dir: Path, old: Path, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = run_tables.read_table

    def licensed(folder: Path, name: str, *args: Any) -> Any:
        table = read(folder, name, *args)
        if name != "clips":
            return table
        place = table.column_names.index("licence")
        values = ["CC0" if row["uri"].endswith("1.mp4") else None for row in table.to_pylist()]
        return table.set_column(place, "licence", pa.array(values, pa.string()))

    monkeypatch.setattr(run_tables, "read_table", licensed)
    assert annotate(run_dir, tmp_path / "new", RECIPE, "local", reuse=old)["reused"] == 1
    assert decoded == ["1.mp4"]


def test_a_damaged_sample_is_made_anew_and_said_so(
    run_dir: Path, old: Path, tmp_path: Path, decoded: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    entry = load_samples(old)[0]
    path = old / "shards" / entry.shard
    damaged = bytearray(path.read_bytes())
    damaged[entry.offset + entry.size_bytes // 2] ^= 0x01
    path.write_bytes(bytes(damaged))
    assert annotate(run_dir, tmp_path / "new", RECIPE, "local", reuse=old)["reused"] == 1
    assert len(decoded) == 1
    assert f"sample {entry.key} of" in caplog.text


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda old: (old / INDEX_JSON).unlink(), "is not finished"),
        (lambda old: old.rename(old.with_name("elsewhere")), "is not a dataset"),
    ],
)
def test_an_earlier_dataset_must_be_finished(
    run_dir: Path, old: Path, tmp_path: Path, spoil: Callable[[Path], Any], says: str
) -> None:
    spoil(old)
    with pytest.raises(RecipeError, match=says):
        annotate(run_dir, tmp_path / "new", RECIPE, "local", reuse=old)
    assert not (tmp_path / "new").exists()


def test_an_earlier_dataset_of_another_recipe_is_refused(run_dir: Path, old: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="nothing of it fits this recipe; its samples have crf 16, not 30"):
        annotate(run_dir, tmp_path / "new", annotate_recipe("default", ["video.crf=30"]), "local", reuse=old)
    with pytest.raises(RecipeError, match="that is the --output itself"):
        annotate(run_dir, old, RECIPE, "local", reuse=old)
    assert not (tmp_path / "new").exists()
