"""A BENCH folder: who is to be moved like whom, and what each system made of it.

    BENCH/cases.json               the cases and a hash of them
    BENCH/media/                   their references and driving videos
    BENCH/systems/NAME/CASE.mp4    outputs, and system.json with what was found of them

Two reports may be compared only where their cases have the same hash.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError, field_validator

from pipelines.sink import write_text
from schemas.errors import DataError, RecipeError
from schemas.fingerprint import file_sha256, fingerprint
from schemas.recipe import StrictModel

CASES_FILE = "cases.json"
MEDIA_DIR = "media"
SYSTEMS_DIR = "systems"
SYSTEM_FILE = "system.json"
FORMAT_VERSION = 1
GROUND_TRUTH, COPIED, SHUFFLED = "ground_truth", "copied_reference", "shuffled_driving"
BLURRED, NOISE = "blurred", "noise"
ANCHORS = (GROUND_TRUTH, COPIED, SHUFFLED, BLURRED, NOISE)
"""Videos of known worth that stand beside the systems (pipelines/evaluation/anchors.py)."""
_M = TypeVar("_M", bound=StrictModel)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}\Z")
_MEDIA = re.compile(r"media/[A-Za-z0-9][A-Za-z0-9_.-]{0,120}\Z")


class Case(StrictModel):
    """One case. references, driving: paths in BENCH. sha256: of each of these files. tags: what reports are split by.

    subjects: who is on either side, reference first, by the words that the dataset has for them.
    """

    case_id: str
    references: tuple[str, ...] = Field(min_length=1)
    driving: str
    prompt: str
    tags: dict[str, str]
    subjects: tuple[str, str]
    sha256: dict[str, str]

    @field_validator("case_id")
    @classmethod
    def _is_plain(cls, case_id: str) -> str:
        if not _NAME.match(case_id):
            raise ValueError(f"{case_id!r} is no plain name of letters, digits, _ and -")
        return case_id

    @field_validator("references", "driving")
    @classmethod
    def _stays_inside(cls, value: Any) -> Any:
        for path in [value] if isinstance(value, str) else value:
            if not _MEDIA.match(path):
                raise ValueError(f"{path!r} is no file of {MEDIA_DIR}/")
        return value

    @property
    def files(self) -> tuple[str, ...]:
        return (*self.references, self.driving)


class Benchmark(StrictModel):
    """cases.json. made_by: how the cases were drawn, for the reader."""

    format_version: int
    cases: tuple[Case, ...] = Field(min_length=1)
    cases_fingerprint: str
    made_by: dict[str, Any]


class System(StrictModel):
    """system.json. made_by: where the outputs are from. files: sha256 by case; failed: why a case has none to show."""

    name: str
    cases_fingerprint: str
    made_by: dict[str, Any]
    files: dict[str, str]
    failed: dict[str, str]


def cases_fingerprint(cases: Sequence[Case]) -> str:
    """Of everything that a system is given; the order of the cases does not matter, nor who is on either side."""
    rows = sorted(
        (case.model_dump(mode="json", exclude={"subjects"}) for case in cases), key=lambda row: row["case_id"]
    )
    return fingerprint(rows)


def write_benchmark(folder: Path, cases: Sequence[Case], made_by: Mapping[str, Any]) -> Benchmark:
    """Writes cases.json in one step; the media are there already."""
    benchmark = Benchmark(
        format_version=FORMAT_VERSION,
        cases=tuple(cases),
        cases_fingerprint=cases_fingerprint(cases),
        made_by=dict(made_by),
    )
    write_text(folder / CASES_FILE, json.dumps(benchmark.model_dump(mode="json"), indent=1) + "\n")
    return benchmark


def read_document(model: type[_M], path: Path) -> _M:
    """A JSON file that a model describes. Raises: DataError naming file and place."""
    try:
        return model.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise DataError(f"{path} cannot be read: {place}: {first['msg']}") from error


def load_benchmark(folder: Path) -> Benchmark:
    """Raises: RecipeError when the folder is no BENCH; DataError when cases or media are not what was hashed."""
    path = folder / CASES_FILE
    if not path.is_file():
        raise RecipeError(f"{folder} has no {CASES_FILE}; motionloom evaluate cases writes one")
    benchmark = read_document(Benchmark, path)
    if benchmark.cases_fingerprint != cases_fingerprint(benchmark.cases):
        raise DataError(f"{path} was changed after its hash was made; draw the cases again, or take the file as it was")
    names = [case.case_id for case in benchmark.cases]
    if len(set(names)) != len(names):
        raise DataError(f"{path} has a case twice")
    for case in benchmark.cases:
        for file in case.files:
            if not (folder / file).is_file():
                raise DataError(f"{folder}: case {case.case_id} lacks {file}")
            if file_sha256(folder / file) != case.sha256.get(file):
                raise DataError(f"{folder}: {file} of case {case.case_id} is not the file that {CASES_FILE} names")
    return benchmark


def system_folder(bench: Path, name: str) -> Path:
    """Raises: RecipeError for a name that is no plain word, or an anchor's."""
    if not _NAME.match(name):
        raise RecipeError(f"system {name!r}: letters, digits, _ and - make a name")
    if name in ANCHORS:
        raise RecipeError(f"system {name!r}: that is the name of an anchor (docs/evaluation.md); choose another")
    return bench / SYSTEMS_DIR / name


def system_names(bench: Path) -> list[str]:
    return sorted(path.parent.name for path in (bench / SYSTEMS_DIR).glob(f"[!.]*/{SYSTEM_FILE}"))


def load_system(bench: Path, name: str, benchmark: Benchmark) -> System:
    """Raises: RecipeError when there is none, or one of other cases; DataError when it cannot be read."""
    path = system_folder(bench, name) / SYSTEM_FILE
    if not path.is_file():
        known = ", ".join(system_names(bench)) or "none"
        raise RecipeError(f"{bench} has no system {name}; it has {known} (motionloom evaluate add)")
    system = read_document(System, path)
    if system.cases_fingerprint != benchmark.cases_fingerprint:
        raise RecipeError(f"system {name} was made on other cases than {bench} has now; add its outputs again")
    return system
