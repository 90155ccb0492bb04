from __future__ import annotations

import numpy as np
import pyarrow as pa

from curation.findings import find_all
from pipelines.report_borderline import borderline, nearest_to
from pipelines.report_plots import Threshold
from pipelines.report_rules import RuleCost, rule_costs
from schemas.policy import Policy, Rule


def test_both_sides_come_nearest_first_and_at_most_as_many_as_asked() -> None:
    values_N = np.array([0.1, 0.35, 0.4, 0.9, 0.3, 0.5])
    asked_N = np.ones(6, dtype=np.bool_)
    assert nearest_to(values_N, asked_N, Threshold(0.4, at_least=True), 2) == ([2, 5], [1, 4])
    assert nearest_to(values_N, asked_N, Threshold(0.4, at_least=False), 9) == ([2, 1, 4, 0], [5, 3])


def test_what_was_not_asked_is_not_shown() -> None:
    values_N = np.array([0.0, 0.39, 0.41])
    assert nearest_to(values_N, np.array([True, False, True]), Threshold(0.4, at_least=True)) == ([2], [0])


def test_equal_distances_keep_their_order() -> None:
    values_N = np.array([0.5, 0.5, 0.25, 0.25])
    bound = Threshold(0.375, at_least=True)
    assert nearest_to(values_N, np.ones(4, dtype=np.bool_), bound, 1) == ([0], [2])


def test_every_bound_of_every_rule_has_its_clips_unmeasured_and_excused_ones_left_out() -> None:
    clips = pa.table(
        {
            "clip_id": ["a", "b", "c", "d"],
            "style": ["real", "real", "anime", "real"],
            "shot_scale": ["none"] * 4,
            "s": [1.0, 3.0, 2.0, None],
        }
    )
    rules = (
        Rule(score="shot_scale", one_of=("full_body",)),
        Rule(score="s", at_least=2, at_most=2.5, unless_style=("anime",)),
    )
    low, high = borderline(clips, Policy(rules=rules))
    assert (low.bound, low.passing, low.failing) == (Threshold(2, True), ((1, 3.0),), ((0, 1.0),))
    assert (high.bound, high.passing, high.failing) == (Threshold(2.5, False), ((0, 1.0),), ((1, 3.0),))


def test_a_rule_costs_what_it_rejects_and_alone_what_nothing_else_does() -> None:
    clips = pa.table({"clip_id": ["a", "b", "c", "d"], "s": [0.1, 0.1, 0.9, 0.9], "t": [0.1, 0.9, None, 0.9]})
    rules = (Rule(score="s", at_least=0.5), Rule(score="t", at_least=0.5), Rule(score="s", at_most=1))
    assert rule_costs(find_all(clips, Policy(rules=rules)), 4) == [
        RuleCost("s >= 0.5", rejected=2, keep_rate=0.5, only_this=1),
        RuleCost("t >= 0.5", rejected=2, keep_rate=0.5, only_this=1),
        RuleCost("s <= 1", rejected=0, keep_rate=1.0, only_this=0),
    ]
    assert rule_costs(find_all(clips.slice(0, 0), Policy(rules=rules)), 0)[0].keep_rate == 1.0
