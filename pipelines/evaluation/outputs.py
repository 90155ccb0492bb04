"""Taking over the outputs of a system, ours or anybody's: files named by case, each played before it counts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from curation.container import open_video
from curation.decode import DecodeResult, presented_frames
from pipelines.evaluation.benchmark import SYSTEM_FILE, Benchmark, System, system_folder
from pipelines.logs import tell
from pipelines.sink import made_whole, write_text
from schemas.errors import DataError, DecodeError, RecipeError
from schemas.fingerprint import file_sha256

SUFFIXES = (".mp4", ".webm", ".mov", ".mkv", ".avi")


def add_outputs(
    bench: Path,
    benchmark: Benchmark,
    name: str,
    folder: Path,
    made_by: Mapping[str, Any],
    reasons: Mapping[str, str] = MappingProxyType({}),
) -> System:
    """Copies a system's outputs into BENCH and notes which cases it lacks, and which of its files do not play.

    reasons: why a case has none, where that is known.
    Adding again replaces what was there. Files that are named after no case are told and left out.
    Raises: RecipeError when no file is named after a case, or when a case has two.
    """
    target = system_folder(bench, name)
    if not folder.is_dir():
        raise RecipeError(f"{folder} is no folder")
    by_case: dict[str, Path] = {}
    strangers = []
    cases = {case.case_id for case in benchmark.cases}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES:
            continue
        if path.stem not in cases:
            strangers.append(path.name)
        elif path.stem in by_case:
            raise RecipeError(f"{folder} has {by_case[path.stem].name} and {path.name} for one case; keep one")
        else:
            by_case[path.stem] = path
    if not by_case:
        raise RecipeError(
            f"{folder} holds no output: files are named by case, such as {benchmark.cases[0].case_id}.mp4"
        )
    if strangers:
        tell("warning", f"{len(strangers)} files of {folder} are named after no case: {', '.join(strangers[:5])}")
    files, failed = {}, {}
    with made_whole(target) as fresh:
        for case in benchmark.cases:
            if case.case_id not in by_case:
                failed[case.case_id] = reasons.get(case.case_id, "no output")
                continue
            path = by_case[case.case_id]
            try:
                check_plays(path)
            except DataError as error:
                failed[case.case_id] = str(error)
                continue
            copy = fresh / f"{case.case_id}{path.suffix.lower()}"
            shutil.copyfile(path, copy)
            files[case.case_id] = file_sha256(copy)
        facts = {"name": name, "cases_fingerprint": benchmark.cases_fingerprint, "made_by": dict(made_by)}
        system = System.model_validate({**facts, "files": files, "failed": failed})
        write_text(fresh / SYSTEM_FILE, json.dumps(system.model_dump(mode="json"), indent=1) + "\n")
    return system


def check_plays(path: Path) -> None:
    """Whether a video can be shown to somebody: it decodes to the end that its header states.

    Raises: ProbeError, DecodeError.
    """
    result = DecodeResult()
    with open_video(path) as container:
        for _ in presented_frames(container, result):
            pass
    if result.error is not None or not result.frames:
        raise DecodeError(result.error or "it has no frame")


def output_of(bench: Path, system: System, case_id: str) -> Path | None:
    """The system's video of a case; None where it has none. Raises: DataError when the file is another one now."""
    if case_id not in system.files:
        return None
    folder = system_folder(bench, system.name)
    for suffix in SUFFIXES:
        path = folder / f"{case_id}{suffix}"
        if path.is_file():
            if file_sha256(path) != system.files[case_id]:
                raise DataError(f"{path} is not the file that was added; add the outputs of {system.name} again")
            return path
    raise DataError(f"{folder} lacks the output of case {case_id}; add the outputs of {system.name} again")
