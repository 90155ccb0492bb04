"""The measure of a preference study, against figures of the report and against raters whose preference is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipelines.preference.gsb import VERDICTS, Tally, Verdict, krippendorff_alpha, majority, ratio_interval, tally

# Cases out of 150 whose ratio is, to two decimals, one that the report's Table 1 has.
REPORTED = {
    3.44: (109, 32, 9),
    3.33: (107, 36, 7),
    1.92: (87, 34, 29),
    1.56: (78, 34, 38),
    1.05: (59, 37, 54),
    1.2: (66, 35, 49),
}


@pytest.mark.parametrize(("ratio", "counts"), REPORTED.items())
def test_reported_ratios(ratio: float, counts: tuple[int, int, int]) -> None:
    votes: list[list[Verdict]] = []
    for verdict, cases in zip(VERDICTS, counts, strict=True):
        votes += [[verdict, verdict, "same"]] * cases
    counted = tally(verdict for each in votes if (verdict := majority(each)) is not None)
    assert (counted.good, counted.same, counted.bad) == counts
    assert counted.cases == 150
    assert counted.ratio is not None
    assert round(counted.ratio, 2) == ratio


@pytest.mark.parametrize(
    ("votes", "verdict"),
    [
        (["good", "good", "bad"], "good"),
        (["bad", "bad", "bad"], "bad"),
        (["good", "same", "bad"], "same"),
        (["good", "bad"], "same"),
        (["good", "good", "bad", "bad"], "same"),
        (["good", "good", "same", "bad"], "same"),
        (["good"], "good"),
        ([], None),
    ],
)
def test_majority(votes: list[Verdict], verdict: Verdict | None) -> None:
    assert majority(votes) == verdict


def test_ratio_and_its_edges() -> None:
    assert tally(["good", "same", "bad", "good"]) == Tally(2, 1, 1)
    assert Tally(2, 1, 1).ratio == pytest.approx(1.5)
    assert Tally(5, 0, 0).ratio == math.inf
    assert Tally(0, 0, 5).ratio == 0.0
    assert Tally(0, 5, 0).ratio == 1.0
    assert Tally(0, 0, 0).ratio is None
    assert ratio_interval(Tally(0, 0, 0)) is None
    whole = ratio_interval(Tally(5, 0, 0))
    assert whole is not None
    assert (whole.low, whole.high) == (math.inf, math.inf)
    some = ratio_interval(Tally(9, 0, 1))
    assert some is not None
    assert some.low < 9 < some.high == math.inf


@pytest.mark.parametrize("preference", [(0.4, 0.2, 0.4), (0.5, 0.3, 0.2), (0.75, 0.15, 0.1)])
def test_the_interval_covers_the_truth(preference: tuple[float, float, float]) -> None:
    """A tenth of the studies of benchmarks/study_coverage.py; three sigma of 300 are 3.8 of a hundred."""
    rng = np.random.default_rng(5)
    truth = (preference[0] + preference[1]) / (preference[2] + preference[1])
    covered = 0
    for study in range(300):
        interval = ratio_interval(Tally(*rng.multinomial(150, preference)), draws=1000, seed=study)
        assert interval is not None
        covered += interval.low <= truth <= interval.high
    assert 0.912 <= covered / 300 <= 0.988


def test_alpha_of_the_literature() -> None:
    """By hand: two raters, ten cases, binary data, alpha 0.095 (Krippendorff 2011, example A)."""
    first = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    second = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    words: tuple[Verdict, Verdict] = ("bad", "good")
    answers = [[words[one], words[other]] for one, other in zip(first, second, strict=True)]
    assert krippendorff_alpha(answers, ordered=False) == pytest.approx(0.095, abs=0.0005)


def test_alpha_at_its_ends() -> None:
    assert krippendorff_alpha([["good", "good"], ["bad", "bad"], ["same"]]) == pytest.approx(1.0)
    assert krippendorff_alpha([["good"], ["bad"]]) is None
    assert krippendorff_alpha([["same", "same"], ["same", "same"]]) is None
    opposed = krippendorff_alpha([["good", "bad"]] * 20)
    assert opposed is not None
    assert opposed < 0
    rng = np.random.default_rng(0)
    chance = [[("bad", "same", "good")[word] for word in rng.integers(0, 3, 3)] for _ in range(3000)]
    assert krippendorff_alpha(chance) == pytest.approx(0.0, abs=0.03)
    near = [["good", "same", "good"]] * 50 + [["bad", "same", "bad"]] * 50
    by_order, by_name = krippendorff_alpha(near), krippendorff_alpha(near, ordered=False)
    assert by_order is not None
    assert by_name is not None
    assert by_order > by_name, "neighbours differ less than the ends do"
