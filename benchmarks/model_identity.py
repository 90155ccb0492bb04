"""Another character than the driver: whose looks, whose limbs, what the face tells, what more references are worth.

    PYTHONPATH=.:tests python benchmarks/model_identity.py MODEL --train DATASET --held DATASET [--held-seed 1000]

DATASETs are written by `puppet_dataset` of tests/puppet_pictures.py; the subject judge learns on --train. --held-seed
is the seed --held was written with: the scenes are made again from it, so that the truth of a figure doing another
one's motion can be drawn. Windows, references and noise follow from --seeds; tables show the mean over the seeds.

    swap     driven by one subject, references of another: error to the reference's looks over that to the driver's
    limbs    driver with arms and legs x 1.25 or x 0.8: share of the change that is in the generated figure
    leak     a linear probe on what the face encoder lets through: how often it tells who the driver is
    views    the first reference does not show the side that the window shows: one reference, three, an irrelevant one
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from identity_leak import leak
from identity_limbs import limbs
from identity_windows import (
    Drive,
    Float,
    Held,
    Make,
    Rows,
    colours_of,
    draw_window,
    drawn,
    drive,
    other_subject,
    pose_px,
)  # fmt: skip
from puppet_figures import Pictures, dual, held_clips, in_batches, single, table
from puppet_judges import Judges, train_judges

from model.guidance import GuidanceRecipe
from model.store import LoadedModel, load_model
from schemas.errors import RecipeError

CHEST = 4
"""Place of the patch on chest or back among the parts of puppet_figures.part_colours."""


def swap(model: LoadedModel, judges: Judges, held: Held, make: Make, windows: int, seed: int) -> Rows:
    """Whose looks the figure has, when the driver is somebody else; and whether it still moves like the driver."""
    rng = np.random.default_rng((seed, 1))
    drives: dict[bool, list[Drive]] = {True: [], False: []}
    own, theirs, third = [], [], []
    for _ in range(windows):
        index, frame_T = draw_window(held, model, rng)
        clip, scene = held.clips.get(index), held.scene(index)
        subject = str(held.clips.entries[index].subject)
        other = other_subject(held, subject, rng)
        stills = [held.facing(held.of_subject[other], held.heading(index, frame_T))]
        for proportions in drives:
            drives[proportions].append(drive(model, clip, clip.tracks, frame_T, stills, proportions))
        square = drives[True][-1].square
        own.append(drawn(scene, scene.who, frame_T, square))
        theirs.append(drawn(scene, held.scene(held.of_subject[other][0]).who, frame_T, square))
        somebody = held.scene(held.of_subject[other_subject(held, other, rng)][0]).who
        third.append(drawn(scene, somebody, frame_T, square))
    truth = {name: colours_of(np.stack([w[0] for w in drew]), [w[1] for w in drew]) for name, drew in
             (("own", own), ("theirs", theirs))}  # fmt: skip

    def row(made: Pictures, points: Sequence[Float], aims: Sequence[Float]) -> dict[str, float]:
        colours = colours_of(made, points)
        to_reference = float(np.abs(colours - truth["theirs"]).mean())
        to_driver = float(np.abs(colours - truth["own"]).mean())
        return {
            "error to reference": to_reference,
            "error to driver": to_driver,
            "ratio": to_reference / max(to_driver, 1e-6),
            "pose_px": pose_px(judges, made, aims),
        }

    rows = {}
    for name, drew in (("reference's figure", theirs), ("driver's figure", own), ("a third figure", third)):
        points = [w[1] for w in drew]
        rows[f"anchor: {name}"] = row(np.stack([w[0] for w in drew]), points, points)
    for proportions, name in ((True, "generated"), (False, "generated, driver's proportions kept")):
        points = [each.points_TJ2 for each in drives[proportions]]
        rows[name] = row(make(drives[proportions]), points, points)
    return rows


def views(model: LoadedModel, judges: Judges, held: Held, make: Make, windows: int, seed: int) -> Rows:
    """The first reference shows the other side of the subject than the window does."""
    rng = np.random.default_rng((seed, 4))
    drives: dict[str, list[Drive]] = {"one, the other side": [], "three": [], "two, the second irrelevant": [],
                                      "one, the right side": []}  # fmt: skip
    truth, third = [], []
    for _ in range(200 * windows):
        if len(truth) == windows:
            break
        index, frame_T = draw_window(held, model, rng)
        clip, heading = held.clips.get(index), held.heading(index, frame_T)
        subject = str(held.clips.entries[index].subject)
        others = [each for each in held.of_subject[subject] if each != index]
        shown = [float(held.headings(each).mean(axis=0) @ heading) for each in others]
        if abs(float(heading[1])) < 0.7 or max(shown) < 0.7 or min(shown) > -0.7:
            continue
        wrong, right = held.facing(others, -heading), held.facing(others, heading)
        another = others[int(rng.integers(len(others)))]
        more = held.still(another, int(rng.integers(len(held.headings(another)))))
        stranger = other_subject(held, subject, rng)
        irrelevant = held.facing(held.of_subject[stranger], heading)
        for name, stills in zip(drives, ([wrong], [wrong, right, more], [wrong, irrelevant], [right]), strict=True):
            # The driver's own limbs are the subject's; a stranger's are not the question here.
            drives[name].append(drive(model, clip, clip.tracks, frame_T, stills, proportions=False))
        scene, square = held.scene(index), drives["three"][-1].square
        truth.append(drawn(scene, scene.who, frame_T, square))
        third.append(drawn(scene, held.scene(held.of_subject[stranger][0]).who, frame_T, square))
    if len(truth) < windows:
        raise RecipeError(f"only {len(truth)} windows of --held turn away from a reference; give fewer --windows")
    points = [w[1] for w in truth]
    true_colours = colours_of(np.stack([w[0] for w in truth]), points)

    def row(made: Pictures, at: Sequence[Float]) -> dict[str, float]:
        off = np.abs(colours_of(made, at) - true_colours)
        return {
            "identity": float(off.mean()), "chest or back": float(off[:, CHEST].mean()),
            "pose_px": pose_px(judges, made, at),
        }  # fmt: skip

    rows = {"anchor: ground truth": row(np.stack([w[0] for w in truth]), points),
            "anchor: a stranger's figure": row(np.stack([w[0] for w in third]), [w[1] for w in third])}  # fmt: skip
    rows |= {name: row(make(chosen), points) for name, chosen in drives.items()}
    return rows


def mean_rows(every: Sequence[Rows]) -> Rows:
    return {
        name: {key: float(np.mean([rows[name][key] for rows in every])) for key in row}
        for name, row in every[0].items()
    }


def verdict(what: str, values: Sequence[float], reached: Callable[[float], bool], wanted: str) -> str:
    mean = float(np.mean(values))
    seeds = ", ".join(f"{value:.3f}" for value in values)
    return f"{'PASS' if reached(mean) else 'FALLS SHORT'}: {what} {mean:.3f} (seeds {seeds}), wanted {wanted}"


def verdicts(part: str, every: Sequence[Rows]) -> list[str]:
    if part == "swap":
        return [verdict("ratio", [rows["generated"]["ratio"] for rows in every], lambda x: x <= 0.6, "at most 0.6")]
    if part == "limbs":
        return [
            verdict("share of the stretch", [rows["generated"]["share"] for rows in every], lambda x: x < 0.3,
                    "below 0.3"),
            verdict("r to the reference's limbs", [rows["generated"]["r"] for rows in every], lambda x: x > 0.6,
                    "above 0.6"),
        ]  # fmt: skip
    if part == "leak":
        return [
            verdict("identity above chance", [rows["face latents"]["above chance"] for rows in every],
                    lambda x: x <= 0.10, "at most 0.10")
        ]  # fmt: skip
    one, three, irrelevant = (
        [rows[name]["identity"] for rows in every]
        for name in ("one, the other side", "three", "two, the second irrelevant")
    )
    gain = [1 - b / a for a, b in zip(one, three, strict=True)]
    loss = [b / a - 1 for a, b in zip(one, irrelevant, strict=True)]
    return [
        verdict("error of three below one by", gain, lambda x: x >= 0.05, "at least 0.05"),
        verdict("an irrelevant second reference is worse by", loss, lambda x: x > 0, "above 0"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--train", required=True)
    parser.add_argument("--held", required=True)
    parser.add_argument("--held-seed", type=int, default=1000)
    parser.add_argument("--judges", type=Path, default=Path("judges"))
    parser.add_argument("--windows", type=int, default=48)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--guidance", type=float, default=1.0, help="strength of the dual branch; 1 is one branch")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=("swap", "limbs", "leak", "views"),
                        default=["swap", "limbs", "leak", "views"])  # fmt: skip
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    began = time.perf_counter()
    judges = train_judges(Path(args.train), args.judges, device=args.device)
    model = load_model(args.model)
    model.net.to(args.device)
    torch.set_grad_enabled(False)
    held = Held(held_clips(args.held), args.held_seed)
    predictor = single(model) if args.guidance == 1.0 else dual(model, GuidanceRecipe(strength=args.guidance))
    for part in args.only:
        every: list[Rows] = []
        for seed in args.seeds:

            def make(drives: Sequence[Drive], seed: int = seed) -> Pictures:
                return in_batches(model, drives, predictor, args.steps, seed)  # type: ignore[arg-type]

            if part == "leak":
                every.append(leak(model, held.clips, held.of_subject, seed))
            else:
                measure = {"swap": swap, "limbs": limbs, "views": views}[part]
                every.append(measure(model, judges, held, make, args.windows, seed))
        print(
            f"\n### {part}, {args.windows} windows, {args.steps} steps, guidance {args.guidance}, seeds {args.seeds}\n"
        )
        print("\n".join([table(mean_rows(every)), "", *verdicts(part, every)]), flush=True)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
