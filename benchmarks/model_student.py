"""Students of a puppet teacher by every objective: quality against the guided teacher, gates, end-to-end time.

    PYTHONPATH=.:tests python benchmarks/model_student.py TEACHER --train DATASET --held DATASET --output DIR

Guidance is merged once per seed, then each objective learns its few steps from the merged network, on --pool windows
that are read once. Everything is sampled from the same noise. Gates, each on the mean over the seeds: sharpness at
least 0.88 of the guided teacher's, pose and identity errors at most 5 % above its, Frechet distance to the truth at
most 1.25 times its, at least 1 dB nearer to its pictures than the teacher sampled with as many evaluations (the
nearer of one branch and two), and at least 10 times as fast end to end (animate and watermark, median of five).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from puppet_figures import Pictures, dual, held_clips, single, table
from puppet_judges import Judges, train_judges
from puppet_students import Workshop, read_pool
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
    windows_of,
)

from model.data.clips import Clip
from model.data.framing import View
from model.data.motion_inputs import body_in, face_place_in
from model.generate import DrivingMotion, Reference, animate
from model.guidance import GuidanceRecipe
from model.store import LoadedModel, load_model
from model.train.recipes import DistillRecipe
from model.watermark import PUBLIC_KEY, embed

OBJECTIVES = ("steps", "path", "consistency", "reflow", "matching")
"""Of model.train.recipes; `path` is `steps` on the teacher's own way from noise."""
SHARPNESS, ERROR, FRECHET, NEARER_DB, FASTER = 0.88, 0.05, 1.25, 1.0, 10.0
ERRORS = {"subject": ("pose_px", "identity"), "face": ("mouth", "smile", "gaze", "turn"), "right_hand": ("fingers_px",)}
GATED = ("pose_px", "identity")
TEACHER = "teacher, guided"
Seeds = list[dict[View, Row]]
"""What the judges say of one way of sampling, seed by seed."""


def recipe_of(args: argparse.Namespace, guidance: GuidanceRecipe, shift: float, seed: int) -> DistillRecipe:
    """The recipe of merging alone; a student's has more stages and its own sampler."""
    return DistillRecipe.model_validate(
        {
            "stages": [{"objective": "merge", "steps": args.merge_steps, "rate_scale": args.merge_rate}],
            "merge": {"max_strength": args.max_strength or 1.25 * guidance.strength},
            "sampler": {"strength": guidance.strength, "shift": shift, "steps": args.teacher_steps},
            "data": {"references": {"other_clip": 1.0}, "augment": {"limbs": 0.3}},
            "loop": {
                "batch_size": args.batch,
                "ema_decay": args.ema_decay,
                "checkpoint_every": 1_000_000,
                "seed": seed,
            },
            "samples": 0,
            "device": args.device,
        }
    )


def with_stages(merging: DistillRecipe, objectives: str, args: argparse.Namespace, few: int) -> DistillRecipe:
    """The objectives of "one+another" after merging; those behind the first are a short polish.

    The teacher walks as many steps over the whole way as the guided teacher is sampled with.
    """
    document, first = merging.model_dump(), True
    for objective in objectives.split("+"):
        steps, rate = (args.steps, args.rate) if first else (args.polish_steps, args.polish_rate)
        if objective == "path":
            document["sampler"]["start"], objective = "noise", "steps"
        document["stages"] = [*document["stages"], {"objective": objective, "steps": steps, "rate_scale": rate}]
        first = False
    substeps = max(1, round(merging.sampler.steps / few))
    document["sampler"] |= {"steps": few, "teacher_substeps": substeps}
    return DistillRecipe.model_validate(document)


