"""Where finished work lies: one file per unit, written whole or not at all, so that a rerun does what is missing."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import RecipeError
from schemas.fingerprint import fingerprint
from schemas.storage import Location, joined, listed, name_of, parquet_source, remove, remove_folder, upload

_DOCUMENT = b"motionloom.document"
_IN_MEMORY_BYTES = 8_000_000
RECIPE_FILE = "recipe.json"


def claim_folder(
    folder: Path, recipe: dict[str, Any], kind: str, hint: str, option: str = "--output", changes: bool = False
) -> None:
    """Makes the output folder, or recognises it as one of the same recipe.

    option: the argument that names the folder, for messages.
    changes: whether it may have been begun with another recipe; from now on it is this one's.
    Raises: RecipeError as `check_folder`, or when the folder cannot be made.
    """
    check_folder(folder, recipe, kind, hint, option, changes)
    note = folder / RECIPE_FILE
    if note.is_file() and (not changes or read_recipe(folder) == recipe):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        document = {"kind": kind, "fingerprint": fingerprint(recipe), "recipe": recipe}
        write_text(note, json.dumps(document, indent=1) + "\n")
    except OSError as error:
        raise RecipeError(f"{option} {folder} cannot be made: {error.strerror or error}") from error


def check_folder(
    folder: Path, recipe: dict[str, Any], kind: str, hint: str, option: str = "--output", changes: bool = False
) -> None:
    """Whether a folder may be written to by this recipe; changes nothing.

    Raises: RecipeError when the folder holds other things, or was begun with another recipe. `hint` says what to do.
    """
    note = folder / RECIPE_FILE
    if note.is_file():
        try:
            known = json.loads(note.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RecipeError(f"{note} cannot be read ({error}); choose another {option}") from error
        if known.get("kind") != kind:
            raise RecipeError(f"{folder} is a folder of motionloom {known.get('kind')}; choose another {option}")
        if not changes and known.get("fingerprint") != fingerprint(recipe):
            changed = ", ".join(_changed_keys(known.get("recipe", {}), recipe)) or "its kind"
            raise RecipeError(f"{folder} belongs to another {kind} recipe (it differs in: {changed}); {hint}")
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RecipeError(f"{folder} exists and was not made by motionloom {kind}; choose another {option}")


def read_recipe(folder: Path) -> dict[str, Any]:
    """What a folder was begun with; empty for one that was never claimed. Raises: RecipeError when unreadable."""
    note = folder / RECIPE_FILE
    if not note.is_file():
        return {}
    try:
        recipe: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))["recipe"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecipeError(f"{note} cannot be read: {error}") from error
    return recipe


def _changed_keys(before: Any, after: Any, name: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(set(before) | set(after)):
            yield from _changed_keys(before.get(key), after.get(key), f"{name}.{key}" if name else key)
    elif before != after:
        yield name or "recipe"


def write_text(path: Path, text: str) -> None:
    """Replaces a text file in one step."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def check_new(folder: Path, option: str = "--output") -> None:
    """Raises: RecipeError when something is there already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RecipeError(f"{folder} is not empty; choose another {option}")


@contextlib.contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """A folder that is made beside its place and appears there, instead of what was there, when the block ends well."""
    fresh = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    fresh.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


class Unit:
    """One finished unit, opened once: its document, and its table as a whole or in the parts it was committed in."""

    def __init__(self, source: Any) -> None:
        """source: of `parquet_source`. Raises: OSError, ArrowException for a damaged file; KeyError, ValueError when it
        has no document."""
        self._file = pq.ParquetFile(source)
        try:
            self.document: dict[str, Any] = json.loads(self._file.metadata.metadata[_DOCUMENT])
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Unit:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    @property
    def schema(self) -> pa.Schema:
        return self._file.schema_arrow.remove_metadata()

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All of it, or some columns (those that it has)."""
        if columns is not None:
            known = set(self._file.schema_arrow.names)
            columns = [name for name in columns if name in known]
        return self._file.read(columns=columns, use_threads=False).replace_schema_metadata(None)

    def parts(self) -> Iterator[pa.Table]:
        """Memory holds one of them."""
        for group in range(self._file.num_row_groups):
            yield self._file.read_row_group(group, use_threads=False).replace_schema_metadata(None)


