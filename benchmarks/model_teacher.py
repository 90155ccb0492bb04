"""A teacher on puppets: anchors, what every condition is worth, other identities, references, guidance.

    PYTHONPATH=.:tests python benchmarks/model_teacher.py MODEL --train DATASET --held DATASET [--windows 48]

DATASETs are written by `puppet_dataset` of tests/puppet_pictures.py with other seeds; the judges learn on --train,
everything is judged on --held, whose subjects the model never saw.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from puppet_figures import (
    Case,
    anchors_of,
    cases_of,
    dual,
    held_clips,
    in_batches,
    metrics_of,
    single,
    table,
    truth_pictures,
)
from puppet_judges import Judges, train_judges

from model.conditions import GROUPS
from model.data.framing import View
from model.guidance import GuidanceRecipe
from model.store import LoadedModel, load_model

VIEWS: tuple[View, ...] = ("subject", "face", "right_hand")
ALL = "all conditions"


class Part(NamedTuple):
    """What a condition owns: the metrics of a view, and by how many percent they are to rise without it."""

    view: View
    metrics: tuple[str, ...]
    wanted: int


OWN = {
    "body": Part("subject", ("pose_px",), 60),
    "face": Part("face", ("mouth", "smile", "gaze", "turn"), 30),
    "hands": Part("right_hand", ("fingers_px", "hand_px"), 25),
    "text": Part("subject", ("backdrop_colour",), 400),
}
OTHERS_AT_MOST = 30
"""Percent by which what another condition owns may rise."""
READ_AT_MOST = 0.5
"""A metric counts where true frames are read at most this share as wrong as shuffled ones: else its judge is blind."""


def ablations(
    model: LoadedModel,
    judges: Judges,
    cases: Mapping[View, list[Case]],
    steps: int,
    seeds: Sequence[int],
    one_branch: bool,
) -> None:
    """Every view with all conditions and without each of them, sampled as `animate` does or by one branch."""
    recipe = model.config.sampling.guidance
    found: dict[str, dict[View, Mapping[str, float]]] = {}
    read: set[tuple[View, str]] = set()
    for view, chosen in cases.items():
        rows: dict[str, Mapping[str, float]] = {
            f"anchor: {name}": metrics_of(judges, chosen, made) for name, made in anchors_of(chosen).items()
        }
        for label, given in {ALL: GROUPS, **{group: without(group) for group in GROUPS}}.items():
            way = single(model, given) if one_branch or recipe is None else dual(model, recipe, given)
            of_seeds = [
                metrics_of(judges, chosen, in_batches(model, chosen, way, steps, seed, given=given)) for seed in seeds
            ]
            row = {name: statistics.fmean(each[name] for each in of_seeds) for name in of_seeds[0]}
            rows[label if label == ALL else f"without {label}"] = row
            found.setdefault(label, {})[view] = row
        truth, shuffled = rows["anchor: ground truth"], rows["anchor: shuffled"]
        read |= {(view, name) for name in truth if truth[name] <= READ_AT_MOST * shuffled[name]}
        print(
            f"\n### {view}, {len(chosen)} windows, {steps} steps, mean of seeds {[*seeds]}\n\n{table(rows)}", flush=True
        )
    metrics = {part: [name for name in own.metrics if (own.view, name) in read] for part, own in OWN.items()}
    raises = {group: {part: _raised(found, group, part, metrics[part]) for part in OWN} for group in OWN}
    print("\n### What dropping one raises, in % of the error with everything (mean over a part's metrics)\n")
    print("| dropped | " + " | ".join(f"{part}: {', '.join(metrics[part])}" for part in OWN) + " | |")
    print("|---" * (len(OWN) + 2) + "|")
    for group, row in raises.items():
        others = max(row[part] for part in OWN if part != group)
        met = row[group] >= OWN[group].wanted and others <= OTHERS_AT_MOST
        cells = [f"{row[part]:+.0f}" + (f" (wanted {OWN[part].wanted:+d})" if part == group else "") for part in OWN]
        print(f"| {group} | " + " | ".join(cells) + f" | {'PASS' if met else 'FALLS SHORT'} |")


def without(group: str) -> tuple[str, ...]:
    return tuple(name for name in GROUPS if name != group)


def _raised(
    found: Mapping[str, Mapping[View, Mapping[str, float]]], group: str, part: str, metrics: Sequence[str]
) -> float:
    """Percent, the mean over the metrics of the part; NaN where its judge reads none of them."""
    view = OWN[part].view
    changes = [100 * (found[group][view][name] / found[ALL][view][name] - 1) for name in metrics]
    return statistics.fmean(changes) if changes else math.nan


def guidance(model: LoadedModel, judges: Judges, cases: Mapping[View, list[Case]], steps: int, seed: int) -> None:
    for view, chosen in cases.items():
        rows = {}
        for strength, from_t, until_t in ((1.0, 0, 1), (1.5, 0, 1), (2.0, 0, 1), (2.0, 0, 0.5)):
            recipe = GuidanceRecipe(strength=strength, from_t=from_t, until_t=until_t)
            made = in_batches(model, chosen, dual(model, recipe), steps, seed)
            rows[f"w {strength}, t < {until_t}"] = metrics_of(judges, chosen, made)
        print(f"\n### guidance, {view}, seed {seed}\n\n{table(rows)}", flush=True)


def sheet(model: LoadedModel, cases: list[Case], steps: int, seed: int, path: Path) -> None:
    """True frames above generated ones."""
    import cv2

    made = in_batches(model, cases, single(model), steps, seed)
    rows = []
    for truth, window in zip(truth_pictures(cases), made, strict=True):
        rows += [np.concatenate(list(truth), axis=1), np.concatenate(list(window), axis=1)]
    cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--train", required=True)
    parser.add_argument("--held", required=True)
    parser.add_argument("--judges", type=Path, default=Path("judges"))
    parser.add_argument("--windows", type=int, default=48)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0, help="of the windows")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the noise, for ablations")
    parser.add_argument("--one-branch", action="store_true", help="ablations without guidance")
    parser.add_argument("--only", nargs="+", choices=("ablations", "guidance"), default=["ablations", "guidance"])
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    began = time.perf_counter()
    judges = train_judges(Path(args.train), args.judges, device=args.device)
    model = load_model(args.model)
    model.net.to(args.device)
    torch.set_grad_enabled(False)
    clips = held_clips(args.held)
    cases = {view: cases_of(clips, model, view, args.windows, args.seed) for view in VIEWS}
    if args.sheet:
        for view, chosen in cases.items():
            sheet(model, chosen[:6], args.steps, args.seed, args.sheet.with_name(f"{args.sheet.stem}_{view}.png"))
    if "ablations" in args.only:
        ablations(model, judges, cases, args.steps, args.seeds, args.one_branch)
    if "guidance" in args.only:
        guidance(model, judges, cases, args.steps, args.seed)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
