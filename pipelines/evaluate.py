"""motionloom evaluate: equal cases for all systems, and what each of them made of these."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from pipelines.arguments import local_path, location
from pipelines.responsible_use import add_use_arguments, terms_from

HELP = "draw benchmark cases from a dataset, generate them, add other systems' outputs, measure them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, text: str) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=text, description=text)
        sub.add_argument("--json", action="store_true", help="print the result as JSON")
        return sub

    cases = action("cases", "draw cases from a dataset: somebody's picture, somebody else's motion")
    cases.add_argument("dataset", type=location, metavar="DATASET", help="folder or URI written by motionloom annotate")
    cases.add_argument(
        "--output", type=local_path, required=True, metavar="BENCH", help="folder to write, new or empty"
    )
    cases.add_argument("--cases", type=int, default=150, metavar="N", help="how many (default: 150)")
    cases.add_argument("--seed", type=int, default=0, help="other cases of the same dataset")
    cases.add_argument(
        "--same-identity", type=int, default=0, metavar="N",
        help="so many of the cases have a reference of the driver's own, from another moment (default: 0)",
    )  # fmt: skip
    cases.add_argument("--max-s", type=float, default=20.0, help="longest driving video in seconds (default: 20)")
    show = action("show", "the cases, and which systems have outputs of how many")
    run = action("run", "generate the cases that a model has no output of yet")
    run.add_argument(
        "--model", type=local_path, required=True, metavar="MODEL", help="folder that train or distill wrote"
    )
    run.add_argument("--name", metavar="NAME", help="of the system (default: the model folder's)")
    run.add_argument("--seed", type=int, default=0, help="of every case")
    add_use_arguments(run)
    add = action("add", "take over another system's outputs: files named by case")
    score = action("score", "measure the systems' outputs, beside anchors whose worth is known")
    score.add_argument(
        "--system", action="append", default=[], metavar="NAME", dest="systems",
        help="only these; may be repeated (default: all that BENCH has)",
    )  # fmt: skip
    score.add_argument("--output", type=local_path, metavar="PAGE.html", help="also write a page with intervals")
    score.add_argument("--csv", type=local_path, metavar="VALUES.csv", help="also write the value of every case")
    score.add_argument("--runner", choices=("local", "ray"), default="local", help="where videos are looked at")
    score.add_argument("--workers", type=int, default=0, metavar="N", help="with ray: 0 is one per processor")
    for sub in (show, run, add, score):
        sub.add_argument("bench", type=local_path, metavar="BENCH", help="folder that evaluate cases wrote")
    add.add_argument("name", metavar="NAME", help="of the system, as reports call it")
    add.add_argument("folder", type=local_path, metavar="FOLDER", help="with CASE.mp4 (.webm, .mov, .mkv, .avi)")
    add.add_argument("--replace", action="store_true", help="the outputs that a system of this name has go")
    add.add_argument("--about", default="", metavar="TEXT", help="version, settings, date: kept with the outputs")


def run(args: argparse.Namespace) -> int:
    commands: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
        "cases": _cases, "show": _show, "run": _run, "add": _add, "score": _score,
    }  # fmt: skip
    from pipelines.summary import print_rows
    from pipelines.terminal import print_json

    result = commands[args.action](args)
    if args.json:
        print_json(result)
    elif args.action == "score":
        _print_scores(result)
    else:
        rows = {name: value for name, value in result.items() if not isinstance(value, dict)}
        nested = {
            f"{name}: {key}": _line(value)
            for name, each in result.items()
            if isinstance(each, dict)
            for key, value in each.items()
        }
        print_rows(f"benchmark {args.output if args.action == 'cases' else args.bench}", {**rows, **nested})
    return 0


def _line(value: Any) -> Any:
    return ", ".join(f"{key} {count}" for key, count in value.items()) if isinstance(value, dict) else value


def _cases(args: argparse.Namespace) -> dict[str, Any]:
    from pipelines.evaluation.draw import draw_cases

    benchmark = draw_cases(
        args.dataset, args.output, args.cases, args.seed, max_s=args.max_s, same_identity=args.same_identity
    )
    return {
        "cases": len(benchmark.cases),
        "cases_fingerprint": benchmark.cases_fingerprint,
        "tags": tag_counts(benchmark),
    }


def _show(args: argparse.Namespace) -> dict[str, Any]:
    from pipelines.evaluation.benchmark import load_benchmark, load_system, system_names

    benchmark = load_benchmark(args.bench)
    systems = {}
    for name in system_names(args.bench):
        system = load_system(args.bench, name, benchmark)
        systems[name] = {"outputs": len(system.files), "failed": len(system.failed)}
    facts = {
        "cases": len(benchmark.cases),
        "cases_fingerprint": benchmark.cases_fingerprint,
        "tags": tag_counts(benchmark),
    }
    return {**facts, "systems": systems}


def tag_counts(benchmark: Any) -> dict[str, dict[str, int]]:
    """Cases by value of each tag."""
    names = sorted({name for case in benchmark.cases for name in case.tags})
    return {name: dict(sorted(Counter(case.tags.get(name, "") for case in benchmark.cases).items())) for name in names}


def _run(args: argparse.Namespace) -> dict[str, Any]:
    from pipelines.evaluation.benchmark import load_benchmark
    from pipelines.evaluation.generate import generate_cases

    benchmark = load_benchmark(args.bench)
    system, wall_s = generate_cases(
        args.bench, benchmark, args.model, args.name or args.model.resolve().name, args.seed, terms_from(args)
    )
    return {"system": system.name, "outputs": len(system.files), "wall_s": wall_s, "failed": system.failed}


def _add(args: argparse.Namespace) -> dict[str, Any]:
    from pipelines.evaluation.benchmark import load_benchmark, system_names
    from pipelines.evaluation.outputs import add_outputs
    from schemas.errors import RecipeError

    benchmark = load_benchmark(args.bench)
    if args.name in system_names(args.bench) and not args.replace:
        raise RecipeError(f"{args.bench} has a system {args.name}; --replace takes these outputs in its place")
    system = add_outputs(args.bench, benchmark, args.name, args.folder, {"about": args.about})
    return {"system": system.name, "outputs": len(system.files), "failed": system.failed}


def _score(args: argparse.Namespace) -> dict[str, Any]:
    from pipelines.evaluation.benchmark import load_benchmark, load_system, system_names
    from pipelines.evaluation.score_page import score_page
    from pipelines.evaluation.scoreboard import figures_csv, score_benchmark
    from pipelines.sink import write_text
    from schemas.errors import DataError, RecipeError

    if args.workers < 0:
        raise RecipeError(f"--workers {args.workers}: 0 (one per processor) or a positive number")
    benchmark = load_benchmark(args.bench)
    names = list(dict.fromkeys(args.systems)) or system_names(args.bench)
    systems = [load_system(args.bench, name, benchmark) for name in names]
    result, figures = score_benchmark(args.bench, benchmark, systems, args.runner, args.workers)
    if not result["cases_compared"]:
        lacking = ", ".join(f"{name} {len(each['missing'])}" for name, each in result["systems"].items())
        raise DataError(
            f"no case has an output of every system ({lacking or 'none given'} missing of {result['cases']}); "
            "name those to compare by --system"
        )
    pages = {args.output: score_page(result), args.csv: figures_csv(figures)}
    for path, text in pages.items():
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, text)
    return result


def _print_scores(result: dict[str, Any]) -> None:
    from pipelines.evaluation.benchmark import COPIED, GROUND_TRUTH
    from pipelines.terminal import number_text, print_lines, print_table
    from schemas.scores import BETTER

    # The page and --json have all anchors; a terminal is narrow.
    contenders = [*result["systems"], *(name for name in result["anchors"] if name in (GROUND_TRUTH, COPIED))]
    rows = [
        [
            row["metric"],
            BETTER[row["direction"]],
            *(number_text(row["figures"].get(name, {}).get("value")) for name in contenders),
            max(each["cases"] for each in row["figures"].values()),
            "not judged" if result["why_not_judged"] else ", ".join(row["misled_by"]),
        ]
        for row in result["metrics"]
    ]
    columns = ["metric", "better", *contenders, "cases", "misled by"]
    title = f"{result['cases_compared']} of {result['cases']} cases, of which every system has an output"
    print_table(title, columns, rows, right=[*contenders, "cases"])
    missing = [
        f"{name} lacks {len(each['missing'])} cases" for name, each in result["systems"].items() if each["missing"]
    ]
    unwatched = [f"driving video of case {case_id}: {why}" for case_id, why in result["cases_unwatched"].items()]
    few = [result["why_not_judged"]] if result["why_not_judged"] else []
    print_lines(*missing, *unwatched, *few)


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("evaluate"))
