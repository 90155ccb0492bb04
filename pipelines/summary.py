"""What a person reads at the end of a pipeline: a small table on stdout, or the same as JSON."""

from __future__ import annotations

import sys
from typing import Any

from pipelines.terminal import print_json, print_lines, print_table


def print_rows(title: str, rows: dict[str, Any]) -> None:
    """Two columns: what, and its value."""
    print_table(title, ("", ""), list(rows.items()))


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
        "readable": f"{counts['videos']} ({counts['partial']} in part)",
        "failed": counts["failures"],
        "clips": counts["clips"],
        "kept": counts["kept"],
        "rejected": counts["rejected"],
    }
    rows.update({f"  for {name}": number for name, number in counts["reasons"].items()})
    if "clip_files" in result:
        files = result["clip_files"]
        rows["clip files"] = f"{files['there_before'] + files['copied'] + files['encoded']} of {files['kept']}"
        rows["  written now"] = f"{files['copied']} copied, {files['encoded']} encoded, {files['failed']} failed"
    rows["wall"] = f"{result['wall_s']:.1f} s"
    print_rows(f"curation {result['plan']['run']}", rows)
    if counts["failures"]:
        print_lines(f"what failed, and why: motionloom report {result['plan']['run']}")
    if result["over_budget"]:
        share = counts["failures"] / counts["inputs"]
        sys.stderr.write(
            f"error: {share:.0%} of the inputs failed, the recipe's failure_budget is {result['failure_budget']:.0%}; "
            f"see {result['plan']['run']}/failures\n"
        )
