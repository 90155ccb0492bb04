"""DATASET/README.md: what a dataset holds, how it was made and how to read it, as a Hugging Face dataset card.

The same samples give the same bytes: no date, no machine, no path. Text from a manifest is escaped: it can neither
break a table nor get into the front matter.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from curation.catalog import score_specs
from pipelines.card_state import CARD, MARK, content_fingerprint, described_content
from pipelines.dataset_card_rows import (
    as_text,
    count_rows,
    front_matter,
    label_rows,
    made_by_rows,
    number_rows,
    overlay_row,
    rights_rows,
    text_rows,
    unstated,
)
from pipelines.dataset_facts import Track, dataset_facts
from pipelines.dataset_schema import MEMBERS, array_rows, column_rows
from pipelines.report_pages import TEMPLATES_DIR
from pipelines.sink import write_text
from schemas.errors import RecipeError
from schemas.index import INDEX_PARQUET, SHARDS_DIR, load_index, load_overlays, load_samples, load_shards
from schemas.label_quality import LABEL_QUALITY
from schemas.storage import Location, joined, parquet_source, upload


def refresh_card(dataset: Path, make: bool = False) -> bool:
    """Writes a card that is about other samples anew; one of somebody's own stays. Returns: whether it did.

    make: also where there is none.
    Raises: CorruptShard for a sample whose JSON cannot be read.
    """
    from pipelines.progress import track

    described = described_content(dataset)
    if described == "" or (described is None and not make) or described == content_fingerprint(dataset):
        return False
    write_text(dataset / CARD, dataset_card(dataset, track))
    return True


def run(args: argparse.Namespace) -> int:
    """`motionloom shards card`."""
    from pipelines.progress import track
    from pipelines.terminal import print_json, print_lines

    path = joined(args.dataset, CARD) if args.output is None else args.output
    if args.output is None and described_content(args.dataset) == "":
        raise RecipeError(f"{path} was not written by motionloom: --output FILE writes a card elsewhere")
    text = dataset_card(args.dataset, track)
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    else:
        upload(io.BytesIO(text.encode()), path)
    print_json({"dataset": str(args.dataset), "card": str(path)}) if args.json else print_lines(path)
    return 0


def dataset_card(dataset: Location, track: Track | None = None) -> str:
    """The card's text; reads the JSON of every sample. Raises: RecipeError, CorruptShard."""
    entries, shards, overlays = load_samples(dataset), load_shards(dataset), load_overlays(dataset)
    facts = dataset_facts(dataset, entries, track)
    made_by: dict[str, Any] = load_index(dataset).get("made_by") or {}
    members = dict(facts.members.top(len(facts.members.texts()))[0])
    columns = pq.read_schema(parquet_source(joined(dataset, INDEX_PARQUET))).names
    recipe = made_by.get("recipe")
    refined = recipe.get("language_model") if isinstance(recipe, dict) else None
    folders = [SHARDS_DIR, *(f"overlays/{overlay.name}" for overlay in overlays)]
    environment = Environment(
        # Everything from outside went through as_text: Markdown needs that, and HTML escaping would spoil it.
        loader=FileSystemLoader(TEMPLATES_DIR), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template("dataset_card.md").render(
        front_matter=front_matter(facts),
        mark=MARK,
        fingerprint=content_fingerprint(dataset),
        samples=facts.samples,
        unstated=unstated(facts),
        counts=count_rows(
            facts,
            sum(entry.duration_s for entry in entries) / 3600,
            sum(entry.frames for entry in entries),
            (shard.size_bytes for shard in shards),
        ),
        rights=rights_rows(facts),
        members=[(as_text(name), members[name], MEMBERS.get(name, "")) for name in sorted(members)],
        arrays=array_rows(members),
        columns=column_rows(columns),
        has_label_quality="body_measured_fraction" in columns,
        scores=number_rows(score_specs(), facts.scores),
        score_texts=text_rows(facts.texts),
        labels=label_rows(facts.labels),
        label_quality=number_rows(LABEL_QUALITY, facts.label_quality),
        made_by=made_by_rows(made_by, facts),
        overlays=[overlay_row(dataset, overlay.name) for overlay in overlays],
        folders=", ".join(f'"{folder}"' for folder in folders),
        language_model=isinstance(refined, dict) and bool(refined.get("url")),
    )