class UnitStore:
    """Finished units: a table and a JSON document each, in one parquet file."""

    def __init__(self, folder: Location) -> None:
        self._folder = folder

    def path(self, unit_id: str) -> Location:
        # Two characters of fan-out keep folders of a million units listable.
        return joined(self._folder, unit_id[:2], f"{unit_id}.parquet")

    def commit(self, unit_id: str, tables: Iterable[pa.Table], document: dict[str, Any]) -> None:
        """Publishes a unit under its name in one step; a crash before that leaves nothing that counts.

        tables: the unit's table in parts of one schema, at least one; memory holds one of them.
        document: is read after the last of them.
        """
        path = self.path(unit_id)
        if isinstance(path, str):
            # Beyond that it waits on disk for its upload.
            with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as part:
                _write(part, tables, document)
                upload(part, path)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part_path = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            _write(part_path, tables, document)
        except BaseException:
            part_path.unlink(missing_ok=True)
            raise
        part_path.replace(path)

    def open(self, unit_id: str) -> Unit:
        """Raises: as `Unit`; FileNotFoundError when it is not finished."""
        return Unit(parquet_source(self.path(unit_id)))

    def document(self, unit_id: str) -> dict[str, Any] | None:
        """The unit's document, or None when it is not finished (a damaged file counts as unfinished)."""
        try:
            with self.open(unit_id) as unit:
                return unit.document
        except FileNotFoundError:
            return None
        except OSError:
            if isinstance(self._folder, str):
                # A store that does not answer says nothing about the unit.
                raise
            return None
        except (KeyError, TypeError, ValueError, pa.ArrowException):
            return None

    def table(self, unit_id: str, columns: Sequence[str] | None = None) -> pa.Table:
        """The unit's table, or some of its columns (those that it has)."""
        with self.open(unit_id) as unit:
            return unit.table(columns)

    def schema(self, unit_id: str) -> pa.Schema:
        """Of the unit's table."""
        with self.open(unit_id) as unit:
            return unit.schema

    def ids(self) -> list[str]:
        """Names of the finished units, sorted."""
        if isinstance(self._folder, str):
            names = (name_of(uri) for uri, _ in listed(self._folder))
            return sorted(name.removesuffix(".parquet") for name in names if name.endswith(".parquet"))
        return sorted(path.stem for path in self._folder.glob("*/[!.]*.parquet"))

    def remove(self, unit_id: str) -> None:
        """One that is not there is no error."""
        path = self.path(unit_id)
        if isinstance(path, str):
            remove(path)
        else:
            path.unlink(missing_ok=True)

    def remove_if_empty(self) -> None:
        """The folder itself, once its last unit is gone."""
        if not self.ids():
            if isinstance(self._folder, str):
                remove_folder(self._folder)
            else:
                shutil.rmtree(self._folder, ignore_errors=True)

    def clear_partial(self) -> None:
        """Removes what a killed worker left half-written; object stores never show such things."""
        if isinstance(self._folder, Path):
            for part in self._folder.glob("*/.*.part"):
                part.unlink(missing_ok=True)


def _write(target: Any, tables: Iterable[pa.Table], document: dict[str, Any]) -> None:
    """One parquet file with a group of rows for each table, and the document beside them."""
    waiting = iter(tables)
    first = next(waiting)
    with pq.ParquetWriter(target, first.schema) as writer:
        for table in itertools.chain([first], waiting):
            writer.write_table(table)
        text = json.dumps(document, sort_keys=True, allow_nan=False).encode()
        writer.add_key_value_metadata({_DOCUMENT: text})
