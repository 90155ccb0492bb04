"""Docstrings as they are written: ours are plain text in aligned lines, not reStructuredText."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def as_written(_app: Sphinx, _what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    """Puts a docstring's lines into a literal block."""
    while lines and not lines[-1].strip():
        lines.pop()
    if lines:
        lines[:] = [".. code-block:: none", "   :class: docstring", "", *(f"   {line}" for line in lines), ""]


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", as_written)
    return {"parallel_read_safe": True}