def naive_ways(model: LoadedModel, guidance: GuidanceRecipe, few: int) -> dict[str, tuple[PredictorOf, int, int]]:
    """The teacher with `few` evaluations: predictor, steps, evaluations."""
    ways = {f"teacher, one branch, {few} steps": (single(model), few, few)}
    if few > 1:
        ways[f"{TEACHER}, {few // 2} steps"] = (dual(model, guidance), few // 2, few // 2 * 2)
    return ways


@dataclasses.dataclass
class Results:
    """Of each way of sampling: evaluations, and seed by seed the metrics and the distance to the guided teacher."""

    evaluations: dict[str, int] = dataclasses.field(default_factory=dict)
    rows: dict[str, Seeds] = dataclasses.field(default_factory=dict)

    def add(self, label: str, evaluations: int, row: dict[View, Row]) -> None:
        self.evaluations[label] = evaluations
        self.rows.setdefault(label, []).append(row)

    def mean(self, label: str, view: View) -> Row:
        return mean_row([row[view] for row in self.rows[label]])

    def ratios(self, label: str, view: View, name: str) -> list[float]:
        """Seed by seed over the guided teacher's."""
        # A student left out of the last seeds has fewer.
        pairs = zip(self.rows[label], self.rows[TEACHER], strict=False)
        return [own[view][name] / taught[view][name] for own, taught in pairs]


def row_of(judges: Judges, windows: Windows, made: Pictures, guided: Pictures) -> dict[View, Row]:
    """Metrics, and how near the pictures are to the guided teacher's from the same noise."""
    targets = windows.by_view(guided)
    near = {view: distance_db(part, targets[view]) for view, part in windows.by_view(made).items()}
    return {view: {**row, "to_teacher_db": near[view]} for view, row in judged(judges, windows, made).items()}


def show(results: Results, windows: Windows) -> None:
    for view in windows.cases:
        rows = {}
        for label in results.rows:
            mean = results.mean(label, view)
            taught = results.mean(TEACHER, view)
            share = {name: mean[name] / taught[name] for name in ("sharpness_ratio", "frechet")}
            rows[label] = {
                "evaluations": float(results.evaluations[label]),
                **mean,
                "sharpness / teacher": share["sharpness_ratio"],
                "frechet / teacher": share["frechet"],
            }
        print(f"\n### {view}, {len(windows.cases[view])} windows\n\n{table(rows)}", flush=True)


@dataclasses.dataclass(frozen=True)
class Gate:
    """One condition on a student: seed by seed, judged by the mean. `at_least` False means at most."""

    name: str
    values: Sequence[float]
    limit: float | None
    at_least: bool = False

    @property
    def value(self) -> float:
        return sum(self.values) / len(self.values)

    def line(self) -> str:
        span = f"{min(self.values):.3f} to {max(self.values):.3f}"
        if self.limit is None:
            return f"| {self.name} | {self.value:.3f} | {span} | | |"
        met = self.value >= self.limit if self.at_least else self.value <= self.limit
        sign, verdict = "at least" if self.at_least else "at most", "PASS" if met else "FALLS SHORT"
        return f"| {self.name} | {self.value:.3f} | {span} | {sign} {self.limit:.2f} | {verdict} |"


def gates_of(results: Results, label: str, naive: Sequence[str], views: Sequence[View]) -> list[Gate]:
    """Gates on quality; errors that have none are listed without a limit."""
    gates = []
    for view in views:
        ratio = results.ratios(label, view, "sharpness_ratio")
        gates.append(Gate(f"{view}: sharpness / teacher", ratio, SHARPNESS, at_least=True))
        for name in ERRORS[view]:
            limit = 1.0 + ERROR if name in GATED else None
            gates.append(Gate(f"{view}: {name} / teacher", results.ratios(label, view, name), limit))
        gates.append(Gate(f"{view}: frechet / teacher", results.ratios(label, view, "frechet"), FRECHET))
        nearer = [
            row[view]["to_teacher_db"] - max(results.rows[other][seed][view]["to_teacher_db"] for other in naive)
            for seed, row in enumerate(results.rows[label])
        ]
        gates.append(Gate(f"{view}: dB nearer than naive", nearer, NEARER_DB, at_least=True))
    return gates


def end_to_end(model: LoadedModel, steps: int, clip: Clip, shown: Clip) -> float:
    """Seconds from a clip's motion and another clip's first frame to marked frames, median of five."""
    sampling = model.config.sampling.model_copy(update={"steps": steps, "solver": "euler"})
    model = dataclasses.replace(model, config=model.config.model_copy(update={"sampling": sampling}))
    tracks = clip.tracks
    driving = DrivingMotion(
        clip.size_hw, clip.pts_s_T, tracks.body, tracks.face, tracks.hands, tracks.camera, clip.actions
    )
    still = Reference(
        shown.rgb_THWC[0],
        shown.square,
        body_in(shown.square, shown.tracks.body),
        face_place_in(shown.square, shown.tracks.face),
    )

    def work() -> None:
        made = animate(model, [still], driving, clip.caption)
        embed(made.rgb_THWC, PUBLIC_KEY, 1)

    return median_seconds(work, next(model.net.parameters()).device)


@dataclasses.dataclass(frozen=True)
class Bench:
    """What every way of sampling is judged with."""

    judges: Judges
    windows: Windows
    taught: LoadedModel
    guidance: GuidanceRecipe
    workshop: Workshop
    args: argparse.Namespace
    began_s: float

    @property
    def late(self) -> bool:
        """Whether no further student is begun."""
        minutes = self.args.minutes
        return minutes is not None and time.perf_counter() - self.began_s > 60 * minutes


def one_seed(bench: Bench, merging: DistillRecipe, seed: int, results: Results) -> dict[str, LoadedModel]:
    """Merge, sample everything that is no student, then train, sample and judge the students one after the other."""
    args, taught, windows = bench.args, bench.taught, bench.windows
    merged_folder = args.output / f"merged-seed{seed}"
    merged = bench.workshop.train(merged_folder, merging)
    noise = noise_of(taught, windows, seed)
    guided = drawn(taught, windows, noise, dual(taught, bench.guidance), args.teacher_steps)

    def add(label: str, evaluations: int, made: Pictures) -> None:
        results.add(label, evaluations, row_of(bench.judges, windows, made, guided))

    for label, made in anchor_pictures(windows).items():
        add(label, 0, made)
    add(TEACHER, 2 * args.teacher_steps, guided)
    ways = {f"merged, {args.teacher_steps} steps": (single(merged), args.teacher_steps, args.teacher_steps)}
    for few in args.student_steps:
        ways |= naive_ways(taught, bench.guidance, few)
        ways[f"merged, {few} steps"] = (single(merged), few, few)
    for label, (predictor, steps, evaluations) in ways.items():
        add(label, evaluations, drawn(taught, windows, noise, predictor, steps))
    students = {}
    for few in args.student_steps:
        for objective in args.objectives:
            label = f"{objective}, {few} steps"
            if bench.late:
                print(f"{label}, seed {seed}: left out, {args.minutes} minutes are over", flush=True)
                continue
            recipe = with_stages(merging, objective, args, few)
            if seed == args.seeds[0]:
                print(f"{label}: {json.dumps(recipe.model_dump(mode='json', exclude_defaults=True))}")
            students[label] = bench.workshop.train(args.output / f"{objective}-{few}-seed{seed}", recipe, merged_folder)
            add(label, few, drawn(taught, windows, noise, single(students[label]), few))
            row, naive = results.rows[label][-1]["subject"], list(naive_ways(taught, bench.guidance, few))
            nearest = max(results.rows[name][-1]["subject"]["to_teacher_db"] for name in naive)
            print(
                f"{label}, seed {seed}, subject view: {row['to_teacher_db']:.2f} dB to the teacher (naive "
                f"{nearest:.2f}), sharpness {results.ratios(label, 'subject', 'sharpness_ratio')[-1]:.3f} of its",
                flush=True,
            )
    return students


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("--train", required=True)
    parser.add_argument("--held", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--judges", type=Path, default=Path("judges"))
    parser.add_argument("--windows", type=int, default=48, help="per view, to judge")
    parser.add_argument("--teacher-steps", type=int, default=24, help="what model_guidance.py finds enough")
    parser.add_argument("--strength", type=float, help="of guidance, instead of the teacher's own")
    parser.add_argument("--max-strength", type=float, help="of merging; 1.25 times the strength")
    parser.add_argument("--student-steps", type=int, nargs="+", default=[4, 2])
    parser.add_argument(
        "--objectives", nargs="+", default=list(OBJECTIVES), help="also one after another: consistency+matching"
    )
    parser.add_argument("--merge-steps", type=int, default=300)
    parser.add_argument("--steps", type=int, default=300, help="training steps of each objective")
    parser.add_argument("--merge-rate", type=float, default=0.05, help="over the rates of the loop")
    parser.add_argument("--rate", type=float, default=0.05, help="over the rates of the loop")
    parser.add_argument("--polish-steps", type=int, default=100, help="of objectives behind a +")
    parser.add_argument("--polish-rate", type=float, default=0.02)
    parser.add_argument("--ema-decay", type=float, default=0.98)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--pool", type=int, default=2048, help="windows to learn from, read once")
    parser.add_argument("--readers", type=int, default=os.cpu_count() or 1, help="threads that read them")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of training and noise")
    parser.add_argument("--minutes", type=float, help="after which no further student is begun")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    args = parser.parse_args()
    began, device = time.perf_counter(), torch.device(args.device)
    judges = train_judges(Path(args.train), args.judges, device=args.device)
    taught = load_model(args.teacher, device=device)
    guidance = taught.config.sampling.guidance
    if guidance is None:
        parser.error(f"{args.teacher} is a student; give its teacher")
    if args.strength is not None:
        guidance = guidance.model_copy(update={"strength": args.strength})
    clips = held_clips(args.held)
    windows = windows_of(clips, taught, args.windows, device)
    merging = [recipe_of(args, guidance, taught.config.sampling.shift, seed) for seed in args.seeds]
    pool = read_pool(taught, Path(args.train), merging[0], args.pool, args.readers, device)
    workshop = Workshop(args.teacher, taught, Path(args.train), pool, device)
    bench = Bench(judges, windows, taught, guidance, workshop, args, began)
    results, models = Results(), {}
    for seed, recipe in zip(args.seeds, merging, strict=True):
        models = one_seed(bench, recipe, seed, results) | models
    show(results, windows)
    report_gates(results, models, taught, guidance, args, list(windows.cases), (clips.get(0), clips.get(1)))
    print(f"\n{time.perf_counter() - began:.0f} s in all")


def report_gates(
    results: Results, students: Mapping[str, LoadedModel], taught: LoadedModel, guidance: GuidanceRecipe,
    args: argparse.Namespace, views: Sequence[View], clips: tuple[Clip, Clip],
) -> None:  # fmt: skip
    """One table per student, its end-to-end time last."""
    guided = taught.config.sampling.model_copy(update={"guidance": guidance})
    teacher = dataclasses.replace(taught, config=taught.config.model_copy(update={"sampling": guided}))
    slow = end_to_end(teacher, args.teacher_steps, *clips)
    print(f"\nend to end, {len(clips[0].pts_s_T)} frames: {TEACHER}, {args.teacher_steps} steps {slow:.3f} s")
    for label, student in students.items():
        few = results.evaluations[label]
        naive = list(naive_ways(taught, guidance, few))
        quick = end_to_end(student, few, *clips)
        print(f"\n### {label}: {quick:.3f} s end to end\n\n| gate | mean | seeds | limit | |\n|---|---|---|---|---|")
        gates = gates_of(results, label, naive, views)
        gates.append(Gate("times as fast as the teacher", [slow / quick], FASTER, at_least=True))
        print("\n".join(gate.line() for gate in gates), flush=True)


if __name__ == "__main__":
    main()
