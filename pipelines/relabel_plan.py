"""What a relabelling does before it does it: which annotators run again for which samples, and by which recipe."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation.base import Annotator
from annotation.catalog import annotator_versions
from annotation.sample import label_versions
from annotation.staleness import out_of_date, with_followers
from pipelines.recipe_models import AnnotateRecipe, annotate_recipe
from schemas.codecs import decode_json
from schemas.errors import CorruptShard, RecipeError, SchemaError
from schemas.index import SampleEntry, load_index, load_overlays
from schemas.overlay import load_overlay
from schemas.recipe import parse_recipe
from schemas.shard import read_members
from schemas.storage import Location

LABELS = "labels"
# Of an annotation recipe, what labels depend on; the rest says how samples are written.
LABEL_KEYS = ("language_model", "zero_shot")


@dataclass(frozen=True, slots=True)
class Work:
    """One sample to relabel, and the annotators that run again for it; its labels are made anew in any case."""

    entry: SampleEntry
    rerun: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Retry:
    """What an overlay was made with, and the keys of the samples that failed in it."""

    overlay: str
    only: list[str] | None
    alone: bool
    keys: frozenset[str]


def failed_in(dataset: Path, name: str) -> Retry:
    """name: a finished overlay, or "" for the newest.

    Raises: RecipeError when there is none of that name, CorruptShard when its index cannot be read.
    """
    names = [overlay.name for overlay in load_overlays(dataset)]
    if not names or (name and name not in names):
        which = f"overlay {name}" if name else "overlay"
        raise RecipeError(f"--retry-failed: {dataset} has no finished {which}; it has {', '.join(names) or 'none'}")
    overlay = name or names[-1]
    made_by = load_overlay(dataset, overlay).made_by
    try:
        keys = frozenset(failure["clip_id"] for failure in made_by["failures"])
        return Retry(overlay, made_by["only"], bool(made_by["alone"]), keys)
    except (KeyError, TypeError) as error:
        raise CorruptShard(f"overlay {overlay}: its index does not say what failed ({error!r})") from error


def check_names(annotators: Sequence[Annotator], names: Collection[str] | None) -> None:
    """Raises: RecipeError for a name that is neither an annotator nor `labels`, with the nearest that is."""
    known = [annotator.name for annotator in annotators] + [LABELS]
    parts = sorted({*label_versions(), "interactions", "moves"} - set(known))
    for name in names or ():
        if name in known:
            continue
        if name in parts:
            raise RecipeError(f"--only {name}: made from the tracks with the other labels; use --only {LABELS}")
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        raise RecipeError(f"--only {name}: no annotator of that name; {hint}")


def plan(
    dataset: Path,
    entries: Iterable[SampleEntry],
    annotators: Sequence[Annotator],
    only: Collection[str] | None,
    alone: bool,
    all_labels: bool,
) -> list[Work]:
    """The samples to relabel: all of them for names given, else those whose JSON states other versions than today's.

    all_labels: labels are out of date everywhere, because what they depend on beside the tracks has changed.
    Raises: CorruptShard when a sample's JSON cannot be read.
    """
    installed = {**annotator_versions(annotators), **label_versions()}
    work = []
    for entry in entries:
        there = [annotator.name for annotator in annotators if annotator.suffix in entry.members]
        if only is not None:
            work.append(Work(entry, tuple(with_followers(annotators, set(only) - {LABELS}, there, alone))))
            continue
        stale = out_of_date(_stored_versions(dataset, entry), installed)
        stale |= {annotator.suffix for annotator in annotators if annotator.suffix not in entry.members}
        names = {annotator.name for annotator in annotators if annotator.suffix in stale}
        if stale or all_labels:
            work.append(Work(entry, tuple(with_followers(annotators, names, there, alone))))
    return work


def counts(work: Iterable[Work]) -> dict[str, int]:
    """How many samples each annotator runs for, and how many get labels."""
    found = Counter(name for each in work for name in (*each.rerun, LABELS))
    return dict(sorted(found.items()))


def _stored_versions(dataset: Path, entry: SampleEntry) -> Mapping[str, Mapping[str, Any]]:
    where = f"shard {entry.shard}, sample {entry.key}"
    try:
        stored = decode_json(read_members(dataset, entry, ("json",))["json"]).get("annotators", {})
    except KeyError as error:
        raise CorruptShard(f"{where}: member json is missing") from error
    except (SchemaError, AttributeError) as error:
        raise CorruptShard(f"{where}: json: {error}") from error
    return stored if isinstance(stored, dict) else {}


def label_recipe(dataset: Location, source: str | None, overrides: Sequence[str]) -> tuple[AnnotateRecipe, bool]:
    """The recipe of the labels, and whether it would make other labels than those that the dataset has.

    Without a source it is the one that the dataset's labels were made by last.
    """
    last = _last_recipe(dataset)
    known = (
        parse_recipe(AnnotateRecipe, last, f"of {dataset}; --recipe names another")
        if last
        else annotate_recipe("default")
    )
    if source is not None:
        recipe = annotate_recipe(source, overrides)
    else:
        recipe = parse_recipe(AnnotateRecipe, known.model_dump(mode="json"), f"of {dataset}", overrides)
    return recipe, judged_by(recipe) != judged_by(known)


def judged_by(recipe: AnnotateRecipe) -> dict[str, Any]:
    """What of a recipe changes labels: not where a model is served, nor how patiently it is asked."""
    model = recipe.language_model
    asked = model.url is not None and (model.paraphrase or model.look)
    return {
        "model": model.model if asked else None,
        "paraphrase": model.paraphrase,
        "look": model.look,
        "pictures": model.pictures if model.look or recipe.zero_shot else None,
        "zero_shot": recipe.zero_shot,
    }


def _last_recipe(dataset: Location) -> dict[str, Any]:
    made_by = load_index(dataset).get("made_by", {})
    recipe = dict(made_by.get("recipe") or {})
    for overlay in load_overlays(dataset):
        recipe.update(load_overlay(dataset, overlay.name).made_by.get("recipe") or {})
    return recipe
