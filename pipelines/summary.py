"""What a person reads at the end of a pipeline: a small table on stdout, or the same as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table


def print_json(value: Any) -> None:
    """Exactly one JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=1, sort_keys=True) + "\n")


def print_rows(title: str, rows: dict[str, Any]) -> None:
    """Two columns: what, and its value."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, str(value))
    Console().print(table, markup=False)


def print_curation(result: dict[str, Any], as_json: bool) -> None:
    """Counts per verdict, and why the rest was not kept."""
    if as_json:
        print_json(result)
        return
    if "counts" not in result:
        print_rows("plan", result["plan"])
        return
    counts = result["counts"]
    rows: dict[str, Any] = {
        "inputs": f"{counts['inputs']} ({counts['reused']} measured before)",
        "readable": counts["videos"],
        "failed": counts["failures"],
        "clips": counts["clips"],
        "kept": counts["kept"],
        "rejected": counts["rejected"],
    }
    rows.update({f"  for {name}": number for name, number in counts["reasons"].items()})
    rows["wall"] = f"{result['wall_s']:.1f} s"
    print_rows(f"curation {result['plan']['run']}", rows)
    if result["over_budget"]:
        share = counts["failures"] / counts["inputs"]
        sys.stderr.write(
            f"error: {share:.0%} of the inputs failed, the recipe's failure_budget is {result['failure_budget']:.0%}; "
            f"see {result['plan']['run']}/failures\n"
        )
