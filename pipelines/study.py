"""motionloom study: which of two systems do people prefer? Prepared from a benchmark, served to raters, counted."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.arguments import local_path

HELP = "preference studies: prepare, serve to raters in a browser, count (GSB)"
_NEEDED = "motionloom study needs Flask, SQLAlchemy and waitress: pip install 'motionloom[study]'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from pipelines.web.serving import add_serving_arguments

    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, text: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=text, description=text)

    create = action("create", "prepare two systems' outputs of a benchmark to be compared blind")
    create.add_argument("bench", type=local_path, metavar="BENCH", help="folder that motionloom evaluate cases wrote")
    create.add_argument("--ours", required=True, metavar="NAME", help="system that Good speaks for")
    create.add_argument("--theirs", required=True, metavar="NAME", help="system that Bad speaks for")
    create.add_argument("--output", type=local_path, required=True, metavar="STUDY", help="a new or empty folder")
    create.add_argument("--seed", type=int, default=0, help="draws orders, sides and checks")
    create.add_argument("--json", action="store_true", help="print the result as JSON")
    serve = action("serve", "let raters vote in their browsers, until interrupted")
    add_serving_arguments(serve, hours=72.0, default_port="that of the last time")
    report = action("report", "count the votes: majority, ratio with interval, agreement")
    report.add_argument("--output", type=local_path, metavar="PAGE.html", help="also write a page with bars")
    report.add_argument("--csv", type=local_path, metavar="VOTES.csv", help="also write the single votes")
    report.add_argument(
        "--exclude-inattentive",
        action="store_true",
        help="leave out raters who failed more than a quarter of their checks",
    )
    report.add_argument("--json", action="store_true", help="print the result as JSON")
    for sub in (serve, report):
        sub.add_argument("study", type=local_path, metavar="STUDY", help="folder that study create wrote")
        sub.add_argument(
            "--database",
            metavar="URL",
            help="votes of a team, as SQLAlchemy names databases (default: SQLite in STUDY)",
        )


def run(args: argparse.Namespace) -> int:
    commands: dict[str, Callable[[argparse.Namespace], int]] = {"create": _create, "serve": _serve, "report": _report}
    return commands[args.action](args)


def _create(args: argparse.Namespace) -> int:
    from pipelines.preference.plan import create_study
    from pipelines.summary import print_rows
    from pipelines.terminal import print_json

    study = create_study(args.bench, args.ours, args.theirs, args.output, args.seed)
    checks = len(study.items) - len(study.cases)
    result = {"cases": len(study.cases), "checks": checks, "missing": study.missing, "study_id": study.study_id}
    if args.json:
        print_json(result)
    else:
        print_rows(f"study {args.output}", {**result, "missing": len(study.missing)})
    return 0


def _votes(args: argparse.Namespace, study_id: str) -> Any:
    from schemas.errors import RecipeError

    try:
        from pipelines.preference.votes import VoteStore, database_url
    except ImportError as error:
        raise RecipeError(f"{_NEEDED} ({error})") from error
    return VoteStore(study_id, args.database or database_url(args.study))


def _serve(args: argparse.Namespace) -> int:
    from pipelines.folder_lock import only_one
    from pipelines.preference.plan import load_study
    from pipelines.sink import write_text
    from pipelines.web.serving import check_serving, serve, served_names
    from pipelines.web.tokens import secret_of
    from schemas.errors import RecipeError

    study = load_study(args.study)
    votes = _votes(args, study.study_id)
    try:
        import waitress  # noqa: F401 - whether it is there

        from pipelines.preference.server import make_app
    except ImportError as error:
        raise RecipeError(f"{_NEEDED} ({error})") from error
    check_serving(args)
    with only_one(args.study, "study serve"):
        secret = secret_of(args.study)
        app = make_app(args.study.resolve(), study, votes, secret, served_names(args))
        port = _last_port(args.study) if args.port is None else args.port
        try:
            # The page in a rater's browser belongs to an address: after a restart it must find the server there again.
            serve(app, args, port, secret, "raters", lambda port: write_text(args.study / _PORT_FILE, f"{port}\n"))
        finally:
            votes.close()
    return 0


_PORT_FILE = ".port"


def _last_port(folder: Path) -> int:
    """At which the study was served before; 0, a free one, the first time."""
    note = folder / _PORT_FILE
    text = note.read_text(encoding="utf-8").strip() if note.is_file() else "0"
    return int(text) if text.isdigit() and int(text) <= 65535 else 0


def _report(args: argparse.Namespace) -> int:
    from pipelines.preference.page import study_page
    from pipelines.preference.plan import load_study
    from pipelines.preference.results import study_document, votes_csv
    from pipelines.sink import write_text
    from pipelines.terminal import print_json, print_lines, print_table

    study = load_study(args.study)
    store = _votes(args, study.study_id)
    votes = store.votes()
    store.close()
    document = study_document(study, votes, args.exclude_inattentive)
    for path, text in ((args.output, study_page), (args.csv, lambda _: votes_csv(study, votes))):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(Path(path), text(document))
    if args.json:
        print_json(document)
        return 0
    columns = ["dimension", "ratio", "low", "high", "good", "same", "bad", "alpha"]
    rows = [[_shown(row[name]) for name in columns] for row in document["dimensions"]]
    print_table(f"{study.ours} against {study.theirs}", columns, rows, right=columns[1:])
    inattentive = [each["rater"] for each in document["raters"] if each["attentive"] is False]
    print_lines(
        f"{document['cases_judged']} of {document['cases']} cases judged by {len(document['raters'])} raters, "
        f"{document['cases_missing']} missing",
        *([f"failed their checks: {', '.join(inattentive)}"] if inattentive else []),
    )
    return 0


def _shown(value: Any) -> str:
    return "–" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("study"))
