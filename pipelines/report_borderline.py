"""Which clips lie closest to a threshold, on either side of it: where to look when choosing another one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.findings import asked_rows, numbers_of
from pipelines.report_plots import Threshold
from schemas.policy import Policy

SHOWN_PER_SIDE = 6


@dataclass(frozen=True, slots=True)
class Borderline:
    """Rows of `clips/` nearest to one threshold, nearest first, with their values."""

    score: str
    bound: Threshold
    passing: tuple[tuple[int, float], ...]
    failing: tuple[tuple[int, float], ...]


def nearest_to(
    values_N: NDArray[np.float64], asked_N: NDArray[np.bool_], bound: Threshold, count: int = SHOWN_PER_SIDE
) -> tuple[list[int], list[int]]:
    """Rows just on the passing and just on the failing side of a bound, at most `count` each, by abs(value - bound).

    asked_N: the rows that count: measured, and of a style that the rule is asked of.
    A value on the bound passes. Rows of equal distance keep their order.
    """
    passes_N = values_N >= bound.value if bound.at_least else values_N <= bound.value
    distance_N = np.abs(values_N - bound.value)
    passing, failing = (
        rows_N[np.argsort(distance_N[rows_N], kind="stable")[:count]].tolist()
        for rows_N in (np.flatnonzero(asked_N & passes_N), np.flatnonzero(asked_N & ~passes_N))
    )
    return passing, failing


def borderline(clips: pa.Table, policy: Policy, count: int = SHOWN_PER_SIDE) -> list[Borderline]:
    """For every bound of every rule, in the order of the policy; whatever the clip's other scores say."""
    found = []
    for rule in policy.rules:
        if rule.one_of is not None:
            continue
        values_N, known_N = numbers_of(clips, rule.score)
        asked_N = known_N & asked_rows(clips, rule)
        for value, at_least in ((rule.at_least, True), (rule.at_most, False)):
            if value is None:
                continue
            bound = Threshold(value, at_least)
            sides = (
                tuple((row, float(values_N[row])) for row in rows)
                for rows in nearest_to(values_N, asked_N, bound, count)
            )
            found.append(Borderline(rule.score, bound, *sides))
    return found
