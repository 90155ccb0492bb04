"""One self-contained HTML page made of sections. No script, no request to anywhere; text from outside is escaped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipelines.terminal import number_text, printable, size_text

TEMPLATES_DIR = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page: `name` is its anchor, `html` is finished and safe."""

    name: str
    title: str
    html: Markup


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES_DIR),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Escaping alone would let through characters that turn the reading direction or forge a line.
        finalize=lambda value: value if isinstance(value, Markup) else "–" if value is None else printable(value),
    )
    environment.filters["number"] = number_text
    environment.filters["size"] = size_text
    return environment


def render(template: str, **values: Any) -> Markup:
    """A template of pipelines/templates with everything escaped but `Markup`."""
    return Markup(_environment().get_template(template).render(**values))


def build_page(title: str, sections: list[Section], intro: str = "") -> str:
    """The whole page. Sections appear in the given order, with a table of contents when there are several."""
    style = Markup((TEMPLATES_DIR / "style.css").read_text(encoding="utf-8"))
    return str(render("page.html", title=title, intro=intro, sections=sections, style=style))


def table_section(name: str, title: str, columns: list[str], rows: list[list[Any]], note: str = "") -> Section:
    """A plain table, for what no other section shows."""
    return Section(name, title, render("table.html", columns=columns, rows=rows, note=note))
