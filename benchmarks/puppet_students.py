"""Students of one puppet teacher, trained by the stages of model.train.runs on a stated number of windows.

The windows are read once, by many threads, and kept on the device: a GPU would wait for the reader at every step, and
every student would decode the same clips again. Noise, times and strengths are drawn anew in every step. Guidance is
merged once per seed; each student of that seed goes on from there, as a resumed run does.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from model.codec.catalog import CODEC_FILE, codec_bytes
from model.conditions import Batch
from model.data.reader import Clips, WindowReader, dataset_fingerprint
from model.rng import StepRng
from model.store import (
    EMA_FILE,
    METRICS_FILE,
    TRAINER_DIR,
    LoadedModel,
    load_model,
    write_atomically,
    write_config,
)
from model.train.checkpoint import stage_file
from model.train.configs import student_config
from model.train.loop import StepReport, run_stages
from model.train.recipes import DistillRecipe, meaning_of
from model.train.runs import distill_stage
from schemas.fingerprint import fingerprint

CACHE_MIB = 6144


@dataclass(frozen=True)
class Pool:
    """Batches that were read once; a step learns on that of its number modulo theirs."""

    batches: Sequence[Batch]

    def batch(self, rng: StepRng) -> Batch:
        return self.batches[rng.step % len(self.batches)]


def read_pool(
    model: LoadedModel, dataset: Path, recipe: DistillRecipe, windows: int, threads: int, device: torch.device
) -> Pool:
    """At least `windows` training windows on the device, in the batches that distil_student would read first."""
    size, began = recipe.loop.batch_size, time.perf_counter()
    clips = Clips(dataset, model.config.data.model_copy(update={"cache_mib": CACHE_MIB}))
    reader = WindowReader(clips, recipe.data, model.config.expression_names, recipe.loop.seed)

    def read(number: int) -> Batch:
        return reader.batch(StepRng(recipe.loop.seed, number), model.codec, model.text, size)

    with ThreadPoolExecutor(threads) as pool:
        batches = [batch.to(device) for batch in pool.map(read, range(-(-windows // size)))]
    seconds = time.perf_counter() - began
    print(f"read {len(batches) * size} windows with {threads} threads in {seconds:.0f} s", flush=True)
    return Pool(batches)


@dataclass(frozen=True)
class Workshop:
    """What all students of a teacher share."""

    teacher: Path
    taught: LoadedModel
    dataset: Path
    pool: Pool
    device: torch.device

    def train(self, folder: Path, recipe: DistillRecipe, merged: Path | None = None) -> LoadedModel:
        """The student of a recipe, from the folder if it is there. merged: its first stage, already trained."""
        teacher_print = hashlib.sha256((self.teacher / EMA_FILE).read_bytes()).hexdigest()[:16]
        data_print = dataset_fingerprint(self.dataset)
        document = {
            "recipe": meaning_of(recipe),
            "windows": sum(len(batch.keys) for batch in self.pool.batches),
            "from": [teacher_print, data_print],
        }
        mark = folder / "trained.txt"
        if mark.is_file() and mark.read_text(encoding="utf-8") == fingerprint(document):
            return load_model(folder, device=self.device)
        shutil.rmtree(folder, ignore_errors=True)
        prints = (fingerprint(document), data_print)
        config = student_config(recipe, self.taught.config, prints, teacher_print)
        write_atomically(folder / CODEC_FILE, codec_bytes(self.taught.codec))
        write_config(folder, config)
        if merged is not None:
            go_on_from(merged, folder)
        stages = [
            distill_stage(recipe, index, self.taught, config, self.pool.batch) for index in range(len(recipe.stages))
        ]
        losses: list[float] = []

        def report(step: StepReport) -> None:
            losses.append(step.loss)

        began = time.perf_counter()
        run_stages(stages, recipe.loop, config, folder, report, self.device)
        seconds, tenth = time.perf_counter() - began, max(1, len(losses) // 10)
        first, last = (sum(part) / len(part) for part in (losses[:tenth], losses[-tenth:]))
        print(
            f"{folder.name}: {len(losses)} steps in {seconds:.0f} s, loss of the first tenth {first:.4f}, "
            f"of the last {last:.4f}",
            flush=True,
        )
        write_atomically(mark, fingerprint(document).encode())
        return load_model(folder, device=self.device)


def go_on_from(merged: Path, folder: Path) -> None:
    """Leave in `folder` what a run with one more stage has after its first one."""
    shutil.copytree(merged / TRAINER_DIR, folder / TRAINER_DIR)
    shutil.copy(merged / METRICS_FILE, folder / METRICS_FILE)
    shutil.copy(merged / EMA_FILE, stage_file(folder, 0))
