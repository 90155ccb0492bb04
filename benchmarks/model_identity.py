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
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from identity_leak import leak
from numpy.typing import NDArray
from puppet_figures import Pictures, dual, held_clips, in_batches, part_colours, single, table
from puppet_judges import SIZE_PX, Judges, train_judges, truth_of
from puppet_pictures import backdrop, draw_puppet, scenes_of, tracks_of
from puppets import Identity, Scene, motion_of, stretched

from model.conditions import Conditions
from model.data.clips import Clip
from model.data.framing import Square, crop_resized
from model.data.motion_inputs import Tracks, motion_inputs, with_neutral_face
from model.data.reader import Clips, words_of
from model.data.references import still_of
from model.data.retarget import Proportions, driving_square, limb_factors, proportions_in, proportions_of, retargeted
from model.data.semantic import semantic_motion
from model.data.windows import ReferenceInputs, encode_references, window_conditions
from model.guidance import GuidanceRecipe
from model.motion.encoders import BODY_JOINTS
from model.store import LoadedModel, load_model
from schemas.errors import RecipeError

Float = NDArray[np.float32]
Rows = dict[str, dict[str, float]]
STRETCH = 1.25
CHEST = 4
"""Place of the patch on chest or back among the parts of puppet_figures.part_colours."""
# Bones of arms and legs, as places in BODY_JOINTS.
LIMBS = tuple(
    (BODY_JOINTS.index(a), BODY_JOINTS.index(b))
    for a, b in ((11, 13), (13, 15), (12, 14), (14, 16), (23, 25), (25, 27), (24, 26), (26, 28))
)
SHOULDERS, HIPS = ([BODY_JOINTS.index(joint) for joint in pair] for pair in ((11, 12), (23, 24)))


@dataclass(frozen=True)
class Still:
    """A reference picture and the limbs of who is on it."""

    inputs: ReferenceInputs
    proportions: Proportions


@dataclass(frozen=True)
class Drive:
    """One window to generate. points_TJ2: px of the picture where the (retargeted) skeleton puts the joints."""

    conditions: Conditions
    square: Square
    points_TJ2: Float


class Held:
    """Clips of --held with the scenes they show."""

    def __init__(self, clips: Clips, seed: int) -> None:
        self.clips, self.seed = clips, seed
        self.of_subject: dict[str, list[int]] = {}
        for index, entry in enumerate(clips.entries):
            self.of_subject.setdefault(str(entry.subject), []).append(index)

    @cache  # noqa: B019
    def scene(self, index: int) -> Scene:
        """Raises: RecipeError when the made scene is not the clip's: then --held-seed is wrong."""
        clip, entry = self.clips.get(index), self.clips.entries[index]
        subject, place = int(str(entry.subject)[1:]), int(entry.key.split("-")[1])
        count = len(self.of_subject[str(entry.subject)])
        scene = scenes_of(self.seed, subject, count, len(clip.pts_s_T))[place]
        if not np.allclose(tracks_of(scene)[0].joints_px_PTJ2, clip.tracks.body.joints_px_PTJ2, atol=0.01):
            raise RecipeError(f"--held-seed {self.seed} did not make {entry.key} of {self.clips.dataset}; give its own")
        return scene

    @cache  # noqa: B019
    def headings(self, index: int) -> Float:
        """(T, 2): depth and width of the shoulders' line; (0, 1) faces the camera, (0, -1) turns its back."""
        clip = self.clips.get(index)
        return truth_of(clip, np.arange(len(clip.pts_s_T)), "subject").numbers_TK

    def heading(self, index: int, frame_T: NDArray[np.int64]) -> Float:
        """(2,): the mean over these frames."""
        return np.asarray(self.headings(index)[frame_T].mean(axis=0), np.float32)

    def facing(self, indices: Sequence[int], heading: Float) -> Still:
        """Of these clips the frame whose subject is turned most like `heading`."""
        best, found = -2.0, (indices[0], 0)
        for index in indices:
            likeness_T = self.headings(index) @ heading
            if float(likeness_T.max()) > best + 1e-6:
                best, found = float(likeness_T.max()), (index, int(likeness_T.argmax()))
        return self.still(*found)

    def still(self, index: int, frame: int) -> Still:
        clip, at = self.clips.get(index), slice(frame, frame + 1)
        body = clip.tracks.body
        proportions = proportions_of(body.joints_px_PTJ2[0, at], body.joints_world_m_PTJ3[0, at], body.conf_PTJ[0, at])
        return Still(still_of(clip, frame, "subject", SIZE_PX), proportions)


