"""Samples of an earlier dataset that a new one can take as they are: after `redecide` only new clips are decoded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from annotation.staleness import Versions, out_of_date
from pipelines.recipe_models import AnnotateRecipe
from pipelines.relabel import check_finished
from pipelines.relabel_plan import judged_by, label_recipe
from schemas.codecs import decode_json, encode_json
from schemas.errors import CorruptShard, RecipeError, SchemaError
from schemas.index import SampleEntry, index_facts, load_samples
from schemas.shard import read_sample, read_span
from schemas.storage import Location, resolved

logger = logging.getLogger(__name__)

# What curation may say of a clip otherwise than before, without a pixel or a label being another.
OF_THE_RUN = ("scores", "sampling_weight")
# What the encoder says of a clip; the rest of a sample's JSON comes from the clip's row, or from the tracks.
OF_THE_VIDEO = ("width_px", "height_px", "fps", "frames")


@dataclass(frozen=True, slots=True)
class Earlier:
    """A finished dataset and its samples by key."""

    dataset: Location
    entries: Mapping[str, SampleEntry]


def earlier_dataset(old: Location, new: Location, recipe: AnnotateRecipe) -> Earlier:
    """Raises: RecipeError when it is no finished dataset, or the new one, or has clips or labels by another recipe."""
    check_finished(old)
    if resolved(old) == resolved(new):
        raise RecipeError(f"--reuse {old}: that is the --output itself")
    known, _ = label_recipe(old, None, ())
    ours, theirs = ({**each.video.model_dump(), **judged_by(each)} for each in (recipe, known))
    other = ", ".join(f"{name} {theirs[name]}, not {ours[name]}" for name in ours if ours[name] != theirs[name])
    if other:
        raise RecipeError(f"--reuse {old}: nothing of it fits this recipe; its samples have {other}")
    return Earlier(resolved(old), {entry.key: entry for entry in load_samples(old)})


def reused_sample(
    dataset: Location, entry: SampleEntry, wanted: Mapping[str, Any], installed: Versions
) -> tuple[dict[str, bytes], dict[str, Any]] | None:
    """Members and index facts of an earlier sample with what the run says of its clip today, or None if it is another.

    wanted:    the sample's JSON as the clip's row makes it; OF_THE_VIDEO is taken from the earlier sample.
    installed: versions of today's annotators and labels; a sample of any other is made anew.
    """
    try:
        read_span(dataset, entry)
        members = read_sample(dataset, entry)
        document = decode_json(members["json"])
        stored = document.get("annotators", {})
        same = all(
            document.get(name) == value for name, value in wanted.items() if name not in (*OF_THE_RUN, *OF_THE_VIDEO)
        )
        if not same or out_of_date(stored, installed) or {f for f in installed if f.endswith(".npz")} - members.keys():
            return None
        document = {**document, **{name: wanted[name] for name in OF_THE_RUN}}
        return {**members, "json": encode_json(document)}, index_facts(document)
    except (CorruptShard, SchemaError, KeyError, AttributeError) as error:
        logger.warning("sample %s of %s cannot be reused and is made anew: %s", entry.key, dataset, error)
        return None
