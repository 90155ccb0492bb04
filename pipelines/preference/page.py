"""A study's report as one page: the table, bars of Good, Same and Bad, and the raters."""

from __future__ import annotations

from typing import Any

from pipelines.preference.plan import DIMENSIONS
from pipelines.report_pages import Section, build_page, render, table_section

_COLUMNS = ["dimension", "(G+S)/(B+S)", "95% interval", "good", "same", "bad", "alpha"]


def study_page(document: dict[str, Any]) -> str:
    """document: of `study_document`."""
    ours, theirs = document["ours"], document["theirs"]
    intro = (
        f"{document['cases_judged']} of {document['cases']} cases judged, {document['cases_missing']} missing. Good: "
        f"most raters prefer {ours}; Bad: most prefer {theirs}; Same: no majority for either. A ratio of 1 says that "
        "neither is preferred, and so does an interval that holds 1."
    )
    sections = [
        Section("bars", "Preference", render("study.html", rows=document["dimensions"], ours=ours, theirs=theirs)),
        table_section("table", "Figures", _COLUMNS, [_cells(row) for row in document["dimensions"]], _NOTE),
    ]
    by_tag = [
        [tag, *_cells(row)] for tag, rows in document["by_tag"].items() for row in rows if row["dimension"] == "overall"
    ]
    if by_tag:
        sections.append(table_section("tags", "Overall, by tag", ["tag", *_COLUMNS], by_tag))
    raters = [
        [each["rater"], each["votes"], f"{each['passed']} of {each['checks']}", _attention(each)]
        for each in document["raters"]
    ]
    sections.append(table_section("raters", "Raters", ["rater", "votes", "checks passed", "attentive"], raters))
    if document["missing"]:
        missing = [[case_id, reason] for case_id, reason in document["missing"].items()]
        note = "They count for neither side, nor as ties."
        sections.append(table_section("missing", "Missing cases", ["case", "why"], missing, note))
    questions = [[name, text] for name, text in DIMENSIONS]
    sections.append(table_section("questions", "What was asked", ["dimension", "question"], questions))
    facts = [["study", document["study_id"]], ["cases", document["cases_fingerprint"]]]
    note = "Reports may be compared where their cases have the same fingerprint."
    sections.append(table_section("identity", "Which study this is", ["", "fingerprint"], facts, note))
    return build_page(f"{ours} against {theirs}", sections, intro)


_NOTE = (
    "Intervals are bootstraps over the cases. alpha: Krippendorff's, of ordered answers; 1 is full agreement of the "
    "raters, 0 what chance would give."
)


def _cells(row: dict[str, Any]) -> list[Any]:
    interval = None if row["low"] is None else f"{_shown(row['low'])} – {_shown(row['high'])}"
    figures = [row["good"], row["same"], row["bad"], _shown(row["alpha"])]
    return [row["dimension"].replace("_", " "), _shown(row["ratio"]), interval, *figures]


def _shown(value: Any) -> str | None:
    return f"{value:.2f}" if isinstance(value, float) else value if value is None else "∞"


def _attention(rater: dict[str, Any]) -> str:
    if rater["attentive"] is None:
        return "no check yet"
    return "yes" if rater["attentive"] else "no, left out" if rater["left_out"] else "no"
