"""A selection of samples as one page that needs no server: pictures and facts lie in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pipelines.progress import track
from pipelines.report_pages import Section, build_page, render
from pipelines.report_pictures import data_uri
from pipelines.sink import write_text
from pipelines.terminal import number_text
from pipelines.viewer.columns import CONFIDENCE, ROW, Column
from pipelines.viewer.media import sample_thumbnail
from pipelines.viewer.query import Query
from pipelines.viewer.samples import SAMPLES
from pipelines.viewer.tables import MAX_PAGE, Tables
from schemas.index import SampleEntry
from schemas.storage import Location, name_of

MAX_SAMPLES = 2000
_SHOWN = ("key", "caption", "licence")
_HIDDEN = ("shard", "offset", "bytes", "sha256", "members", "overlays", ROW, *_SHOWN)


def write_static_page(
    dataset: Location, tables: Tables, query: Query, limit: int, page: Path, asked: Sequence[str]
) -> dict[str, Any]:
    """Writes the first `limit` samples of what was asked for (`asked`: in words).

    Returns: samples, how many there were to show, and the page's bytes.
    """
    columns = tables.columns[SAMPLES]
    total = tables.count(SAMPLES, query)
    wanted = min(limit, total)
    rows: list[dict[str, Any]] = []
    while len(rows) < wanted:
        rows += tables.page(SAMPLES, query, len(rows), min(MAX_PAGE, wanted - len(rows)))
    cards = [_card(dataset, row, columns, query.sort) for row in track(rows, "pictures", len(rows))]
    order = f", by {query.sort} {'falling' if query.descending else 'rising'}" if query.sort else ""
    chosen = f", where {' and '.join(asked)}" if asked else ""
    intro = f"{len(cards)} of {total} samples{chosen}{order}; {tables.total(SAMPLES)} in the dataset."
    html = build_page(name_of(dataset), [Section("samples", "Samples", render("samples.html", cards=cards))], intro)
    write_text(page, html)
    return {
        "page": str(page),
        "samples": len(cards),
        "found": total,
        "total": tables.total(SAMPLES),
        "bytes": page.stat().st_size,
    }


def _card(dataset: Location, row: Mapping[str, Any], columns: Mapping[str, Column], sort: str | None) -> dict[str, Any]:
    data = sample_thumbnail(dataset, SampleEntry.from_row(row))
    picture = None if data is None else Markup(data_uri("image/jpeg", data))
    facts = [
        (name, number_text(value) if isinstance(value, float) else value)
        for name, value in row.items()
        if value is not None and name not in _HIDDEN and name in columns and columns[name].kind != "labels"
    ]
    labels = [
        (name, ", ".join(f"{label} {sure:.2f}" for label, sure in zip(row[name], row[name + CONFIDENCE], strict=True)))
        for name, column in columns.items()
        if column.kind == "labels" and column.sure and row[name]
    ]
    return {
        **{name: row.get(name) for name in _SHOWN},
        "picture": picture,
        "line": f"{row['duration_s']:.2f} s, {row['width_px']}x{row['height_px']} px",
        "sort": None if sort is None else (sort, row.get(sort)),
        "labels": labels,
        "facts": facts,
    }
