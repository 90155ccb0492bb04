"""What the viewer asks: a parquet file with a row for every sample, and one for every clip that a RUN rejected.

A dataset is never changed: both lie in a cache folder, named by what they were made from, and may be deleted. One that
lacks what could not be read has a name of its own, `once-…`: it is not taken again.
The dataset's index has neither scores nor labels, which stand in every sample's JSON: all of them are read once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from annotation.timed_labels import timed_labels
from pipelines.logs import tell
from pipelines.progress import track
from pipelines.shards import labels_of
from pipelines.viewer.columns import CONFIDENCE, LOWERED, NAME_PATTERN, ROW
from pipelines.viewer.numbers import finite
from pipelines.viewer.query import quoted
from pipelines.viewer.tables import connection, sql_text
from schemas.codecs import decode_json
from schemas.errors import DataError, RecipeError
from schemas.fingerprint import fingerprint
from schemas.index import SampleEntry, iterate_samples, load_index, load_overlays, load_shards
from schemas.label_quality import LABEL_QUALITY_NAMES
from schemas.shard import read_members
from schemas.storage import Location, download, is_remote, joined, listed_states, name_of

# Of the form of the tables: another number makes them anew.
_FORM = 3
ALWAYS = ("licence", "consent", "source", "style", "split", "subject")
"""What a manifest says: whether nobody stated it is a question, too."""
_ROWS_AT_ONCE = 4096
# Small groups, so that the rows of a page are found without reading many others; lz4, because unpacking zstd takes as
# long as a filter (benchmarks/viewer_million.py).
_ROW_GROUP, _COMPRESSION = 16_384, "lz4_raw"
_MAX_COLUMNS = 400
PROBLEM = "problem"
_ONCE = "once-"
_MAKING = ".making-"
# Nothing is made for so long, and no link of a viewer is good for longer.
_LEFT_BEHIND_S = {f"{_MAKING}*": 24 * 3600.0, ".*.part": 24 * 3600.0, f"{_ONCE}*": 366 * 24 * 3600.0}


def cache_folder(stated: Path | None) -> Path:
    """The folder, made where it is not: `stated`, else motionloom/viewer in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = stated if stated is not None else Path(base) / "motionloom" / "viewer"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise RecipeError(f"--cache {folder} cannot be made: {error.strerror or error}") from error
    return folder.resolve()


def clear_left_behind(cache: Path) -> None:
    """Removes what killed processes left in the cache."""
    for pattern, age_s in _LEFT_BEHIND_S.items():
        for path in cache.glob(pattern):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > age_s:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def remove_once(table: Path) -> None:
    """Of a table that is for one call only; others stay."""
    if table.name.startswith(_ONCE):
        table.unlink(missing_ok=True)


def samples_table(dataset: Location, cache: Path) -> Path:
    """The table of a dataset, made where the cache has none of these very shards. Raises: as load_samples.

    Where a sample could not be read it is for this call only (`remove_once`): a shard may come back, a store recover.
    """
    shards = [[shard.name, shard.sha256] for shard in load_shards(dataset)]
    overlays = [[overlay.name, overlay.sha256] for overlay in load_overlays(dataset)]
    target = cache / f"samples-{fingerprint([_FORM, shards, overlays])}.parquet"
    if _is_whole(target):
        return target
    total = int(load_index(dataset)["samples"])
    entries = track(iterate_samples(dataset), "reading", total)
    once = cache / f"{_ONCE}{os.getpid()}-{target.name}"
    unread: list[str] = []
    write_table(_sample_rows(dataset, entries, unread), once)
    if unread:
        tell("warning", f"{len(unread)} samples have no readable JSON; filter by {PROBLEM} known")
        return once
    once.replace(target)
    return target


def _is_whole(table: Path) -> bool:
    """Whether it is there and ends as such a file does: a full disk cuts one short, or leaves nothing of it."""
    try:
        with pq.ParquetFile(table):
            return True
    except (OSError, pa.ArrowException):
        return False


