"""A teacher trained on real clips, judged on clips that share no source with them.

    PYTHONPATH=.:tests python benchmarks/model_real.py DATASET --output FOLDER [--seeds 0 1 2] [--minutes M]
        [--recipe benchmarks/train_real.yaml] [--set KEY=VALUE] [--device auto|cpu|cuda]

DATASET is written by `motionloom annotate`. A seed draws which sources are held aside (a third of the clips; `source`
of the manifest, or --split-by video), writes the others as a dataset of its own and trains on it with the recipe.
--minutes scales the steps of its stages so that training takes about so long here, after a few timed steps.

What is compared, on held-aside windows with one reference from elsewhere in the same clip, nothing dropped:
  loss     squared error of the velocity, mean over noise levels drawn as in training; all tokens weigh alike
  t = ...  squared error of the clean tokens at that noise level (0: pure noise), over that of the mean training picture
The network sees the reference, the motion and the noisy window. Rivals know no more than that: `copy of the reference`
holds the picture that the network was given; `mean training picture` is known beforehand; `reference, corrected` is the
copy moved towards the noisy tokens by the best linear gain, its variance measured on training windows. Anchors are told
part of the answer: `first frame` holds the true window's own first frame, `mean frame` its mean, of all stills the best
in squared error. A still's error is the same at every noise level; its loss weighs it exactly as the network's is.
The gate: on held-aside clips, in every seed, the loss is below that of the copy and of the mean training picture. What
else it beats is printed beside it.
Then videos from noise, beside anchors. FOLDER/seed-N has the tables, and sheets: reference and truth, below them made.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from real_figures import (
    COPY,
    FIRST,
    LEVELS,
    MEAN,
    TRAINED,
    Window,
    anchors_of,
    by_clip,
    corrected_errors_LW,
    feature_scale_F,
    generated,
    loss_weights_L,
    metrics_of,
    network_errors_LW,
    sheet_of,
    still_errors_W,
    stills_of,
    table,
    truth_of,
    windows_of,
    without,
)

from model.data.framing import View
from model.data.reader import Clips
from model.objectives.flow import FlowRecipe, draw_times
from model.rng import StepRng
from model.store import EMA_FILE, METRICS_FILE, LoadedModel, load_model, write_atomically
from model.train.checkpoint import saved_step, stage_file
from model.train.recipes import TrainRecipe
from model.train.runs import train_teacher
from model.train.start import start_torch
from model.video import png_bytes
from schemas.errors import RecipeError
from schemas.index import SHARDS_DIR, SampleEntry, load_samples, write_index
from schemas.recipe import load_recipe
from schemas.shard import read_members, read_sample, sample_tar, write_shards

RECIPE = Path(__file__).with_name("train_real.yaml")
HELD_SHARE, MOST_HELD = 1 / 3, 0.45
PROBE_STEPS = 8
LOSS_TIMES = 12
NETWORK, CORRECTED = "network", "reference, corrected"
RIVALS, ANCHORS = (COPY, TRAINED, CORRECTED), (FIRST, MEAN)
SHEET_ROWS = 8
WORDS: dict[str, View] = {"subject": "subject", "face": "face", "hand": "right_hand"}


def documents_of(dataset: Path, entries: Sequence[SampleEntry]) -> dict[str, dict[str, Any]]:
    return {entry.key: json.loads(read_members(dataset, entry, ["json"])["json"]) for entry in entries}


def source_of(key: str, document: Mapping[str, Any], by: str) -> str:
    """Where a sample's footage comes from: what the manifest states, else its video (views of one take are one)."""
    video = document.get("split_key") or document.get("video_id") or key
    return str(document.get("source") or video) if by == "source" else str(video)


def name_of(key: str, document: Mapping[str, Any]) -> str:
    """File and start, for people."""
    return f"{Path(str(document.get('uri') or key)).stem} {float(document.get('start_s') or 0):.1f} s"


