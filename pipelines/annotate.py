"""`motionloom annotate`: kept clips in, WebDataset shards with tracks, labels and captions out."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.arguments import location

if TYPE_CHECKING:
    from pipelines.output_folder import OutputFolder
    from schemas.storage import Location

HELP = "turn a run's kept clips into shards with body, face, hand and camera tracks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="folder that motionloom curate wrote, path or URI (s3://…)")
    parser.add_argument("--output", required=True, metavar="DATASET", help="folder of the shards, path or URI")
    parser.add_argument("--recipe", default="default", help="built-in name (default) or YAML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe key")
    parser.add_argument("--runner", choices=("ray", "local"), default="ray", help="Ray Data job, or in this process")
    parser.add_argument("--workers", type=int, default=0, help="most workers at once; 0: one per processor")
    reuse = "earlier dataset whose samples are taken where clip, recipe and versions are the same"
    parser.add_argument("--reuse", type=location, metavar="DATASET", help=reuse)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    from pipelines.logs import tell
    from pipelines.recipe_models import annotate_recipe
    from pipelines.summary import print_over_budget, print_rows, time_spent
    from pipelines.terminal import print_json

    recipe = annotate_recipe(args.recipe, args.set)
    result = annotate(args.run, args.output, recipe, args.runner, args.workers, args.reuse)
    if args.json:
        print_json(result)
    else:
        shown = {name: value for name, value in result.items() if name not in ("failed", "over_budget", "seconds")}
        shown.update(time_spent(result["seconds"]))
        print_rows(f"dataset {args.output}", shown)
    for failure in result["failed"]:
        tell("failed", f"{failure['clip_id']} of {failure['uri']}: {failure['message']}")
    if result["over_budget"]:
        print_over_budget("clips", len(result["failed"]), result["clips"], recipe.failure_budget)
    return 1 if result["over_budget"] else 0


def annotate(
    run: Location, dataset: Location, recipe: Any, runner: str = "ray", workers: int = 0, reuse: Location | None = None
) -> dict[str, Any]:
    """Runs or continues an annotation. Returns: counts, bytes, failures, seconds.

    run, dataset: paths or URIs (schemas/storage.py).
    reuse: an earlier dataset; its samples of the same clips, recipe and versions are taken without decoding.
    Raises: RecipeError before any work when RUN is not finished, DATASET was made from other clips or a recipe, or the
    earlier dataset by another recipe.
    """
    from pipelines.logs import run_in_logs
    from pipelines.output_folder import UNITS_DIR, input_folder, output_folder
    from schemas.errors import RecipeError
    from schemas.index import INDEX_JSON

    if workers < 0:
        raise RecipeError(f"--workers {workers}: 0 (one per processor) or a positive number")
    # Of a run, tables alone are read, and those of frames are the largest by far.
    with (
        input_folder(run, (UNITS_DIR, "frames", "clip_files")) as run_dir,
        output_folder(dataset, INDEX_JSON) as output,
        run_in_logs(output.location),
    ):
        return _annotate(run_dir, output, recipe, runner, workers, reuse)


def _annotate(
    run_dir: Path, output: OutputFolder, recipe: Any, runner: str, workers: int, reuse: Location | None
) -> dict[str, Any]:
    from annotation.catalog import annotator_versions, make_annotators
    from pipelines.annotate_stage import FILE_FACTS, AnnotateStage, pixels_of
    from pipelines.dataset_card import refresh_card
    from pipelines.failure_budget import FailureBudget
    from pipelines.judges import check_zero_shot
    from pipelines.output_folder import UNITS_DIR
    from pipelines.progress import watch_stage
    from pipelines.recipe_models import HOW_NOT_WHAT
    from pipelines.reuse import earlier_dataset
    from pipelines.run_balance import weights_of_run
    from pipelines.run_tables import read_run, read_table
    from pipelines.sink import UnitStore, claim_folder
    from pipelines.stage_clock import StageClock
    from pipelines.stages import Stage, pick_runner
    from schemas.errors import RecipeError
    from schemas.fingerprint import fingerprint
    from schemas.index import INDEX_JSON

    began_s, dataset = time.monotonic(), output.folder
    check_zero_shot(recipe.zero_shot)
    read_run(run_dir)
    weights = weights_of_run(run_dir)
    _check_columns(run_dir)
    kept = _kept_clips(read_table(run_dir, "clips"), read_table(run_dir, "decisions"))
    clips = [{**clip, "sampling_weight": weights.get(clip["clip_id"])} for clip in kept]
    if not clips:
        raise RecipeError(f"{run_dir} kept no clip; loosen the policy with motionloom redecide")
    columns = ["video_id", *FILE_FACTS]
    videos = {row["video_id"]: row for row in read_table(run_dir, "videos").select(columns).to_pylist()}
    made_by = {
        "recipe": recipe.model_dump(mode="json"),
        "annotators": annotator_versions(make_annotators()),
        "clips_fingerprint": fingerprint(clips),
    }
    earlier = earlier_dataset(reuse, output.location, recipe) if reuse is not None else None
    what = recipe.model_dump(mode="json", exclude=HOW_NOT_WHAT)
    claim_folder(
        dataset,
        {**made_by, "recipe": what},
        "annotate",
        "choose another --output (clips_fingerprint: the run keeps other clips now than when the dataset was made; "
        "annotators: motionloom relabel brings the dataset up to date)",
    )
    output.publish()
    units = UnitStore(dataset / UNITS_DIR)
    units.clear_partial()
    reused, spent = 0, StageClock()
    if not (dataset / INDEX_JSON).is_file() or _failures(dataset):
        _check_no_overlays(dataset)
        # A failed clip is tried again; the finished ones of a dataset with failures are still there.
        documents = {clip["clip_id"]: units.document(clip["clip_id"]) for clip in clips}
        todo = [clip for clip in clips if (documents[clip["clip_id"]] or {}).get("index") is None]
        known = earlier.entries if earlier is not None else {}
        rows = [
            {
                "clip": clip,
                **{name: videos[clip["video_id"]][name] for name in FILE_FACTS},
                "reuse": known[clip["clip_id"]].row() if clip["clip_id"] in known else None,
            }
            for clip in todo
        ]
        source = earlier.dataset if earlier is not None else None
        work = AnnotateStage(output.units, recipe.video, recipe.language_model, recipe.zero_shot, source)
        stage = Stage("annotate", work, recipe.cpus_per_worker, work.lost, recipe.stalled_s, pixels_of)
        if rows:
            output.forget_units(clip["clip_id"] for clip in todo)
            budget = FailureBudget(recipe.failure_budget, len(rows), earlier=len(clips) - len(rows))
            results = pick_runner(runner)(stage, rows, workers)
            for done in budget.watch(watch_stage(results, "annotate", len(rows), dataset)):
                reused += done["reused"]
                spent.book(done["seconds"])
            output.fetch()
        _publish(dataset, units, [clip["clip_id"] for clip in clips], recipe, made_by)
    # Before the mark of a dataset in a store; a killed call's is made by the next.
    refresh_card(dataset, make=True)
    if not _failures(dataset):
        # The shards hold everything now; the units would only double the space.
        shutil.rmtree(dataset / UNITS_DIR, ignore_errors=True)
    output.publish()
    seconds = {
        stage: {clock: round(value, 3) for clock, value in each.items()} for stage, each in spent.seconds.items()
    }
    result = {**_result(dataset, clips, recipe, began_s), "seconds": seconds}
    return result if reuse is None else {**result, "reused": reused}


def _check_no_overlays(dataset: Path) -> None:
    """Raises: RecipeError when an overlay lies over the shards, which are about to be written again."""
    from schemas.errors import RecipeError
    from schemas.index import OVERLAYS_DIR

    names = sorted(path.name for path in (dataset / OVERLAYS_DIR).glob("*"))
    if names:
        raise RecipeError(
            f"{dataset} lacks clips that failed, and overlays ({', '.join(names)}) lie over its shards: take these off "
            "(motionloom relabel --remove, the newest first) before the clips are tried again"
        )


def _failures(dataset: Path) -> list[dict[str, Any]]:
    """Clips that a finished dataset lacks, with the reason."""
    import json

    from schemas.index import INDEX_JSON

    failed: list[dict[str, Any]] = json.loads((dataset / INDEX_JSON).read_text(encoding="utf-8"))["made_by"]["failures"]
    return failed


def _check_columns(run_dir: Path) -> None:
    """Raises: RecipeError for a run of an earlier version, whose tables lack what samples state."""
    from pipelines.run_tables import table_schema
    from schemas.errors import RecipeError
    from schemas.tables import CLIP_IDENTITY, VIDEOS

    for name, wanted in (("clips", CLIP_IDENTITY), ("videos", VIDEOS)):
        missing = sorted(set(wanted.names) - set(table_schema(run_dir, name).names))
        if missing:
            raise RecipeError(
                f"{run_dir} was made by an earlier motionloom: its {name}/ lacks {', '.join(missing)}; "
                "curate the footage again into a new folder"
            )


def _kept_clips(clips: Any, decisions: Any) -> list[dict[str, Any]]:
    """Rows of `clips/` that were kept, in key order."""
    kept = {row["clip_id"] for row in decisions.select(["clip_id", "kept"]).to_pylist() if row["kept"]}
    return sorted((row for row in clips.to_pylist() if row["clip_id"] in kept), key=lambda row: str(row["clip_id"]))


def _publish(dataset: Path, units: Any, keys: list[str], recipe: Any, made_by: dict[str, Any]) -> None:
    """Packs the finished units into shards; the index comes last and makes the dataset complete."""
    from schemas.index import SHARDS_DIR, SampleEntry, write_index
    from schemas.shard import write_shards

    documents = {key: units.document(key) for key in keys}
    failures = [document["failure"] for document in documents.values() if document["failure"]]

    def describe(key: str, shard: str, offset: int, size_bytes: int) -> SampleEntry:
        row = documents[key]["index"]
        fields = {**row, "members": tuple(row["members"])}
        return SampleEntry(shard=shard, offset=offset, size_bytes=size_bytes, **fields)

    fresh = dataset / f".{SHARDS_DIR}.part"
    shutil.rmtree(fresh, ignore_errors=True)
    shards, samples = write_shards(
        fresh,
        [key for key in keys if documents[key]["index"]],
        lambda key: bytes(units.table(key).column("tar")[0].as_py()),
        describe,
        recipe.shards.max_samples,
        recipe.shards.max_bytes,
    )
    shutil.rmtree(dataset / SHARDS_DIR, ignore_errors=True)
    fresh.replace(dataset / SHARDS_DIR)
    write_index(dataset, shards, samples, {**made_by, "failures": failures})


def _result(dataset: Path, clips: list[dict[str, Any]], recipe: Any, began_s: float) -> dict[str, Any]:
    from schemas.index import load_samples, load_shards

    failed = _failures(dataset)
    samples, shards = load_samples(dataset), load_shards(dataset)
    return {
        "clips": len(clips),
        "samples": len(samples),
        "failed": failed,
        "shards": len(shards),
        "bytes": sum(shard.size_bytes for shard in shards),
        "duration_s": round(sum(sample.duration_s for sample in samples), 3),
        "wall_s": round(time.monotonic() - began_s, 3),
        "over_budget": len(failed) / len(clips) > recipe.failure_budget,
    }


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("annotate"))
