"""What a person reads at the end of a pipeline: a small table on stdout, or the same as JSON."""

from __future__ import annotations

from typing import Any

from pipelines.logs import tell
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
        print_rows("plan", _plan_rows(result["plan"]))
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
    rows.update(time_spent(result["seconds"]))
    print_rows(f"curation {result['plan']['run']}", rows)
    if counts["failures"]:
        print_lines(f"what failed, and why: motionloom report {result['plan']['run']}")
    if result["over_budget"]:
        print_over_budget("inputs", counts["failures"], counts["inputs"], result["failure_budget"])


def _plan_rows(plan: dict[str, Any]) -> dict[str, Any]:
    if "to_update" not in plan:
        return plan
    update = plan["to_update"]
    scorers = ", ".join(update["scorers"]) or "nothing but arithmetic"
    return {**plan, "to_update": f"{update['inputs']} ({update['to_decode']} decoded, for {scorers})"}


def time_spent(seconds: dict[str, dict[str, float]]) -> dict[str, str]:
    """Where the processors' time went, the largest part first: that is what a faster run would need less of.

    seconds: wall_s and cpu_s by stage, of all workers together and of all calls that the run was made by.
    """
    whole_s = sum(spent["cpu_s"] for spent in seconds.values())
    ordered = sorted(seconds.items(), key=lambda each: -each[1]["cpu_s"])
    return {
        f"  {name}": f"{spent['cpu_s'] / whole_s:.0%} of {whole_s:.1f} CPU s" for name, spent in ordered if whole_s > 0
    }


def print_over_budget(what: str, failed: int, tried: int, failure_budget: float) -> None:
    """Why a run that did all its work ends with an error."""
    share = failed / tried
    tell("error", f"{share:.0%} of the {what} failed, the recipe's failure_budget is {failure_budget:.0%}")


def print_changes(title: str, result: dict[str, Any]) -> None:
    """What a new policy keeps, and which clips change sides for what. Short, however many they are."""
    counts, changes = result["counts"], result["changes"]
    rows: dict[str, Any] = {"clips": counts["clips"], "kept": counts["kept"], "rejected": counts["rejected"]}
    rows.update({f"  for {name}": number for name, number in counts["reasons"].items()})
    rows["newly kept"] = changes["newly_kept"]
    rows.update({f"  no longer for {name}": number for name, number in changes["gone_for"].items()})
    rows["newly rejected"] = changes["newly_rejected"]
    rows.update({f"  now for {name}": number for name, number in changes["rejected_for"].items()})
    print_rows(title, rows)
    for label, count, named in (
        ("newly kept", changes["newly_kept"], {key: result["reasons_gone"].get(key) for key in result["newly_kept"]}),
        ("newly rejected", changes["newly_rejected"], result["newly_rejected"]),
    ):
        if named:
            reasons = {key: "; ".join(texts) if texts else "not decided before" for key, texts in named.items()}
            shown = f", the first {len(named)} of them" if len(named) < count else ""
            head = "clip", "no longer" if label == "newly kept" else "because"
            print_table(f"{label}: {count}{shown}", head, list(reasons.items()))