def held_keys(sources: Mapping[str, str], seed: int) -> set[str]:
    """Keys of the sources that a seed holds aside: about a third of the samples.

    Raises: RecipeError when the sources do not allow it.
    """
    keys_of: dict[str, list[str]] = {}
    for key, source in sorted(sources.items()):
        keys_of.setdefault(source, []).append(key)
    held: set[str] = set()
    for index in np.random.default_rng(seed).permutation(len(keys_of)):
        keys = keys_of[sorted(keys_of)[int(index)]]
        if len(held) < HELD_SHARE * len(sources) and len(held) + len(keys) <= MOST_HELD * len(sources):
            held |= set(keys)
    if not held:
        raise RecipeError(
            f"{len(keys_of)} sources in {len(sources)} samples leave none to hold aside; --split-by video"
        )
    return held


def write_part(dataset: Path, entries: Sequence[SampleEntry], folder: Path) -> None:
    """Some samples as a dataset of their own, overlays merged in."""
    own = {entry.key: entry for entry in entries}
    shards, written = write_shards(
        folder / SHARDS_DIR,
        own,
        lambda key: sample_tar(key, read_sample(dataset, own[key])),
        lambda key, shard, offset, size: replace(
            own[key], shard=shard, offset=offset, size_bytes=size, overlays=()
        ),
        1000,
        1 << 30,
    )  # fmt: skip
    write_index(folder, shards, written, {"part_of": dataset.name})


def with_steps(recipe: TrainRecipe, steps: Sequence[int]) -> TrainRecipe:
    stages = [stage.model_copy(update={"steps": n}) for stage, n in zip(recipe.stages, steps, strict=True)]
    return recipe.model_copy(update={"stages": tuple(stages)})


