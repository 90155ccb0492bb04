"""Questions become SQL whose text is ours alone."""

from __future__ import annotations

import json

import pytest

from pipelines.viewer.columns import Column
from pipelines.viewer.query import (
    MAX_CONDITIONS,
    BadQueryError,
    Condition,
    Query,
    compiled,
    parsed_conditions,
    query_of,
)

COLUMNS = {
    "quality": Column("quality", "number"),
    "caption": Column("caption", "text", lowered=True),
    "licence": Column("licence", "text"),
    "kept": Column("kept", "flag"),
    "actions": Column("actions", "labels", sure=True),
    "reasons": Column("reasons", "labels"),
}
ATTACKS = ["'; DROP TABLE samples; --", '" OR 1=1 --', "x' UNION SELECT * FROM read_csv('/etc/passwd') --", "\\'; --"]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(("column", "operator"), [("licence", "is"), ("caption", "contains"), ("actions", "has")])
def test_a_value_stays_a_value(column: str, operator: str, attack: str) -> None:
    harmless = compiled(Query((Condition(column, operator, "x y" if operator == "contains" else "x"),)), COLUMNS)
    found = compiled(Query((Condition(column, operator, attack),)), COLUMNS)
    assert attack not in found.where
    assert set(found.where) <= set(harmless.where)
    assert " ".join(found.parameters) == (attack.lower() if operator == "contains" else attack)


@pytest.mark.parametrize("name", [*ATTACKS, 'quality"', "quality; --", "row", "actions:confidence", ""])
def test_a_column_is_one_of_the_tables(name: str) -> None:
    with pytest.raises(BadQueryError, match="there is no column"):
        compiled(Query((Condition(name, "is", "x"),)), COLUMNS)
    if name:
        with pytest.raises(BadQueryError, match="there is no column"):
            compiled(Query(sort=name), COLUMNS)


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        (Condition("quality", "> 0 OR 1=1 --", 1), "is a number column: >=,"),
        (Condition("quality", ">", "many"), "compared with a number"),
        (Condition("quality", ">", float("nan")), "compared with a number"),
        (Condition("quality", ">", True), "compared with a number"),
        (Condition("caption", "contains", "  "), "a text of 1 to"),
        (Condition("caption", "contains", "x" * 401), "a text of 1 to"),
        (Condition("quality", ">", 10**400), "compared with a number"),
        (Condition("caption", "contains", "\ud800"), "a text of 1 to"),
        (Condition("licence", "is", "\udcff"), "a text of 1 to"),
        (Condition("kept", "is", "perhaps"), "is yes or no"),
        (Condition("reasons", "has", "quality", 0.5), "no confidence is known"),
        (Condition("caption", "is", "x", 0.5), "no confidence is known"),
        (Condition("qualty", ">", 1), "did you mean quality"),
    ],
)
def test_what_makes_no_sense_is_said(condition: Condition, says: str) -> None:
    with pytest.raises(BadQueryError, match=says):
        compiled(Query((condition,)), COLUMNS)


def test_too_many_conditions() -> None:
    with pytest.raises(BadQueryError, match="at most"):
        compiled(Query((Condition("quality", ">", 0),) * (MAX_CONDITIONS + 1)), COLUMNS)


def test_order() -> None:
    assert compiled(Query(), COLUMNS).order == '"row"'
    assert compiled(Query(descending=True), COLUMNS).order == '"row" DESC'
    assert compiled(Query(sort="quality", descending=True), COLUMNS).order == '"quality" DESC NULLS LAST, "row"'
    with pytest.raises(BadQueryError, match="holds labels"):
        compiled(Query(sort="actions"), COLUMNS)


def test_cheap_conditions_come_first() -> None:
    costly = (Condition("caption", "contains", "x"), Condition("actions", "has", "y"), Condition("quality", ">", 0.5))
    found = compiled(Query(costly), COLUMNS)
    assert found.parameters == (0.5, "y", "x")
    assert found.where.index('"quality"') < found.where.index('"actions"') < found.where.index('"caption:lower"')


def test_what_an_address_says() -> None:
    asked = query_of(json.dumps([["actions", "has", "walking", 0.6], ["kept", "known"]]), "quality", "1")
    walking, known = Condition("actions", "has", "walking", 0.6), Condition("kept", "known")
    assert asked == Query((walking, known), "quality", True)
    for bad in ("{", "{}", "[1]", '[["quality"]]', '[["quality", 1]]', '[["quality", ">", []]]', "[" * 100_000):
        with pytest.raises(BadQueryError):
            query_of(bad, "", "")


def test_what_is_typed() -> None:
    texts = ["quality>=0.5", "caption contains  dance hall ", "actions has walking at 0.6", "actions has not a b",
             "licence missing", "licence is  not CC0", "quality < -1",
             "actions has  not nix", "actions has look at camera", "licence is notable"]  # fmt: skip
    assert parsed_conditions(texts) == (
        Condition("quality", ">=", "0.5"),
        Condition("caption", "contains", "dance hall"),
        Condition("actions", "has", "walking", 0.6),
        Condition("actions", "has not", "a b"),
        Condition("licence", "missing"),
        Condition("licence", "is not", "CC0"),
        Condition("quality", "<", "-1"),
        Condition("actions", "has not", "nix"),
        Condition("actions", "has", "look at camera"),
        Condition("licence", "is", "notable"),
    )
    with pytest.raises(BadQueryError, match="expected COLUMN OPERATOR VALUE"):
        parsed_conditions(["quality"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("licence missing x", "missing takes no value"),
        ("quality known 1", "known takes no value"),
        ("quality >=", ">= is followed by a value"),
        ("licence is not", "is not is followed by a value"),
        ("actions has walking at", "followed by a confidence"),
        ("actions has walking at 60%", "followed by a confidence"),
        ("actions has  not walking  at -1", "followed by a confidence"),
    ],
)
def test_what_is_typed_by_half_is_said(text: str, says: str) -> None:
    with pytest.raises(BadQueryError, match=says):
        parsed_conditions([text])
