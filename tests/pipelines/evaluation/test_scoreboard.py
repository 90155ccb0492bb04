"""Systems beside anchors: equal cases for all, intervals that are paired, metrics that are misled named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.evaluation.anchors import anchors_of
from pipelines.evaluation.benchmark import (
    ANCHORS,
    BLURRED,
    COPIED,
    GROUND_TRUTH,
    NOISE,
    SHUFFLED,
    Benchmark,
    Case,
    cases_fingerprint,
    system_folder,
)
from pipelines.evaluation.bootstrap import draw_counts, mean_estimate
from pipelines.evaluation.contenders import Shown
from pipelines.evaluation.frechet import MOST_FEATURES, Moments, projected
from pipelines.evaluation.metrics import METRICS
from pipelines.evaluation.score_page import score_page
from pipelines.evaluation.scoreboard import CaseFigures, compare, figures_csv
from schemas.errors import RecipeError

CASES = 30


def benchmark() -> Benchmark:
    cases = tuple(
        Case(
            case_id=f"{n:04d}", references=(f"media/r{n}.png",), driving=f"media/d{n % 10}.mp4", prompt="",
            tags={"identity": "cross", "speed": "fast" if n % 2 else "still"},
            subjects=(f"person {n}", f"driver {n // 2}"),
            sha256={f"media/r{n}.png": 2 * f"{n:032x}", f"media/d{n % 10}.mp4": 2 * f"{1000 + n % 10:032x}"},
        )
        for n in range(CASES)
    )  # fmt: skip
    return Benchmark(format_version=1, cases=cases, cases_fingerprint=cases_fingerprint(cases), made_by={})


def figures_of(pose: dict[str, float], frechet: dict[str, float]) -> dict[str, dict[str, CaseFigures]]:
    """Pose errors about these means; vectors of one feature about these means. Everything else is not measured."""
    rng = np.random.default_rng(0)
    hard_N = rng.normal(0, 0.02, CASES)
    none = dict.fromkeys(metric.name for metric in METRICS)
    return {
        name: {
            f"{n:04d}": CaseFigures(
                {**none, "pose_error_torso": mean + hard_N[n] + rng.normal(0, 0.002)},
                {"frechet_lite": Moments.of(rng.normal(frechet[name], 1, (20, 1)).astype(np.float32))},
            )
            for n in range(CASES)
        }
        for name, mean in pose.items()
    }


def shown(names: list[str]) -> list[Shown]:
    return [Shown(name, {}, {}) for name in names]


POSE = {"teacher": 0.3, "student": 0.31, GROUND_TRUTH: 0.1, COPIED: 0.6, SHUFFLED: 0.7, BLURRED: 0.05, NOISE: 0.1}
FRECHET = {"teacher": 1.0, "student": 2.0, GROUND_TRUTH: 0.0, COPIED: 4.0, SHUFFLED: 0.0, BLURRED: 3.0, NOISE: 3.0}


def row(result: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in result["metrics"] if each["metric"] == name)


def test_anchors_that_mislead_a_metric_or_that_it_does_not_see_are_named() -> None:
    result = compare(benchmark(), shown(list(POSE)), figures_of(POSE, FRECHET))
    pose = row(result, "pose_error_torso")
    assert pose["misled_by"] == [BLURRED], "blur wins over the ground truth"
    assert pose["blind_to"] == [NOISE]
    assert {each["metric"] for each in result["metrics"]} == {"pose_error_torso", "frechet_lite"}, "what was measured"


def test_differences_are_paired_so_that_hard_cases_do_not_hide_them() -> None:
    result = compare(benchmark(), shown(list(POSE)), figures_of(POSE, FRECHET))
    pose = row(result, "pose_error_torso")
    teacher, student = pose["figures"]["teacher"], pose["figures"]["student"]
    assert teacher["high"] > student["low"], "the intervals of the means overlap"
    assert pose["systems"] == [
        {"one": "teacher", "other": "student", "one_is": "better"},
        {"one": "teacher", "other": COPIED, "one_is": "better"},
        {"one": "student", "other": COPIED, "one_is": "better"},
    ]
    assert teacher["low"] < 0.3 < teacher["high"]
    distance = row(result, "frechet_lite")
    assert distance["figures"]["teacher"]["value"] == pytest.approx(1.0, abs=0.2)
    assert distance["systems"][0] == {"one": "teacher", "other": "student", "one_is": "better"}
    assert "against a reference held still" in score_page(result)


def test_only_cases_that_every_system_has_are_compared() -> None:
    figures = figures_of(POSE, FRECHET)
    # The student leaves out what is hard for it, at 9.0.
    for n in range(10):
        figures["student"].pop(f"{n:04d}")
        figures["teacher"][f"{n:04d}"] = CaseFigures(
            {**figures["teacher"][f"{n:04d}"].values, "pose_error_torso": 9.0}, {}
        )
    systems = [Shown("student", {}, {f"{n:04d}": "no output" for n in range(10)})]
    result = compare(benchmark(), [*shown(["teacher"]), *systems, *shown(list(ANCHORS))], figures)
    assert result["cases_compared"] == 20
    assert row(result, "pose_error_torso")["figures"]["teacher"]["value"] == pytest.approx(0.3, abs=0.05)
    assert row(result, "pose_error_torso")["figures"]["teacher"]["cases"] == 20
    assert len(result["systems"]["student"]["missing"]) == 10
    page = score_page(result)
    assert "student lacks 10" in page
    assert page.count("no output") == 10


def test_no_case_in_common() -> None:
    figures = figures_of(POSE, FRECHET)
    figures["student"].clear()
    result = compare(benchmark(), shown(list(POSE)), figures)
    assert result["cases_compared"] == 0
    assert result["metrics"] == []
    assert "0 of 30 cases" in score_page(result)


def test_names_and_reasons_stay_text() -> None:
    names = {**POSE, "<b>": 0.2}
    figures = figures_of(names, {**FRECHET, "<b>": 0.0})
    systems = [Shown("<b>", {}, {"0001": "<script>alert(1)</script>"})]
    result = compare(benchmark(), [*systems, *shown(list(ANCHORS))], figures)
    page = score_page(result)
    assert "<script>" not in page
    assert "<b></span>" not in page
    assert "&lt;script&gt;" in page


def test_by_tag_and_every_value() -> None:
    figures = figures_of(POSE, FRECHET)
    result = compare(benchmark(), shown(list(POSE)), figures)
    assert result["by_tag"]["speed: fast"]["cases"] == 15
    values = [figures["teacher"][f"{n:04d}"].values["pose_error_torso"] for n in range(1, CASES, 2)]
    assert result["by_tag"]["speed: fast"]["pose_error_torso"]["teacher"] == pytest.approx(np.mean(values), abs=1e-5)
    lines = figures_csv(figures).splitlines()
    assert lines[0] == "contender,case_id,metric,value"
    assert len(lines) == 1 + len(POSE) * CASES


def test_the_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    counts = draw_counts([str(n) for n in range(40)])
    covered = 0
    for _ in range(400):
        estimate = mean_estimate(list(rng.normal(2.0, 1.0, 40)), counts)
        assert estimate is not None
        covered += estimate.low <= 2.0 <= estimate.high
    assert 0.90 <= covered / 400 <= 0.98
    assert mean_estimate([None, None], draw_counts(["a", "b"])) is None
    some = mean_estimate([1.0, None, 1.0], draw_counts(["a", "b", "c"]))
    assert some is not None
    assert (some.value, some.low, some.high, some.cases) == (1.0, 1.0, 1.0, 2)


def test_cases_of_one_driver_are_drawn_together() -> None:
    """Ten drivers of four cases each, whose cases differ little: the truth is covered as with ten cases, not forty."""
    rng = np.random.default_rng(0)
    drivers = [f"driver {n // 4}" for n in range(40)]
    counts = draw_counts(drivers)
    assert (counts[:, ::4] == counts[:, 1::4]).all()
    covered = 0
    for _ in range(400):
        estimate = mean_estimate(list(np.repeat(rng.normal(2.0, 1.0, 10), 4) + rng.normal(0, 0.1, 40)), counts)
        assert estimate is not None
        covered += estimate.low <= 2.0 <= estimate.high
    assert 0.84 <= covered / 400 <= 0.96, "ten are few for a bootstrap; four of them are not more"


def test_a_distance_lies_within_its_interval_and_a_few_cases_decide_nothing() -> None:
    figures = figures_of(POSE, FRECHET)
    distance = row(compare(benchmark(), shown(list(POSE)), figures), "frechet_lite")["figures"]
    assert all(each["low"] <= each["value"] <= each["high"] for each in distance.values())
    few = Benchmark(format_version=1, cases=benchmark().cases[:8], cases_fingerprint="", made_by={})
    result = compare(few, shown(list(POSE)), figures)
    assert result["cases_compared"] == 8
    for name in ("pose_error_torso", "frechet_lite"):
        found = row(result, name)
        assert (found["misled_by"], found["blind_to"], found["systems"]) == ([], [], []), "eight cases of four drivers"


def test_long_vectors_are_projected_and_keep_their_distances() -> None:
    rng = np.random.default_rng(0)
    long_NF = rng.normal(0, 1, (50, 512)).astype(np.float32)
    short_NF = projected(long_NF)
    assert short_NF.shape == (50, MOST_FEATURES)
    kept = np.linalg.norm(np.diff(short_NF, axis=0), axis=1) / np.linalg.norm(np.diff(long_NF, axis=0), axis=1)
    assert 0.9 < np.mean(kept**2) < 1.1
    assert np.array_equal(projected(long_NF[:3]), short_NF[:3])
    assert projected(long_NF[:, :18]) is not None
    assert np.array_equal(projected(long_NF[:, :18]), long_NF[:, :18])


def test_no_system_has_an_anchors_name() -> None:
    with pytest.raises(RecipeError, match="the name of an anchor"):
        system_folder(Path("bench"), NOISE)


def test_anchors_belong_to_what_they_are_made_of() -> None:
    cases = benchmark().cases
    first, same_driving, other = (anchors_of(benchmark(), cases[n]) for n in (0, 10, 1))
    assert first[BLURRED].video_id == same_driving[BLURRED].video_id
    assert first[BLURRED].video_id != other[BLURRED].video_id
    assert first[COPIED].video_id != same_driving[COPIED].video_id, "each holds its own reference"
    # Cases 0 and 1 are driven by the same person.
    assert first[SHUFFLED].path == "media/d2.mp4"
    alone = Benchmark(format_version=1, cases=cases[:1], cases_fingerprint="", made_by={})
    assert SHUFFLED not in anchors_of(alone, cases[0])
