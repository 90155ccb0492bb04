"""`motionloom redecide`: stored facts and a new policy give new verdicts, without decoding anything."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

HELP = "apply another policy to a finished run and show what changes"
_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="folder that motionloom curate wrote")
    parser.add_argument(
        "--recipe", default="default", help="built-in name or YAML file, by default `default`; only its policy counts"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe key")
    parser.add_argument("--dry-run", action="store_true", help="show the difference and change nothing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    from pipelines.recipe_models import curate_recipe
    from pipelines.summary import print_rows
    from pipelines.terminal import print_json

    for override in args.set:
        if not override.startswith("policy."):
            sys.stderr.write(f"warning: --set {override} has no effect here: only the policy counts\n")
    recipe = curate_recipe(args.recipe, args.set)
    result = redecide(Path(args.run), recipe, dry_run=args.dry_run)
    if args.json:
        print_json(result)
        return 0
    counts = result["counts"]
    rows: dict[str, Any] = {"clips": counts["clips"], "kept": counts["kept"], "rejected": counts["rejected"]}
    rows.update({f"  for {name}": number for name, number in counts["reasons"].items()})
    rows["newly kept"] = len(result["newly_kept"])
    rows["newly rejected"] = len(result["newly_rejected"])
    for clip_id, reasons in list(result["newly_rejected"].items())[:_SHOWN]:
        rows[f"  {clip_id}"] = "; ".join(reasons)
    print_rows(f"{'would decide' if args.dry_run else 'decided'} {args.run}", rows)
    return 0


def redecide(run_dir: Path, recipe: Any, dry_run: bool = False) -> dict[str, Any]:
    """Returns: counts, and the clips whose verdict changes (the rejected ones with their reasons).

    Raises: RecipeError when RUN is not finished or the policy names an unknown score.
    """
    from curation.decide import decide
    from pipelines.run_balance import publish_balance
    from pipelines.run_tables import publish_decisions, read_run, read_table, verdict_counts, write_run

    began_s = time.monotonic()
    document = read_run(run_dir)
    before = read_table(run_dir, "decisions")
    after = decide(read_table(run_dir, "clips"), recipe.policy)
    was_kept = dict(zip(before.column("clip_id").to_pylist(), before.column("kept").to_pylist(), strict=True))
    newly_kept: list[str] = []
    newly_rejected: dict[str, list[str]] = {}
    columns = (after.column(name).to_pylist() for name in ("clip_id", "kept", "reasons"))
    for clip_id, kept, reasons in zip(*columns, strict=True):
        if kept and not was_kept.get(clip_id, False):
            newly_kept.append(clip_id)
        elif not kept and was_kept.get(clip_id, False):
            newly_rejected[clip_id] = reasons
    if not dry_run:
        verdicts = publish_decisions(run_dir, recipe.policy)
        resolved = {**document["recipe"], "policy": recipe.model_dump(mode="json")["policy"]}
        result: dict[str, Any] = {key: document[key] for key in ("seconds", "wall_s") if key in document}
        result["balance"] = publish_balance(run_dir)
        write_run(run_dir, resolved, recipe.policy, {**result, "counts": {**document["counts"], **verdicts}})
    return {
        "counts": verdict_counts(after),
        "newly_kept": newly_kept,
        "newly_rejected": newly_rejected,
        "dry_run": dry_run,
        "wall_s": round(time.monotonic() - began_s, 3),
    }


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("redecide"))
