"""How far a mean over cases may be trusted. Axes: D draws, N cases, G groups of cases.

Cases that share a driving video's subject succeed and fail together: subjects are drawn, with all their cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 2_000
FEWEST_GROUPS = 6
"""Of fewer independent cases an interval says nothing: where nothing differs, one of two of them is "decided"."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95% interval. cases: how many have a value."""

    value: float
    low: float
    high: float
    cases: int

    def row(self) -> dict[str, float | int]:
        return {
            "value": round(self.value, 5), "low": round(self.low, 5), "high": round(self.high, 5), "cases": self.cases,
        }  # fmt: skip


def draw_counts(groups: Sequence[str], draws: int = DRAWS, seed: int = 0) -> NDArray[np.int64]:
    """(D, N): how often each case is in each draw. The same for all systems, so that their draws are paired.

    groups: of every case, whom it shares with others.
    """
    _, group_N = np.unique(np.asarray(groups), return_inverse=True)
    found = int(group_N.max()) + 1
    counts_DG = np.random.default_rng(seed).multinomial(found, np.full(found, 1 / found), draws)
    counts_DN: NDArray[np.int64] = counts_DG[:, group_N]
    return counts_DN


def interval(drawn_D: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95% of the draws."""
    low, high = np.quantile(drawn_D, (0.025, 0.975))
    return float(low), float(high)


def mean_estimate(values: Sequence[float | None], counts_DN: NDArray[np.int64]) -> Estimate | None:
    """Mean over the cases that have a value; None when none has. Percentile bootstrap over the cases."""
    measured = np.array([value is not None for value in values])
    if not measured.any():
        return None
    value_N = np.array([0.0 if value is None else value for value in values])
    weight_D = counts_DN @ measured
    # A draw that holds none of the measured cases has no mean; with a handful of cases that happens.
    drawn_D = (counts_DN @ value_N)[weight_D > 0] / weight_D[weight_D > 0]
    return Estimate(float(value_N[measured].mean()), *interval(drawn_D), int(measured.sum()))
