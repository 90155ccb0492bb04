"""The report section of a RUN: what came in, what was kept, and why the rest was not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from markupsafe import Markup
from numpy.typing import NDArray

from curation.findings import find_all, numbers_of
from pipelines.report_balance import balance_html
from pipelines.report_borderline import borderline
from pipelines.report_cards import clip_card, contact_sheet, thumbnails
from pipelines.report_pages import Section, render
from pipelines.report_plots import Threshold, histogram
from pipelines.report_rules import rule_costs
from pipelines.run_labels import with_labels_of_run
from schemas.errors import DataError, RecipeError
from schemas.label_quality import LABEL_QUALITY
from schemas.policy import Policy
from schemas.recipe import parse_recipe
from schemas.tables import CLIP_IDENTITY

MAX_CLIPS_SHOWN = 120
MAX_FAILURES_SHOWN = 200


def run_section(run_dir: Path, max_clips: int = MAX_CLIPS_SHOWN) -> Section:
    """Raises: RecipeError when the folder is no finished run, DataError when one of its tables cannot be read."""
    document = read_document(run_dir / "run.json", f"{run_dir} is not a finished run")
    policy = _policy(document)
    clips = _table(run_dir, "clips", ("clip_id", "uri", "start_s", "end_s"))
    clips = _by_name_and_time(_with_labels(run_dir, clips))
    decisions = _decisions_of(run_dir, clips)
    failures = _table(run_dir, "failures", ("uri", "stage", "error_class", "message"))
    videos = _table(run_dir, "videos", ("video_id", "status"))
    kept_N = decisions.column("kept").to_numpy(zero_copy_only=False)
    try:
        costs = rule_costs(find_all(clips, policy), clips.num_rows)
        close = borderline(clips, policy)
    except RecipeError as error:
        raise DataError(f"{run_dir}: run.json and clips/ do not fit: {error}") from error
    shown = {"kept": np.flatnonzero(kept_N)[:max_clips], "rejected": np.flatnonzero(~kept_N)[:max_clips]}
    sheet_rows = {row for found in close for side in (found.passing, found.failing) for row, _ in side}
    numbers = sorted({*shown["kept"].tolist(), *shown["rejected"].tolist(), *sheet_rows})
    rows = dict(zip(numbers, clips.take(pa.array(numbers, pa.int64())).to_pylist(), strict=True))
    pictures = thumbnails(rows.values())
    reasons = decisions.column("reasons")
    stages = _stages(document.get("seconds"))
    totals = {"kept": int(kept_N.sum()), "rejected": int((~kept_N).sum())}
    html = render(
        "run.html",
        counts=[
            ("inputs", videos.num_rows + failures.num_rows),
            ("readable", videos.num_rows),
            ("in part", videos.column("status").to_pylist().count("partial")),
            ("failed", failures.num_rows),
            ("clips", clips.num_rows),
            *totals.items(),
        ],
        balance=balance_html(document.get("balance")),
        costs=costs,
        most_rejected=max([1, *(cost.rejected for cost in costs)]),
        groups=[
            {
                "label": label,
                "cards": [clip_card(rows[row], reasons[row].as_py() or (), pictures) for row in group_N.tolist()],
                "total": totals[label],
            }
            for label, group_N in shown.items()
        ],
        sheets=[
            contact_sheet(found, rows, {row: bool(kept_N[row]) for row in rows}, pictures)
            for found in close
            if found.passing or found.failing
        ],
        plots=_score_plots(clips, kept_N, _thresholds(policy)),
        failures=failures.slice(0, MAX_FAILURES_SHOWN).to_pylist(),
        failures_total=failures.num_rows,
        stages=stages,
        clocks=sorted({clock for _, spent in stages for clock in spent}, reverse=True),
    )
    return Section("run", "Curation", html)


def read_document(path: Path, complaint: str) -> dict[str, Any]:
    """A JSON object. Raises: RecipeError when the file is missing, DataError when it holds anything else."""
    if not path.is_file():
        raise RecipeError(f"{complaint}: it has no {path.name}")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} holds a {type(document).__name__}, expected an object")
    return document


def _table(run_dir: Path, name: str, needed: tuple[str, ...]) -> pa.Table:
    folder = run_dir / name
    if not folder.is_dir():
        raise RecipeError(f"{run_dir} is not a finished run: it has no {name}/ (motionloom curate writes one)")
    try:
        table = pads.dataset(folder, format="parquet").to_table()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{folder} cannot be read: {error}") from error
    missing = [column for column in needed if column not in table.column_names]
    if missing:
        raise DataError(f"{folder} lacks the columns {', '.join(missing)}; it has {', '.join(table.column_names)}")
    return table


def _with_labels(run_dir: Path, clips: pa.Table) -> pa.Table:
    """Raises: DataError when `labels/` cannot be read or is not about these clips."""
    try:
        return with_labels_of_run(run_dir, clips)
    except (pa.ArrowException, OSError, KeyError, RecipeError) as error:
        raise DataError(f"{run_dir}/labels cannot be read: {error}; run motionloom redecide again") from error


def _by_name_and_time(clips: pa.Table) -> pa.Table:
    """Sorted by the file's name, not its folder, then by time."""
    names = [Path(uri).name for uri in clips.column("uri").to_pylist()]
    keys = pa.table({"name": pa.array(names, pa.string()), "start_s": clips.column("start_s")})
    return clips.take(pc.sort_indices(keys, sort_keys=[("name", "ascending"), ("start_s", "ascending")]))


