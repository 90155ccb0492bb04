"""From finished units to the run's tables: videos, frames, clips, decisions, failures, run.json."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

from curation.catalog import fact_versions, make_scorers, score_specs
from curation.decide import decide, policy_fingerprint
from pipelines.sink import UnitStore, in_batches, publish_table, write_text
from schemas.errors import RecipeError
from schemas.policy import Policy
from schemas.tables import CLIP_IDENTITY, DECISIONS, FAILURES, VIDEOS

RUN_FILE = "run.json"
_REPORTED_PACKAGES = ("motionloom", "ray", "av", "scenedetect", "mediapipe", "opencv-contrib-python", "pyarrow")


def clips_schema() -> pa.Schema:
    """Identity columns, then every score of the catalog."""
    scores = [pa.field(spec.name, pa.string() if spec.text else pa.float64()) for spec in score_specs()]
    return pa.schema([*CLIP_IDENTITY, *scores])


def frames_schema(sizes: dict[str, bool]) -> pa.Schema:
    """sizes: fact name to whether it is a descriptor (a list per frame)."""
    facts = [pa.field(name, pa.list_(pa.float32()) if wide else pa.float32()) for name, wide in sizes.items()]
    return pa.schema([("video_id", pa.string()), ("pts_s", pa.float64()), *facts])


def publish_run(run_dir: Path, units: UnitStore, video_ids: Sequence[str], policy: Policy) -> dict[str, Any]:
    """Writes all tables from the units of these inputs, in video_id order. Returns counts and stage seconds."""
    ordered = sorted(video_ids)

    def documents() -> Iterator[dict[str, Any]]:
        for video_id in ordered:
            document = units.document(video_id)
            if document is None:
                raise RuntimeError(f"unit {video_id} vanished from {run_dir} while its run was being published")
            yield document

    seconds: dict[str, dict[str, float]] = {}
    partial = 0
    for document in documents():
        partial += document["video"] is not None and document["video"]["status"] == "partial"
        for stage, spent in document["seconds"].items():
            total = seconds.setdefault(stage, {"wall_s": 0.0, "cpu_s": 0.0})
            for clock, value in spent.items():
                total[clock] = round(total[clock] + value, 3)
    videos = publish_table(
        run_dir / "videos", in_batches((d["video"] for d in documents() if d["video"]), VIDEOS), VIDEOS
    )
    clips_rows = (row for document in documents() for row in document["clips"])
    publish_table(run_dir / "clips", in_batches(clips_rows, clips_schema()), clips_schema())
    failure_rows = (d["failure"] for d in documents() if d["failure"])
    failures = publish_table(run_dir / "failures", in_batches(failure_rows, FAILURES), FAILURES)
    _publish_frames(run_dir, units, ordered)
    verdicts = publish_decisions(run_dir, policy)
    counts = {"inputs": len(ordered), "videos": videos, "partial": partial, "failures": failures, **verdicts}
    return {"counts": counts, "seconds": seconds}


def _publish_frames(run_dir: Path, units: UnitStore, video_ids: Sequence[str]) -> None:
    names = [name for scorer in make_scorers() for name in scorer.fact_names]
    wide: dict[str, bool] = dict.fromkeys(names, False)
    for video_id in video_ids:
        for field in units.table(video_id).schema:
            if field.name in wide and pa.types.is_list(field.type):
                wide[field.name] = True
    schema = frames_schema(wide)

    def tables() -> Iterator[pa.Table]:
        for video_id in video_ids:
            table = units.table(video_id)
            if table.num_rows:
                columns = {
                    field.name: table.column(field.name)
                    if field.name in table.column_names
                    else pa.nulls(table.num_rows, field.type)
                    for field in schema
                }
                yield pa.table(columns, schema=schema)

    publish_table(run_dir / "frames", tables(), schema)


def publish_decisions(run_dir: Path, policy: Policy) -> dict[str, Any]:
    """Decides on the stored clips and replaces `decisions/`. Returns counts per verdict and per reason."""
    decisions = decide(read_table(run_dir, "clips"), policy)
    publish_table(run_dir / "decisions", [decisions], DECISIONS)
    return verdict_counts(decisions)


def add_failures(run_dir: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Puts more rows into `failures/` of a published run."""
    more = pa.Table.from_pylist(list(rows), schema=FAILURES)
    publish_table(run_dir / "failures", [read_table(run_dir, "failures"), more], FAILURES)


def verdict_counts(decisions: pa.Table) -> dict[str, Any]:
    """How many clips were kept, and how often each rule was broken."""
    kept = sum(decisions.column("kept").to_pylist())
    reasons = Counter(reason.split(" ")[0] for row in decisions.column("reasons").to_pylist() for reason in row)
    return {
        "clips": decisions.num_rows,
        "kept": kept,
        "rejected": decisions.num_rows - kept,
        "reasons": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
    }


def read_table(run_dir: Path, name: str) -> pa.Table:
    """One of the run's tables, whole. Raises: RecipeError when the folder is no finished run."""
    folder = run_dir / name
    if not folder.is_dir():
        raise RecipeError(f"{run_dir} is not a finished run: it has no {name}/ (motionloom curate writes one)")
    return pads.dataset(folder, format="parquet").to_table()


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
