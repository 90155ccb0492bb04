"""What words do on puppets: camera and orientation stated in text, meaning in place of joints, what only text tells.

    PYTHONPATH=.:tests python benchmarks/model_words.py MODEL --train DATASET --held DATASET [--device cuda]

DATASETs are written by `puppet_dataset` of tests/puppet_pictures.py with other seeds; the judges learn on --train,
everything is judged on --held, whose subjects the model never saw. Windows are drawn anew, and noise with them, for
every seed. Samples are made as `animate` makes them: guidance, steps and shift are the model's own.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2
import numpy as np
import torch
from camera_judge import warmed
from numpy.typing import NDArray
from puppet_figures import (
    PLAIN,
    Case,
    Pictures,
    anchors_of,
    backdrop_mask,
    held_clips,
    metrics_of,
    truth_pictures,
)
from puppet_judges import train_judges
from puppets import ACTIONS, COLOURS
from words_camera import camera
from words_orientation import orientation
from words_windows import (
    Bench,
    by_column,
    saying,
    share_table,
    verdict,
    windows_of,
    without,
)

from model.conditions import GROUPS, Conditions
from model.store import LoadedModel, load_model

LIMBS = (13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 25, 26, 27, 28, 29, 30, 31, 32)
ACTIONS_OF_TEXT = re.compile(r" is (.*?) in front of")
HALF = PLAIN.model_copy(update={"augment": PLAIN.augment.model_copy(update={"missing": 1.0})})


def meaning(bench: Bench) -> None:
    """Half of the body's joints gone and no hands: does the meaning of the motion say what is done?"""
    rows: dict[str, dict[str, list[bool]]] = {}
    for seed in bench.seeds:
        whole, half = windows_of(bench, seed), windows_of(bench, seed, HALF)
        wanted = [case.clip.actions[0][0] for case in whole]
        silent = {"whole": _silent(bench.model, whole), "half": _silent(bench.model, half)}
        bare = [_without_joints(case, LIMBS) for case in silent["whole"]]
        unlabelled = [replace(case, conditions=_unlabelled(case.conditions)) for case in silent["half"]]
        mixed = [silent["half"][(i + 1) % len(half)] for i in range(len(half))]
        misled = [_meaning_of(case, other) for case, other in zip(silent["half"], mixed, strict=True)]
        no_hands = without("hands")
        made = {
            "anchor: true frames": truth_pictures(whole),
            "anchor: true frames, blurred": anchors_of(whole)["blurred"],
            "anchor: everything given": bench.make(whole, GROUPS, seed),
            "anchor: nothing of the motion given": bench.make(silent["whole"], ("reference", "text", "camera"), seed),
            "only the meaning, no body, face, hands": bench.make(
                silent["whole"], ("reference", "text", "camera", "semantic"), seed
            ),
            "all joints, without meaning": bench.make(silent["whole"], without("hands", "semantic"), seed),
            "half of the joints, without meaning": bench.make(silent["half"], without("hands", "semantic"), seed),
            "**half of the joints, with meaning**": bench.make(silent["half"], no_hands, seed),
            "half of the joints, meaning without labels": bench.make(unlabelled, no_hands, seed),
            "half of the joints, another window's meaning": bench.make(misled, no_hands, seed),
            "no arms and legs, without meaning": bench.make(bare, without("hands", "semantic"), seed),
            "no arms and legs, with meaning": bench.make(bare, no_hands, seed),
        }
        for label, pictures in made.items():
            points, _ = bench.judges.read("subject", pictures.reshape(-1, *pictures.shape[2:]))
            found = bench.judges.actions(points.reshape(*pictures.shape[:2], *points.shape[1:]))
            by_column(wanted, [ACTIONS[f] == w for f, w in zip(found, wanted, strict=True)], rows.setdefault(label, {}))
    print("\n## Meaning: share of windows whose action is read right, % (action judge; the text names no action)\n")
    print(share_table(rows, ACTIONS))
    share = {label: 100 * float(np.mean([a for column in row.values() for a in column])) for label, row in rows.items()}
    gain = share["**half of the joints, with meaning**"] - share["half of the joints, without meaning"]
    verdict("gain by meaning with half of the joints", gain, 15, "points")
    gain = share["no arms and legs, with meaning"] - share["no arms and legs, without meaning"]
    verdict("gain by meaning without arms and legs", gain, 15, "points")


def _silent(model: LoadedModel, cases: Sequence[Case]) -> list[Case]:
    """Captions that do not name the action."""
    return [saying(model, case, ACTIONS_OF_TEXT.sub(" is in front of", case.clip.caption)) for case in cases]


def _unlabelled(conditions: Conditions) -> Conditions:
    return replace(conditions, actions_BD=torch.zeros_like(conditions.actions_BD))


def _without_joints(case: Case, joints: Sequence[int]) -> Case:
    body, world = case.conditions.body_BTJ3.clone(), case.conditions.body_world_BTJ3.clone()
    body[:, :, list(joints)], world[:, :, list(joints)] = 0, 0
    return replace(case, conditions=replace(case.conditions, body_BTJ3=body, body_world_BTJ3=world))


