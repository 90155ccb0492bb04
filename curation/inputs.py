"""Which files a run looks at, and what a manifest beside them says."""

from __future__ import annotations

import csv
import difflib
import fnmatch
import functools
import glob
import io
import json
import logging
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curation.styles import style_name
from schemas.clip import SourceNote
from schemas.codecs import decode_json
from schemas.errors import RecipeError, SchemaError
from schemas.storage import Location, folder_of, is_file, joined, listed_states, located, name_of, read_bytes, size_of

log = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset(
    {
        *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
        *(".mts", ".mxf", ".ogv", ".ts", ".webm", ".wmv"),
    }
)
# What macOS writes beside the files of a foreign disk; the suffix is that of the file it belongs to.
_NOT_MEDIA = "._"
MANIFEST_NAMES = ("manifest.csv", "manifest.jsonl", "manifest.parquet")
# Manifest columns that travel with a file, under the spellings that are found in the wild.
_COLUMNS = {
    "licence": ("licence", "license"),
    "consent": ("consent",),
    "source": ("source", "source_repo"),
    "style": ("style",),
    "take_id": ("take_id",),
    "view_id": ("view_id",),
    "offset_s": ("offset_s",),
    "camera": ("camera",),
    "ground_truth": ("ground_truth",),
    "capture_fps": ("capture_fps",),
    "split": ("split",),
    "subject": ("subject", "subject_id"),
}
# Camera parameters travel inside the tables; what is larger is ground truth and stays a file.
_MAX_CAMERA_BYTES = 64 << 10
# Clocks that count from 1970 are well below; far above, neighbouring frames would have one time.
_MAX_OFFSET_S = 1e10


class InputFile(NamedTuple):
    """name: path or URI as it was given. uri: the file itself, behind links. state: of `state_of`, None where not asked
    yet. Text alone: a Path takes five times as much, and there may be a million.
    """

    name: str
    uri: str
    state: dict[str, Any] | None = None

    @staticmethod
    def local(path: Path, resolved: Path) -> InputFile:
        name, uri = str(path), str(resolved)
        return InputFile(uri if name == uri else name, uri)

    @property
    def location(self) -> Location:
        return located(self.name)


def find_inputs(sources: Sequence[str]) -> list[Location]:
    """As `find_files`, without their states."""
    return [file.location for file in find_files(sources)]


def find_files(sources: Sequence[str]) -> list[InputFile]:
    """Media files named by paths, folders (searched in depth) and globs; sorted, each file once however it is named.

    A source may be a URI (schemas/storage.py), of a file, a folder or, with `*`, `?` or `[`, of many.
    A file that is named outright is taken whatever its suffix; a folder or glob yields media suffixes only, links that
    lead nowhere among them (they become failures). What is passed over is counted in the log.
    Folders that are links are not searched, which the log says. Raises: RecipeError when a source matches nothing or
    cannot be searched whole.
    """
    found: dict[str, InputFile] = {}
    for source in sources:
        location = located(source)
        if isinstance(location, str):
            files = _remote_media(location)
        elif location.is_file():
            files = [InputFile.local(location, location.resolve())]
        else:
            files = _local_media(source, location)
        # Of several names of one file the first in the alphabet counts, wherever the file system lists it.
        for file in sorted(files, key=lambda file: file.name):
            found.setdefault(file.uri, file)
    return sorted(found.values(), key=lambda file: file.name)


def _local_media(source: str, path: Path) -> list[InputFile]:
    """Raises: RecipeError when nothing matches or a folder cannot be read."""
    media, passed_over = [], 0
    # Of a million files few are links.
    resolved_folder = functools.lru_cache(maxsize=64)(Path.resolve)
    try:
        for file in _below(path) if path.is_dir() else (Path(name) for name in glob.iglob(source, recursive=True)):
            if not file.is_file() and not (file.is_symlink() and not file.exists()):
                continue
            if _is_media(file.name):
                resolved = file.resolve() if file.is_symlink() else resolved_folder(file.parent) / file.name
                media.append(InputFile.local(file, resolved))
            else:
                passed_over += file.name not in MANIFEST_NAMES
    except OSError as error:
        raise RecipeError(f"input {source} cannot be searched: {error.filename}: {error.strerror}") from error
    if passed_over:
        log.info("%s: %d files without a video suffix are passed over", source, passed_over)
    if not media:
        what = "holds no video files" if path.is_dir() else "does not exist and matches no video files"
        raise RecipeError(f"input {source} {what} (known suffixes: {' '.join(sorted(VIDEO_SUFFIXES))})")
    return media


