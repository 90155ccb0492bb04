"""A changed recipe costs what depends on the change: counted in decoded frames, and equal to a run made anew."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import moving_square_video

import curation.measure
from curation.scorers.motion import Motion
from pipelines.curate import curate
from pipelines.recipe_models import curate_recipe
from pipelines.run_tables import read_table
from pipelines.sink import read_recipe
from pipelines.update_stage import missing_scorers
from schemas.errors import RecipeError

TABLES = ("videos", "frames", "clips", "decisions", "failures")
FRAMES = {0: 60, 1: 70, 2: 80}


@pytest.fixture
def footage(tmp_path: Path) -> str:
    for number, frames in FRAMES.items():
        moving_square_video(tmp_path / "footage" / f"{number}.mp4", frames=frames)
    (tmp_path / "footage" / "broken.mp4").write_bytes(b"no video")
    return str(tmp_path / "footage")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Frames that were decoded for scorers, and by scorer how many videos it looked at."""
    counts: Counter[str] = Counter()
    real: Callable[..., Any] = curation.measure.decode_for

    def counting(path: Any, requests: Any, *args: Any, **more: Any) -> Any:
        result = real(path, requests, *args, **more)
        counts["frames"] += result.frames
        counts.update(request.name for request in requests)
        return result

    monkeypatch.setattr(curation.measure, "decode_for", counting)
    return counts


def recipe(*scorers: str, **clips: float) -> Any:
    return curate_recipe("keep_all", [f"scorers=[{','.join(scorers)}]", *(f"clips.{k}={v}" for k, v in clips.items())])


def tables(run: Path) -> dict[str, list[dict[str, Any]]]:
    return {name: read_table(run, name).to_pylist() for name in TABLES}


def plan(footage: str, run: Path, wanted: Any) -> dict[str, Any]:
    found: dict[str, Any] = curate([footage], run, wanted, "local", plan_only=True)["plan"]
    return found


@pytest.mark.slow
def test_a_new_scorer_measures_its_own_columns_and_one_left_out_costs_nothing(
    footage: str, tmp_path: Path, decoded: Counter[str]
) -> None:
    run, every = tmp_path / "run", sum(FRAMES.values())
    curate([footage], run, recipe("technical"), "local")
    assert decoded["frames"] == every
    decoded.clear()

    both = recipe("technical", "motion")
    found = plan(footage, run, both)
    assert (found["to_measure"], found["reused"]) == (1, 3)
    assert found["to_update"] == {"inputs": 3, "to_decode": 3, "scorers": {"motion": 3}}
    assert not decoded, "a plan decodes nothing"
    assert read_recipe(run)["scorers"].keys() == {"cut_strength", "technical"}, "and changes nothing"

    curate([footage], run, both, "local")
    assert decoded["frames"] == every
    assert decoded["motion"] == 3
    assert not decoded["technical"]
    curate([footage], tmp_path / "anew", both, "local")
    assert tables(run) == tables(tmp_path / "anew")
    decoded.clear()

    curate([footage], run, recipe("technical"), "local")
    assert not decoded["frames"]
    curate([footage], tmp_path / "before", recipe("technical"), "local")
    assert tables(run) == tables(tmp_path / "before")
    assert "to_update" not in plan(footage, run, recipe("technical"))


@pytest.mark.slow
def test_a_new_version_of_a_scorer_measures_with_it_alone(
    footage: str, tmp_path: Path, decoded: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, wanted = tmp_path / "run", recipe("technical", "motion")
    curate([footage], run, wanted, "local")
    before = tables(run)
    decoded.clear()
    monkeypatch.setattr(Motion, "version", Motion.version + 1)
    assert plan(footage, run, wanted)["to_update"]["scorers"] == {"motion": 3}
    curate([footage], run, wanted, "local")
    assert (decoded["motion"], decoded["technical"], decoded["frames"]) == (3, 0, sum(FRAMES.values()))
    assert tables(run) == before, "the version alone changed here"


@pytest.mark.slow
def test_other_rules_of_cutting_decode_nothing(footage: str, tmp_path: Path, decoded: Counter[str]) -> None:
    run = tmp_path / "run"
    curate([footage], run, recipe("technical"), "local")
    decoded.clear()
    shorter = recipe("technical", max_clip_s=1.0)
    assert plan(footage, run, shorter)["to_update"] == {"inputs": 3, "to_decode": 0, "scorers": {}}
    curate([footage], run, shorter, "local")
    assert not decoded["frames"]
    curate([footage], tmp_path / "anew", shorter, "local")
    assert tables(run) == tables(tmp_path / "anew")
    assert len(tables(run)["clips"]) > 3


@pytest.mark.slow
def test_a_new_threshold_is_a_decision(footage: str, tmp_path: Path, decoded: Counter[str]) -> None:
    run = tmp_path / "run"
    curate([footage], run, recipe("technical"), "local")
    stricter = curate_recipe("keep_all", ["scorers=[technical]", "policy.rules=[{score: duration_s, at_least: 2.5}]"])
    decoded.clear()
    assert plan(footage, run, stricter)["decisions"] == "another policy: motionloom redecide"
    assert "to_update" not in plan(footage, run, stricter)
    with pytest.raises(RecipeError, match="decided by another policy"):
        curate([footage], run, stricter, "local")
    assert not decoded["frames"]


@pytest.mark.slow
def test_a_file_that_changed_is_measured_anew_and_facts_of_one_that_went_are_not_given_up(
    footage: str, tmp_path: Path, decoded: Counter[str]
) -> None:
    run, both = tmp_path / "run", recipe("technical", "motion")
    curate([footage], run, recipe("technical"), "local")
    moving_square_video(Path(footage) / "0.mp4", frames=90)
    gone = (Path(footage) / "1.mp4").rename(tmp_path / "1.mp4")
    before = tables(run)
    decoded.clear()
    with pytest.raises(RecipeError, match=r"1 files of this run .* are gone or changed \(.*1\.mp4, …\)"):
        curate([footage], run, both, "local")
    assert tables(run) == before
    # What decodes nothing needs no file.
    shorter = curate([footage], run, recipe("technical", max_clip_s=1.0), "local")
    assert (shorter["counts"]["videos"], decoded["frames"]) == (3, 90)
    gone.rename(Path(footage) / "1.mp4")
    decoded.clear()
    result = curate([footage], run, both, "local")
    assert result["counts"]["videos"] == 3
    assert decoded["frames"] == 90 + FRAMES[1] + FRAMES[2]


def test_which_scorers_are_missing() -> None:
    made = {"scorers": {"technical": 1, "subject": 2}, "weights": {"yolo.pt": "a"}}
    assert missing_scorers(made, made) == []
    assert missing_scorers(made, {**made, "scorers": {"technical": 2, "motion": 1, "subject": 2}}) == [
        "motion", "technical",
    ]  # fmt: skip
    assert missing_scorers(made, {**made, "weights": {}}) == ["subject"]
    assert missing_scorers({**made, "until_rejected": {"rules": {}}}, made) == ["subject"]
    assert json.loads(json.dumps(made)) == made
