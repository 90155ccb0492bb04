"""`motionloom curate`: footage in, measured and judged clips out."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.output_folder import OutputFolder
    from pipelines.sink import UnitStore
    from schemas.policy import Policy
    from schemas.storage import Location

HELP = "measure footage, cut it into clips, decide which to keep"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from pipelines.recipe_models import recipe_help

    parser.add_argument(
        "--input", nargs="+", required=True, metavar="PATH", help="files, folders or globs; paths or URIs (s3://…)"
    )
    parser.add_argument(
        "--output", required=True, metavar="RUN", help="folder of the run, path or URI; the same call continues it"
    )
    parser.add_argument("--recipe", default="default", help=recipe_help("curate"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe key")
    parser.add_argument("--runner", choices=("ray", "local"), default="ray", help="Ray Data job, or in this process")
    parser.add_argument("--workers", type=int, default=0, help="most workers at once; 0: one per processor")
    parser.add_argument(
        "--measure", choices=("all", "until_rejected"), default="all",
        help="all scores, or none by networks (people, text, looks) of clips that the policy rejects without them",
    )  # fmt: skip
    parser.add_argument("--plan", action="store_true", help="say what would run and what is reused, and stop")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    from pipelines.recipe_models import curate_recipe

    recipe = curate_recipe(args.recipe, args.set)
    result = curate(args.input, args.output, recipe, args.runner, args.workers, args.plan, args.measure)
    from pipelines.summary import print_curation

    print_curation(result, as_json=args.json)
    return 1 if result.get("over_budget") else 0


def curate(
    sources: Sequence[str],
    run: Location,
    recipe: Any,
    runner: str = "ray",
    workers: int = 0,
    plan_only: bool = False,
    measure: str = "all",
) -> dict[str, Any]:
    """Runs or continues a curation. Returns: counts, seconds, what was reused, whether the failure budget is passed.

    sources, run: paths or URIs (schemas/storage.py).
    measure: "all", or "until_rejected": costly scores are null for clips that the policy rejects without them.

    Raises: RecipeError before any work when input, recipe or output do not fit.
    Raises: ResourceError when weights are given that cannot be used.
    Raises: TooManyFailures when it is plain before the end that the failure budget does not last.
    """
    from pipelines.logs import run_in_logs
    from pipelines.output_folder import output_folder
    from pipelines.run_tables import RUN_FILE
    from schemas.errors import RecipeError
    from schemas.storage import located

    if workers < 0:
        raise RecipeError(f"--workers {workers}: 0 (one per processor) or a positive number")
    with output_folder(located(run), RUN_FILE) as output, run_in_logs(output.location):
        return _curate(sources, output, recipe, runner, workers, plan_only, measure)


def _curate(
    sources: Sequence[str],
    output: OutputFolder,
    recipe: Any,
    runner: str,
    workers: int,
    plan_only: bool,
    measure: str,
) -> dict[str, Any]:
    from curation.catalog import fact_versions, fact_weights
    from curation.decide import check_policy
    from curation.inputs import find_files, read_notes
    from pipelines.clip_files import check_clip_files, forget_clip_files, write_clip_files
    from pipelines.clip_scoring import cheap_part
    from pipelines.curate_stage import CurateStage
    from pipelines.failure_budget import FailureBudget
    from pipelines.input_rows import Lazy, bytes_of, input_row, video_id
    from pipelines.output_folder import UNITS_DIR
    from pipelines.progress import watch_stage
    from pipelines.run_tables import clips_schema, publish_run, write_run
    from pipelines.segment_stage import SegmentStage, forget_segments, segment_store, segments_to_measure
    from pipelines.sink import UnitStore, check_folder, claim_folder, read_recipe
    from pipelines.stages import Stage, keep_runner, pick_runner
    from pipelines.take_stage import TakeStage, views_to_cut
    from pipelines.update_stage import UpdateStage, check_weights_are_here, update_of
    from schemas.errors import RecipeError

    began_s = time.monotonic()
    run_dir = output.folder
    check_policy(recipe.policy, {field.name: field.type for field in clips_schema()})
    files = find_files(sources)
    notes = read_notes(Lazy(files, lambda file: file.location))
    resolved = recipe.model_dump(mode="json")
    # What made the facts. The policy is an opinion about them and may change (redecide).
    identity: dict[str, Any] = {"clips": resolved["clips"], "scorers": fact_versions(recipe.scorers)}
    weights = fact_weights(recipe.scorers)
    if weights:
        identity["weights"] = weights
    cheap = cheap_part(recipe.policy) if measure == "until_rejected" else None
    if cheap is not None:
        # Here it decides what is measured.
        identity["until_rejected"] = cheap.model_dump(mode="json", exclude_defaults=True)
    check_folder(run_dir, identity, "curate", "choose another --output", changes=True)
    before = read_recipe(run_dir)
    check_weights_are_here(before, identity)
    is_same_policy = _is_same_policy(run_dir, recipe.policy)
    if recipe.write_clips.mode != "none" and isinstance(output.location, str):
        raise RecipeError(f"write_clips writes into a folder of this machine; {output.location} is none")
    check_clip_files(run_dir, recipe.write_clips)
    units = UnitStore(run_dir / UNITS_DIR)
    updates, reused, left = [], 0, []
    strangers = set(units.ids())
    for file in files:
        known = units.document(video_id(file)) if video_id(file) in strangers else None
        strangers.discard(video_id(file))
        # A failed input is tried again: what ailed it (rights, a missing mount) may be mended.
        if known is None or known["failure"] is not None or known["stamp"] != input_row(file, notes, identity)["stamp"]:
            left.append(file)
            continue
        reused += 1
        if (update := update_of(known, identity, before)) is not None:
            updates.append(update)
    rows = Lazy(left, lambda file: input_row(file, notes, identity))
    updates += _updates_of_strangers(units, sorted(strangers), identity, before)
    plan: dict[str, Any] = {
        "inputs": len(files), "to_measure": len(rows), "reused": reused, "runner": runner, "run": str(output.location)
    }  # fmt: skip
    if updates:
        measured = Counter(name for update in updates for name in update["missing"])
        plan["to_update"] = {"inputs": len(updates), "to_decode": sum(bool(update["missing"]) for update in updates)}
        plan["to_update"]["scorers"] = dict(sorted(measured.items()))
    if plan_only:
        return {"plan": plan if is_same_policy else {**plan, "decisions": "another policy: motionloom redecide"}}
    if not is_same_policy:
        raise RecipeError(
            f"{output.location} was decided by another policy; give the recipe with that policy, "
            "or change it first with `motionloom redecide`"
        )
    claim_folder(run_dir, identity, "curate", "choose another --output", changes=True)
    output.publish()
    units.clear_partial()
    asked = (output.units, recipe.clips, recipe.scorers, cheap)
    work, cut = CurateStage(*asked), TakeStage(*asked)
    stage = Stage("curate", work, recipe.cpus_per_worker, work.lost, recipe.stalled_s, bytes_of)
    part = SegmentStage(*asked)
    segment_stage = Stage("segments", part, recipe.cpus_per_worker, part.lost, recipe.stalled_s)
    anew = UpdateStage(*asked)
    update_stage = Stage("update", anew, recipe.cpus_per_worker, anew.lost, recipe.stalled_s)
    cut_stage = Stage("cut takes", cut, recipe.cpus_per_worker, cut.lost, recipe.stalled_s)
    forget_clip_files(run_dir, [video_id(file) for file in left])
    run_stage = pick_runner(runner)
    with keep_runner(runner) if rows or updates else contextlib.nullcontext():
        if rows:
            budget = FailureBudget(recipe.failure_budget, len(rows), earlier=reused)
            output.forget_units(video_id(file) for file in left)
            results = watch_stage(run_stage(stage, rows, workers), "curate", len(rows), run_dir)
            long = [done for done in budget.watch(results) if done.get("unfinished")]
            if long:
                segments = segment_store(output.units)
                parts = segments_to_measure(long, segments)
                for _ in watch_stage(run_stage(segment_stage, parts, workers), "segments", len(parts), run_dir):
                    pass
                for _ in watch_stage(run_stage(stage, long, workers), "join", len(long), run_dir):
                    pass
                forget_segments(long, UnitStore(output.units), segments)
            output.fetch()
        if updates:
            output.forget_units(str(row["video_id"]) for row in updates)
            budget = FailureBudget(recipe.failure_budget, len(updates))
            results = run_stage(update_stage, updates, workers)
            for _ in budget.watch(watch_stage(results, "update", len(updates), run_dir)):
                pass
            output.fetch()
        # Again where a view failed at it: its siblings are then cut without it.
        while views := views_to_cut(units) if recipe.clips.cut_takes_together else []:
            output.forget_units(str(view["video_id"]) for view in views)
            for _ in watch_stage(run_stage(cut_stage, views, workers), "cut takes", len(views), run_dir):
                pass
            output.fetch()
        # All inputs that the run has ever seen: a call with others adds to it and takes nothing away.
        result = publish_run(run_dir, units, units.ids(), recipe.policy)
        if recipe.write_clips.mode != "none":
            result["clip_files"] = write_clip_files(run_dir, recipe, run_stage, workers)
    result["counts"]["reused"] = reused
    result["wall_s"] = round(time.monotonic() - began_s, 3)
    write_run(run_dir, resolved, recipe.policy, result)
    output.publish()
    failed_share = result["counts"]["failures"] / result["counts"]["inputs"]
    if result.get("clip_files", {}).get("kept"):
        failed_share = max(failed_share, result["clip_files"]["failed"] / result["clip_files"]["kept"])
    return {
        **result,
        "plan": plan,
        "over_budget": failed_share > recipe.failure_budget,
        "failure_budget": recipe.failure_budget,
    }


def _updates_of_strangers(
    units: UnitStore, video_ids: Sequence[str], identity: dict[str, Any], before: dict[str, Any]
) -> list[dict[str, Any]]:
    """Updates of units that this call does not name: all of a run is measured by one recipe.

    Raises: RecipeError when a file that would have to be decoded is not what was measured; its facts are not given up.
    """
    from pipelines.update_stage import update_of
    from schemas.errors import RecipeError
    from schemas.storage import located, state_of

    updates, gone = [], []
    for video_id in video_ids:
        document = units.document(video_id)
        update = update_of(document, identity, before) if document is not None else None
        if document is None or update is None:
            continue
        uri, state = document["video"]["uri"], {name: document["stamp"][name] for name in ("size_bytes", "mtime_ns")}
        if update["missing"] and state_of(located(uri)) != state:
            gone.append(uri)
        updates.append(update)
    if gone:
        raise RecipeError(
            f"{len(gone)} files of this run that another recipe measured are gone or changed ({gone[0]}, …): bring "
            "them back, name those that changed as --input, or choose another --output; nothing was done"
        )
    return updates


def _is_same_policy(run_dir: Path, policy: Policy) -> bool:
    """Whether the run was decided by this policy, or not yet: deciding by another would silently undo a `redecide`."""
    from curation.decide import policy_fingerprint
    from pipelines.run_tables import RUN_FILE, read_run

    return not (run_dir / RUN_FILE).is_file() or read_run(run_dir)["policy_fingerprint"] == policy_fingerprint(policy)


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("curate"))
