from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.decide import decide, policy_fingerprint
from curation.findings import find_all, needed_columns, reason_counts
from schemas.errors import RecipeError
from schemas.policy import Policy, Rule
from schemas.tables import DECISIONS


def table(**columns: list[Any]) -> pa.Table:
    rows = len(next(iter(columns.values())))
    names = ("style", "shot_scale", "licence", "consent", "copy_group", "take_clip")
    kinds = {"frames": pa.int64(), **dict.fromkeys(names, pa.string())}
    arrays = {name: pa.array(values, kinds.get(name, pa.float64())) for name, values in columns.items()}
    return pa.table({"clip_id": pa.array([f"c{i}" for i in range(rows)], pa.string()), **arrays})


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


def test_a_rule_on_names_says_which_name_and_which_are_accepted() -> None:
    clips = table(shot_scale=["full_body", "none", None])
    rule = Rule(score="shot_scale", one_of=("full_body", "half_body"))
    refused = "shot_scale none not in full_body, half_body"
    assert verdicts(clips, rule) == [[], [refused], ["shot_scale not measured"]]
    assert verdicts(clips, rule.model_copy(update={"unmeasured": "pass"})) == [[], [refused], []]


def test_a_rule_may_be_asked_of_some_styles_only() -> None:
    clips = table(quality=[0.1, 0.1, 0.1, None], style=["real", "anime", None, "real"])
    rule = Rule(score="quality", at_least=0.5, only_style=("real",))
    assert verdicts(clips, rule) == [["quality 0.1 < 0.5"], [], [], ["quality not measured"]]
    named = Rule(score="style", one_of=("real",), only_style=("anime",))
    assert verdicts(clips, named) == [[], ["style anime not in real"], [], []]


def test_what_must_be_stated_and_is_not_is_a_reason() -> None:
    clips = table(licence=["CC0", None, " "], consent=[None, "signed", "signed"])
    reasons = decide(clips, Policy(require=("licence", "consent"))).column("reasons").to_pylist()
    assert reasons == [["consent not stated"], ["licence not stated"], ["licence not stated"]]


def test_nan_is_not_a_measurement() -> None:
    clips = table(quality=[float("nan"), 0.9])
    assert verdicts(clips, Rule(score="quality", at_least=0.4)) == [["quality not measured"], []]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Policy(require=("license",)), "requires license: no such text column; did you mean licence"),
        (Policy(require=("quality",)), "requires quality: no such text column"),
        (Policy(rules=(Rule(score="quality", one_of=("good",)),)), "quality: its values are no names"),
        (Policy(rules=(Rule(score="licence", at_least=1),)), "licence: its values are no numbers"),
        (Policy(one_per_copy_group=True), "lacks copy_group and copy_quality"),
        (Policy(keep_takes_together=True), "lacks take_clip"),
    ],
)
def test_a_policy_that_does_not_fit_the_table_is_refused(policy: Policy, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        decide(table(quality=[1.0], licence=["CC0"]), policy)


def copies(clips: pa.Table, *rules: Rule) -> list[list[str]]:
    reasons: list[list[str]] = decide(clips, Policy(rules=rules, one_per_copy_group=True)).column("reasons").to_pylist()
    return reasons


def test_of_the_copies_the_best_is_kept_and_the_others_name_it() -> None:
    clips = table(copy_group=["g", None, "g", "h", "g", None], copy_quality=[0.2, 0.1, 0.9, 0.1, None, 0.1])
    assert copies(clips) == [["copy of c2"], [], [], [], ["copy of c2"], []]


def test_of_equally_good_copies_the_first_by_name_is_kept() -> None:
    clips = table(copy_group=["g", "g", "g"], copy_quality=[0.5, 0.5, 0.1])
    shuffled = clips.set_column(0, "clip_id", pa.array(["z", "b", "a"]))
    assert copies(shuffled) == [["copy of b"], [], ["copy of b"]]


def test_a_copy_that_something_else_speaks_against_does_not_count() -> None:
    clips = table(copy_group=["g", "g", "g"], copy_quality=[0.9, 0.5, 0.1], quality=[0.1, 1.0, 1.0])
    assert copies(clips, Rule(score="quality", at_least=0.5)) == [["quality 0.1 < 0.5"], [], ["copy of c1"]]
    assert copies(table(copy_group=[None], copy_quality=[None])) == [[]]


def takes(clips: pa.Table, **policy: bool) -> list[list[str]]:
    low = Rule(score="quality", at_least=0.5)
    whole = Policy(rules=(low,), keep_takes_together=True, **policy)
    reasons: list[list[str]] = decide(clips, whole).column("reasons").to_pylist()
    return reasons


def test_of_a_take_all_views_are_kept_or_none() -> None:
    clips = table(take_clip=["t", None, "u", "t", "u", "t"], quality=[1.0, 0.1, 1.0, 0.3, 1.0, 1.0])
    because = ["sibling c3: quality 0.3 < 0.5"]
    assert takes(clips) == [because, ["quality 0.1 < 0.5"], [], ["quality 0.3 < 0.5"], [], because]


def test_a_rejected_view_names_another_rejected_one_and_everything_against_it() -> None:
    clips = table(take_clip=["t", "t", "t"], quality=[0.1, 0.2, 0.9], licence=[None, "CC0", "CC0"])
    policy = Policy(rules=(Rule(score="quality", at_least=0.5),), require=("licence",), keep_takes_together=True)
    first = "sibling c0: licence not stated; quality 0.1 < 0.5"
    assert decide(clips, policy).column("reasons").to_pylist() == [
        ["licence not stated", "quality 0.1 < 0.5", "sibling c1: quality 0.2 < 0.5"],
        ["quality 0.2 < 0.5", first],
        [first],
    ]


def test_whole_takes_of_a_table_without_takes_change_nothing() -> None:
    assert takes(table(take_clip=[None, None], quality=[0.9, 0.1])) == [[], ["quality 0.1 < 0.5"]]
    assert takes(table(take_clip=[], quality=[])) == []


def test_of_two_copies_of_a_take_one_is_kept_whole() -> None:
    # Clip by clip the best would be c0 of the first take and c3 of the second: no pair would be left.
    copied = table(
        take_clip=["t", "t", "u", "u"],
        copy_group=["g", "h", "g", "h"],
        copy_quality=[0.9, 0.2, 0.8, 0.3],
        quality=[1.0] * 4,
    )
    assert takes(copied, one_per_copy_group=True) == [
        ["copy of c2", "sibling c1: copy of c3"],
        ["copy of c3", "sibling c0: copy of c2"],
        [],
        [],
    ]


def test_a_copy_whose_sibling_is_rejected_does_not_count() -> None:
    copied = table(
        take_clip=["t", "t", None], copy_group=["g", None, "g"], copy_quality=[0.9, None, 0.1], quality=[1.0, 0.2, 1.0]
    )
    assert takes(copied, one_per_copy_group=True) == [["sibling c1: quality 0.2 < 0.5"], ["quality 0.2 < 0.5"], []]


def test_a_sibling_that_is_a_copy_takes_its_take_along() -> None:
    copied = table(
        take_clip=["t", "t", None], copy_group=["g", None, "g"], copy_quality=[0.1, None, 0.9], quality=[1.0] * 3
    )
    assert takes(copied, one_per_copy_group=True) == [["copy of c2"], ["sibling c0: copy of c2"], []]


def test_a_value_that_would_read_like_its_bound_gets_all_digits() -> None:
    clips = table(quality=[0.39999999, 0.3999], frames=[123456, 9])
    rules = (Rule(score="quality", at_least=0.4), Rule(score="frames", at_most=10.5))
    assert verdicts(clips, *rules) == [["quality 0.39999999 < 0.4", "frames 123456 > 10.5"], ["quality 0.3999 < 0.4"]]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=50))