def fitted(recipe: TrainRecipe, minutes: float, data: Path) -> TrainRecipe:
    """The recipe with its steps scaled to take about so long here, by the median step of each stage."""
    with tempfile.TemporaryDirectory() as folder:
        probe = with_steps(recipe, [PROBE_STEPS] * len(recipe.stages))
        train_teacher(data, Path(folder) / "probe", probe, False, lambda _: None)
        rows = [json.loads(line) for line in (Path(folder) / "probe" / METRICS_FILE).read_text().splitlines()]
    step_s = [
        float(np.median([row["seconds"] for row in rows if row["stage"] == stage.name][PROBE_STEPS // 2 :]))
        for stage in recipe.stages
    ]
    factor = 60 * minutes / sum(stage.steps * s for stage, s in zip(recipe.stages, step_s, strict=True))
    steps = [max(10, round(stage.steps * factor)) for stage in recipe.stages]
    print(f"a step takes {', '.join(f'{s:.2f}' for s in step_s)} s; steps {steps}", flush=True)
    return with_steps(recipe, steps)


def trained(dataset: Path, part: Path, recipe: TrainRecipe, minutes: float | None) -> str:
    """Train into part/model unless that is done. Returns: what it took, in words."""
    chosen, path = part / "steps.json", part / "model"
    if chosen.is_file():
        recipe = with_steps(recipe, json.loads(chosen.read_text()))
    elif minutes is not None:
        recipe = fitted(recipe, minutes, dataset)
    write_atomically(chosen, json.dumps([stage.steps for stage in recipe.stages]).encode())
    if saved_step(path) < sum(stage.steps for stage in recipe.stages):
        train_teacher(dataset, path, recipe, (path / "config.json").is_file(), lambda _: None)
    rows = [json.loads(line) for line in (path / METRICS_FILE).read_text().splitlines()]
    stages = ", ".join(f"{stage.steps} of {stage.name}" for stage in recipe.stages)
    seconds, waited = (sum(row[name] for row in rows) for name in ("seconds", "waited_s"))
    return f"{stages}; {seconds:.0f} s, {waited:.0f} s of it waiting for batches"


def errors(
    model: LoadedModel, early: LoadedModel | None, windows: Sequence[Window], known: Sequence[Window], seed: int
) -> dict[str, dict[str, float]]:
    """Rows of the table: everything that predicts, with loss and error at each noise level.

    known: training windows of the same view, for the mean picture and for how far references are from truth.
    """
    flow = FlowRecipe.model_validate(model.config.recipe["stages"][-1]["flow"])
    times = [*LEVELS, *draw_times(flow, LOSS_TIMES, StepRng(seed, 0))]
    stills = stills_of(windows, model.codec, known)
    variance = float(still_errors_W(stills_of(known, model.codec, known)[COPY], known).mean())
    by_name = {NETWORK: network_errors_LW(model, windows, times, seed)}
    if early is not None:
        by_name["network after stills"] = network_errors_LW(early, windows, times, seed)
    by_name[CORRECTED] = corrected_errors_LW(stills[COPY], variance, windows, times, seed)
    for name in stills:
        by_name[name] = np.repeat(still_errors_W(stills[name], windows)[None], len(times), axis=0)
    weights_L, unit = loss_weights_L(times)[len(LEVELS) :], by_name[TRAINED].mean()
    rows: dict[str, dict[str, float]] = {}
    for name, found_LW in by_name.items():
        loss_W = (found_LW[len(LEVELS) :] * weights_L[:, None]).mean(axis=0)
        rows[name] = {"loss": float(loss_W.mean())}
        rows[name] |= {f"t = {t}": float(found_LW[level].mean() / unit) for level, t in enumerate(LEVELS)}
        own_W = (by_name[NETWORK][len(LEVELS) :] * weights_L[:, None]).mean(axis=0)
        rows[name]["network wins"] = float((own_W < loss_W).mean())
        rows[name]["wins at t = 0"] = float((by_name[NETWORK][0] < found_LW[0]).mean())
    return rows


def videos(
    model: LoadedModel,
    windows: Sequence[Window],
    known: Sequence[Window],
    args: argparse.Namespace,
    seed: int,
    sheet: Path,
) -> dict[str, dict[str, float]]:
    """Generated windows and anchors; a sheet of the first strength's, evenly over the clips."""
    truth = truth_of(windows)
    scale = feature_scale_F(truth_of(known))
    made = {f"made, w = {w}": generated(model, windows, args.steps, w, seed) for w in args.strengths}
    step = max(1, len(windows) // SHEET_ROWS)
    picture = sheet_of(windows[::step], next(iter(made.values()))[::step])
    write_atomically(sheet, png_bytes(picture))
    return {name: metrics_of(each, truth, scale) for name, each in {**anchors_of(windows), **made}.items()}


def judged(
    model: LoadedModel, early: LoadedModel | None, clips: Clips, held: set[str], names: Mapping[str, str], folder: Path,
    args: argparse.Namespace, seed: int,
) -> tuple[dict[str, Any], str]:  # fmt: skip
    """Tables of one seed, as numbers and as Markdown."""
    figures: dict[str, Any] = {}
    text = []
    for word in args.views:
        view = WORDS[word]
        every = windows_of(clips, model, view, args.windows, seed)
        aside = [window for window in every if window.key in held]
        known = [window for window in every if window.key not in held]
        if not aside or not known:
            text.append(f"\n### {word}: seen in no {'training' if aside else 'held-aside'} clip\n")
            continue
        parts = {"held aside": aside, "trained on": known} if view == "subject" else {"held aside": aside}
        for part, windows in parts.items():
            title = f"{word}, {part}"
            clip_count = len({window.key for window in windows})
            figures[title] = {"windows": len(windows), "clips": clip_count}
            figures[title]["errors"] = errors(model, early if part == "held aside" else None, windows, known, seed)
            sheet = folder / f"{word}_{part.replace(' ', '_')}.png"
            figures[title]["videos"] = videos(model, windows, known, args, seed, sheet)
            text.append(f"\n### {title}: {len(windows)} windows of {clip_count} clips, seed {seed}\n")
            text += [table(figures[title]["errors"]), "", f"from noise, {args.steps} steps:", ""]
            text.append(table(figures[title]["videos"]))
            if view == "subject" and part == "held aside":
                figures[title]["by clip"] = by_clip(model, windows, names, seed)
                text += ["", "from pure noise, clip by clip:", "", table(figures[title]["by clip"])]
                figures[title]["without"] = without(model, windows, seed)
                text += ["", "error over that with all conditions:", "", table(figures[title]["without"])]
    return figures, "\n".join(text)


def gate(runs: Mapping[int, Mapping[str, Any]]) -> str:
    """Markdown: loss and errors on held-aside subject windows, mean (lowest - highest seed), and the verdict."""
    rows = [run["subject, held aside"]["errors"] for run in runs.values()]
    names, columns = list(rows[0]), ["loss", *(f"t = {t}" for t in LEVELS)]
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in names:
        cells = []
        for column in columns:
            values = [row[name][column] for row in rows]
            cells.append(f"{np.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines.append("")
    for name in (*RIVALS, *ANCHORS):
        won = sum(row[NETWORK]["loss"] < row[name]["loss"] for row in rows)
        at_noise = sum(row[NETWORK]["t = 0.0"] < row[name]["t = 0.0"] for row in rows)
        what = "rival" if name in RIVALS else "anchor, knows the answer in part"
        lines.append(f"- {name} ({what}): loss below its in {won} of {len(rows)} seeds, error at t = 0 in {at_noise}")
    passed = all(row[NETWORK]["loss"] < row[name]["loss"] for row in rows for name in (COPY, TRAINED))
    return "\n".join([*lines, "", f"the gate: {'passed' if passed else 'FAILED'}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="a finished seed in it is not trained again")
    parser.add_argument("--recipe", default=str(RECIPE))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, help="of training, for each seed")
    parser.add_argument("--split-by", choices=["source", "video"], default="source")
    parser.add_argument("--windows", type=int, default=4, help="of each clip and view")
    parser.add_argument("--views", nargs="+", choices=list(WORDS), default=list(WORDS))
    parser.add_argument("--steps", type=int, default=12, help="from noise to a video")
    parser.add_argument("--strengths", type=float, nargs="+", default=[1.0, 1.5], help="of guidance; 1: none")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    began = time.perf_counter()
    device = start_torch(args.threads, args.device)
    readers = 1 if device.type == "cpu" else min(8, max(1, (os.cpu_count() or 1) - 2))
    settings = [f"device={device.type}", f"loop.readers={readers}", *args.set]
    recipe = load_recipe(TrainRecipe, args.recipe, settings, RECIPE.parent, "train")
    entries = load_samples(args.dataset)
    documents = documents_of(args.dataset, entries)
    sources = {key: source_of(key, document, args.split_by) for key, document in documents.items()}
    names = {key: name_of(key, document) for key, document in documents.items()}
    clips = Clips(args.dataset, recipe.data)
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1)) as pool:
        list(pool.map(clips.get, range(len(entries))))
    size_mib = sum(path.stat().st_size for path in args.dataset.rglob("*") if path.is_file()) / 2**20
    frames, origins = sum(entry.frames for entry in entries), len(set(sources.values()))
    print(f"{len(entries)} clips, {frames} frames, {origins} sources, {size_mib:.1f} MiB; {device}", flush=True)
    runs: dict[int, dict[str, Any]] = {}
    for seed in args.seeds:
        folder = args.output / f"seed-{seed}"
        held = held_keys(sources, seed)
        if not (folder / "figures.json").is_file():
            if not (folder / "clips" / "index.json").is_file():
                write_part(args.dataset, [entry for entry in entries if entry.key not in held], folder / "clips")
            seeded = recipe.model_copy(update={"loop": recipe.loop.model_copy(update={"seed": seed})})
            took = trained(folder / "clips", folder, seeded, args.minutes)
            model = load_model(folder / "model", EMA_FILE, device)
            early = None
            if len(recipe.stages) > 1:
                first = stage_file(folder / "model", 0)
                early = load_model(folder / "model", str(first.relative_to(folder / "model")), device)
            figures, text = judged(model, early, clips, held, names, folder, args, seed)
            head = f"## Seed {seed}: {len(entries) - len(held)} clips trained on, {len(held)} held aside\n\n{took}"
            write_atomically(folder / "figures.md", f"{head}\n{text}\n".encode())
            write_atomically(folder / "figures.json", json.dumps(figures, indent=1).encode())
        runs[seed] = json.loads((folder / "figures.json").read_text())
        print((folder / "figures.md").read_text(), flush=True)
    if any("subject, held aside" not in run for run in runs.values()):
        return
    summary = f"## Held-aside clips, subject view, {len(runs)} seeds\n\n{gate(runs)}\n"
    write_atomically(args.output / "summary.md", summary.encode())
    print(f"{summary}\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