def _sample_rows(dataset: Location, entries: Iterable[SampleEntry], unread: list[str]) -> Iterator[dict[str, Any]]:
    """unread: gets the keys of those whose JSON could not be read."""
    for entry in entries:
        row = {name: value for name, value in entry.row().items() if name not in LABEL_QUALITY_NAMES}
        row |= {"subject": entry.subject or None, f"caption{LOWERED}": entry.caption.lower(), **entry.label_quality}
        try:
            members = read_members(dataset, entry, ("json",))
            row |= json_columns(decode_json(members["json"]), row)
        except (DataError, KeyError) as error:
            unread.append(entry.key)
            row[PROBLEM] = f"its JSON cannot be read: {error}"
        yield {**row, **{name: None for name in ALWAYS if name not in row}}


def json_columns(document: Mapping[str, Any], taken: Mapping[str, Any]) -> dict[str, Any]:
    """Scores, plain facts and labels of a sample's JSON, as columns; `taken` names those that the index has."""
    scores = document.get("scores")
    camera = document.get("camera")
    facts = {**document, **(scores if isinstance(scores, dict) else {})}
    if isinstance(camera, dict):
        facts["camera.shake_rad"] = camera.get("shake_rad")
    columns: dict[str, Any] = {}
    labels_by_field = labels_of(dict(document))
    # DuckDB takes names that differ in case only for the same.
    theirs = {name.lower() for name in (*taken, *labels_by_field, ROW, PROBLEM)}
    for name, value in facts.items():
        if NAME_PATTERN.match(name) and name.lower() not in theirs:
            known = _plain(value)
            if known is not None:
                columns[name] = known
    labels, _ = timed_labels(labels_by_field)
    for field in {label.field for label in labels}:
        best: dict[str, float] = {}
        for label in labels:
            if label.field == field:
                sure = 1.0 if label.confidence is None else label.confidence
                best[label.name] = max(sure, best.get(label.name, 0.0))
        columns[field], columns[f"{field}{CONFIDENCE}"] = list(best), list(best.values())
    return columns


def _plain(value: Any) -> float | str | bool | None:
    if isinstance(value, bool | str):
        return value
    return finite(value) if isinstance(value, int | float) else None


def write_table(rows: Iterable[dict[str, Any]], target: Path) -> None:
    """A parquet file of rows whose columns need not be the same, numbered in the column `row`.

    Rows lie in memory a few thousand at a time. The file appears under its name when it is complete. Names that differ
    in case only are one column, spelled as it comes first.
    """
    spelled: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix=_MAKING, dir=target.parent) as folder:
        numbered = (_spelled({ROW: number, **row}, spelled) for number, row in enumerate(rows))
        parts: list[Path] = []
        while batch := list(islice(numbered, _ROWS_AT_ONCE)):
            parts.append(Path(folder) / f"{len(parts):06d}.parquet")
            pq.write_table(_arrow(batch), parts[-1])
        if not parts:
            raise RecipeError("there is no sample to show")
        _join(parts, target, Path(folder))


def _spelled(row: Mapping[str, Any], spelled: dict[str, str]) -> dict[str, Any]:
    """The row under the names that `spelled` has for them in small letters, which gets those that it lacks."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        found.setdefault(spelled.setdefault(name.lower(), name), value)
    return found


def _arrow(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Columns of one type each: values of several are texts. What nobody has is left out, but for ALWAYS."""
    names = list(dict.fromkeys(name for row in rows for name in row))[:_MAX_COLUMNS]
    columns: dict[str, Any] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        kinds = {type(value) for value in values if value is not None}
        if len(kinds) > 1 and kinds != {int, float}:
            values = [None if value is None else str(value) for value in values]
        if kinds and not (kinds == {list} and not any(values)):
            columns[name] = pa.array(values)
        elif name in ALWAYS:
            columns[name] = pa.nulls(len(rows), pa.string())
    return pa.table(columns)


def _join(parts: Sequence[Path], target: Path, folder: Path) -> None:
    files = "[" + ", ".join(sql_text(part) for part in parts) + "]"
    with connection() as duck:
        duck.execute(f"SET temp_directory = {sql_text(folder)}")
        _copy(duck, f"SELECT * FROM read_parquet({files}, union_by_name = true)", target)


