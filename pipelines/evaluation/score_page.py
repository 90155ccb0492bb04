"""The scoreboard as one page: intervals of systems and anchors, which metrics are misled, who is better in what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.report_pages import Section, build_page, render, table_section
from pipelines.terminal import number_text
from schemas.scores import BETTER, Direction

_ARROWS: Mapping[Direction, str] = {"lower_is_better": "↓", "higher_is_better": "↑", "neutral": ""}
_NOTE = (
    "Misled by: an anchor that is known to be worse and that this metric takes for better than the ideal one. "
    "Blind to: an anchor that it cannot tell from the ideal one. What such a metric says of a system has to be read "
    "with that in mind."
)


def score_page(result: dict[str, Any]) -> str:
    """result: of `score_benchmark`."""
    systems, anchors = list(result["systems"]), list(result["anchors"])
    intro = f"{result['cases_compared']} of {result['cases']} cases, of which every system has an output. " + " ".join(
        f"{name} lacks {len(each['missing'])}." for name, each in result["systems"].items() if each["missing"]
    )
    intro += f" {result['why_not_judged']}." if result["why_not_judged"] else ""
    charts = [_chart(row, systems, anchors) for row in result["metrics"]]
    columns = ["metric", "unit", "better", *systems, *anchors, "cases", "ideal", "misled by", "blind to"]
    sections = [
        Section("figures", "Figures", render("scoreboard.html", rows=charts)),
        table_section("table", "Table", columns, [_cells(row, systems, anchors) for row in result["metrics"]], _NOTE),
    ]
    judged = dict.fromkeys((pair["one"], pair["other"]) for row in result["metrics"] for pair in row["systems"])
    pairs = [[one, other, *_decided(result["metrics"], one, other)] for one, other in judged]
    if pairs:
        note = (
            "Each system against the others and against a reference held still. Better and worse: the interval of the "
            "paired difference does not hold 0."
        )
        names = ["one", "other", "one is better in", "one is worse in", "no difference in"]
        sections.append(table_section("pairs", "Pairs", names, pairs, note))
    tags = [
        [tag, row["cases"], metric, *(number_text(row[metric].get(system)) for system in systems)]
        for tag, row in result["by_tag"].items()
        for metric in row
        if metric != "cases"
    ]
    if tags:
        sections.append(table_section("tags", "By tag", ["tag", "cases", "metric", *systems], tags))
    missing = [
        [name, case_id, why] for name, each in result["systems"].items() for case_id, why in each["missing"].items()
    ]
    missing += [["driving video", case_id, why] for case_id, why in result["cases_unwatched"].items()]
    if missing:
        sections.append(table_section("missing", "Missing", ["system", "case", "why"], missing))
    about = [[row["metric"], row["unit"], row["about"]] for row in result["metrics"]]
    sections.append(table_section("about", "What is measured", ["metric", "unit", "meaning"], about))
    facts = [["cases", result["cases_fingerprint"]]]
    note = "Figures may be compared where the cases have the same fingerprint."
    sections.append(table_section("identity", "Which cases these are", ["", "fingerprint"], facts, note))
    return build_page("Scoreboard", sections, intro)


def _chart(row: dict[str, Any], systems: list[str], anchors: list[str]) -> dict[str, Any]:
    figures = row["figures"]
    low = float(min(each["low"] for each in figures.values()))
    high = float(max(each["high"] for each in figures.values()))
    span = high - low or 1.0

    def place(value: float) -> float:
        return round(98.0 * (value - low) / span, 2)

    contenders = [
        {
            "name": name,
            "kind": "of-system" if name in systems else "of-anchor",
            "value": number_text(figures[name]["value"]),
            "label": f"{name}: {_interval(figures[name])}, {figures[name]['cases']} cases",
            "value_x": place(figures[name]["value"]),
            "low_x": place(figures[name]["low"]),
            "width_x": max(0.5, place(figures[name]["high"]) - place(figures[name]["low"])),
        }
        for name in (*systems, *anchors)
        if name in figures
    ]
    warnings = [f"misled by {', '.join(row['misled_by'])}"] if row["misled_by"] else []
    warnings += [f"blind to {', '.join(row['blind_to'])}"] if row["blind_to"] else []
    return {
        "metric": row["metric"], "unit": row["unit"], "arrow": _ARROWS[row["direction"]], "contenders": contenders,
        "warning": "; ".join(warnings),
    }  # fmt: skip


def _cells(row: dict[str, Any], systems: list[str], anchors: list[str]) -> list[Any]:
    figures = [_interval(row["figures"][name]) if name in row["figures"] else None for name in (*systems, *anchors)]
    cases = max(each["cases"] for each in row["figures"].values())
    words = [cases, row["ideal"], ", ".join(row["misled_by"]) or None, ", ".join(row["blind_to"]) or None]
    return [row["metric"], row["unit"], BETTER[row["direction"]], *figures, *words]


def _interval(figure: dict[str, Any]) -> str:
    if figure["cases"] < 2:
        return f"{number_text(figure['value'])} (one case)"
    return f"{number_text(figure['value'])} ({number_text(figure['low'])} – {number_text(figure['high'])})"


def _decided(rows: list[dict[str, Any]], one: str, other: str) -> list[str | None]:
    verdicts: dict[str, list[str]] = {"better": [], "worse": [], "same": []}
    for row in rows:
        for pair in row["systems"]:
            if (pair["one"], pair["other"]) == (one, other):
                verdicts[pair["one_is"]].append(row["metric"])
    return [", ".join(names) or None for names in verdicts.values()]
