"""motionloom train: shards to a teacher MODEL. Also `python -m pipelines.train` and `torchrun -m pipelines.train`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipelines.arguments import local_path, location
from pipelines.training_output import print_summary, quiet_threads, step_progress
from schemas.recipe import load_recipe

HELP = "train a teacher on shards"
RECIPES_DIR = Path(__file__).parent / "recipes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=location, required=True, metavar="DATASET", help="folder or URI written by annotate"
    )
    parser.add_argument(
        "--output", type=local_path, required=True, metavar="MODEL", help="folder to write the model into"
    )
    parser.add_argument("--recipe", default="default", help="built-in name (default, demo) or a YAML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe key")
    parser.add_argument("--resume", action="store_true", help="continue a stopped run, exactly")
    parser.add_argument("--tensorboard", action="store_true", help="also write event files; same as loop.tensorboard")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(args: argparse.Namespace) -> int:
    quiet_threads()
    # torch is imported only now: --help stays fast, and the thread settings above still take effect.
    from model.train.recipes import TrainRecipe
    from model.train.runs import train_teacher

    overrides = [*args.set, *(["loop.tensorboard=true"] if args.tensorboard else [])]
    recipe = load_recipe(TrainRecipe, args.recipe, overrides, RECIPES_DIR, "train")
    with step_progress("train") as report:
        summary = train_teacher(args.data, args.output, recipe, args.resume, report)
    print_summary(summary, args.json)
    return 0


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("train"))