def _meaning_of(case: Case, other: Case) -> Case:
    conditions = replace(
        case.conditions, semantic_BSF=other.conditions.semantic_BSF, actions_BD=other.conditions.actions_BD
    )
    return replace(case, conditions=conditions)


def owned_by_text(bench: Bench) -> None:
    """Errors that dropping the text raises, and the backdrop's colour as a word."""
    errors: dict[str, list[dict[str, float]]] = {}
    rows: dict[str, dict[str, list[bool]]] = {}
    names = tuple(COLOURS)
    for seed in bench.seeds:
        cases = windows_of(bench, seed)
        own = [_colour_word(case.clip.caption) for case in cases]
        stated = [names[(names.index(word) + 1 + i % 7) % 8] for i, word in enumerate(own)]
        wrong = [names[(names.index(word) + 3) % 8] for word in stated]

        def said(words: Sequence[str], cases: Sequence[Case] = cases, own: Sequence[str] = own) -> list[Case]:
            return [
                saying(bench.model, case, _recoloured(case.clip.caption, old, new))
                for case, old, new in zip(cases, own, words, strict=True)
            ]

        anchors = anchors_of(cases)
        dropped = bench.make(cases, without("text"), seed)
        made = {f"anchor: {name}": anchors[name] for name in ("ground truth", "shuffled", "blurred")}
        made |= {"all conditions": bench.make(cases, GROUPS, seed), "without text": dropped}
        for label, pictures in made.items():
            errors.setdefault(label, []).append(metrics_of(bench.judges, cases, pictures))
        coloured: dict[str, tuple[Pictures, Sequence[str]]] = {
            "anchor: true frames, their own colour": (truth_pictures(cases), own),
            "own caption": (made["all conditions"], own),
            "**another colour stated**": (bench.make(said(stated), GROUPS, seed), stated),
            "text dropped": (dropped, own),
            "wrong text": (bench.make(said(wrong), GROUPS, seed), stated),
        }
        masks = [backdrop_mask(case.truth.points_TJ2) for case in cases]
        for label, (pictures, wanted) in coloured.items():
            found = [_nearest_colour(p[mask].mean(axis=0)) for p, mask in zip(pictures, masks, strict=True)]
            by_column(wanted, [f == w for f, w in zip(found, wanted, strict=True)], rows.setdefault(label, {}))
    mean = {label: {k: float(np.mean([row[k] for row in each])) for k in each[0]} for label, each in errors.items()}
    metrics = list(mean["all conditions"])
    print("\n## What text owns\n\n| | " + " | ".join(metrics) + " |\n" + "|---" * (len(metrics) + 1) + "|")
    for label, row in mean.items():
        print(f"| {label} | " + " | ".join(f"{row[k]:.3f}" for k in metrics) + " |")
    ratio = mean["without text"]["backdrop_colour"] / mean["all conditions"]["backdrop_colour"]
    verdict("error of the backdrop's colour without text, over that with it", ratio, 5, "times")
    print("\n### The backdrop's colour as the text states it: nearest of eight, %\n")
    print(share_table(rows, names))
    answers = [answer for column in rows["**another colour stated**"].values() for answer in column]
    verdict("stated colours obeyed", 100 * float(np.mean(answers)), 90)


def _colour_word(caption: str) -> str:
    found = re.search(r"in front of an? (\w+) wall", caption)
    if found is None:
        raise ValueError(f"no backdrop in the caption {caption!r}; a puppet's caption names it")
    return found[1]


def _recoloured(caption: str, old: str, new: str) -> str:
    article = "an" if new[0] in "aeiou" else "a"
    return re.sub(rf"in front of an? {old} wall", f"in front of {article} {new} wall", caption)


def _nearest_colour(rgb_3: NDArray[np.float64]) -> str:
    """Of the backdrops as tests/puppet_pictures.backdrop paints them."""
    return min(COLOURS, key=lambda name: float(np.abs(np.array(COLOURS[name]) * 0.75 + 32 - rgb_3).sum()))


PARTS = {"camera": camera, "orientation": orientation, "meaning": meaning, "text": owned_by_text}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--held", required=True)
    parser.add_argument("--judges", type=Path, default=Path("judges"))
    parser.add_argument("--windows", type=int, default=48, help="of each part and seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that read cameras")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    # Forked before anything touches the GPU.
    pool = ProcessPoolExecutor(args.workers, mp_context=get_context("fork")) if args.workers > 1 else None
    warmed(pool)
    began = time.perf_counter()
    judges = train_judges(args.train, args.judges, device=args.device)
    model = load_model(args.model)
    model.net.to(args.device)
    torch.set_grad_enabled(False)
    bench = Bench(model, judges, held_clips(args.held), pool, args.windows, tuple(args.seeds), args.batch)
    sampling = model.config.sampling
    print(f"{args.windows} windows a part and seed, seeds {args.seeds}, {sampling.steps} steps, {sampling.guidance}")
    for name in args.only:
        start = time.perf_counter()
        PARTS[name](bench)
        print(f"\n{name}: {time.perf_counter() - start:.0f} s", flush=True)
    if pool is not None:
        pool.shutdown()
    print(f"\n{time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