def test_a_reason_shows_the_value_to_four_digits(values: list[float]) -> None:
    reasons = verdicts(table(s=values), Rule(score="s", at_least=1e301))
    shown = [float(row[0].split()[1]) for row in reasons]
    assert shown == pytest.approx(values, rel=6e-4, abs=0)


def test_only_the_columns_that_a_policy_asks_for_are_needed() -> None:
    clips = table(quality=[0.1], contrast=[0.1], style=["real"], licence=[None], copy_group=["g"], copy_quality=[1.0])
    kinds = {field.name: field.type for field in clips.schema}
    low = Rule(score="quality", at_least=0.5)
    assert needed_columns(Policy(rules=(low,)), kinds) == ["clip_id", "quality"]
    excused = low.model_copy(update={"unless_style": ("anime",)})
    full = Policy(rules=(excused,), require=("licence",), one_per_copy_group=True)
    named = needed_columns(full, kinds)
    assert named == ["clip_id", "quality", "style", "licence", "copy_group", "copy_quality"]
    assert decide(clips.select(named), full).equals(decide(clips, full))
    assert needed_columns(Policy(keep_takes_together=True), {**kinds, "take_clip": pa.string()}) == [
        "clip_id",
        "take_clip",
    ]


def test_reasons_are_counted_by_column_for_all_clips_or_some() -> None:
    clips = table(quality=[0.1, 0.9, 0.1], licence=[None, None, "CC0"])
    policy = Policy(rules=(Rule(score="quality", at_least=0.5, at_most=0.8),), require=("licence",))
    findings = find_all(clips, policy)
    assert reason_counts(findings) == {"quality": 3, "licence": 2}
    assert reason_counts(findings, np.array([False, False, True])) == {"quality": 1}


def test_a_key_at_its_default_does_not_change_the_name_of_a_policy() -> None:
    assert policy_fingerprint(Policy()) == policy_fingerprint(Policy(require=(), one_per_copy_group=False))
    assert policy_fingerprint(Policy()) != policy_fingerprint(Policy(one_per_copy_group=True))
    low, high = Rule(score="s", at_least=0), Rule(score="s", at_most=0)
    assert policy_fingerprint(Policy(rules=(low,))) != policy_fingerprint(Policy(rules=(high,)))


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