def _copy(duck: Any, select: str, target: Path) -> None:
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    duck.execute(
        f"COPY ({select}) TO {sql_text(part)} (FORMAT parquet, COMPRESSION {_COMPRESSION}, ROW_GROUP_SIZE {_ROW_GROUP})"
    )
    part.replace(target)


def rejected_table(run: Location, cache: Path) -> Path:
    """The clips that a RUN rejected, with their scores: `reasons` names what spoke against each, `why` says it in full.

    Raises: RecipeError when the folder is no run.
    """
    parts = {name: _parts(joined(run, name)) for name in ("clips", "decisions")}
    if not all(parts.values()):
        raise RecipeError(f"--run {run}: it has no clips and decisions (motionloom curate writes them)")
    states = {name: [[str(path), *map(str, state.values())] for path, state in found] for name, found in parts.items()}
    target = cache / f"rejected-{fingerprint([_FORM, states])}.parquet"
    if _is_whole(target):
        return target
    try:
        _write_rejected(parts, target)
    except duckdb.Error as error:
        raise DataError(f"--run {run}: its tables cannot be read: {str(error).splitlines()[0]}") from error
    return target


def _write_rejected(parts: Mapping[str, list[tuple[Location, dict[str, Any]]]], target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=_MAKING, dir=target.parent) as folder, connection() as duck:
        files = {name: _read_parts(found, Path(folder) / name) for name, found in parts.items()}
        duck.execute(f"SET temp_directory = {sql_text(folder)}")
        known = [row[0] for row in duck.execute(f"DESCRIBE SELECT * FROM {files['clips']}").fetchall()]
        clips = ", ".join(f"c.{quoted(name)}" for name in known if name not in ("reasons", "why", ROW))
        _copy(
            duck,
            f"SELECT CAST(row_number() OVER (ORDER BY clip_id) - 1 AS BIGINT) AS {quoted(ROW)}, {clips}, "
            "list_distinct([split_part(r, ' ', 1) for r in d.reasons]) AS reasons, "
            "array_to_string(d.reasons, '; ') AS why "
            f"FROM {files['clips']} AS c JOIN {files['decisions']} AS d USING (clip_id) "
            "WHERE NOT d.kept ORDER BY clip_id",
            target,
        )


def has_kept_of(run: Location, table: Path) -> bool:
    """Whether any clip that a RUN kept is a sample of this table: otherwise the dataset was made of another run.

    Raises: DataError when the run's decisions cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix=_MAKING, dir=table.parent) as folder, connection() as duck:
        decisions = _read_parts(_parts(joined(run, "decisions")), Path(folder))
        try:
            found = duck.execute(
                f"SELECT 1 FROM {decisions} AS d JOIN read_parquet({sql_text(table)}) AS s ON s.key = d.clip_id "
                "WHERE d.kept LIMIT 1"
            ).fetchall()
        except duckdb.Error as error:
            raise DataError(f"--run {run}: its decisions cannot be read: {str(error).splitlines()[0]}") from error
    return bool(found)


def _read_parts(parts: Sequence[tuple[Location, Any]], folder: Path) -> str:
    """As SQL reads them; folder: takes copies of remote ones."""
    here = ", ".join(sql_text(_here(path, folder)) for path, _ in parts)
    return f"read_parquet([{here}], union_by_name = true)"


def _parts(folder: Location) -> list[tuple[Location, dict[str, Any]]]:
    if isinstance(folder, Path):
        files = sorted(folder.glob("*.parquet"))
        return [(path.resolve(), {"bytes": path.stat().st_size, "mtime": path.stat().st_mtime_ns}) for path in files]
    return sorted(
        (found for found in listed_states(folder) if found[0].endswith(".parquet")), key=lambda found: found[0]
    )


def _here(path: Location, folder: Path) -> Path:
    if isinstance(path, Path):
        return path
    assert is_remote(path)
    copy = folder / name_of(path)
    download(path, copy)
    return copy