def drive(
    model: LoadedModel, clip: Clip, filmed: Tracks, frame_T: NDArray[np.int64], stills: Sequence[Still],
    proportions: bool = True,
) -> Drive:  # fmt: skip
    """The window as `animate` would have it: `filmed` in the proportions of the stills, or in its own."""
    known = [still.proportions for still in stills] if proportions else []
    tracks = retargeted(filmed, limb_factors(proportions_in(filmed.body), known))
    square = driving_square(clip.size_hw, filmed, tracks)
    time_s_T = clip.pts_s_T[frame_T]
    conditions = window_conditions(
        motion_inputs(time_s_T, square, model.config.expression_names, tracks), time_s_T,
        encode_references([still.inputs for still in stills], model.codec, model.config.data.max_references),
        semantic_motion(tracks.body, float(time_s_T.min() + time_s_T.max()) / 2), words_of(clip, time_s_T), model.text,
        model.codec.lead_in_frames,
    )  # fmt: skip
    return Drive(conditions, square, points_in(square, tracks, frame_T))


def points_in(square: Square, tracks: Tracks, frame_T: NDArray[np.int64]) -> Float:
    """(T, 19, 2) px of the 64 px picture."""
    return square.to_crop(tracks.body.joints_px_PTJ2[0][frame_T][:, list(BODY_JOINTS)]) * SIZE_PX


def drawn(scene: Scene, who: Identity, frame_T: NDArray[np.int64], square: Square) -> tuple[Pictures, Float]:
    """The truth of `who` doing a scene's motion: pictures (T, 64, 64, 3) and joints (T, 19, 2)."""
    scene = replace(scene, who=who)
    motion = motion_of(scene)
    canvas = backdrop(scene)[frame_T]
    for picture, t in zip(canvas, frame_T, strict=True):
        draw_puppet(picture, scene, motion, int(t))
    tracks = with_neutral_face(*tracks_of(scene, motion))
    return crop_resized(canvas, square, SIZE_PX), points_in(square, tracks, frame_T)


def draw_window(held: Held, model: LoadedModel, rng: np.random.Generator) -> tuple[int, NDArray[np.int64]]:
    index, frames = int(rng.integers(len(held.clips.entries))), model.config.data.frames
    stride = int(rng.integers(1, 3))
    start = int(rng.integers(len(held.clips.get(index).pts_s_T) - stride * (frames - 1)))
    return index, start + stride * np.arange(frames)


def other_subject(held: Held, subject: str, rng: np.random.Generator) -> str:
    names = sorted(name for name in held.of_subject if name != subject)
    return names[int(rng.integers(len(names)))]


Make = Callable[[Sequence[Drive]], Pictures]


def colours_of(made: Pictures, points_WTJ2: Sequence[Float]) -> Float:
    """(W, parts, 3)."""
    return np.stack([part_colours(m, p) for m, p in zip(made, points_WTJ2, strict=True)])


def pose_px(judges: Judges, made: Pictures, points_WTJ2: Sequence[Float]) -> float:
    """How far the judge reads the joints from where they should be, of those in the picture."""
    wanted, found = np.stack(points_WTJ2), read_points(judges, made)
    inside = ((wanted > 0) & (wanted < SIZE_PX)).all(axis=-1)
    return float(np.linalg.norm(found - wanted, axis=-1)[inside].mean())


def read_points(judges: Judges, made: Pictures) -> Float:
    points = judges.read("subject", made.reshape(-1, *made.shape[2:]))[0]
    return points.reshape(*made.shape[:2], *points.shape[1:])


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


