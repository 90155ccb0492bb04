"""Kinds of command-line arguments: what may be a URI, and what must lie on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.storage import Location


def location(text: str) -> Location:
    """A path or a URI."""
    # Only now: `--help` needs no storage client.
    from schemas.errors import RecipeError
    from schemas.storage import located

    try:
        return located(text)
    except RecipeError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def local_path(text: str) -> Path:
    """A path; a URI would make a folder with a colon in its name, where nobody looks for it."""
    where = location(text)
    if not isinstance(where, Path):
        raise argparse.ArgumentTypeError(f"{text} is not on this machine; this argument takes a local path")
    return where
