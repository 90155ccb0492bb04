"""Links to folders: a code host lists what is in one, the site has a page that does."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def to_pages(app: Sphinx, docname: str, source: list[str]) -> None:
    """Puts the page of a folder into the links to it, as `folder_pages` in conf.py says for each document."""
    for folder, page in app.config.folder_pages.get(docname, {}).items():
        source[0] = source[0].replace(f"]({folder})", f"]({page})")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("folder_pages", {}, "env")
    app.connect("source-read", to_pages)
    return {"parallel_read_safe": True}
