"""A page of the site that loads something from elsewhere fails the build: it must be readable without a network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

# What a browser fetches by itself; a link that a reader may follow is none of these.
_LOADS = re.compile(
    r"""<(?:script|img|iframe|video|source|audio|embed)\b[^>]*\bsrc=["'](?:https?:)?//|"""
    r"""<link\b[^>]*\bhref=["'](?:https?:)?//|@import\s|url\(["']?(?:https?:)?//""",
    re.IGNORECASE,
)


def loads_from_elsewhere(folder: Path) -> list[str]:
    """`FILE: what it loads` for every page and style sheet below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".html", ".css"))
    return [
        f"{path.relative_to(folder)}: {found.group(0)}"
        for path in files
        for found in _LOADS.finditer(path.read_text(encoding="utf-8"))
    ]


def check(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        found = loads_from_elsewhere(Path(app.outdir))
        if found:
            raise ExtensionError(f"pages load from elsewhere: {'; '.join(found[:10])}")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("build-finished", check)
    return {"parallel_read_safe": True}
