"""The report section of a RUN: what came in, what was kept, and why the rest was not."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
from markupsafe import Markup

from pipelines.progress import track
from pipelines.report_balance import balance_html
from pipelines.report_pages import Section, render
from pipelines.report_pictures import frame_at, jpeg_uri
from pipelines.report_plots import Threshold, histogram
from schemas.errors import DataError, RecipeError
from schemas.tables import CLIP_IDENTITY

MAX_CLIPS_SHOWN = 120
MAX_FAILURES_SHOWN = 200
THUMBNAIL_PX = 320


@dataclass(frozen=True, slots=True)
class ClipCard:
    """One clip as the page shows it."""

    name: str
    uri: str
    start_s: float
    end_s: float
    reasons: tuple[str, ...]
    picture: str | None
    scores: tuple[tuple[str, Any], ...]


def run_section(run_dir: Path, max_clips: int = MAX_CLIPS_SHOWN) -> Section:
    """Raises: RecipeError when the folder is no finished run, DataError when one of its tables cannot be read."""
    document = read_document(run_dir / "run.json", f"{run_dir} is not a finished run")
    clips = _rows(run_dir, "clips", ("clip_id", "uri", "start_s", "end_s"))
    clips.sort(key=lambda clip: (Path(clip["uri"]).name, clip["start_s"]))
    decisions = {row["clip_id"]: row for row in _rows(run_dir, "decisions", ("clip_id", "kept", "reasons"))}
    failures = _rows(run_dir, "failures", ("uri", "stage", "error_class", "message"))
    videos = _rows(run_dir, "videos", ("video_id", "status"))
    undecided = [clip["clip_id"] for clip in clips if clip["clip_id"] not in decisions]
    if undecided:
        raise DataError(f"{run_dir}: clip {undecided[0]} has no row in decisions/; run motionloom redecide {run_dir}")
    kept = [clip for clip in clips if decisions[clip["clip_id"]]["kept"]]
    rejected = [clip for clip in clips if not decisions[clip["clip_id"]]["kept"]]
    reasons = Counter(reason.split(" ")[0] for row in decisions.values() for reason in row["reasons"] or ())
    stages = _stages(document.get("seconds"))
    groups = []
    for label, group in (("kept", kept), ("rejected", rejected)):
        shown = track(group[:max_clips], f"clips {label}", min(len(group), max_clips))
        cards = [_card(clip, tuple(decisions[clip["clip_id"]]["reasons"] or ())) for clip in shown]
        groups.append({"label": label, "cards": cards, "total": len(group)})
    html = render(
        "run.html",
        counts=[
            ("inputs", len(videos) + len(failures)),
            ("readable", len(videos)),
            ("in part", sum(video["status"] == "partial" for video in videos)),
            ("failed", len(failures)),
            ("clips", len(clips)),
            ("kept", len(kept)),
            ("rejected", len(rejected)),
        ],
        groups=groups,
        reasons=[(name, count, 100 * count / max(reasons.values())) for name, count in reasons.most_common()],
        balance=balance_html(document.get("balance")),
        plots=_score_plots(kept, rejected, _thresholds(document)),
        failures=failures[:MAX_FAILURES_SHOWN],
        failures_total=len(failures),
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


def _rows(run_dir: Path, name: str, needed: tuple[str, ...]) -> list[dict[str, Any]]:
    folder = run_dir / name
    if not folder.is_dir():
        raise RecipeError(f"{run_dir} is not a finished run: it has no {name}/ (motionloom curate writes one)")
    try:
        table = pads.dataset(folder, format="parquet").to_table()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{folder} cannot be read: {error}") from error
    missing = [column for column in needed if column not in table.column_names]
    if missing and table.num_rows:
        raise DataError(f"{folder} lacks the columns {', '.join(missing)}; it has {', '.join(table.column_names)}")
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _card(clip: dict[str, Any], reasons: tuple[str, ...]) -> ClipCard:
    rgb_HWC = frame_at(Path(clip["uri"]), (clip["start_s"] + clip["end_s"]) / 2)
    scores = tuple((name, value) for name, value in clip.items() if name not in CLIP_IDENTITY.names)
    return ClipCard(
        name=Path(clip["uri"]).name,
        uri=clip["uri"],
        start_s=clip["start_s"],
        end_s=clip["end_s"],
        reasons=reasons,
        picture=None if rgb_HWC is None else jpeg_uri(rgb_HWC, THUMBNAIL_PX),
        scores=scores,
    )


def _thresholds(document: dict[str, Any]) -> dict[str, list[Threshold]]:
    """The bounds of the policy in run.json, by score."""
    found: dict[str, list[Threshold]] = {}
    try:
        for rule in document["recipe"]["policy"]["rules"]:
            for name in ("at_least", "at_most"):
                if rule.get(name) is not None:
                    found.setdefault(rule["score"], []).append(Threshold(float(rule[name]), name == "at_least"))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"run.json holds no policy that can be read: recipe.policy.rules ({error!r})") from error
    return found


def _score_plots(
    kept: list[dict[str, Any]], rejected: list[dict[str, Any]], bounds: dict[str, list[Threshold]]
) -> list[Markup]:
    """A histogram for every numeric score that was measured at least once, those with a rule first."""
    from curation.catalog import score_specs

    units = {spec.name: spec.unit for spec in score_specs()}
    units.update(duration_s="seconds", short_side_px="pixels")
    names = [name for name in (kept or rejected or [{}])[0] if name not in CLIP_IDENTITY.names or name in bounds]
    plots = []
    for name in sorted(names, key=lambda name: (name not in bounds, name)):
        groups = [
            [row[name] for row in rows if isinstance(row[name], int | float) and not isinstance(row[name], bool)]
            for rows in (kept, rejected)
        ]
        if any(groups):
            unmeasured = len(kept) + len(rejected) - sum(map(len, groups))
            unit = units.get(name, "") + (f" · {unmeasured} not measured" if unmeasured else "")
            plots.append(histogram(groups[0], groups[1], bounds.get(name, []), name, unit.removeprefix(" · ")))
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
