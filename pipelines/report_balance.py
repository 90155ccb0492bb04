"""The part of the report that shows what the kept clips have much and little of."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from curation.balance import UNKNOWN
from pipelines.report_pages import render


def balance_html(summary: Any) -> Markup:
    """Bars per axis from run.json's `balance`; empty when it has none or nothing was kept."""
    if not isinstance(summary, dict):
        return Markup("")
    axes = []
    for axis, values in summary.items():
        if axis == "lacks" or not isinstance(values, dict):
            continue
        rows = [
            (name, cell["clips"], cell["seconds"], 100 * cell["share"])
            for name, cell in sorted(values.items(), key=lambda item: (item[0] == UNKNOWN, -item[1]["clips"], item[0]))
            if cell["clips"]
        ]
        # Nothing to see where no clip has a value.
        if any(name != UNKNOWN for name, *_ in rows):
            axes.append((axis.replace("_", " "), rows))
    lacks = [(lack["axis"].replace("_", " "), lack["value"], 100 * lack["share"]) for lack in summary.get("lacks", [])]
    return render("balance.html", axes=axes, lacks=lacks) if axes else Markup("")
