"""What each demand of a policy costs: how many clips it rejects, and how many only it rejects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curation.findings import Finding


@dataclass(frozen=True, slots=True)
class RuleCost:
    """One demand of a policy over all clips of a run.

    keep_rate: share of all clips that this demand lets through, 0-1; 1 for a run without clips.
    only_this: clips that would be kept without this demand.
    """

    demand: str
    rejected: int
    keep_rate: float
    only_this: int


def rule_costs(findings: Sequence[Finding], clips: int) -> list[RuleCost]:
    """One row per demand, in the order of the policy, also for those that reject nothing."""
    against_N = np.zeros(clips, dtype=np.int64)
    for finding in findings:
        against_N[finding.rows_N] += 1
    return [
        RuleCost(
            demand=finding.demand,
            rejected=len(finding.rows_N),
            keep_rate=1 - len(finding.rows_N) / clips if clips else 1.0,
            only_this=int((against_N[finding.rows_N] == 1).sum()),
        )
        for finding in findings
    ]
