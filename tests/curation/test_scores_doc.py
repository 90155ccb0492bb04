"""docs/scores.md says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.catalog import make_scorers, score_specs
from curation.ops import detail
from curation.ops.quality import (
    CLARITY_HALVES,
    CODING_WEIGHT,
    STEEPNESS,
    UNSEEN_CODING_VARIANCE,
    composite_quality,
)
from schemas.scores import ScoreSpec

DOC = Path(__file__).parents[2] / "docs" / "scores.md"
CLEAN = {"clarity": CLARITY_HALVES, "coding_step": None, "spread": 1.0}
RAMPS = {"`contrast`": "spread"}


def table_rows() -> dict[str, list[str]]:
    """First cell to the other cells, of every table row; the ramp table's rows have two."""
    rows = {}
    for line in DOC.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            first, *others = (cell.strip() for cell in line.strip().strip("|").split("|"))
            rows[f"{first} ramp" if len(others) == 2 and first in RAMPS else first] = others
    return rows


ROWS = table_rows()


@pytest.mark.parametrize("spec", score_specs(), ids=lambda spec: spec.name)
def test_every_score_has_a_row_with_its_unit_and_direction(spec: ScoreSpec) -> None:
    assert f"`{spec.name}`" in ROWS, f"{spec.name} has no row in docs/scores.md"
    unit, direction, *rest = ROWS[f"`{spec.name}`"]
    assert (unit, direction) == (spec.unit, spec.direction)
    assert all(rest), "meaning, source and limits are all said"


def test_no_row_speaks_of_a_score_that_is_gone() -> None:
    documented = {first.strip("`") for first, cells in ROWS.items() if first.startswith("`") and len(cells) > 2}
    assert documented == {spec.name for spec in score_specs()}


@pytest.mark.parametrize("name", RAMPS)
def test_every_ramp_of_quality_begins_and_ends_where_it_is_said_to(name: str) -> None:
    zero_at, one_at = (float(cell) for cell in ROWS[f"{name} ramp"])

    def quality(value: float) -> float:
        # Half is what this clarity leaves of a picture that can be seen, and a twentieth of it stays.
        return (2.0 * composite_quality(**{**CLEAN, RAMPS[name]: value}) - 0.05) / 0.95

    assert quality(zero_at) == pytest.approx(0)
    assert quality(one_at) == pytest.approx(1)
    assert quality((zero_at + one_at) / 2) == pytest.approx(0.5)
    assert quality(zero_at + 0.01 * (one_at - zero_at)) == pytest.approx(0.01)
    assert quality(one_at + 0.01 * (zero_at - one_at)) == pytest.approx(0.99)


def test_quality_has_no_ramp_and_no_weight_that_is_not_said() -> None:
    assert {row.removesuffix(" ramp") for row in ROWS if row.endswith(" ramp")} == set(RAMPS)
    text = DOC.read_text(encoding="utf-8")
    assert f"exp(-{STEEPNESS:g} (clarity - coarseness - {CLARITY_HALVES:g}))" in text
    assert f"{CODING_WEIGHT:g} log(1 + coding_step^2 / 12 / {UNSEEN_CODING_VARIANCE:g})" in text
    assert f"{detail.CROWDING:g} log2(360 / short side)" in text
    assert f"U = {detail.UNSEEN_VARIANCE:g}" in text
    assert {row: float(ROWS[row][0]) for row in detail.WEIGHTS} == detail.WEIGHTS


def test_sampling_and_facts_of_the_scorers_are_as_said() -> None:
    listed = [scorer for scorer in make_scorers() if scorer.name in ROWS]
    assert len(listed) >= 5
    for scorer in listed:
        frames, short_side, facts = ROWS[scorer.name]
        needs = scorer.needs
        assert frames == ("every" if needs.fps is None else f"{needs.fps:g} per second")
        assert short_side == ("native" if needs.short_side_px is None else f"{needs.short_side_px} px")
        assert facts == ", ".join(scorer.fact_names)