def _decisions_of(run_dir: Path, clips: pa.Table) -> pa.Table:
    """The verdict of every clip, in the order of the clips. Raises: DataError when one has none."""
    decisions = _table(run_dir, "decisions", ("clip_id", "kept", "reasons"))
    rows = pc.index_in(clips.column("clip_id"), value_set=decisions.column("clip_id"))
    if rows.null_count:
        clip_id = clips.column("clip_id").filter(pc.is_null(rows))[0]
        raise DataError(f"{run_dir}: clip {clip_id} has no row in decisions/; run motionloom redecide {run_dir}")
    return decisions.take(rows)


def _policy(document: dict[str, Any]) -> Policy:
    """The policy that the run was decided by. Raises: DataError when run.json holds none that can be read."""
    try:
        values = document["recipe"]["policy"]
        return parse_recipe(Policy, values, "of this run")
    except (KeyError, TypeError, RecipeError) as error:
        raise DataError(f"run.json holds no policy that can be read: recipe.policy.rules ({error!r})") from error


def _thresholds(policy: Policy) -> dict[str, list[Threshold]]:
    """The bounds of a policy, by score."""
    found: dict[str, list[Threshold]] = {}
    for rule in policy.rules:
        for value, at_least in ((rule.at_least, True), (rule.at_most, False)):
            if value is not None:
                found.setdefault(rule.score, []).append(Threshold(value, at_least))
    return found


def _score_plots(clips: pa.Table, kept_N: NDArray[np.bool_], bounds: dict[str, list[Threshold]]) -> list[Markup]:
    """A histogram for every numeric score that was measured at least once, those with a rule first."""
    from curation.catalog import score_specs

    units = {spec.name: spec.unit for spec in (*score_specs(), *LABEL_QUALITY)}
    units.update(duration_s="seconds", short_side_px="pixels")
    names = [
        field.name
        for field in clips.schema
        if (pa.types.is_floating(field.type) or pa.types.is_integer(field.type))
        and (field.name not in CLIP_IDENTITY.names or field.name in bounds)
    ]
    plots = []
    for name in sorted(names, key=lambda name: (name not in bounds, name)):
        values_N, known_N = numbers_of(clips, name)
        if known_N.any():
            unmeasured = int((~known_N).sum())
            unit = units.get(name, "") + (f" · {unmeasured} not measured" if unmeasured else "")
            kept, rejected = values_N[known_N & kept_N], values_N[known_N & ~kept_N]
            plots.append(histogram(kept, rejected, bounds.get(name, []), name, unit.removeprefix(" · ")))
    return plots


def _stages(seconds: Any) -> list[tuple[str, dict[str, float]]]:
    """(stage, seconds by clock) from either {stage: seconds} or {stage: {clock: seconds}}."""
    if not isinstance(seconds, dict):
        return []
    spent = {stage: value if isinstance(value, dict) else {"seconds": value} for stage, value in seconds.items()}
    return [
        (stage, {clock: float(value) for clock, value in clocks.items() if isinstance(value, int | float)})
        for stage, clocks in spent.items()
    ]
