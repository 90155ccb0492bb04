"""The web application of the viewer: two pages, the questions they ask, and pictures and videos in ranges."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, jsonify, request
from werkzeug.wsgi import wrap_file

from pipelines.viewer.media import PictureCache, open_member, sample_thumbnail, source_thumbnail
from pipelines.viewer.query import BadQueryError, Query, query_of
from pipelines.viewer.samples import SAMPLES, DatasetChangedError, Samples
from pipelines.viewer.tables import TableGoneError, Tables
from pipelines.web.closed import closed_app
from schemas.errors import MotionloomError
from schemas.index import SampleEntry
from schemas.storage import Location, name_of

PAGES = Path(__file__).parent / "pages"
REJECTED = "rejected"
PAGE_ROWS = 60
_MAX_BODY_BYTES = 1024
# What a card shows, beside the column that it is sorted by.
_CARD = {
    SAMPLES: ("key", "caption", "duration_s", "width_px", "height_px", "shot_scale", "quality"),
    REJECTED: ("clip_id", "uri", "start_s", "end_s", "why"),
}
_KEY = {SAMPLES: "key", REJECTED: "clip_id"}
_STATUS: dict[type[MotionloomError], int] = {BadQueryError: 400, DatasetChangedError: 409, TableGoneError: 503}


def make_app(dataset: Location, tables: Tables, secret: bytes, hosts: list[str]) -> Flask:
    """tables: `samples`, and `rejected` where a run is given."""
    name = hashlib.sha256(str(dataset).encode()).hexdigest()[:12]
    app = closed_app(__name__, PAGES, secret, hosts, f"motionloom-view-{name}", _MAX_BODY_BYTES)
    # In the order in which they are told, not by name.
    app.json.sort_keys = False  # type: ignore[attr-defined]
    samples, pictures = Samples(dataset, tables), PictureCache()

    @app.errorhandler(MotionloomError)
    def _said(error: MotionloomError) -> Any:
        return jsonify(error=str(error)), _STATUS.get(type(error), 500)

    @app.get("/")
    def _browse() -> Response:
        return _page("browse.html")

    @app.get("/sample")
    def _sample_page() -> Response:
        return _page("sample.html")

    @app.get("/api/about")
    def _about() -> Any:
        described = {
            table: {
                "total": tables.total(table),
                "columns": [{"name": c.name, "kind": c.kind, "sure": c.sure} for c in columns.values()],
            }
            for table, columns in tables.columns.items()
        }
        return jsonify(name=name_of(dataset), tables=described, page_rows=PAGE_ROWS)

    @app.get("/api/page")
    def _rows() -> Any:
        table, query = _asked()
        offset, limit = _whole("offset", 0), _whole("limit", PAGE_ROWS)
        shown = [n for n in dict.fromkeys([*_CARD[table], query.sort or _KEY[table]]) if n in tables.columns[table]]
        ask = samples.page if table == SAMPLES else functools.partial(tables.page, table)
        rows = ask(query, offset, limit, shown)
        if offset and not rows:
            # An address from elsewhere may lie behind the last page: that is shown.
            offset = max(0, tables.count(table, query) - 1) // limit * limit
            rows = ask(query, offset, limit, shown)
        return jsonify(rows=rows, offset=offset)

    @app.get("/api/count")
    def _count() -> Any:
        table, query = _asked()
        return jsonify(count=tables.count(table, query))

    @app.get("/api/histogram")
    def _histogram() -> Any:
        table, query = _asked()
        return jsonify(tables.histogram(table, query, request.args.get("column", "")))

    @app.get("/api/values")
    def _values() -> Any:
        table, _ = _asked()
        return jsonify(values=tables.values(table, request.args.get("column", "")))

    @app.get("/api/sample")
    def _facts() -> Any:
        return jsonify(samples.facts(_entry(request.args.get("key", ""))))

    @app.get("/api/tracks")
    def _tracks() -> Response:
        blob = samples.tracks(_entry(request.args.get("key", "")))
        return Response(blob, mimetype="application/octet-stream")

    @app.get("/api/rejected")
    def _why() -> Any:
        row = _clip(request.args.get("key", ""))
        return jsonify({name: value for name, value in row.items() if name != "row"})

    @app.get("/media/clip/<key>.mp4")
    def _video(key: str) -> Response:
        entry = _entry(key)
        file, size_bytes = open_member(dataset, entry, "mp4")
        answer = Response(wrap_file(request.environ, file), mimetype="video/mp4", direct_passthrough=True)
        answer.content_length = size_bytes
        answer.set_etag(entry.sha256 or f"{entry.shard}-{entry.offset}")
        answer.call_on_close(file.close)
        answer.make_conditional(request, accept_ranges=True, complete_length=size_bytes)
        return answer

    @app.get("/media/sample/<key>.jpg")
    def _thumbnail(key: str) -> Response:
        entry = _entry(key)
        return _picture(pictures.picture(key, lambda: sample_thumbnail(dataset, entry)))

    @app.get("/media/rejected/<key>.jpg")
    def _source(key: str) -> Response:
        row = _clip(key)
        middle_s = (float(row["start_s"]) + float(row["end_s"])) / 2
        return _picture(pictures.picture(f"source {key}", lambda: source_thumbnail(str(row["uri"]), middle_s)))

    def _asked() -> tuple[str, Query]:
        table = request.args.get("table", SAMPLES)
        if table not in tables.columns:
            abort(404, f"there is no table {table[:40]!r}")
        given = request.args
        return table, query_of(given.get("filters", ""), given.get("sort", ""), given.get("descending", ""))

    def _entry(key: str) -> SampleEntry:
        samples.check_unchanged()
        entry = samples.entry(key)
        if entry is None:
            abort(404, f"this dataset has no sample {key[:80]!r}")
        return entry

    def _clip(key: str) -> dict[str, Any]:
        row = tables.row(REJECTED, "clip_id", key) if REJECTED in tables.columns else None
        if row is None:
            abort(404, f"no clip {key[:80]!r} was rejected")
        return row

    return app


def _page(name: str) -> Response:
    return Response((PAGES / name).read_text(encoding="utf-8"), mimetype="text/html")


def _picture(data: bytes | None) -> Response:
    """A placeholder where there is none: a missing picture is no error of the page."""
    if data is None:
        placeholder = Response((PAGES / "missing.svg").read_bytes(), mimetype="image/svg+xml")
        # The picture may be there the next time.
        placeholder.cache_control.no_store = True
        return placeholder
    return Response(data, mimetype="image/jpeg")


def _whole(name: str, otherwise: int) -> int:
    text = request.args.get(name, "")
    if not text:
        return otherwise
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise BadQueryError(f"{name} is a whole number, not {text[:20]!r}")
    return int(text)
