"""The report sections of a MODEL, of teacher and student side by side, and of an animation."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from pipelines.report_pages import Section, render
from pipelines.report_pictures import jpeg_uri, png_uri, video_uri
from pipelines.report_plots import line_plot
from pipelines.report_run import read_document
from pipelines.terminal import number_text
from schemas.errors import DataError, RecipeError

MAX_HEADER_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Samples:
    """What lies in MODEL/samples: pictures and clips as data URIs, and what the sampling cost."""

    pictures: tuple[str, ...]
    videos: tuple[str, ...]
    left_out: tuple[str, ...]
    costs: dict[str, Any]


def model_section(model_dir: Path, name: str = "model", title: str | None = None) -> Section:
    """Raises: RecipeError when the folder is no model, DataError when its files cannot be read."""
    config = read_document(model_dir / "config.json", f"{model_dir} is not a model")
    metrics = read_metrics(model_dir)
    kind = str(config.get("kind", "model"))
    html = render(
        "model.html",
        facts=model_facts(model_dir, config, metrics),
        curve=loss_curve(metrics),
        samples=read_samples(model_dir),
        config=list(_flat(config)),
    )
    return Section(name, title or f"{kind.capitalize()} model", html)


def comparison_section(
    teacher_dir: Path,
    student_dir: Path,
    facts: Mapping[str, tuple[Any, Any]] | None = None,
    animations: tuple[Path, Path] | None = None,
    title: str = "Teacher and student",
) -> Section:
    """Samples of both side by side, with what each costs. Raises: as model_section.

    facts:      further rows of the table, each with the teacher's and the student's value.
    animations: the same animation by both, shown above the samples.
    """
    sides: list[dict[str, Any]] = []
    rows: dict[str, list[str | None]] = {}
    for position, (label, folder) in enumerate((("teacher", teacher_dir), ("student", student_dir))):
        config = read_document(folder / "config.json", f"{folder} is not a model")
        samples = read_samples(folder)
        animation = video_uri(animations[position]) if animations is not None else None
        sides.append({"label": label, "samples": samples, "animation": animation})
        known = {**dict(model_facts(folder, config, read_metrics(folder))), **_sampling_facts(config, samples)}
        for fact, value in known.items():
            rows.setdefault(fact, [None, None])[position] = number_text(value)
    rows.update({fact: [number_text(value) for value in pair] for fact, pair in (facts or {}).items()})
    html = render("comparison.html", sides=sides, rows=list(rows.items()))
    return Section("comparison", title, html)


def animation_section(
    animation: Path, references: tuple[Path, ...] = (), driving: Path | None = None, facts: dict[str, Any] | None = None
) -> Section:
    """A finished animation beside what it was made from. Raises: RecipeError when the animation does not exist."""
    from pipelines.report_pictures import frame_at

    if not animation.is_file():
        raise RecipeError(f"no animation {animation}; motionloom animate writes one")
    pictures = []
    for label, path in [*(("reference", path) for path in references), *([("driving", driving)] if driving else [])]:
        rgb_HWC = frame_at(path, 0.0)
        pictures.append((label, path.name, None if rgb_HWC is None else jpeg_uri(rgb_HWC, 480)))
    driving_uri = video_uri(driving) if driving is not None and driving.suffix.lower() == ".mp4" else None
    html = render(
        "animation.html",
        video=video_uri(animation, 20 << 20),
        driving=driving_uri,
        name=animation.name,
        pictures=pictures,
        facts=[(fact, number_text(value)) for fact, value in (facts or {}).items()],
    )
    return Section("animation", "Animation", html)


def read_metrics(model_dir: Path) -> list[dict[str, Any]]:
    """Rows of metrics.jsonl that hold a finite loss. A last line cut short by a crash is passed over.

    Raises: DataError for any other line that is not JSON.
    """
    path = model_dir / "metrics.jsonl"
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                break
            raise DataError(f"{path} line {number} is not JSON: {error}") from error
        if isinstance(row, dict) and isinstance(row.get("loss"), int | float) and math.isfinite(row["loss"]):
            rows.append(row)
    return rows


def loss_curve(metrics: list[dict[str, Any]]) -> Markup:
    """Loss over steps; a line marks where each stage begins."""
    steps_N = np.array([_number(row.get("step"), index) for index, row in enumerate(metrics)], dtype=np.float64)
    losses_N = np.array([row["loss"] for row in metrics], dtype=np.float64)
    stages: list[tuple[float, str]] = []
    for step, row in zip(steps_N.tolist(), metrics, strict=True):
        if row.get("stage") is not None and (not stages or stages[-1][1] != str(row["stage"])):
            stages.append((step, str(row["stage"])))
    return line_plot(steps_N, losses_N, stages, "step", "loss")


def model_facts(model_dir: Path, config: dict[str, Any], metrics: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """What a person asks first: size, length and outcome of the training. Losses are means of one tenth of a stage."""
    facts: list[tuple[str, Any]] = [("kind", config.get("kind")), ("parameters", _parameters(model_dir))]
    if metrics:
        last_stage = [row["loss"] for row in metrics if row.get("stage") == metrics[-1].get("stage")]
        tenth = max(1, len(last_stage) // 10)
        facts += [
            ("training steps", len(metrics)),
            ("training seconds", sum(_number(row.get("seconds"), 0.0) for row in metrics)),
            ("loss at first", float(np.mean(last_stage[: min(5, tenth)]))),
            ("loss at last", float(np.mean(last_stage[-tenth:]))),
        ]
    return [(name, value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else number_text(value))
            for name, value in facts]  # fmt: skip


def read_samples(model_dir: Path) -> Samples:
    """Everything in MODEL/samples that a page can carry."""
    folder = model_dir / "samples"
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    videos = {path.name: video_uri(path) for path in files if path.suffix == ".mp4"}
    costs: dict[str, Any] = {}
    for path in files:
        if path.suffix == ".json":
            costs.update(read_document(path, str(folder)))
    return Samples(
        pictures=tuple(png_uri(path) for path in files if path.suffix == ".png"),
        videos=tuple(uri for uri in videos.values() if uri is not None),
        left_out=tuple(name for name, uri in videos.items() if uri is None),
        costs=costs,
    )


def _sampling_facts(config: dict[str, Any], samples: Samples) -> dict[str, Any]:
    """Cost of sampling from samples/*.json; steps are also known from the configuration."""
    sampling = config.get("sampling")
    facts: dict[str, Any] = {"sampling steps": sampling.get("steps") if isinstance(sampling, dict) else None}
    facts.update(
        (f"sampling: {name.replace('_', ' ')}", value)
        for name, value in samples.costs.items()
        if isinstance(value, int | float | str)
    )
    return facts


def _parameters(model_dir: Path) -> int | None:
    """Number of weights, from the header of model.safetensors alone; None when there is none to read."""
    path = model_dir / "model.safetensors"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        header = file.read(length) if length <= MAX_HEADER_BYTES else b""
    try:
        tensors = json.loads(header)
        return sum(int(math.prod(tensor["shape"])) for name, tensor in tensors.items() if name != "__metadata__")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else default


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested settings as `a.b.c` and text."""
    if isinstance(value, dict):
        return [row for key in value for row in _flat(value[key], f"{name}.{key}" if name else str(key))]
    return [(name, json.dumps(value) if not isinstance(value, str) else value)]
