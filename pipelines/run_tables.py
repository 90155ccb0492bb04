"""From finished units to the run's tables: videos, frames, clips, decisions, failures, run.json."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from curation.catalog import fact_versions, score_specs
from curation.decide import decisions_of, policy_fingerprint
from curation.findings import TAKE_COLUMN, Finding, find_all, needed_columns, reason_counts
from pipelines.frames_table import frames_schema, frames_writer
from pipelines.run_balance import publish_balance
from pipelines.run_copies import RunCopies
from pipelines.run_labels import Labels
from pipelines.sink import Unit, UnitStore, write_text
from pipelines.stage_clock import StageClock
from pipelines.table_writer import publish_table, table_writer
from schemas.errors import RecipeError
from schemas.index import LABEL_QUALITY_COLUMNS
from schemas.policy import Policy
from schemas.tables import CLIP_IDENTITY, DECISIONS, FAILURES, VIDEOS

log = logging.getLogger(__name__)

RUN_FILE = "run.json"
_REPORTED_PACKAGES = ("motionloom", "ray", "av", "scenedetect", "mediapipe", "opencv-contrib-python", "pyarrow")


def clips_schema() -> pa.Schema:
    """Identity columns, then every score of the catalog."""
    scores = [pa.field(spec.name, pa.string() if spec.text else pa.float64()) for spec in score_specs()]
    return pa.schema([*CLIP_IDENTITY, *scores])


def publish_run(run_dir: Path, units: UnitStore, video_ids: Sequence[str], policy: Policy) -> dict[str, Any]:
    """Writes all tables from the units of these inputs, in video_id order. Returns counts, stage seconds, balance.

    Units are read twice: which clips are copies, and which columns there are, is known when all have been seen.
    """
    ordered = sorted(video_ids)

    def opened() -> Iterator[Unit]:
        for video_id in ordered:
            try:
                with units.open(video_id) as unit:
                    yield unit
            except FileNotFoundError:
                text = f"unit {video_id} vanished from {run_dir} while its run was being published"
                raise RuntimeError(text) from None

    seconds, copies, partial, schemas = StageClock(), RunCopies(), 0, set[pa.Schema]()
    with table_writer(run_dir / "videos", VIDEOS) as videos, table_writer(run_dir / "failures", FAILURES) as failures:
        for unit in opened():
            video, failure = unit.document["video"], unit.document["failure"]
            seconds.book(unit.document["seconds"])
            if video is not None:
                partial += video["status"] == "partial"
                videos.add_row(video)
            if failure is not None:
                failures.add_row(failure)
            copies.add(unit)
            schemas.add(unit.schema)
    groups = copies.columns()
    clips_table = table_writer(run_dir / "clips", clips_schema())
    with clips_table as clips, frames_writer(run_dir, frames_schema(schemas)) as frames:
        for unit in opened():
            for row in unit.document["clips"]:
                group, quality = groups.get(row["clip_id"], (None, None))
                clips.add_row({**row, "copy_group": group, "copy_quality": quality})
            for part in unit.parts():
                frames.add(part)
    verdicts = publish_decisions(run_dir, policy)
    counts = {"inputs": len(ordered), "videos": videos.rows, "partial": partial, "failures": failures.rows, **verdicts}
    spent = {
        stage: {clock: round(value, 3) for clock, value in each.items()} for stage, each in seconds.seconds.items()
    }
    return {"counts": counts, "seconds": spent, "balance": publish_balance(run_dir)}


def publish_decisions(run_dir: Path, policy: Policy) -> dict[str, Any]:
    """Decides on the stored clips and replaces `decisions/`. Returns counts per verdict and per reason."""
    decisions, findings = decide_run(run_dir, policy)
    write_decisions(run_dir, decisions)
    return verdict_counts(decisions, findings)


def add_failures(run_dir: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Puts more rows into `failures/` of a published run."""
    more = pa.Table.from_pylist(list(rows), schema=FAILURES)
    publish_table(run_dir / "failures", [read_table(run_dir, "failures"), more], FAILURES)


def decide_run(run_dir: Path, policy: Policy, labels: Labels | None = None) -> tuple[pa.Table, list[Finding]]:
    """Verdicts on the stored clips with what was found, reading only the columns that the policy asks for.

    labels: of the clips' samples, for rules on label quality.
    Changes nothing. Raises: RecipeError when RUN is not finished, the policy names a column that neither `clips/` nor
    the labels have, or the labels are those of another run.
    """
    of_clips = {field.name: field.type for field in table_schema(run_dir, "clips")}
    of_labels = {field.name: field.type for field in LABEL_QUALITY_COLUMNS} if labels is not None else {}
    needed = needed_columns(policy, {**of_clips, **of_labels})
    clips = read_table(run_dir, "clips", [name for name in needed if name in of_clips])
    if labels is not None:
        clips = labels.beside(clips, [name for name in needed if name not in of_clips])
    if policy.keep_takes_together and clips.column(TAKE_COLUMN).null_count == clips.num_rows:
        log.warning("policy.keep_takes_together has no effect: no clip of %s has a sibling in another view", run_dir)
    findings = find_all(clips, policy)
    return decisions_of(clips, findings, policy), findings


def write_decisions(run_dir: Path, decisions: pa.Table) -> None:
    """Replaces `decisions/`."""
    publish_table(run_dir / "decisions", [decisions], DECISIONS)


def verdict_counts(decisions: pa.Table, findings: Sequence[Finding]) -> dict[str, Any]:
    """How many clips were kept, and how often each column was a reason (twice for two broken rules on it)."""
    kept = int(pc.sum(decisions.column("kept")).as_py() or 0)
    return {
        "clips": decisions.num_rows,
        "kept": kept,
        "rejected": decisions.num_rows - kept,
        "reasons": reason_counts(findings),
    }


def table_schema(run_dir: Path, name: str) -> pa.Schema:
    """Columns of one of the run's tables. Raises: RecipeError when the folder is no finished run."""
    return _dataset(run_dir, name).schema


def read_table(run_dir: Path, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """One of the run's tables, whole or some columns. Raises: RecipeError when the folder is no finished run."""
    return _dataset(run_dir, name).to_table(columns=None if columns is None else list(columns))


def _dataset(run_dir: Path, name: str) -> pads.Dataset:
    folder = run_dir / name
    if not folder.is_dir():
        raise RecipeError(f"{run_dir} is not a finished run: it has no {name}/ (motionloom curate writes one)")
    return pads.dataset(folder, format="parquet")


def read_run(run_dir: Path) -> dict[str, Any]:
    """run.json. Raises: RecipeError when it is missing or unreadable."""
    path = run_dir / RUN_FILE
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(f"{run_dir} is not a finished run: it has no {RUN_FILE}") from error
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path} cannot be read: {error}") from error
    return document


def write_run(run_dir: Path, recipe: dict[str, Any], policy: Policy, result: dict[str, Any]) -> None:
    """run.json: what was asked, with which versions, and what came of it."""
    versions = {"python": platform.python_version()}
    for name in _REPORTED_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    document = {
        "recipe": recipe,
        "policy_fingerprint": policy_fingerprint(policy),
        "scorers": fact_versions(recipe.get("scorers")),
        "versions": versions,
        **result,
    }
    write_text(run_dir / RUN_FILE, json.dumps(document, indent=1, sort_keys=True) + "\n")
