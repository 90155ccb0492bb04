"""What the reader gives and what a network eats: windows per CPU second.

    PYTHONPATH=.:tests python benchmarks/reader.py DATASET [--recipe NAME|FILE] [--set KEY=VALUE] [--steps N]

cold      every clip decoded anew (an empty cache that keeps one clip)
epoch     a fresh cache of data.cache_mib, steps in order, windows_per_clip windows from each decoded clip
warm      the same steps again with a cache that holds everything
network   forward, backward and update of the recipe's transformer on the same batches, read before
CPU seconds of the process with all its threads, so that other work on the machine does not count; seconds of wall time
beside them. The reader runs in one thread with one torch thread, the network with --threads.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch

from model.codec.catalog import make_codec
from model.conditions import Batch
from model.data.reader import Clips, WindowReader, expression_names_of
from model.dit.net import VideoDit
from model.objectives.flow import FlowMatching
from model.rng import StepRng
from model.text.encoder import make_text_encoder
from model.train.configs import teacher_config
from model.train.loop import in_bf16, make_players, take_step
from model.train.recipes import TrainRecipe
from schemas.recipe import load_recipe

RECIPES_DIR = Path(__file__).parents[1] / "pipelines" / "recipes"
CODEC_WINDOWS = 16
EVERYTHING_MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--stage", type=int, default=-1, help="which stage's data and conditions")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--network-steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    recipe = load_recipe(TrainRecipe, args.recipe, args.set, RECIPES_DIR, "train")
    names, text = expression_names_of(args.dataset), make_text_encoder()
    stage, size = recipe.stages[args.stage], recipe.loop.batch_size
    first = WindowReader(Clips(args.dataset, recipe.data), stage.data, names, 0)
    codec = make_codec(recipe.codec, first.training_windows(CODEC_WINDOWS))
    # Captions are encoded once per run: let none of the rows pay for them.
    for caption in {entry.caption for entry in first.clips.entries}:
        text.encode(caption)

    def reader_with(cache_mib: int) -> WindowReader:
        data = recipe.data.model_copy(update={"cache_mib": cache_mib})
        return WindowReader(Clips(args.dataset, data), stage.data, names, 0)

    def read(reader: WindowReader) -> list[Batch]:
        return [reader.batch(StepRng(0, step), codec, text, size) for step in range(args.steps)]

    print("| part | windows | windows per CPU second | windows per second |")
    print("| --- | --- | --- | --- |")
    measured("cold", lambda: read(reader_with(0)))
    measured("epoch", lambda: read(reader_with(recipe.data.cache_mib)))
    everything = reader_with(EVERYTHING_MIB)
    batches = read(everything)
    measured("warm", lambda: read(everything))

    torch.set_num_threads(args.threads)
    net = VideoDit(teacher_config(recipe, codec, text, names, ("", "")).net)
    objective = FlowMatching(net, stage.flow)
    players = make_players(objective, recipe.loop, torch.device("cpu"), stage.trains)

    def learn() -> list[Batch]:
        eaten = batches[: args.network_steps]
        for step, batch in enumerate(eaten):
            with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16(recipe.loop, torch.device("cpu"))):
                losses = objective.losses(batch, step, StepRng(0, step))
            take_step(players, losses, batch, step, 1.0, recipe.loop)
        return eaten

    learn()
    measured(f"network, {args.threads} threads", learn)


def measured(part: str, work: Callable[[], list[Batch]]) -> None:
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    windows = sum(len(batch.keys) for batch in work())
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    print(f"| {part} | {windows} | {windows / cpu_s:.1f} | {windows / wall_s:.1f} |", flush=True)


if __name__ == "__main__":
    main()
