"""Generating a benchmark's cases with a model of ours: one after the other, each kept as soon as it is made."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from model.store import CONFIG_FILE, read_config
from pipelines.animate import animate_file
from pipelines.evaluation.benchmark import Benchmark, System, system_folder, system_names
from pipelines.evaluation.outputs import add_outputs
from pipelines.folder_lock import only_one
from pipelines.progress import track
from pipelines.responsible_use import UseTerms
from pipelines.sink import write_text
from schemas.errors import DataError, RecipeError
from schemas.fingerprint import file_sha256, fingerprint

WORK_FILE = "made_by.json"


def _model_fingerprint(model: Path) -> str:
    """Raises: RecipeError when the folder is no MODEL."""
    read_config(model)
    files = [model / CONFIG_FILE, *sorted(model.glob("*.safetensors"))]
    return fingerprint({path.name: file_sha256(path) for path in files})


def generate_cases(
    bench: Path, benchmark: Benchmark, model: Path, name: str, seed: int, terms: UseTerms
) -> tuple[System, float]:
    """Makes what is missing of a system's outputs; a call that was broken off is continued by the same call.

    Returns: the system, and how many seconds generating its cases took, of all calls together.
    What cannot be animated, or is refused, is a failure of its case and is tried again by the next call.
    Raises: RecipeError when outputs of that name were begun with another model, seed or cases, or the terms name no
    consent.
    """
    made_by = {"model": _model_fingerprint(model), "seed": seed, "cases_fingerprint": benchmark.cases_fingerprint}
    if not terms.consent:
        raise RecipeError("--consent is missing: who agreed that these pictures are animated, or their licence")
    work = system_folder(bench, name).with_name(f".{name}.work")
    if name in system_names(bench) and not (work / WORK_FILE).is_file():
        raise RecipeError(f"system {name} of {bench} was added, not made here; choose another --name")
    work.mkdir(parents=True, exist_ok=True)
    with only_one(work, "evaluate run"):
        noted = work / WORK_FILE
        if noted.is_file() and json.loads(noted.read_text(encoding="utf-8")) != made_by:
            raise RecipeError(f"system {name} was begun with another model, seed or cases; choose another --name")
        write_text(noted, json.dumps(made_by) + "\n")
        for case in track(benchmark.cases, "generate", len(benchmark.cases)):
            output = work / f"{case.case_id}.mp4"
            if output.is_file():
                continue
            began_s = time.monotonic()
            part = work / f".{case.case_id}.mp4"
            try:
                animate_file(
                    model, bench / case.driving, [bench / path for path in case.references], part,
                    case.prompt, seed, overwrite=True, terms=terms,
                )  # fmt: skip
            except (DataError, RecipeError) as error:
                # What is refused, too, is a failure of its case alone.
                write_text(work / f"{case.case_id}.json", json.dumps({"failure": str(error)}) + "\n")
                continue
            write_text(work / f"{case.case_id}.json", json.dumps({"wall_s": time.monotonic() - began_s}) + "\n")
            part.replace(output)
        notes: dict[str, dict[str, Any]] = {
            path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(work.glob("[0-9]*.json"))
        }
        wall_s = round(sum(note.get("wall_s", 0.0) for note in notes.values()), 3)
        reasons = {case_id: note["failure"] for case_id, note in notes.items() if "failure" in note}
        about = {**made_by, "wall_s": wall_s, "seconds": {name: note.get("wall_s") for name, note in notes.items()}}
        return add_outputs(bench, benchmark, name, work, about, reasons), wall_s
