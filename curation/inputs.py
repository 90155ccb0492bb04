"""Which files a run looks at, and what a manifest beside them says."""

from __future__ import annotations

import csv
import glob
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.clip import SourceNote
from schemas.errors import RecipeError

log = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset(
    {
        *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
        *(".mts", ".mxf", ".ogv", ".ts", ".webm", ".wmv"),
    }
)
MANIFEST_NAMES = ("manifest.csv", "manifest.jsonl", "manifest.parquet")
# Manifest columns that travel with a file, under the spellings that are found in the wild.
_COLUMNS = {
    "licence": ("licence", "license"),
    "consent": ("consent",),
    "source": ("source", "source_repo"),
    "style": ("style",),
}


def find_inputs(sources: Sequence[str]) -> list[Path]:
    """Media files named by paths, folders (searched in depth) and globs; sorted, each file once however it is named.

    A file that is named outright is taken whatever its suffix; a folder or glob yields media suffixes only, links that
    lead nowhere among them (they become failures). What is passed over is counted in the log.
    Raises: RecipeError when a source matches nothing or cannot be searched.
    """
    found: dict[Path, Path] = {}
    for source in sources:
        path = Path(source)
        if path.is_file():
            found.setdefault(path.resolve(), path)
            continue
        try:
            names = path.rglob("*") if path.is_dir() else (Path(name) for name in glob.iglob(source, recursive=True))
            files = [file for file in names if file.is_file() or (file.is_symlink() and not file.exists())]
        except OSError as error:
            raise RecipeError(f"input {source} cannot be searched: {error.strerror}") from error
        media = [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES]
        passed_over = sum(file.name not in MANIFEST_NAMES for file in files) - len(media)
        if passed_over:
            log.info("%s: %d files without a video suffix are passed over", source, passed_over)
        if not media:
            what = "holds no video files" if path.is_dir() else "does not exist and matches no video files"
            raise RecipeError(f"input {source} {what} (known suffixes: {' '.join(sorted(VIDEO_SUFFIXES))})")
        for file in sorted(media):
            found.setdefault(file.resolve(), file)
    return sorted(found.values())


def read_notes(inputs: Sequence[Path]) -> dict[Path, SourceNote]:
    """Notes of the manifests that lie in the inputs' folders; a file that no manifest names is left out.

    Raises: RecipeError when a manifest cannot be read or has no `file` column.
    """
    notes: dict[Path, SourceNote] = {}
    known = set(inputs)
    for folder in sorted({path.parent for path in inputs}):
        manifest = next((folder / name for name in MANIFEST_NAMES if (folder / name).is_file()), None)
        if manifest is None:
            continue
        strangers = []
        for row in _rows(manifest):
            if not isinstance(row, dict) or not row.get("file"):
                raise RecipeError(f"{manifest}: a row without a `file`; every row names a file in its folder")
            values = {
                field: next((str(row[name]) for name in names if row.get(name)), None)
                for field, names in _COLUMNS.items()
            }
            path = folder / str(row["file"])
            notes[path] = SourceNote(**values)
            if path not in known:
                strangers.append(str(row["file"]))
        if strangers:
            names = ", ".join(strangers[:3])
            log.warning("%s: %d rows name no input of this run (%s, …)", manifest, len(strangers), names)
    return notes


def _rows(manifest: Path) -> list[Any]:
    try:
        if manifest.suffix == ".csv":
            with manifest.open(newline="", encoding="utf-8-sig") as file:
                return list(csv.DictReader(file))
        if manifest.suffix == ".jsonl":
            return [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines() if line.strip()]
        rows: list[Any] = pq.read_table(manifest).to_pylist()
        return rows
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        raise RecipeError(f"manifest {manifest} cannot be read: {error}") from error
