"""motionloom evaluate: equal cases for all systems, and what each of them made of these."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from pipelines.arguments import local_path, location
from pipelines.responsible_use import add_use_arguments, terms_from

HELP = "draw benchmark cases from a dataset, generate them, add other systems' outputs"


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
    for sub in (show, run, add):
        sub.add_argument("bench", type=local_path, metavar="BENCH", help="folder that evaluate cases wrote")
    add.add_argument("name", metavar="NAME", help="of the system, as reports call it")
    add.add_argument("folder", type=local_path, metavar="FOLDER", help="with CASE.mp4 (.webm, .mov, .mkv, .avi)")
    add.add_argument("--about", default="", metavar="TEXT", help="version, settings, date: kept with the outputs")


def run(args: argparse.Namespace) -> int:
    commands: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
        "cases": _cases, "show": _show, "run": _run, "add": _add,
    }  # fmt: skip
    from pipelines.summary import print_rows
    from pipelines.terminal import print_json

    result = commands[args.action](args)
    if args.json:
        print_json(result)
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

    benchmark = draw_cases(args.dataset, args.output, args.cases, args.seed, max_s=args.max_s)
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
    from pipelines.evaluation.benchmark import load_benchmark
    from pipelines.evaluation.outputs import add_outputs

    system = add_outputs(args.bench, load_benchmark(args.bench), args.name, args.folder, {"about": args.about})
    return {"system": system.name, "outputs": len(system.files), "failed": system.failed}


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("evaluate"))
