"""What the votes of a study say: per dimension and tag Good, Same, Bad, and who was attentive."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.preference.gsb import Interval, Tally, Verdict, krippendorff_alpha, majority, ratio_interval, tally
from pipelines.preference.plan import DIMENSIONS, Item, Study
from pipelines.preference.votes import Vote

PASSED_SHARE = 0.75
"""Of their checks that raters must pass to be counted as attentive."""


@dataclass(frozen=True, slots=True)
class DimensionResult:
    """One row of the table. cases: with at least one vote; alpha: None where raters cannot be compared."""

    dimension: str
    counted: Tally
    interval: Interval | None
    alpha: float | None


@dataclass(frozen=True, slots=True)
class RaterResult:
    """votes: on cases. checks, passed: of attention. attentive: False below PASSED_SHARE, None without a check yet."""

    rater: str
    votes: int
    checks: int
    passed: int

    @property
    def attentive(self) -> bool | None:
        return self.passed >= PASSED_SHARE * self.checks if self.checks else None


def passes(item: Item, vote: Vote) -> bool:
    """Whether the answer to a check is what anybody who looks would say: no difference between a video and itself,
    in four of the six at least; the unspoilt one all in all and in visual quality."""
    if item.kind == "identical":
        return sum(verdict == "same" for verdict in vote.verdicts.values()) >= 4
    return vote.verdicts["overall"] == "good" and vote.verdicts["visual_quality"] == "good"


def rater_results(study: Study, votes: Iterable[Vote]) -> list[RaterResult]:
    """Every rater who voted, by name."""
    items = {item.item_id: item for item in study.items}
    cases: dict[str, int] = defaultdict(int)
    checks: dict[str, list[bool]] = defaultdict(list)
    for vote in votes:
        item = items[vote.item_id]
        if item.kind == "case":
            cases[vote.rater] += 1
        else:
            checks[vote.rater].append(passes(item, vote))
    return [
        RaterResult(name, cases[name], len(checks[name]), sum(checks[name]))
        for name in sorted({*cases, *checks})
    ]  # fmt: skip


def dimension_results(study: Study, votes: Sequence[Vote], tag: tuple[str, str] | None = None) -> list[DimensionResult]:
    """The table, of all cases or of those with a tag (name, value). A case without a vote counts for nothing."""
    wanted = {item.item_id for item in study.cases if tag is None or item.tags.get(tag[0]) == tag[1]}
    results = []
    for name, _ in DIMENSIONS:
        by_case: dict[str, list[Verdict]] = defaultdict(list)
        for vote in votes:
            if vote.item_id in wanted:
                by_case[vote.item_id].append(vote.verdicts[name])
        verdicts = [verdict for said in by_case.values() if (verdict := majority(said)) is not None]
        counted = tally(verdicts)
        results.append(
            DimensionResult(name, counted, ratio_interval(counted), krippendorff_alpha(list(by_case.values())))
        )
    return results


def study_document(study: Study, votes: Sequence[Vote], exclude_inattentive: bool = False) -> dict[str, Any]:
    """Everything as plain values; ratios that are infinite are the word "infinite"."""
    raters = rater_results(study, votes)
    if exclude_inattentive:
        left_out = {each.rater for each in raters if each.attentive is False}
        votes = [vote for vote in votes if vote.rater not in left_out]
    else:
        left_out = set()
    known = {item.item_id for item in study.cases}
    judged = {vote.item_id for vote in votes} & known
    tags = sorted({item for each in study.cases for item in each.tags.items()})
    return {
        "study_id": study.study_id,
        "cases_fingerprint": study.cases_fingerprint,
        "ours": study.ours,
        "theirs": study.theirs,
        "cases": len(study.cases),
        "cases_judged": len(judged),
        "cases_missing": len(study.missing),
        "missing": study.missing,
        "dimensions": [_row(each) for each in dimension_results(study, votes)],
        "by_tag": {
            f"{name}: {value}": [_row(each) for each in dimension_results(study, votes, (name, value))]
            for name, value in tags
        },
        "raters": [
            {
                "rater": each.rater, "votes": each.votes, "checks": each.checks, "passed": each.passed,
                "attentive": each.attentive, "left_out": each.rater in left_out,
            }
            for each in raters
        ],
    }  # fmt: skip


def _row(result: DimensionResult) -> dict[str, Any]:
    counted, interval = result.counted, result.interval
    return {
        "dimension": result.dimension,
        "good": counted.good,
        "same": counted.same,
        "bad": counted.bad,
        "ratio": _plain(counted.ratio),
        "low": None if interval is None else _plain(interval.low),
        "high": None if interval is None else _plain(interval.high),
        "alpha": None if result.alpha is None else round(result.alpha, 4),
    }


def _plain(value: float | None) -> float | str | None:
    if value is None:
        return None
    return "infinite" if math.isinf(value) else round(value, 4)


def votes_csv(study: Study, votes: Iterable[Vote]) -> str:
    """A line per rater, item and dimension: the raw votes, for other programs."""
    items: Mapping[str, Item] = {item.item_id: item for item in study.items}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rater", "item_id", "case_id", "kind", "dimension", "verdict", "our_side", "looked_s"])
    for vote in votes:
        item = items[vote.item_id]
        for name, _ in DIMENSIONS:
            row = [_cell(vote.rater), vote.item_id, item.case_id, item.kind, name, vote.verdicts[name]]
            writer.writerow([*row, vote.our_side, f"{vote.looked_s:.2f}"])
    return text.getvalue()


def _cell(text: str) -> str:
    """A rater's name is no formula for the spreadsheet that opens the file."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text
