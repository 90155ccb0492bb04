from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.policy import Policy, Rule


def test_zero_is_a_real_bound() -> None:
    rule = Rule(score="motion", at_least=0.0)
    assert rule.at_least == 0.0
    assert rule.at_most is None


def test_a_rule_needs_a_bound() -> None:
    with pytest.raises(ValidationError, match="rule on quality has neither at_least nor at_most"):
        Rule(score="quality")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"one_of": ("a",), "at_least": 1}, "one_of is for names"),
        ({"one_of": ()}, "nothing could pass"),
        ({"at_least": 1, "unless_style": ("real",), "only_style": ("anime",)}, "not both"),
    ],
)
def test_a_rule_asks_one_thing(extra: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Rule(score="quality", **extra)


def test_bounds_that_exclude_everything_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"at_least 2.0 is above at_most 1.0"):
        Rule(score="quality", at_least=2.0, at_most=1.0)


def test_a_single_allowed_value_is_allowed() -> None:
    assert Rule(score="people_max", at_least=1, at_most=1).at_most == 1


@pytest.mark.parametrize("bound", [float("nan"), "much"])
def test_a_bound_is_a_number(bound: object) -> None:
    with pytest.raises(ValidationError):
        Rule(score="quality", at_least=bound)  # type: ignore[arg-type]


def test_an_unknown_answer_to_unmeasured_is_refused() -> None:
    with pytest.raises(ValidationError, match="reject"):
        Rule(score="quality", at_least=1, unmeasured="drop")  # type: ignore[arg-type]


def test_policies_of_equal_rules_are_equal() -> None:
    rules = [{"score": "quality", "at_least": 0.5, "unless_style": ["cartoon"]}]
    assert Policy.model_validate({"rules": rules}) == Policy(
        rules=(Rule(score="quality", at_least=0.5, unless_style=("cartoon",)),)
    )
