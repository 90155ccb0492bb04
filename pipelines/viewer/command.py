"""What `motionloom shards view` does without a single KEY: serve the dataset, write a page of it, export it."""

from __future__ import annotations

import argparse
import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.arguments import local_path, location
from pipelines.logs import tell
from pipelines.sink import check_new
from pipelines.web.serving import DEFAULT_HOST, add_serving_arguments, check_serving, serve, served_names
from schemas.errors import RecipeError

_NEEDED = "this needs DuckDB, Flask and waitress: pip install 'motionloom[viewer]'"
_DEFAULT_LIMIT = 100
# Of which one is chosen, with what else each of them takes.
_MODES = {
    "serve": {"run", "host", "port", "allow_host", "hours", "cache"},
    "static": {"where", "sort", "descending", "limit", "cache"},
    "fiftyone": {"where", "sort", "descending", "limit", "cache"},
    "key": {"output", "no_video", "rerun"},
}
_HOURS = 24.0
_OPTIONS = sorted({option for options in _MODES.values() for option in options})


def add_arguments(view: argparse.ArgumentParser) -> None:
    """Of `shards view`, beside DATASET and --json."""
    view.add_argument("key", nargs="?", metavar="KEY", help="draw this one sample; a key that ls lists")
    view.add_argument("--serve", action="store_true", help="browse the dataset in a browser, until interrupted")
    view.add_argument(
        "--static", type=local_path, metavar="PAGE.html", help="write a selection as one page that needs no server"
    )
    view.add_argument(
        "--fiftyone", type=local_path, metavar="FOLDER", help="export a selection for FiftyOne; a new or empty folder"
    )
    one = view.add_argument_group("with KEY")
    one.add_argument(
        "--output", type=local_path, metavar="FOLDER",
        help="gets KEY.overlay.mp4 and KEY.sheet.jpg (default: views); files of these names are replaced",
    )  # fmt: skip
    one.add_argument("--no-video", action="store_true", help="only the contact sheet")
    one.add_argument("--rerun", action="store_true", help="also KEY.rrd for the Rerun viewer (needs the extra rerun)")
    served = view.add_argument_group("with --serve")
    served.add_argument("--run", type=location, metavar="RUN", help="also show what this run rejected, and why")
    add_serving_arguments(served, hours=_HOURS, default_port="a free one")
    # Whether one was given has to be seen: --static takes none.
    view.set_defaults(host=None, hours=None)
    chosen = view.add_argument_group("with --static or --fiftyone")
    chosen.add_argument(
        "--where", action="append", default=[], metavar="CONDITION",
        help="'quality >= 0.5', 'caption contains dance', 'actions has walk at 0.6'; may be repeated: all must hold",
    )  # fmt: skip
    chosen.add_argument("--sort", metavar="COLUMN", help="in the order of this column, the lowest first")
    chosen.add_argument("--descending", action="store_true", help="the highest first")
    chosen.add_argument(
        "--limit", type=int, metavar="N", help=f"at most N samples (default: {_DEFAULT_LIMIT}; --fiftyone: all)"
    )
    view.add_argument(
        "--cache", type=local_path, metavar="FOLDER",
        help="keeps the table of scores and labels (default: motionloom/viewer in the user's cache)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Raises: RecipeError for options that contradict each other, or a missing package."""
    mode = _mode(args)
    if mode == "key":
        from pipelines.shards_view import run as view_sample

        args.output = args.output or Path("views")
        return view_sample(args)
    _check(mode, args)
    with _tables(args) as tables:
        return {"serve": _serve, "static": _static, "fiftyone": _fiftyone}[mode](args, tables)


def _check(mode: str, args: argparse.Namespace) -> None:
    """Everything that can be told before all samples are read, which takes minutes.

    Raises: RecipeError.
    """
    try:
        import duckdb  # noqa: F401 - whether it is there

        if mode == "serve":
            import flask  # noqa: F401
            import waitress  # noqa: F401
    except ImportError as error:
        raise RecipeError(f"{_NEEDED} ({error})") from error
    if mode == "serve":
        args.host = DEFAULT_HOST if args.host is None else args.host
        args.hours = _HOURS if args.hours is None else args.hours
        check_serving(args)
        return
    _selection(args)
    if mode == "fiftyone":
        if not args.fiftyone.name:
            raise RecipeError("--fiftyone: expected the name of a new folder")
        check_new(args.fiftyone, "--fiftyone")
        return
    _page_limit(args)
    if not args.static.name or args.static.is_dir():
        raise RecipeError(f"--static {args.static}: expected the name of a file, such as page.html")
    try:
        args.static.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecipeError(f"--static {args.static}: {error.strerror or error}") from error


def _mode(args: argparse.Namespace) -> str:
    chosen = [mode for mode in _MODES if getattr(args, mode)]
    if not chosen:
        raise RecipeError("what is to be shown? a KEY, --serve, --static PAGE.html or --fiftyone FOLDER")
    if len(chosen) > 1:
        names = " and ".join("KEY" if mode == "key" else f"--{mode}" for mode in chosen)
        raise RecipeError(f"{names} exclude each other: choose one")
    mode = chosen[0]
    for option in _OPTIONS:
        value = getattr(args, option)
        is_given = value is not None and value is not False and value != []
        if is_given and option not in _MODES[mode]:
            takers = " or ".join("KEY" if mode == "key" else f"--{mode}" for mode in _MODES if option in _MODES[mode])
            raise RecipeError(f"--{option.replace('_', '-')} is for {takers}")
    if mode == "serve" and args.json:
        raise RecipeError("--json: --serve prints a link and nothing else")
    return mode


@contextlib.contextmanager
def _tables(args: argparse.Namespace) -> Iterator[Any]:
    from pipelines.viewer.samples import SAMPLES
    from pipelines.viewer.side_tables import (
        cache_folder,
        clear_left_behind,
        has_kept_of,
        rejected_table,
        remove_once,
        samples_table,
    )
    from pipelines.viewer.tables import Tables

    cache = cache_folder(args.cache)
    clear_left_behind(cache)
    # First what takes seconds: a wrong RUN is told before all samples are read.
    rejected = None if args.run is None else rejected_table(args.run, cache)
    files = {SAMPLES: samples_table(args.dataset, cache)}
    try:
        if rejected is not None:
            files["rejected"] = rejected
            if not has_kept_of(args.run, files[SAMPLES]):
                tell(
                    "warning", f"no clip that --run {args.run} kept is a sample of {args.dataset}: is it another's run?"
                )
        with contextlib.closing(Tables(files)) as tables:
            yield tables
    finally:
        remove_once(files[SAMPLES])


def _serve(args: argparse.Namespace, tables: Any) -> int:
    from pipelines.viewer.server import make_app
    from pipelines.viewer.side_tables import cache_folder
    from pipelines.web.tokens import secret_of
    from schemas.storage import resolved

    # A browser that stops loading a video is nothing to tell.
    logging.getLogger("waitress").setLevel(logging.WARNING)
    dataset = resolved(args.dataset)
    secret = secret_of(cache_folder(args.cache), f"{dataset} {args.run}")
    app = make_app(dataset, tables, secret, served_names(args))
    serve(app, args, args.port or 0, secret, "viewers")
    return 0


def _selection(args: argparse.Namespace) -> Any:
    from pipelines.viewer.query import Query, parsed_conditions

    if args.limit is not None and args.limit < 1:
        raise RecipeError(f"--limit {args.limit}: expected 1 or more")
    return Query(parsed_conditions(args.where), args.sort, args.descending)


def _page_limit(args: argparse.Namespace) -> int:
    from pipelines.viewer.static_page import MAX_SAMPLES

    limit: int = args.limit or _DEFAULT_LIMIT
    if limit > MAX_SAMPLES:
        raise RecipeError(f"--limit {limit}: a page of more than {MAX_SAMPLES} samples is none that a browser shows")
    return limit


def _static(args: argparse.Namespace, tables: Any) -> int:
    from pipelines.terminal import print_json, print_lines, size_text
    from pipelines.viewer.static_page import write_static_page

    query = _selection(args)
    written = write_static_page(args.dataset, tables, query, _page_limit(args), args.static, args.where)
    if args.json:
        print_json(written)
    else:
        shown = f"{written['samples']} of {written['found']} that match, of {written['total']} samples"
        print_lines(f"{args.static}: {shown}, {size_text(written['bytes'])}")
    _tell_if_nothing(written["found"], query, tables)
    return 0


def _tell_if_nothing(found: int, query: Any, tables: Any) -> None:
    """A label that no sample has is most likely another word for one that some have."""
    from pipelines.logs import tell
    from pipelines.viewer.samples import SAMPLES

    if found:
        return
    tell("warning", "nothing matches")
    for condition in query.conditions:
        if condition.operator == "has":
            known = [value for value, _ in tables.values(SAMPLES, condition.column)]
            if condition.value not in known:
                tell(
                    "warning",
                    f"no sample has the {condition.column} {condition.value}; there are {', '.join(known[:20])}",
                )


def _fiftyone(args: argparse.Namespace, tables: Any) -> int:
    from pipelines.terminal import print_json, print_lines, size_text
    from pipelines.viewer.fiftyone_export import LOADER, export_fiftyone

    written = export_fiftyone(args.dataset, tables, _selection(args), args.limit, args.fiftyone)
    if args.json:
        print_json(written)
    else:
        print_lines(
            f"{args.fiftyone}: {written['samples']} samples, {size_text(written['bytes'])} of video",
            f"load it where FiftyOne is installed: python {args.fiftyone / LOADER}",
        )
    return 0
