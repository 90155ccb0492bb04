"""Systems and anchors beside each other: every metric with its interval, who is better, which metrics are misled.

Axes: D draws of the bootstrap, N cases.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.anchors import Watched
from pipelines.evaluation.benchmark import ANCHORS, COPIED, GROUND_TRUTH, Benchmark, Case, System
from pipelines.evaluation.bootstrap import FEWEST_GROUPS, Estimate, draw_counts, interval, mean_estimate
from pipelines.evaluation.contenders import Shown, contenders, without_unwatched
from pipelines.evaluation.frechet import Moments, frechet_distance, joined, projected
from pipelines.evaluation.metrics import METRICS, SET_METRICS, Metric, Seen, SetMetric
from pipelines.evaluation.observation import Observation
from pipelines.evaluation.observe_stage import Observations
from schemas.scores import Direction

_FEW = f"{{}} drivers, fewer than {FEWEST_GROUPS}: no metric and no system is judged"
SET_DRAWS = 200
"""Draws of a set's metric, which is calculated anew in each."""


@dataclass(frozen=True, slots=True)
class CaseFigures:
    """One contender's values of one case, by metric, and the sums of its vectors, by metric of a set."""

    values: Mapping[str, float | None]
    moments: Mapping[str, Moments]


Figures = Mapping[str, Mapping[str, CaseFigures]]
"""By contender and case."""


def case_figures(case: Case, watched: Mapping[str, Watched], observations: Observations) -> dict[str, CaseFigures]:
    """Of every contender that has a video of this case; memory holds the videos of one case."""
    seen = {name: observations.load(each) for name, each in watched.items()}
    driving = seen.get(GROUND_TRUTH)
    if driving is None:
        return {}
    reference, is_cross = seen.get(COPIED), case.tags.get("identity") != "same"
    return {
        name: _figures(Seen(output, driving, reference, is_cross))
        for name, output in seen.items()
        if output is not None
    }


def _figures(seen: Seen) -> CaseFigures:
    values = {metric.name: metric.of_case(seen) for metric in METRICS}
    return CaseFigures(values, {metric.name: made for metric in SET_METRICS if (made := _moments(metric, seen.output))})


def _moments(metric: SetMetric, output: Observation) -> Moments | None:
    features_NF = output.facts.get(metric.fact)
    return None if features_NF is None or not len(features_NF) else Moments.of(projected(features_NF))


def compare(benchmark: Benchmark, shown: Sequence[Shown], figures: Figures) -> dict[str, Any]:
    """The whole result as plain values.

    Figures are over the cases of which every system has an output, so that nobody gains by leaving out hard ones.
    """
    systems = [each for each in shown if each.name not in ANCHORS]
    names = [each.name for each in shown]
    compared = [case for case in benchmark.cases if all(case.case_id in figures[system.name] for system in systems)]
    board, drivers = _Board(compared, figures), len({case.subjects[1] for case in compared})
    rows = [board.row(metric, names) for metric in METRICS]
    rows += [board.row(metric, names) for metric in SET_METRICS]
    return {
        "cases_fingerprint": benchmark.cases_fingerprint,
        "cases": len(benchmark.cases),
        "cases_compared": len(compared),
        "why_not_judged": None if drivers >= FEWEST_GROUPS else _FEW.format(drivers),
        "cases_unwatched": next((dict(each.missing) for each in shown if each.name == GROUND_TRUTH), {}),
        "systems": {each.name: {"outputs": len(each.videos), "missing": dict(each.missing)} for each in systems},
        "anchors": [name for name in names if name in ANCHORS],
        "metrics": [row for row in rows if row["figures"]],
        "by_tag": _by_tag(compared, [each.name for each in systems], figures),
    }


