"""Logs: lines for people, or JSON lines for machines that collect them.

MOTIONLOOM_LOG=json makes every line an object: time (UTC, ISO 8601), level, logger, message, command, and where they
are known run (the output's path or URI), stage, video_id, uri, key (of a clip), failure, clips and footage_s. Finished
rows are logged in JSON alone: for people there is the bar.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Any

from pipelines.stages import Row
from schemas.errors import RecipeError

KINDS = ("text", "json")
_OF_ROWS = ("video_id", "uri", "key", "failure", "clips", "footage_s")
_context: ContextVar[dict[str, str] | None] = ContextVar("log_context", default=None)
_rows = logging.getLogger("motionloom.rows")


class JsonLines(logging.Formatter):
    """One object a line; `fields` of a record (logging's `extra`) are keys of it."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": at, "level": record.levelname, "logger": record.name, "message": record.getMessage(),
            **(_context.get() or {}), **getattr(record, "fields", {}),
        }  # fmt: skip
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


def start_logs(command: str, level: int) -> None:
    """Of this process, to stderr. Raises: RecipeError for a MOTIONLOOM_LOG that is neither text nor json."""
    kind = os.environ.get("MOTIONLOOM_LOG", "text")
    if kind not in KINDS:
        raise RecipeError(f"MOTIONLOOM_LOG={kind}: text or json")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if kind == "json" else logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    # A library may have begun: basicConfig leaves that.
    logging.basicConfig(level=level, handlers=[handler])
    _rows.setLevel(logging.INFO if kind == "json" else logging.CRITICAL)
    _context.set({"command": command})


def tell(kind: str, message: str) -> None:
    """What a user has to know beside the result. kind: error, warning, failed."""
    if os.environ.get("MOTIONLOOM_LOG") == "json":
        level = logging.ERROR if kind == "error" else logging.WARNING
        logging.getLogger("motionloom").log(level, "%s", message)
    else:
        sys.stderr.write(f"{kind}: {message}\n")


@contextlib.contextmanager
def run_in_logs(run: object) -> Iterator[None]:
    """Lines of this block say which run they belong to."""
    token = _context.set({**(_context.get() or {}), "run": str(run)})
    try:
        yield
    finally:
        _context.reset(token)


def log_row(stage: str, row: Row) -> None:
    """That a row of a stage is finished, or why it failed."""
    if row.get("unfinished"):
        return
    fields = {"stage": stage, **{name: row[name] for name in _OF_ROWS if name in row}}
    what = row.get("key") or row.get("uri") or "row"
    if row.get("failure") is None:
        _rows.info("%s: %s done", stage, what, extra={"fields": fields})
    else:
        _rows.warning("%s: %s failed: %s", stage, what, row["failure"], extra={"fields": fields})
