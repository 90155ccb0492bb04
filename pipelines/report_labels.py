"""Label quality in the report of a DATASET: how each measure is distributed, and which samples are worst by it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipelines.report_plots import histogram
from schemas.index import SampleEntry
from schemas.label_quality import LABEL_QUALITY
from schemas.scores import ScoreSpec

WORST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Worst:
    """The samples with the least good values of one measure, worst first; equal ones in the order of the dataset."""

    spec: ScoreSpec
    better: str
    samples: tuple[tuple[str, float], ...]


def quality_plots(entries: Sequence[SampleEntry]) -> list[Markup]:
    """A histogram for every measure that at least one sample has."""
    plots = []
    for spec in LABEL_QUALITY:
        values = [value for _, value in _measured(entries, spec.name)]
        if values:
            missing = len(entries) - len(values)
            unit = f"{spec.unit} · {missing} not measured" if missing else spec.unit
            plots.append(histogram(values, (), (), spec.name, unit, verdicts=False))
    return plots


def worst_samples(entries: Sequence[SampleEntry], count: int = WORST_SHOWN) -> list[Worst]:
    """For every measure in which the samples differ, at most `count` of them that are worse than the best."""
    found = []
    for spec in LABEL_QUALITY:
        higher = spec.direction == "higher_is_better"
        ranked = sorted(_measured(entries, spec.name), key=lambda item: item[1] if higher else -item[1])
        worse = tuple(item for item in ranked if item[1] != ranked[-1][1])
        if worse:
            found.append(Worst(spec, "higher is better" if higher else "lower is better", worse[:count]))
    return found


def quality_rows(entry: SampleEntry) -> list[tuple[str, float | None, str]]:
    """(measure, value, unit) of one sample; empty for a dataset of before label quality."""
    if not entry.label_quality:
        return []
    return [(spec.name, entry.label_quality.get(spec.name), spec.unit) for spec in LABEL_QUALITY]


def _measured(entries: Iterable[SampleEntry], name: str) -> list[tuple[str, float]]:
    return [(entry.key, value) for entry in entries if (value := entry.label_quality.get(name)) is not None]
