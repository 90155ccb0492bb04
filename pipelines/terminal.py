"""What the commands print on stdout: tables for people, one JSON document for programs."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

PIPE_COLUMNS = 160  # width when stdout is no terminal: wide enough that a pager or grep sees whole rows


def printable(text: object) -> str:
    """The text with control, format and line-breaking characters shown as escapes.

    Member names, captions and file names come from outside: they must not move the cursor, recolour the terminal,
    turn the reading direction or forge a line.
    """
    return "".join(_escaped(char) if unicodedata.category(char) in _UNSAFE else char for char in str(text))


_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def print_json(document: Any) -> None:
    """Exactly one JSON document on stdout; ASCII, so that it survives every terminal and pipe."""
    sys.stdout.write(json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n")


def print_lines(*lines: object) -> None:
    """Plain lines on stdout, escaped; never wrapped."""
    for line in lines:
        sys.stdout.write(printable(line) + "\n")


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[str] = ()
) -> None:
    """A table on stdout. Columns named in `right` are aligned to the right; None is shown as a dash."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
    table = Table(title=Text(printable(title)), title_justify="left", box=SIMPLE_HEAD, show_header=any(columns))
    for column in columns:
        table.add_column(Text(column), justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        # Text, not str: rich would read square brackets in a str as its markup.
        table.add_row(*(Text("–" if cell is None else printable(cell)) for cell in row))
    console.print(table)


def size_text(size_bytes: float) -> str:
    """Bytes for people: 1536 -> 1.5 KiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size_bytes) < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"


def number_text(value: Any) -> str | None:
    """A number in at most four digits after the point; None stays None."""
    if value is None or isinstance(value, str | bool | int):
        return None if value is None else str(value)
    return f"{value:.4g}"
