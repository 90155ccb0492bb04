"""A teacher on puppets: anchors, what every condition is worth, other identities, references, guidance.

    PYTHONPATH=.:tests python benchmarks/model_teacher.py MODEL --train DATASET --held DATASET [--windows 48]

DATASETs are written by `puppet_dataset` of tests/puppet_pictures.py with other seeds; the judges learn on --train,
everything is judged on --held, whose subjects the model never saw.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path

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


def ablations(model: LoadedModel, judges: Judges, cases: Mapping[View, list[Case]], steps: int, seed: int) -> None:
    """Every view with all conditions and without each of them, one branch."""
    for view, chosen in cases.items():
        rows = {f"anchor: {name}": metrics_of(judges, chosen, made) for name, made in anchors_of(chosen).items()}
        rows["all conditions"] = metrics_of(judges, chosen, in_batches(model, chosen, single(model), steps, seed))
        for group in GROUPS:
            given = tuple(name for name in GROUPS if name != group)
            made = in_batches(model, chosen, single(model, given), steps, seed)
            rows[f"without {group}"] = metrics_of(judges, chosen, made)
        print(f"\n### {view}, {len(chosen)} windows, {steps} steps, seed {seed}\n\n{table(rows)}", flush=True)


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
    parser.add_argument("--seed", type=int, default=0)
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
        ablations(model, judges, cases, args.steps, args.seed)
    if "guidance" in args.only:
        guidance(model, judges, cases, args.steps, args.seed)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
