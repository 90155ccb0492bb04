from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.decide import decide, policy_fingerprint
from schemas.errors import RecipeError
from schemas.policy import Policy, Rule
from schemas.tables import DECISIONS


def table(**columns: list[Any]) -> pa.Table:
    rows = len(next(iter(columns.values())))
    kinds = {"style": pa.string(), "shot_scale": pa.string(), "frames": pa.int64()}
    arrays = {name: pa.array(values, kinds.get(name, pa.float64())) for name, values in columns.items()}
    return pa.table({"clip_id": [f"c{i}" for i in range(rows)], **arrays})


def verdicts(clips: pa.Table, *rules: Rule, accept_styles: tuple[str, ...] = ()) -> list[list[str]]:
    """Reasons per clip; a clip is kept exactly when it has none."""
    decisions = decide(clips, Policy(rules=rules, accept_styles=accept_styles))
    reasons: list[list[str]] = decisions.column("reasons").to_pylist()
    assert decisions.column("kept").to_pylist() == [not row for row in reasons]
    return reasons


def test_every_broken_rule_is_a_reason_with_value_and_threshold() -> None:
    clips = table(quality=[0.9, 0.25], frames=[30, 7])
    rules = (Rule(score="quality", at_least=0.4), Rule(score="frames", at_least=10, at_most=20))
    assert verdicts(clips, *rules) == [["frames 30 > 20"], ["quality 0.25 < 0.4", "frames 7 < 10"]]


def test_a_value_on_the_threshold_passes() -> None:
    clips = table(quality=[0.4])
    assert verdicts(clips, Rule(score="quality", at_least=0.4, at_most=0.4)) == [[]]


def test_zero_is_a_real_threshold() -> None:
    clips = table(freeze_fraction=[0.0, 1e-3], quality=[0.0, -0.1])
    rules = (Rule(score="freeze_fraction", at_most=0), Rule(score="quality", at_least=0))
    assert verdicts(clips, *rules) == [[], ["freeze_fraction 0.001 > 0", "quality -0.1 < 0"]]


def test_what_was_not_measured_is_rejected_unless_the_rule_lets_it_pass() -> None:
    clips = table(quality=[None, 0.2])
    assert verdicts(clips, Rule(score="quality", at_least=0.0)) == [["quality not measured"], []]
    assert verdicts(clips, Rule(score="quality", at_least=0.4, unmeasured="pass")) == [[], ["quality 0.2 < 0.4"]]


def test_a_rule_is_not_asked_of_excused_styles() -> None:
    clips = table(person_fraction=[0.0, 0.0, None, None], style=["stylised", "real", "stylised", None])
    rule = Rule(score="person_fraction", at_least=0.6, unless_style=("stylised",))
    assert verdicts(clips, rule) == [[], ["person_fraction 0 < 0.6"], [], ["person_fraction not measured"]]


def test_styles_that_are_not_accepted_are_refused_by_name() -> None:
    clips = table(quality=[1.0, 1.0, 1.0], style=["real", "screen", None])
    assert verdicts(clips, accept_styles=("real", "stylised")) == [[], ["style screen not in real, stylised"], []]
    assert verdicts(clips) == [[], [], []]


def test_a_table_without_styles_has_none_declared() -> None:
    rule = Rule(score="quality", at_least=0.5, unless_style=("stylised",))
    assert verdicts(table(quality=[0.1]), rule, accept_styles=("real",)) == [["quality 0.1 < 0.5"]]


def test_an_unknown_score_names_the_nearest_known_one() -> None:
    with pytest.raises(RecipeError, match="did you mean quality"):
        decide(table(quality=[1.0]), Policy(rules=(Rule(score="qualty", at_least=0),)))
    with pytest.raises(RecipeError, match="known scores: quality"):
        decide(table(quality=[1.0]), Policy(rules=(Rule(score="zzz", at_least=0),)))


def test_a_column_of_names_cannot_have_a_threshold() -> None:
    with pytest.raises(RecipeError, match="shot_scale"):
        decide(table(shot_scale=["close_up"], quality=[1.0]), Policy(rules=(Rule(score="shot_scale", at_least=0),)))


def test_no_clips_give_an_empty_table_of_the_same_columns() -> None:
    decisions = decide(table(quality=[]), Policy(rules=(Rule(score="quality", at_least=0.5),)))
    assert decisions.num_rows == 0
    assert decisions.schema == DECISIONS


def test_verdicts_name_the_policy_that_gave_them() -> None:
    strict, lax = (Policy(rules=(Rule(score="quality", at_least=bound),)) for bound in (0.8, 0.2))
    named = decide(table(quality=[0.5]), strict).column("policy_fingerprint").to_pylist()
    assert named == [policy_fingerprint(strict)]
    assert policy_fingerprint(strict) != policy_fingerprint(lax)


def test_chunked_tables_are_decided_like_whole_ones() -> None:
    whole = table(quality=[0.1, 0.9, None, 0.3], style=["real", None, "screen", "real"])
    chunked = pa.concat_tables([whole.slice(0, 1), whole.slice(1, 3)])
    policy = Policy(rules=(Rule(score="quality", at_least=0.2),), accept_styles=("real",))
    assert decide(chunked, policy).equals(decide(whole, policy))


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(st.none() | st.floats(-5, 5), max_size=30),
    at_least=st.none() | st.floats(-5, 0),
    at_most=st.none() | st.floats(0, 5),
    reject=st.booleans(),
)
def test_verdicts_are_those_of_the_rule_read_aloud(
    values: list[float | None], at_least: float | None, at_most: float | None, reject: bool
) -> None:
    if at_least is None and at_most is None:
        at_least = 0.0
    rule = Rule(score="s", at_least=at_least, at_most=at_most, unmeasured="reject" if reject else "pass")
    expected = []
    for value in values:
        if value is None:
            expected.append(not reject)
        else:
            expected.append((at_least is None or value >= at_least) and (at_most is None or value <= at_most))
    assert decide(table(s=values), Policy(rules=(rule,))).column("kept").to_pylist() == expected


@pytest.mark.slow
def test_a_million_stored_rows_are_decided_in_seconds() -> None:
    rows = 1_000_000
    rng = np.random.default_rng(0)
    scores = {f"score_{i}": rng.random(rows) for i in range(10)}
    clips = pa.table({"clip_id": pa.array(np.arange(rows).astype(str)), **scores})
    policy = Policy(rules=tuple(Rule(score=name, at_least=0.1) for name in scores))
    began_s = time.perf_counter()
    decisions = decide(clips, policy)
    assert time.perf_counter() - began_s < 10
    kept_share = sum(decisions.column("kept").to_pylist()) / rows
    assert kept_share == pytest.approx(0.9**10, abs=0.01)
