"""`motionloom relabel`: tracks and labels of a finished dataset anew, as an overlay beside its untouched shards."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.arguments import local_path

if TYPE_CHECKING:
    from pipelines.relabel_plan import Work
    from schemas.index import SampleEntry
    from schemas.storage import Location

HELP = "make tracks and labels of a finished dataset anew, without rewriting its clips"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=local_path, metavar="DATASET", help="folder that motionloom annotate wrote")
    only = "annotators to run again (body, face, hands, camera, contact) or `labels`; by default what is out of date"
    parser.add_argument("--only", nargs="+", action="extend", metavar="NAME", help=only)
    parser.add_argument("--alone", action="store_true", help="keep tracks that follow from one that runs again")
    retry = "only the samples that failed in that overlay (by default the newest), with what it ran"
    parser.add_argument("--retry-failed", nargs="?", const="", metavar="NAME", help=retry)
    parser.add_argument("--overlay", metavar="NAME", help="folder under DATASET/overlays; by default relabel-NNN")
    parser.add_argument("--remove", metavar="NAME", help="take the newest overlay off again, and do nothing else")
    parser.add_argument("--recipe", help="annotation recipe (name or YAML file); by default the dataset's own")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe key")
    parser.add_argument("--runner", choices=("ray", "local"), default="ray", help="Ray Data job, or in this process")
    parser.add_argument("--workers", type=int, default=0, help="most workers at once; 0: one per processor")
    parser.add_argument("--plan", action="store_true", help="say what would be done and stop")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    from pipelines.logs import tell
    from pipelines.overlays import remove_overlay
    from pipelines.summary import print_over_budget, print_rows
    from pipelines.terminal import print_json
    from schemas.errors import RecipeError

    check_finished(args.dataset)
    if args.remove is not None:
        if args.only or args.overlay or args.plan or args.retry_failed is not None:
            raise RecipeError(
                "--remove takes off an overlay and goes with none of --only, --overlay, --plan, --retry-failed"
            )
        result: dict[str, Any] = {"removed": args.remove, "finished": remove_overlay(args.dataset, args.remove)}
    else:
        for override in args.set:
            if override.partition("=")[0].partition(".")[0] in ("video", "shards"):
                tell("warning", f"--set {override} has no effect here: clips are not written")
        options = {"only": args.only, "alone": args.alone, "overlay": args.overlay, "plan_only": args.plan}
        options["retry_failed"] = args.retry_failed
        result = relabel(
            args.dataset, **options, recipe=args.recipe, overrides=args.set, runner=args.runner, workers=args.workers
        )
    if args.json:
        print_json(result)
    else:
        shown = {
            name: value for name, value in result.items() if name not in ("failed", "failure_budget", "over_budget")
        }
        shown.update({name: _listed(value) for name, value in shown.items() if isinstance(value, dict)})
        print_rows(f"dataset {args.dataset}", shown)
    for failure in result.get("failed", ()):
        tell("failed", f"{failure['clip_id']} of {failure['uri']}: {failure['message']}")
    if result.get("failed"):
        sys.stderr.write(f"motionloom relabel {args.dataset} --retry-failed tries them again\n")
    if result.get("over_budget"):
        print_over_budget("samples", len(result["failed"]), result["relabelled"], result["failure_budget"])
    return 1 if result.get("over_budget") else 0


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing"


def check_finished(dataset: Location) -> None:
    """Raises: RecipeError when the folder is no dataset, or one that annotation has not finished."""
    from pipelines.sink import RECIPE_FILE
    from schemas.errors import RecipeError
    from schemas.index import INDEX_JSON, load_index
    from schemas.storage import answering, is_file, joined

    with answering(dataset):
        begun, finished, is_run = (is_file(joined(dataset, name)) for name in (RECIPE_FILE, INDEX_JSON, "run.json"))
    if begun and not finished and not is_run:
        raise RecipeError(f"{dataset} is not finished; the same motionloom annotate command continues it")
    load_index(dataset)


def relabel(
    dataset: Path,
    only: Sequence[str] | None = None,
    alone: bool = False,
    overlay: str | None = None,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    runner: str = "ray",
    workers: int = 0,
    plan_only: bool = False,
    retry_failed: str | None = None,
) -> dict[str, Any]:
    """Runs or continues a relabelling into an overlay. Returns: its name (None: nothing to do), counts, failures.

    retry_failed: an overlay ("" for the newest), whose failed samples alone are relabelled, with its only and alone.
    Raises: RecipeError before any work, also while another call is at work on the dataset; CorruptShard, which stops
    the work, when a stored sample is damaged.
    """
    from annotation.catalog import annotator_versions, make_annotators
    from annotation.sample import label_versions
    from pipelines.dataset_card import refresh_card
    from pipelines.folder_lock import only_one
    from pipelines.judges import check_zero_shot
    from pipelines.overlays import check_overlay_name, finished_samples
    from pipelines.relabel_plan import check_names, counts, failed_in, judged_by, label_recipe, plan
    from pipelines.sink import check_folder, claim_folder
    from schemas.errors import RecipeError
    from schemas.fingerprint import fingerprint
    from schemas.index import load_overlays, load_shards
    from schemas.overlay import overlay_folder

    began_s = time.monotonic()
    if workers < 0:
        raise RecipeError(f"--workers {workers}: 0 (one per processor) or a positive number")
    if retry_failed is not None and (only is not None or alone):
        raise RecipeError("--retry-failed runs what the overlay ran and goes with neither --only nor --alone")
    annotators = make_annotators()
    check_names(annotators, only)
    # A plan changes nothing, and a dataset that cannot be written to is refused below, once there is work.
    writes = not plan_only and os.access(dataset, os.W_OK)
    with only_one(dataset, "relabel") if writes else contextlib.nullcontext():
        resolved, changed = label_recipe(dataset, recipe, overrides)
        check_zero_shot(resolved.zero_shot)
        retry = None if retry_failed is None else failed_in(dataset, retry_failed)
        if retry is not None:
            only, alone = retry.only, retry.alone
        shards, finished = load_shards(dataset), [each.name for each in load_overlays(dataset)]
        name = check_overlay_name(overlay) if overlay is not None else _next_name(finished)
        below = load_overlays(dataset)[: finished.index(name) if name in finished else None]
        claim = {
            "only": sorted(only) if only is not None else None,
            "alone": alone,
            "judged_by": judged_by(resolved),
            "annotators": {**annotator_versions(annotators), **label_versions()},
            "over": fingerprint(
                [*([each.name, each.sha256] for each in shards), *([each.name, each.sha256] for each in below)]
            ),
        }
        if retry is not None:
            claim["retry_of"] = retry.overlay
        folder, option = overlay_folder(dataset, name), "--overlay"
        hint = f"choose another --overlay, or clear this one away with --remove {name}"
        if name in finished:
            check_folder(folder, claim, "relabel", hint, option)
            if writes:
                refresh_card(dataset)
            return _result(dataset, name, resolved.failure_budget, began_s)
        _check_shard_files(dataset)
        entries = finished_samples(dataset)
        wanted = entries if retry is None else [entry for entry in entries if entry.key in retry.keys]
        work = plan(dataset, wanted, annotators, only, alone, changed)
        found = {"samples": len(entries), "rerun": counts(work), "relabelled": len(work)}
        if plan_only or not work:
            if plan_only:
                found["would_relabel"] = found.pop("relabelled")
            decoded = sum(bool(each.rerun) for each in work)
            note = "nothing is out of date" if retry is None else f"nothing failed in {retry.overlay}"
            nothing = {} if work else {"note": note}
            return {"overlay": name if work else None, **found, "decoded": decoded, "failed": [], **nothing}
        if not os.access(dataset, os.W_OK):
            raise RecipeError(f"{dataset} cannot be written to, and its index has to say where the new members are")
        claim_folder(folder, claim, "relabel", hint, option)
        _work(dataset, name, entries, work, resolved, runner, workers, {**claim, **found})
        refresh_card(dataset)
        return _result(dataset, name, resolved.failure_budget, began_s)


def _next_name(taken: Sequence[str]) -> str:
    number = len(taken) + 1
    while f"relabel-{number:03d}" in taken:
        number += 1
    return f"relabel-{number:03d}"


def _check_shard_files(dataset: Path) -> None:
    """Raises: CorruptShard for a shard that is missing or has another size. Contents are checked as they are read."""
    from schemas.errors import CorruptShard
    from schemas.index import SHARDS_DIR, load_shards

    for shard in load_shards(dataset):
        path = dataset / SHARDS_DIR / shard.name
        size_bytes = path.stat().st_size if path.is_file() else None
        if size_bytes != shard.size_bytes:
            state = "is missing" if size_bytes is None else f"has {size_bytes} bytes, not {shard.size_bytes}"
            raise CorruptShard(f"shard {shard.name} {state}; motionloom shards verify says what is damaged")


def _work(
    dataset: Path,
    name: str,
    entries: list[SampleEntry],
    work: list[Work],
    recipe: Any,
    runner: str,
    workers: int,
    made_by: dict[str, Any],
) -> None:
    from pipelines.failure_budget import FailureBudget
    from pipelines.overlays import Part, put_overlay
    from pipelines.progress import track
    from pipelines.relabel_plan import LABEL_KEYS
    from pipelines.relabel_stage import RelabelStage
    from pipelines.sink import UnitStore
    from pipelines.stages import Stage, pick_runner
    from schemas.overlay import overlay_folder
    from schemas.shard import read_members, sample_tar

    units_dir = overlay_folder(dataset, name) / "units"
    units = UnitStore(units_dir)
    units.clear_partial()
    todo = [each for each in work if units.document(each.entry.key) is None]
    rows = [{"entry": each.entry.row(), "rerun": list(each.rerun)} for each in todo]
    relabelling = RelabelStage(dataset.resolve(), units_dir.resolve(), recipe.language_model, recipe.zero_shot)
    stage = Stage("relabel", relabelling, recipe.cpus_per_worker, relabelling.lost, recipe.stalled_s)
    if rows:
        budget = FailureBudget(recipe.failure_budget, len(rows), earlier=len(work) - len(rows))
        for _ in budget.watch(track(pick_runner(runner)(stage, rows, workers), "relabel", len(rows))):
            pass
    relabelled = {each.entry.key for each in work}

    def part_of(entry: SampleEntry) -> Part:
        if entry.key not in relabelled:
            # Readers that go through shards and overlay side by side need every sample in both.
            return sample_tar(entry.key, read_members(dataset, entry, ("json",))), ("json",), {}
        document = units.document(entry.key)
        assert document is not None
        data = bytes(units.table(entry.key).column("tar")[0].as_py())
        return data, tuple(document["members"]), document["index"]

    documents = (units.document(each.entry.key) for each in work)
    failures = [document["failure"] for document in documents if document and document["failure"]]
    label_part = {key: value for key, value in recipe.model_dump(mode="json").items() if key in LABEL_KEYS}
    put_overlay(dataset, name, entries, part_of, {**made_by, "recipe": label_part, "failures": failures})
    shutil.rmtree(units_dir, ignore_errors=True)


def _result(dataset: Path, name: str, failure_budget: float, began_s: float) -> dict[str, Any]:
    from collections import Counter

    from schemas.index import load_samples
    from schemas.overlay import load_overlay

    overlay = load_overlay(dataset, name)
    spans = [span for entry in load_samples(dataset) for span in entry.overlays if span.name == name]
    failed = overlay.made_by["failures"]
    return {
        "overlay": name,
        **{key: overlay.made_by[key] for key in ("samples", "rerun", "relabelled")},
        "members": dict(sorted(Counter(member for span in spans for member in span.members).items())),
        "failed": failed,
        "bytes": sum(shard.size_bytes for shard in overlay.shards),
        "wall_s": round(time.monotonic() - began_s, 3),
        "failure_budget": failure_budget,
        "over_budget": len(failed) > failure_budget * overlay.made_by["relabelled"],
    }


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("relabel"))