def limb_lengths(points_WTJ2: Float, usable_WTL: NDArray[np.bool_]) -> Float:
    """(W,): arms and legs in torso lengths, the mean over usable bones and frames."""
    starts, ends = ([bone[end] for bone in LIMBS] for end in (0, 1))
    bones_WTL = np.linalg.norm(points_WTJ2[:, :, ends] - points_WTJ2[:, :, starts], axis=-1)
    torso_WT = np.linalg.norm(points_WTJ2[:, :, SHOULDERS].mean(axis=2) - points_WTJ2[:, :, HIPS].mean(axis=2), axis=-1)
    count_W = usable_WTL.sum(axis=(1, 2)).clip(1)
    return np.asarray((bones_WTL * usable_WTL).sum(axis=(1, 2)) / count_W / torso_WT.mean(axis=1).clip(1), np.float32)


def limbs(model: LoadedModel, judges: Judges, held: Held, make: Make, windows: int, seed: int) -> Rows:
    """The same person with other limbs drives: how much of the change comes through.

    share: slope of (generated - reference) over (driver - reference), in limb lengths per window; 0 is the reference's
    own figure, 1 the driver's. r: correlation of generated and reference's lengths over the windows, both as shares of
    what an average figure shows in that motion.
    """
    rng = np.random.default_rng((seed, 2))
    drives: dict[bool, list[Drive]] = {True: [], False: []}
    driver, reference, average = [], [], []
    for number in range(windows):
        index, frame_T = draw_window(held, model, rng)
        clip, scene = held.clips.get(index), held.scene(index)
        others = [each for each in held.of_subject[str(held.clips.entries[index].subject)] if each != index]
        stills = [held.facing(others, held.heading(index, frame_T))]
        who = stretched(scene.who, STRETCH if number % 2 else 1 / STRETCH)
        filmed = with_neutral_face(*tracks_of(replace(scene, who=who)))
        for proportions in drives:
            drives[proportions].append(drive(model, clip, filmed, frame_T, stills, proportions))
        # A square that holds both figures; the skeletons' own squares differ where the figure grew.
        square = drives[True][-1].square
        driver.append(drawn(scene, who, frame_T, square))
        reference.append(drawn(scene, scene.who, frame_T, square))
        usual = with_neutral_face(*tracks_of(replace(scene, who=replace(who, arm=1.0, leg=1.0, torso=1.0))))
        average.append(points_in(square, usual, frame_T))
    points = {name: np.stack([w[1] for w in drew]) for name, drew in (("driver", driver), ("reference", reference))}
    starts, ends = ([bone[end] for bone in LIMBS] for end in (0, 1))
    inside = {name: ((p > 1) & (p < SIZE_PX - 1)).all(axis=-1) for name, p in points.items()}
    usable = np.logical_and.reduce([seen[:, :, side] for seen in inside.values() for side in (starts, ends)])
    base = limb_lengths(points["reference"], usable)
    change = limb_lengths(points["driver"], usable) - base
    usual_W = limb_lengths(np.stack(average), usable).clip(1e-3)

    def row(points_WTJ2: Float) -> dict[str, float]:
        lengths = limb_lengths(points_WTJ2, usable)
        share = float(((lengths - base) * change).sum() / (change**2).sum())
        return {"share": share, "r": float(np.corrcoef(lengths / usual_W, base / usual_W)[0, 1])}

    rows = {
        "anchor: driver's figure, its joints": row(points["driver"]),
        "anchor: reference's figure, its joints": row(points["reference"]),
        "anchor: driver's figure, judge": row(read_points(judges, np.stack([w[0] for w in driver]))),
        "anchor: reference's figure, judge": row(read_points(judges, np.stack([w[0] for w in reference]))),
        "skeleton given": row(np.stack([each.points_TJ2 for each in drives[True]])),
    }
    for proportions, name in ((True, "generated"), (False, "generated, driver's proportions kept")):
        rows[name] = row(read_points(judges, make(drives[proportions])))
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
