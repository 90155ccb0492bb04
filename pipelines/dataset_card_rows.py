"""Rows and front matter of a dataset's card: facts as cells of Markdown tables, in which nothing is markup."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from pipelines.dataset_facts import DatasetFacts
from pipelines.licences import licence_identifiers
from pipelines.recipe_models import HOW_NOT_WHAT
from pipelines.terminal import number_text, printable, size_text
from pipelines.value_counts import NumberCounts, TextCounts
from schemas.fingerprint import fingerprint
from schemas.overlay import load_overlay
from schemas.scores import BETTER, ScoreSpec
from schemas.storage import Location

QUANTILES = (0.0, 0.1, 0.5, 0.9, 1.0)
MOST_LISTED = 20
MOST_LABELS = 40
# What is markup, a link, a formula or somebody's name in the middle of a line; after a backslash it is a character.
# An underscore inside a word is one already.
_MARKUP = re.compile(r"([\\`*\[\]|~$:@]|(?<!\w)_|_(?!\w)|(?<=www)\.)", re.IGNORECASE)
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def as_text(text: object) -> str:
    """Text from outside as the characters that it has: no markup, no HTML, no line of its own, and no link but one that
    a site makes of a bare mail address after Markdown is done.
    """
    shown = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(r"\\\1", shown)


def listed(found: TextCounts, most: int = MOST_LISTED) -> str:
    """`walking 12, waving 3 and 4 others`."""
    top, others = found.top(most)
    text = ", ".join(f"{as_text(name)} {count}" for name, count in top)
    more = f"{others}{' or more' if found.dropped else ''} other{'' if others == 1 else 's'}"
    return f"{text} and {more}" if others or found.dropped else text or "–"


def front_matter(facts: DatasetFacts) -> str:
    """What dataset pages and `load_dataset` read of a card; made of our own words and known identifiers alone."""
    is_complete = facts.unlicensed == 0 and not facts.stated["licence"].dropped
    document = {
        "license": licence_identifiers(facts.stated["licence"].texts(), is_complete),
        "task_categories": ["image-to-video", "text-to-video", "keypoint-detection"],
        "language": ["en"],
        "tags": ["webdataset", "video", "human-motion", "character-animation", "motion-transfer", "motionloom"],
        "size_categories": [next((name for most, name in _SIZES if facts.samples < most), "n>1M")],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "shards/*.tar"}]}],
        "dataset_info": {"config_name": "default", "features": FEATURES},
    }
    return f"---\n{yaml.safe_dump(document, sort_keys=False)}---"


def _lists(kind: str, depth: int) -> Any:
    return kind if depth == 0 else {"list": _lists(kind, depth - 1)}


FEATURES: list[dict[str, Any]] = [
    {"name": "__key__", "dtype": "string"},
    {"name": "txt", "dtype": "string"},
    {"name": "json", "dtype": "json"},
    {"name": "mp4", "dtype": {"video": {"decode": False}}},
    {
        "name": "body.npz",
        "struct": [
            {"name": "joints_px_PTJ2", **_lists("float32", 4)},
            {"name": "present_PT", **_lists("bool", 2)},
            {"name": "pts_s_T", **_lists("float64", 1)},
        ],
    },
]
"""As in the card's lines for `datasets`. Inferred from the first samples, a null there would have to stay one."""


def count_rows(facts: DatasetFacts, hours: float, frames: int, shard_bytes: Iterable[int]) -> list[tuple[str, object]]:
    sizes = list(shard_bytes)
    subjects = facts.subjects.distinct
    rows: list[tuple[str, object]] = [
        ("samples", facts.samples),
        ("hours", f"{hours:.3g}"),
        ("frames", frames),
        ("shards", len(sizes)),
        ("size of the shards", size_text(sum(sizes))),
        ("subjects that are named", f"{subjects} or more" if facts.subjects.dropped else subjects),
    ]
    named = {"split": facts.stated["split"], "style": facts.stated["style"], "px": facts.pictures}
    rows += [
        (name, listed(found)) for name, found in {**named, "frames per second": facts.rates}.items() if found.count
    ]
    if facts.samples:
        rows.append(("seconds a clip (least, p10, median, p90, greatest)", " · ".join(_quantiles(facts.duration_s))))
    return rows


def _quantiles(found: NumberCounts) -> list[str]:
    return [number_text(value) or "" for value in found.quantiles(QUANTILES)]


def rights_rows(facts: DatasetFacts) -> list[tuple[str, object, str]]:
    return [(name, facts.stated[name].count, listed(facts.stated[name])) for name in ("licence", "consent", "source")]


def unstated(facts: DatasetFacts) -> str:
    """A sentence about the samples whose rights nobody stated, or nothing."""
    if not facts.unlicensed and not facts.unconsented:
        return ""
    stated = f"{facts.unlicensed} state no licence, {facts.unconsented} no consent, {facts.neither} neither"
    return f"Of {facts.samples} samples {stated}."


def number_rows(specs: Iterable[ScoreSpec], found: Mapping[str, NumberCounts]) -> list[tuple[object, ...]]:
    """Those of `specs` first, then scores that a dataset has from elsewhere, without a unit."""
    known = {spec.name: (spec.unit, BETTER[spec.direction]) for spec in specs}
    names = [name for name in known if name in found] + sorted(set(found) - set(known))
    return [
        (as_text(name), *known.get(name, ("?", "?")), found[name].count, *_quantiles(found[name]), found[name].bars())
        for name in names
    ]


def text_rows(found: Mapping[str, TextCounts]) -> list[tuple[str, str]]:
    return [(as_text(name), listed(values)) for name, values in sorted(found.items())]


def label_rows(found: Mapping[str, TextCounts]) -> list[tuple[str, int, str]]:
    return [(as_text(name), values.count, listed(values, MOST_LABELS)) for name, values in sorted(found.items())]


def made_by_rows(made_by: Mapping[str, Any], facts: DatasetFacts) -> list[tuple[str, str]]:
    """Recipe, run and versions; nothing of how it ran, which changes no sample."""
    recipe = made_by.get("recipe")
    rows = [("this card", f"motionloom {importlib.metadata.version('motionloom')}")]
    if isinstance(recipe, Mapping):
        what = {name: value for name, value in recipe.items() if name not in HOW_NOT_WHAT}
        rows.append(("recipe of annotation", fingerprint(what)))
        video = recipe.get("video")
        if isinstance(video, Mapping):
            rows.append(("clips", ", ".join(f"{as_text(name)} {as_text(value)}" for name, value in video.items())))
    if made_by.get("clips_fingerprint"):
        rows.append(("kept clips of the run", as_text(made_by["clips_fingerprint"])))
    failures = made_by.get("failures")
    if failures:
        rows.append(("clips that could not be annotated", str(len(failures))))
    top, _ = facts.made_by.top(10 * MOST_LISTED)
    rows += [
        (as_text(who[0]), f"{as_text(who[2])} ({count})")
        for who, count in sorted((text.partition(": "), count) for text, count in top)
    ]
    return rows


def overlay_row(dataset: Location, name: str) -> tuple[str, str, int, str]:
    """Raises: CorruptShard when its index cannot be read."""
    overlay = load_overlay(dataset, name)
    rerun = overlay.made_by.get("rerun")
    what = ", ".join(f"{as_text(each)} {count}" for each, count in rerun.items()) if isinstance(rerun, Mapping) else "–"
    size_bytes = sum(shard.size_bytes for shard in overlay.shards)
    return f"`{name}`", what, int(overlay.made_by.get("relabelled") or 0), size_text(size_bytes)