def _remote_media(source: str) -> list[InputFile]:
    """Raises: RecipeError when nothing matches or the store cannot be asked."""
    start = min((source.find(sign) for sign in "*?[" if sign in source), default=len(source))
    try:
        if start == len(source) and is_file(source):
            return [InputFile(source, source)]
        folder = source[:start].rpartition("/")[0] if start < len(source) else source
        media = [
            InputFile(uri, uri, state)
            for uri, state in listed_states(folder)
            if _is_media(name_of(uri)) and (start == len(source) or fnmatch.fnmatchcase(uri, source))
        ]
    except OSError as error:
        raise RecipeError(f"input {source} cannot be searched: {error}") from error
    if not media:
        raise RecipeError(
            f"input {source} holds and matches no video files (known suffixes: {' '.join(sorted(VIDEO_SUFFIXES))})"
        )
    return media


def _is_media(name: str) -> bool:
    return Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith(_NOT_MEDIA)


def _below(folder: Path) -> Iterator[Path]:
    """Files in a folder and its folders. Raises: OSError for one that cannot be read: its videos would be lost."""

    def refuse(error: OSError) -> None:
        raise error

    for root, folders, names in os.walk(folder, onerror=refuse):
        for name in folders:
            if (Path(root) / name).is_symlink():
                log.warning("%s: a link to a folder is not searched; name it as an input of its own", Path(root) / name)
        yield from (Path(root) / name for name in names)


def read_notes(inputs: Sequence[Location]) -> dict[Location, SourceNote]:
    """Notes of the manifests that lie in the inputs' folders; a file that no manifest names is left out.

    Raises: RecipeError when a manifest cannot be read, has no `file` column, holds a value of the wrong kind or two
    that differ, names a side file that is not there, or puts the views of one take on both sides of a split.
    """
    notes: dict[Location, SourceNote] = {}
    known: set[Location] | None = None
    for folder in sorted({folder_of(path) for path in inputs}, key=str):
        manifests = (joined(folder, name) for name in MANIFEST_NAMES)
        manifest = next((manifest for manifest in manifests if is_file(manifest)), None)
        if manifest is None:
            continue
        strangers, rows = [], _rows(manifest)
        known = set(inputs) if known is None else known
        _warn_of_misspelt(manifest, rows)
        for row in rows:
            if not isinstance(row, dict) or not row.get("file"):
                columns = f" (its columns: {', '.join(map(str, row))})" if isinstance(row, dict) else ""
                raise RecipeError(f"{manifest}: a row without a `file`{columns}; every row names a file in its folder")
            path = joined(folder, str(row["file"]))
            try:
                note = _note(row, folder)
            except ValueError as error:
                raise RecipeError(f"{manifest}: {row['file']}: {error}") from error
            if notes.setdefault(path, note) != note:
                raise RecipeError(f"{manifest}: {row['file']} has two rows that say different things")
            if path not in known:
                strangers.append(str(row["file"]))
        if strangers:
            names = ", ".join(strangers[:3])
            log.warning("%s: %d rows name no input of this run (%s, …)", manifest, len(strangers), names)
    return _split_as_takes(notes)


def _warn_of_misspelt(manifest: Location, rows: Sequence[Any]) -> None:
    """A manifest may have columns of its own; one that is nearly ours was probably meant to be."""
    read = {"file", *(name for names in _COLUMNS.values() for name in names)}
    for column in sorted({str(name) for row in rows if isinstance(row, dict) for name in row} - read):
        near = difflib.get_close_matches(column.lower(), read, n=1, cutoff=0.8)
        if near and not any(near[0] in row for row in rows):
            log.warning("%s: column %s is not read; did you mean %s?", manifest, column, near[0])


