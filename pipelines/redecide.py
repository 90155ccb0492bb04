"""`motionloom redecide`: stored facts and a new policy give new verdicts, without decoding anything."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.arguments import location

if TYPE_CHECKING:
    from pipelines.run_labels import Labels
    from pipelines.verdict_changes import VerdictChanges
    from schemas.policy import Policy
    from schemas.storage import Location

HELP = "apply another policy to a finished run and show what changes"
_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from pipelines.recipe_models import recipe_help

    parser.add_argument("run", metavar="RUN", help="folder that motionloom curate wrote, path or URI (s3://…)")
    recipes = f"{recipe_help('curate')}, by default `default`; only its policy counts"
    parser.add_argument("--recipe", default="default", help=recipes)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe key")
    parser.add_argument(
        "--labels", type=location, metavar="DATASET", help="what annotate made of this run, for rules on label quality"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the difference and change nothing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON, with every clip that changes")


def run(args: argparse.Namespace) -> int:
    from pipelines.logs import tell
    from pipelines.output_folder import UNITS_DIR, output_folder
    from pipelines.recipe_models import curate_recipe
    from pipelines.run_tables import RUN_FILE
    from pipelines.summary import print_changes

    for override in args.set:
        if not override.startswith("policy."):
            tell("warning", f"--set {override} has no effect here: only the policy counts")
    recipe = curate_recipe(args.recipe, args.set)
    # Facts and pictures are not looked at.
    with output_folder(args.run, RUN_FILE, (UNITS_DIR, "frames", "clip_files")) as output:
        result, changes = _redecide(output.folder, recipe, args.dry_run, args.labels)
        output.publish()
    if args.json:
        sys.stdout.writelines(changes.json_pieces(result))
    else:
        title = f"{'would decide' if args.dry_run else 'decided'} {args.run}"
        print_changes(title, {**result, **changes.document(_SHOWN)})
    return 0


def redecide(
    run_dir: Path, recipe: Any, dry_run: bool = False, listed: int | None = None, labels: Location | None = None
) -> dict[str, Any]:
    """Decides anew and, unless dry_run, replaces `decisions/`, `labels/` and the policy in run.json.

    labels: the DATASET that was annotated from this run, whose label quality the policy's rules may name.
    listed: how many clips to name on each side of the change; None names all.
    Returns: counts; `changes`, how many verdicts change and for which reasons; `newly_kept` (clip ids) with
    `reasons_gone`, what spoke against them before; `newly_rejected` (clip id to reasons).
    Raises: RecipeError when RUN is not finished, the policy names an unknown score or asks for spared ones, or rules
    on label quality come without labels or with those of another run.
    """
    result, changes = _redecide(run_dir, recipe, dry_run, labels)
    return {**result, **changes.document(listed)}


def _redecide(
    run_dir: Path, recipe: Any, dry_run: bool, dataset: Location | None
) -> tuple[dict[str, Any], VerdictChanges]:
    from pipelines.logs import tell
    from pipelines.run_balance import publish_balance
    from pipelines.run_labels import asks_of_labels, publish_labels, read_labels
    from pipelines.run_tables import decide_run, read_run, read_table, verdict_counts, write_decisions, write_run
    from pipelines.verdict_changes import compare_verdicts

    began_s = time.monotonic()
    document = read_run(run_dir)
    labels = read_labels(dataset) if dataset is not None else None
    _check_measured(run_dir, recipe.policy, labels)
    after, findings = decide_run(run_dir, recipe.policy, labels)
    if labels is not None and not asks_of_labels(recipe.policy):
        tell("warning", f"--labels {dataset} has no effect: no rule of the policy is on label quality")
        labels = None
    changes = compare_verdicts(
        read_table(run_dir, "decisions", ("clip_id", "kept")),
        after,
        findings,
        lambda: read_table(run_dir, "decisions", ("reasons",)).column("reasons"),
    )
    counts = verdict_counts(after, findings)
    if not dry_run:
        if labels is not None:
            publish_labels(run_dir, labels)
        write_decisions(run_dir, after)
        resolved = {**document["recipe"], "policy": recipe.model_dump(mode="json")["policy"]}
        result: dict[str, Any] = {key: document[key] for key in ("seconds", "wall_s") if key in document}
        result["balance"] = publish_balance(run_dir)
        if labels is not None:
            result["labels"] = labels.source()
        write_run(run_dir, resolved, recipe.policy, {**result, "counts": {**document["counts"], **counts}})
        if labels is None:
            publish_labels(run_dir, None)
    return {"counts": counts, "dry_run": dry_run, "wall_s": round(time.monotonic() - began_s, 3)}, changes


def _check_measured(run_dir: Path, policy: Policy, labels: Labels | None) -> None:
    """Raises: RecipeError when the policy asks for scores that `--measure until_rejected` spared clips it may keep."""
    import pyarrow.compute as pc

    from pipelines.clip_scoring import cheap_part
    from pipelines.run_tables import decide_run
    from pipelines.sink import read_recipe
    from schemas.errors import RecipeError
    from schemas.policy import Policy

    spared_by, cheap = read_recipe(run_dir).get("until_rejected"), cheap_part(policy)
    if spared_by is None or len(cheap.rules) == len(policy.rules):
        return
    measured, left = (decide_run(run_dir, each, labels)[0] for each in (Policy.model_validate(spared_by), cheap))
    unmeasured = pc.sum(pc.and_not(left.column("kept"), measured.column("kept"))).as_py() or 0
    if unmeasured:
        raise RecipeError(
            f"{run_dir} was measured until rejected: {unmeasured} clips that this policy does not reject by cheap "
            "scores lack the others; call curate with the policy of the run and --measure all, then redecide"
        )


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("redecide"))
