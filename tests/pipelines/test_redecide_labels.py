"""A policy on the quality of the labels: joined by clip, remembered, and refused where the labels are missing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from builders import dataset_of, moving_square_video, run_folder, sample

from pipelines.curate import curate
from pipelines.recipe_models import CurateRecipe, curate_recipe
from pipelines.redecide import redecide
from pipelines.report_run import run_section
from pipelines.run_tables import read_run, read_table
from schemas.errors import DataError, RecipeError
from schemas.fingerprint import file_sha256
from schemas.index import INDEX_PARQUET
from schemas.label_quality import LABEL_QUALITY_NAMES
from schemas.policy import Policy, Rule

OFFSET = "hand_wrist_offset_palms"


def by_offset(**rule: object) -> CurateRecipe:
    return CurateRecipe(policy=Policy(rules=(Rule(score=OFFSET, at_most=0.8, **rule),)))  # type: ignore[arg-type]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Clips clip-000 to clip-003."""
    return run_folder(tmp_path / "run")


def labelled(folder: Path, **offsets: float | None) -> Path:
    """A dataset with a sample for each key (written with _ for -) and its offset of hand and wrist."""
    mp4 = moving_square_video(folder / "x.mp4").read_bytes()
    (folder / "x.mp4").unlink()
    names = {key.replace("_", "-"): value for key, value in offsets.items()}
    return dataset_of(folder, {key: sample(key, mp4, label_quality={OFFSET: value}) for key, value in names.items()})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Good, bad and unmeasured hands; clip-003 has no sample."""
    return labelled(tmp_path / "data", clip_000=0.3, clip_001=1.3, clip_002=None)


def verdicts(run_dir: Path) -> dict[str, list[str]]:
    rows = read_table(run_dir, "decisions").to_pylist()
    assert all(row["kept"] == (row["reasons"] == []) for row in rows)
    return {row["clip_id"]: row["reasons"] for row in rows}


def test_rules_on_labels_reject_with_reasons_like_those_of_scores(run_dir: Path, data: Path) -> None:
    redecide(run_dir, by_offset(), labels=data)
    assert verdicts(run_dir) == {
        "clip-000": [],
        "clip-001": [f"{OFFSET} 1.3 > 0.8"],
        "clip-002": [f"{OFFSET} not measured"],
        "clip-003": [f"{OFFSET} not measured"],
    }
    redecide(run_dir, by_offset(unmeasured="pass"), labels=data)
    assert [clip for clip, reasons in verdicts(run_dir).items() if reasons] == ["clip-001"]


def test_rules_on_scores_and_on_labels_stand_in_one_policy(run_dir: Path, data: Path) -> None:
    rules = (Rule(score="quality", at_least=0.6), Rule(score=OFFSET, at_most=0.8, unmeasured="pass"))
    result = redecide(run_dir, CurateRecipe(policy=Policy(rules=rules)), labels=data)
    assert result["counts"]["reasons"] == {"quality": 2, OFFSET: 1}
    assert result["newly_rejected"] == {"clip-001": [f"{OFFSET} 1.3 > 0.8"]}


def test_the_run_remembers_which_labels_it_was_decided_by(run_dir: Path, data: Path) -> None:
    redecide(run_dir, by_offset(), labels=data)
    remembered = read_run(run_dir)["labels"]
    assert remembered == {
        "dataset": str(data.resolve()),
        "index_sha256": file_sha256(data / INDEX_PARQUET),
        "samples": 3,
    }
    stored = read_table(run_dir, "labels")
    assert stored.column_names == ["clip_id", *LABEL_QUALITY_NAMES]
    assert stored.column(OFFSET).to_pylist() == [0.3, 1.3, None]
    redecide(run_dir, curate_recipe("keep_all"))
    assert "labels" not in read_run(run_dir)
    assert not (run_dir / "labels").exists()


def test_a_dry_run_changes_nothing(run_dir: Path, data: Path) -> None:
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    assert redecide(run_dir, by_offset(), dry_run=True, labels=data)["counts"]["kept"] == 1
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before


def test_what_does_not_fit_is_refused_and_changes_nothing(run_dir: Path, data: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    with pytest.raises(RecipeError, match=f"rule on {OFFSET}.*motionloom redecide RUN --labels DATASET"):
        redecide(run_dir, by_offset())
    with pytest.raises(RecipeError, match="has no sample of any clip of this run: it was made from another run"):
        redecide(run_dir, by_offset(), labels=labelled(tmp_path / "other", elsewhere=0.1))
    with pytest.raises(RecipeError, match="is not a dataset"):
        redecide(run_dir, by_offset(), labels=tmp_path)
    misspelt = CurateRecipe(policy=Policy(rules=(Rule(score="hand_wrist_offset_palm", at_most=1),)))
    with pytest.raises(RecipeError, match=f"did you mean {OFFSET}"):
        redecide(run_dir, misspelt, labels=data)
    table = pq.read_table(data / INDEX_PARQUET)
    pq.write_table(table.drop_columns([OFFSET]), data / INDEX_PARQUET)
    with pytest.raises(RecipeError, match=f"lacks {OFFSET}"):
        redecide(run_dir, by_offset(), labels=data)
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before


def test_labels_that_no_rule_asks_for_are_said_to_have_no_effect(
    run_dir: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    redecide(run_dir, curate_recipe("keep_all"), labels=data)
    assert f"warning: --labels {data} has no effect" in capsys.readouterr().err
    assert "labels" not in read_run(run_dir)


def test_curation_refuses_such_a_rule_before_any_work(tmp_path: Path) -> None:
    moving_square_video(tmp_path / "a.mp4", frames=4)
    with pytest.raises(RecipeError, match="measured by motionloom annotate, not by curate"):
        curate([str(tmp_path / "a.mp4")], tmp_path / "run", by_offset(), "local")
    assert not (tmp_path / "run").exists()


def test_the_report_shows_the_rule_the_values_and_needs_no_dataset(run_dir: Path, data: Path) -> None:
    redecide(run_dir, by_offset(), labels=data)
    data.rename(data.with_name("moved"))
    html = str(run_section(run_dir).html)
    assert f"{OFFSET} &lt;= 0.8" in html
    assert f"histogram of {OFFSET}" in html
    assert "palm lengths · 2 not measured" in html
    assert html.index(f"histogram of {OFFSET}") < html.index("histogram of quality"), "what has a rule comes first"
    assert f"{OFFSET} 1.3 &gt; 0.8" in html
    (run_dir / "labels" / "part-00000.parquet").write_bytes(b"x")
    with pytest.raises(DataError, match=r"labels cannot be read.*redecide again"):
        run_section(run_dir)


def test_the_command_line_says_what_to_give(
    run_dir: Path, data: Path, tmp_path: Path, pipeline: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    recipe = tmp_path / "hands.yaml"
    recipe.write_text(f"policy:\n  rules:\n    - {{score: {OFFSET}, at_most: 0.8}}\n", encoding="utf-8")
    without = pipeline("redecide", run_dir, "--recipe", recipe)
    assert without.returncode == 2
    assert "--labels DATASET" in without.stderr
    done = pipeline("redecide", run_dir, "--recipe", recipe, "--labels", data, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["kept"] == 1


def test_a_misspelt_measure_is_named_also_without_labels(run_dir: Path) -> None:
    misspelt = CurateRecipe(policy=Policy(rules=(Rule(score="limb_lenght_cv", at_most=1),)))
    with pytest.raises(RecipeError, match="did you mean limb_length_cv"):
        redecide(run_dir, misspelt)