def _note(row: dict[str, Any], folder: Location) -> SourceNote:
    """Raises: ValueError for a value of the wrong kind or a side file that is not there."""
    stated = {
        field: next((row[name] for name in names if not _is_blank(row.get(name))), None)
        for field, names in _COLUMNS.items()
    }
    style = stated["style"]
    names = ("camera", "ground_truth", "capture_fps", "offset_s")
    camera, truth, rate, offset = (stated.pop(name) for name in names)
    if offset is not None and stated["take_id"] is None:
        raise ValueError("offset_s without take_id: it places a view on the clock of its take")
    return SourceNote(
        **{
            **{field: None if value is None else str(value) for field, value in stated.items()},
            "style": None if style is None else style_name(str(style)),
        },
        style_stated=None if style is None else str(style),
        camera=None if camera is None else _camera_json(camera, folder),
        ground_truth=None if truth is None else str(_side_file("ground_truth", str(truth), folder)),
        capture_fps=None if rate is None else _rate(rate),
        offset_s=None if offset is None else _offset_s(offset),
    )


def _is_blank(value: Any) -> bool:
    # Tables written from data frames say "nothing" with NaN.
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _rate(value: Any) -> float:
    rate = _finite(value)
    if rate is None or rate <= 0:
        raise ValueError(f"capture_fps is {value!r}; frames per second, a positive number")
    return rate


def _offset_s(value: Any) -> float:
    offset_s = _finite(value)
    if offset_s is None or abs(offset_s) > _MAX_OFFSET_S:
        raise ValueError(f"offset_s is {value!r}; seconds in the file at which its take's clock is 0, a number")
    return offset_s


def _finite(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and not isinstance(value, bool) else None


def _side_file(column: str, name: str, folder: Location) -> Location:
    path = joined(folder, name)
    if not is_file(path):
        raise ValueError(f"{column} names {name}, which is no file beside the manifest")
    return path if isinstance(path, str) else path.resolve()


def _camera_json(value: Any, folder: Location) -> str:
    """Camera parameters, given as JSON text, JSON value or path of a .json file, as compact JSON text.

    Any other text ("static", "pan left") is a description and stays as it is.
    """
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True)
    text, where = str(value), "camera"
    if not text.lstrip().startswith(("{", "[")):
        if not text.lower().endswith(".json"):
            return text
        path, where = _side_file("camera", text, folder), f"camera file {text}"
        if size_of(path) > _MAX_CAMERA_BYTES:
            raise ValueError(f"{where} is larger than {_MAX_CAMERA_BYTES} bytes; give it as ground_truth")
        text = read_bytes(path).decode(errors="replace")
    try:
        return json.dumps(decode_json(text.encode()), sort_keys=True)
    except SchemaError as error:
        raise ValueError(f"{where}: {error}") from error


def _split_as_takes(notes: dict[Location, SourceNote]) -> dict[Location, SourceNote]:
    """A split stated for one view holds for its take."""
    splits: dict[str, str] = {}
    for path, note in notes.items():
        if note.take_id and note.split and splits.setdefault(note.take_id, note.split) != note.split:
            raise RecipeError(
                f"{path}: split {note.split}, but another view of take {note.take_id} is in {splits[note.take_id]}; "
                "views of a take stay together"
            )
    return {
        path: replace(note, split=splits[note.take_id]) if note.take_id in splits else note
        for path, note in notes.items()
    }


def _rows(manifest: Location) -> list[Any]:
    name = name_of(manifest)
    try:
        data = read_bytes(manifest)
        if name.endswith(".csv"):
            return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
        if name.endswith(".jsonl"):
            return [json.loads(line) for line in data.decode().splitlines() if line.strip()]
        rows: list[Any] = pq.read_table(pa.BufferReader(data)).to_pylist()
        return rows
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        raise RecipeError(f"manifest {manifest} cannot be read: {error}") from error
