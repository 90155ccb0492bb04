"""motionloom train-codec: shards to a causal_vae CODEC for `codec: {name: causal_vae, weights: CODEC}`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipelines.arguments import local_path, location
from pipelines.training_output import print_summary, quiet_threads, step_progress
from schemas.recipe import load_recipe

HELP = "train a video autoencoder on shards"
RECIPES_DIR = Path(__file__).parent / "recipes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=location, required=True, metavar="DATASET", help="folder or URI written by annotate"
    )
    parser.add_argument(
        "--output", type=local_path, required=True, metavar="CODEC", help="folder to write the codec into"
    )
    parser.add_argument("--recipe", default="default", help="built-in name (default) or a YAML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe key")
    parser.add_argument("--resume", action="store_true", help="continue a stopped run, exactly")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(args: argparse.Namespace) -> int:
    quiet_threads()
    # torch is imported only now: --help stays fast, and the thread settings above still take effect.
    from model.train.codec_run import CodecTrainRecipe, train_codec

    recipe = load_recipe(CodecTrainRecipe, args.recipe, args.set, RECIPES_DIR, "codec")
    with step_progress("train-codec") as report:
        summary = train_codec(args.data, args.output, recipe, args.resume, report)
    print_summary(summary, args.json)
    return 0


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("train_codec"))
