"""motionloom report: one self-contained HTML page about a RUN, DATASET or MODEL. Also `python -m pipelines.report`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.arguments import local_path
from pipelines.terminal import print_json, print_lines, size_text
from schemas.errors import RecipeError
from schemas.storage import located, name_of

if TYPE_CHECKING:
    from pipelines.report_pages import Section

GENERATOR = b'<meta name="generator" content="motionloom report">'
HELP = "write one HTML page about a run, a dataset or a model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", metavar="RUN|DATASET|MODEL", help="folder written by curate, annotate, train; path or URI (s3://…)"
    )
    parser.add_argument(
        "--output",
        type=local_path,
        metavar="FILE.html",
        help="page to write (default: report/index.html in the folder)",
    )
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")


def run(args: argparse.Namespace) -> int:
    from pipelines.output_folder import UNITS_DIR, input_folder

    location = located(args.folder)
    if isinstance(location, str) and args.output is None:
        raise RecipeError(f"{location} is not on this machine: name a page to write with --output FILE.html")
    with input_folder(location, (UNITS_DIR,)) as folder:
        kind = kind_of(folder)
        output = args.output or folder / "report" / "index.html"
        if output.is_dir() or output.suffix.lower() not in (".html", ".htm"):
            raise RecipeError(f"--output {output}: expected a file that ends in .html")
        size_bytes = write_report(folder, output, name_of(location.rstrip("/")) if isinstance(location, str) else None)
    if args.json:
        print_json({"kind": kind, "folder": str(location), "output": str(output), "bytes": size_bytes})
    else:
        print_lines(f"{output} ({kind}, {size_text(size_bytes)})")
    return 0


def kind_of(folder: Path) -> str:
    """run, dataset or model, by what lies in the folder. Raises: RecipeError when it is none of them."""
    marks = {"run": ("run.json", "clips"), "dataset": ("index.json",), "model": ("config.json", "metrics.jsonl")}
    for kind, names in marks.items():
        if all((folder / name).exists() for name in names):
            return kind
    if not folder.exists():
        raise RecipeError(f"no folder {folder}")
    wanted = "; ".join(f"a {kind} has {' and '.join(names)}" for kind, names in marks.items())
    raise RecipeError(f"{folder} is neither a run nor a dataset nor a model: {wanted}")


def write_report(folder: Path, output: Path, name: str | None = None) -> int:
    """Builds the page of one folder. name: of the folder, where it lies elsewhere.

    Returns: its size in bytes. Raises: RecipeError, DataError.
    """
    kind = kind_of(folder)
    return write_page(output, f"{name or folder.resolve().name} – {kind} report", [_sections()[kind](folder)])


def write_page(output: Path, title: str, sections: list[Section], intro: str = "") -> int:
    """Writes the page in one step: a reader sees the old one or the new one. Returns: its size in bytes.

    Raises: RecipeError rather than replace a file that is not such a page.
    """
    from pipelines.report_pages import build_page

    data = build_page(title, sections, intro).encode("utf-8")
    if output.is_file() and GENERATOR not in output.read_bytes()[:4096]:
        raise RecipeError(f"{output} exists and is no page of motionloom report; choose another --output")
    part = output.with_name(f".{output.name}.part")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(output)
    except OSError as error:
        raise RecipeError(f"--output {output} cannot be written: {error.strerror or error}") from error
    return len(data)


def _sections() -> dict[str, Callable[[Path], Section]]:
    from pipelines.report_dataset import dataset_section
    from pipelines.report_model import model_section
    from pipelines.report_run import run_section

    return {"run": run_section, "dataset": dataset_section, "model": model_section}


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("report"))
