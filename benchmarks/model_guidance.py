"""Guidance of a puppet teacher: how many steps it needs, and two branches beside one per condition group.

    PYTHONPATH=.:tests python benchmarks/model_guidance.py MODEL --train DATASET --held DATASET [--seeds 0 1 2]

Step counts: a count is enough when, from it on, sampling at least twice as many steps betters no metric by more than
2 % of its value, in the mean over the seeds and in each of them. Better is lower; for ratios nearer to 1, for PSNR
higher. Seconds are those of sampling `--timed` windows, condition streams included, median of five: run it alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from puppet_figures import Pictures, dual, held_clips, single, table
from puppet_judges import Judges, train_judges
from puppet_windows import (
    PredictorOf,
    Row,
    Windows,
    anchor_pictures,
    distance_db,
    drawn,
    judged,
    mean_row,
    median_seconds,
    noise_of,
    sampled,
    windows_of,
)

from model.conditions import GROUPS, Conditions
from model.generate import window_grid, with_one_backdrop
from model.guidance import FullChain, GuidanceRecipe, Predictor
from model.sampler import Solver, time_grid
from model.store import LoadedModel, load_model

SOLVERS: tuple[Solver, ...] = ("euler", "second_order")
WORTH = 0.02
OWN_WEIGHTS = {"reference": 1.5, "text": 2.0, "camera": 2.0, "body": 2.0, "semantic": 2.0, "face": 4.0, "hands": 3.0}
"""A chain whose weights differ, in this order: what two branches cannot say exactly."""


def gain(name: str, before: float, after: float) -> float:
    """How much better `after` is, as a share of the value before; negative when worse."""
    if name.endswith("ratio"):
        better = abs(before - 1.0) - abs(after - 1.0)
    elif name.endswith("db"):
        better = after - before
    else:
        better = before - after
    return better / max(abs(before), 1e-9)


def worthwhile(before: Sequence[Row], after: Sequence[Row]) -> dict[str, float]:
    """Metrics that gain more than WORTH in the mean over the seeds, and in every seed, with the mean gain."""
    found = {}
    for name in before[0]:
        gains = [gain(name, one[name], other[name]) for one, other in zip(before, after, strict=True)]
        if min(gains) > 0 and statistics.fmean(gains) > WORTH:
            found[name] = statistics.fmean(gains)
    return found


def enough_steps(rows: Mapping[int, Sequence[Row]]) -> tuple[int, dict[int, dict[str, float]]]:
    """The first count from which on doubling is not worthwhile (else the largest), and what each doubling gained."""
    counts = sorted(rows)
    gained = {}
    for count in counts:
        doubled = [other for other in counts if other >= 2 * count]
        if doubled:
            gained[count] = worthwhile(rows[count], rows[doubled[0]])
    enough = counts[-1]
    for count in reversed(gained):
        if gained[count]:
            break
        enough = count
    return enough, gained


def step_counts(
    model: LoadedModel, judges: Judges, windows: Windows, recipe: GuidanceRecipe, counts: Sequence[int],
    seeds: Sequence[int],
) -> int:  # fmt: skip
    """Tables of all step counts. Returns: Euler steps that are enough."""
    anchors = {label: judged(judges, windows, made) for label, made in anchor_pictures(windows).items()}
    noise = {seed: noise_of(model, windows, seed) for seed in seeds}
    found = {}
    for solver in SOLVERS:
        made = {
            count: [
                judged(judges, windows, drawn(model, windows, noise[seed], dual(model, recipe), count, solver))
                for seed in seeds
            ]
            for count in counts
        }
        for view in windows.cases:
            rows = {label: anchors[label][view] for label in anchors}
            rows |= {f"{count} steps": mean_row([each[view] for each in made[count]]) for count in counts}
            print(f"\n### {solver}, {view}, mean of seeds {[*seeds]}\n\n{table(rows)}", flush=True)
        flat = {
            count: [
                {f"{view} {name}": value for view, row in each.items() for name, value in row.items()} for each in many
            ]
            for count, many in made.items()
        }
        found[solver], gained = enough_steps(flat)
        print(f"\n{solver}: what at least twice as many steps better by more than {WORTH:.0%}:\n")
        for count, metrics in gained.items():
            listed = ", ".join(f"{name} {value:+.1%}" for name, value in metrics.items())
            print(f"- {count}: {listed or 'nothing'}")
        known = found[solver] in gained
        print(f"\n{solver}: {found[solver]} steps are {'enough' if known else 'the most that was tried, not enough'}")
    return found["euler"]


def chain(model: LoadedModel, weights: Mapping[str, float]) -> PredictorOf:
    """One branch per group, in the order of `weights`, and one without any."""

    def made(conditions: Conditions) -> Predictor:
        branches = FullChain(model.net, conditions, window_grid(model), tuple(weights), tuple(weights.values()))
        return with_one_backdrop(model, branches, conditions)

    return made


def branches(
    model: LoadedModel, judges: Judges, windows: Windows, recipe: GuidanceRecipe, steps: int, seeds: Sequence[int],
    timed: int,
) -> None:  # fmt: skip
    """Two branches against the chain: metrics beside the anchors, seconds, and how far apart the pictures are."""
    # Guidance acts at all times here: an interval would be a saving of its own.
    recipe = recipe.model_copy(update={"from_t": 0.0, "until_t": 1.0})
    kept = {name: 1.0 for name in GROUPS if name not in recipe.dropped}
    equal = kept | {name: recipe.strength for name in GROUPS if name in recipe.dropped}
    two, one_each, per_step = "two branches", "chain, equal weights", len(GROUPS) + 1
    few = max(1, round(2 * steps / per_step))
    ways: dict[str, tuple[PredictorOf, int, int]] = {
        "one branch": (single(model), steps, steps),
        two: (dual(model, recipe), steps, 2 * steps),
        one_each: (chain(model, equal), steps, per_step * steps),
        "chain, weights that differ": (chain(model, OWN_WEIGHTS), steps, per_step * steps),
        "chain, about as many evaluations": (chain(model, equal), few, per_step * few),
    }
    noise = {seed: noise_of(model, windows, seed) for seed in seeds}
    made: dict[str, list[Pictures]] = {
        label: [drawn(model, windows, noise[seed], predictor, count) for seed in seeds]
        for label, (predictor, count, _) in ways.items()
    }
    metrics = {label: [judged(judges, windows, each) for each in pictures] for label, pictures in made.items()}
    seconds = seconds_of(model, windows, noise[seeds[0]], ways, timed)
    anchors = {label: judged(judges, windows, each) for label, each in anchor_pictures(windows).items()}
    for view in windows.cases:
        rows = {label: {"evaluations": 0.0, **anchors[label][view], "s": 0.0} for label in anchors}
        for label, (_, _, evaluations) in ways.items():
            mean = mean_row([each[view] for each in metrics[label]])
            rows[label] = {"evaluations": float(evaluations), **mean, "s": seconds[label]}
        print(f"\n### branches, {view}, w {recipe.strength}, mean of seeds {[*seeds]}\n\n{table(rows)}", flush=True)
        for label in (one_each, "chain, weights that differ"):
            worse = {name: -gain(name, rows[label][name], rows[two][name]) for name in metrics[two][0][view]}
            worst = max(worse, key=lambda name: worse[name])
            print(f"\n{view}: two branches against {label}: at worst {worse[worst]:+.1%} ({worst})")
    apart = statistics.fmean(distance_db(a, b) for a, b in zip(made[two], made[one_each], strict=True))
    largest = max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(made[two], made[one_each], strict=True))
    print(f"\ntwo branches and the equal chain: pictures {apart:.1f} dB, at most {largest} of 255 apart (bfloat16)")
    print(
        f"seconds for {timed} windows, median of 5: two branches {seconds[two]:.3f}, chain {seconds[one_each]:.3f}, "
        f"ratio {seconds[two] / seconds[one_each]:.3f} ({2 / per_step:.3f} by evaluations); "
        f"one branch {seconds['one branch']:.3f}"
    )


def seconds_of(
    model: LoadedModel, windows: Windows, noise_WNC: torch.Tensor, ways: Mapping[str, tuple[PredictorOf, int, int]],
    timed: int,
) -> dict[str, float]:  # fmt: skip
    few = windows.conditions.map(lambda value: value[:timed])
    shift, device = model.config.sampling.shift, noise_WNC.device
    return {
        label: median_seconds(
            lambda predictor=predictor, steps=steps: sampled(  # type: ignore[misc]
                model, few, noise_WNC[:timed], predictor, time_grid(steps, shift)
            ),
            device,
        )
        for label, (predictor, steps, _) in ways.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--train", required=True)
    parser.add_argument("--held", required=True)
    parser.add_argument("--judges", type=Path, default=Path("judges"))
    parser.add_argument("--windows", type=int, default=48, help="per view")
    parser.add_argument("--counts", type=int, nargs="+", default=[4, 8, 12, 16, 24, 32, 50])
    parser.add_argument("--strength", type=float, help="instead of the model's own")
    parser.add_argument("--steps", type=int, help="for the branches; without it the Euler steps that are enough")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--timed", type=int, default=8, help="windows in one timed sampling")
    parser.add_argument("--only", nargs="+", choices=("steps", "branches"), default=["steps", "branches"])
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    began, device = time.perf_counter(), torch.device(args.device)
    judges = train_judges(Path(args.train), args.judges, device=args.device)
    model = load_model(args.model, device=device)
    torch.set_grad_enabled(False)
    recipe = model.config.sampling.guidance
    if recipe is None:
        parser.error(f"{args.model} is a student; guidance is the teacher's")
    if args.strength is not None:
        recipe = recipe.model_copy(update={"strength": args.strength})
    windows = windows_of(held_clips(args.held), model, args.windows, device)
    print(f"{windows.count} windows, w {recipe.strength}, drops {', '.join(recipe.dropped)}, {device}", flush=True)
    steps = args.steps
    if "steps" in args.only:
        found = step_counts(model, judges, windows, recipe, args.counts, args.seeds)
        steps = steps or found
    if "branches" in args.only:
        branches(model, judges, windows, recipe, steps or model.config.sampling.steps, args.seeds, args.timed)
    print(f"\n{time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