class _Board:
    """The compared cases, and the draws that all contenders share."""

    def __init__(self, cases: Sequence[Case], figures: Figures) -> None:
        self._cases, self._figures = cases, figures
        self._drivers = np.array([case.subjects[1] for case in cases])
        self._counts_DN = draw_counts([case.subjects[1] for case in cases]) if cases else np.zeros((0, 0), np.int64)
        self._drawn: dict[tuple[str, str], NDArray[np.float64] | None] = {}

    def row(self, metric: Metric | SetMetric, names: Sequence[str]) -> dict[str, Any]:
        estimates = {name: each.row() for name in names if (each := self._estimate(metric, name)) is not None}
        judged = [(rival, self._against(metric, rival, metric.ideal)) for rival in metric.rivals if metric.ideal]
        # A system that does worse than holding its reference has learnt nothing of that.
        systems = [name for name in names if name not in ANCHORS or name == COPIED]
        pairs = [(one, other, self._against(metric, one, other)) for one, other in itertools.combinations(systems, 2)]
        return {
            "metric": metric.name,
            "unit": metric.unit,
            "direction": metric.direction,
            "about": metric.about,
            "figures": estimates,
            "ideal": metric.ideal,
            "misled_by": [rival for rival, verdict in judged if verdict == "better"],
            "blind_to": [rival for rival, verdict in judged if verdict == "same"],
            "systems": [
                {"one": one, "other": other, "one_is": verdict} for one, other, verdict in pairs if verdict is not None
            ],
        }

    def _estimate(self, metric: Metric | SetMetric, name: str) -> Estimate | None:
        if not self._cases:
            return None
        if isinstance(metric, Metric):
            return mean_estimate(self._values(metric, name), self._counts_DN)
        drawn_D, whole = self._drawn_distances(metric, name), self._distance(metric, name)
        if drawn_D is None or whole is None:
            return None
        low, high = interval(drawn_D)
        measured = sum(bool(self._moments(metric, name, case)) for case in self._cases)
        return Estimate(whole, max(0.0, low), high, measured)

    def _against(self, metric: Metric | SetMetric, one: str, other: str) -> str | None:
        """Whether `one` is better, worse or the same: the interval of the paired difference holds 0.

        None where too few cases have both.
        """
        drawn_D = self._differences(metric, one, other)
        if drawn_D is None or metric.direction == "neutral":
            return None
        low, high = interval(drawn_D)
        if low <= 0 <= high:
            return "same"
        return _verdict(low, metric.direction)

    def _differences(self, metric: Metric | SetMetric, one: str, other: str) -> NDArray[np.float64] | None:
        if not self._cases:
            return None
        if isinstance(metric, SetMetric):
            both_N = np.array([all(self._moments(metric, name, case) for name in (one, other)) for case in self._cases])
            drawn = [self._drawn_distances(metric, name) for name in (one, other)]
            if drawn[0] is None or drawn[1] is None:
                return None
            apart_D = drawn[0] - drawn[1]
        else:
            pairs = list(zip(self._values(metric, one), self._values(metric, other), strict=True))
            both_N = np.array([first is not None and second is not None for first, second in pairs])
            apart_N = np.array([0.0 if a is None or b is None else a - b for a, b in pairs])
            weight_D = self._counts_DN @ both_N
            apart_D = (self._counts_DN @ apart_N)[weight_D > 0] / weight_D[weight_D > 0]
        return apart_D if len(np.unique(self._drivers[both_N])) >= FEWEST_GROUPS else None

    def _values(self, metric: Metric, name: str) -> list[float | None]:
        found = [self._figures[name].get(case.case_id) for case in self._cases]
        return [None if each is None else each.values[metric.name] for each in found]

    def _moments(self, metric: SetMetric, name: str, case: Case) -> Moments | None:
        figures = self._figures[name].get(case.case_id)
        return None if figures is None else figures.moments.get(metric.name)

    def _drawn_distances(self, metric: SetMetric, name: str) -> NDArray[np.float64] | None:
        """About the distance of the cases as they are: a draw holds fewer different ones, which makes it larger."""
        key = metric.name, name
        if key not in self._drawn:
            whole = self._distance(metric, name)
            drawn = [self._distance(metric, name, counts_N) for counts_N in self._counts_DN[:SET_DRAWS]]
            found = np.array([distance for distance in drawn if distance is not None])
            usable = whole is not None and len(found) == len(drawn)
            self._drawn[key] = found - found.mean() + whole if usable else None
        return self._drawn[key]

    def _distance(self, metric: SetMetric, name: str, counts_N: NDArray[np.int64] | None = None) -> float | None:
        """To the driving videos of these cases; None where one of both has no vector."""
        times = np.ones(len(self._cases), np.int64) if counts_N is None else counts_N
        sets = []
        for contender in (name, metric.ideal):
            parts = [
                moments.times(float(count))
                for case, count in zip(self._cases, times, strict=True)
                if count and (moments := self._moments(metric, contender, case)) is not None
            ]
            if not parts:
                return None
            sets.append(joined(parts))
        return frechet_distance(sets[0], sets[1])


def _verdict(difference: float, direction: Direction) -> str:
    return "better" if (difference < 0) == (direction == "lower_is_better") else "worse"


def _by_tag(cases: Sequence[Case], systems: Sequence[str], figures: Figures) -> dict[str, Any]:
    """Means by tag, metric and system."""
    found: dict[str, Any] = {}
    for tag, value in sorted({item for case in cases for item in case.tags.items()}):
        tagged = [case.case_id for case in cases if case.tags.get(tag) == value]
        by_metric = {
            metric.name: {
                system: round(float(np.mean(values)), 5)
                for system in systems
                if (values := [v for c in tagged if (v := figures[system][c].values[metric.name]) is not None])
            }
            for metric in METRICS
        }
        found[f"{tag}: {value}"] = {"cases": len(tagged), **{name: row for name, row in by_metric.items() if row}}
    return found


def figures_csv(figures: Figures) -> str:
    """A line per contender, case and metric that has a value, for other programs."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["contender", "case_id", "metric", "value"])
    for name, by_case in figures.items():
        for case_id, each in sorted(by_case.items()):
            writer.writerows(
                [name, case_id, metric, f"{value:.6g}"] for metric, value in each.values.items() if value is not None
            )
    return text.getvalue()


def score_benchmark(
    bench: Path, benchmark: Benchmark, systems: Sequence[System], runner: str = "local", workers: int = 0
) -> tuple[dict[str, Any], Figures]:
    """Looks at every video that was not looked at yet, and compares. Returns: the result, and the single values.

    Raises: RecipeError, DataError as `contenders`; ResourceError for incomplete weights.
    """
    from pipelines.folder_lock import only_one
    from pipelines.progress import track

    shown = contenders(bench, benchmark, systems)
    observations = Observations(bench)
    with only_one(bench, "evaluate score"):
        observations.make([watched for each in shown for watched in each.videos.values()], runner, workers)
    shown = [without_unwatched(each, observations) for each in shown]
    figures: dict[str, dict[str, CaseFigures]] = {each.name: {} for each in shown}
    for case in track(benchmark.cases, "compare", len(benchmark.cases)):
        watched = {each.name: each.videos[case.case_id] for each in shown if case.case_id in each.videos}
        for name, made in case_figures(case, watched, observations).items():
            figures[name][case.case_id] = made
    return compare(benchmark, shown, figures), figures
