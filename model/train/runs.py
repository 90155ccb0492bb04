"""The two runs: a teacher from shards, a few-step student from a teacher and shards. One loop, other objectives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from model.codec.base import VideoCodec
from model.codec.catalog import CODEC_FILE, codec_bytes, load_codec, make_codec
from model.conditions import Batch
from model.data.reader import Clips, WindowReader, dataset_fingerprint, expression_names_of
from model.dit.backbone import Backbone, first_net, make_net
from model.generate import sample_windows, write_samples
from model.objectives.base import Objective
from model.objectives.consistency import PhasedConsistency
from model.objectives.flow import FlowMatching
from model.objectives.guidance_merge import GuidanceMerge
from model.objectives.matching import DistributionMatching
from model.objectives.reflow import Reflow
from model.objectives.step_distillation import StepDistillation
from model.objectives.walking import StepRecipe
from model.parallel.world import World, joined
from model.rng import StepRng, seed_from
from model.sampler import time_grid
from model.store import (
    EMA_FILE,
    METRICS_FILE,
    LoadedModel,
    ModelConfig,
    SamplingRecipe,
    fill,
    load_model,
    load_weights,
    write_atomically,
    write_config,
)
from model.text.encoder import TextEncoder, check_text_encoder, make_text_encoder
from model.train.checkpoint import saved_step, stage_file
from model.train.configs import check_output, input_dims, student_config, subject_noise, teacher_config
from model.train.loop import Stage, StepReport, run_stages, speed_up
from model.train.recipes import DistillRecipe, TrainRecipe, TrainStage, meaning_of
from model.train.start import check_loop, check_windows, start_torch
from schemas.errors import RecipeError
from schemas.fingerprint import fingerprint
from schemas.storage import Location

CODEC_FIT_WINDOWS = 128
Report = Callable[[StepReport], None]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run says about itself at its end; losses are means over the first 5 and the last tenth of the steps
    of the last stage."""

    folder: str
    kind: str
    parameters: int
    steps: int
    resumed_from_step: int
    first_loss: float
    last_loss: float
    seconds: float
    evaluations_per_window: int


def train_teacher(data: Location, output: Path, recipe: TrainRecipe, resume: bool, report: Report) -> RunSummary:
    """Train a teacher on a DATASET into a MODEL folder; `resume` continues a killed run exactly.

    Raises: RecipeError before any work when the folder holds a model and `resume` is not given, or when its recipe or
            dataset is another one; DataError for a bad sample.
    """
    device = start_torch(recipe.threads, recipe.device)
    check_loop(recipe, device)
    with joined(recipe.loop.parallel, device) as world:
        prints = (fingerprint(meaning_of(recipe)), world.first(lambda: dataset_fingerprint(data)))
        earlier = world.first(lambda: check_output(output, resume, "teacher", prints))
        names = earlier.expression_names if earlier else world.first(lambda: expression_names_of(data))
        clips = Clips(data, recipe.data)
        readers = [
            WindowReader(clips, stage.data, names, seed_from(recipe.loop.seed, "stage", number), first_step)
            for number, (stage, first_step) in enumerate(zip(recipe.stages, first_steps(recipe.stages), strict=True))
        ]
        size = recipe.loop.batch_size
        for reader in readers:
            reader.check(size, world.data_size)
        text = make_text_encoder(recipe.text.name, recipe.text.weights, recipe.text.max_tokens)

        def begin() -> ModelConfig:
            codec = make_codec(recipe.codec, readers[0].training_windows(CODEC_FIT_WINDOWS))
            net = first_net(recipe.backbone, recipe.transformer, codec, input_dims(text, names))
            config = teacher_config(recipe, codec, net, text, names, prints)
            check_windows(recipe, config, codec, world)
            write_atomically(output / CODEC_FILE, codec_bytes(codec))
            write_config(output, config)
            return config

        config = earlier or world.first(begin)
        check_text_encoder(text, config.text_encoder, str(output))
        codec = load_codec(output, config.codec_name, config.codec_patch_thw, config.codec_hash)
        check_windows(recipe, config, codec, world)

        def new_net() -> Backbone:
            torch.manual_seed(seed_from(recipe.loop.seed, "init"))
            if saved_step(output):
                return make_net(config.net, codec)
            # Public weights are read until some of our own lie in the folder.
            return first_net(recipe.backbone, recipe.transformer, codec, input_dims(text, names))

        def stage_of(number: int) -> Stage:
            chosen, reader = recipe.stages[number], readers[number]
            return Stage(
                chosen.name,
                chosen.steps,
                chosen.rate_scale,
                lambda _: FlowMatching(new_net(), chosen.flow),
                lambda rng: reader.batch(rng, codec, text, size, world.data_size, world.data_rank),
                chosen.trains,
                chosen.decay_from,
            )

        stages = [stage_of(number) for number in range(len(recipe.stages))]
        return _run(stages, recipe, config, output, readers[-1], codec, text, device, report, world)


def first_steps(stages: Sequence[TrainStage]) -> list[int]:
    """The step of the whole run at which each stage begins."""
    return [sum(stage.steps for stage in stages[:number]) for number in range(len(stages))]


def distil_student(
    teacher: Path, data: Location, output: Path, recipe: DistillRecipe, resume: bool, report: Report
) -> RunSummary:
    """Distil a MODEL into a few-step student in a folder of its own.

    Raises: RecipeError before any work, as train_teacher does, and when `teacher` is itself a student.
    """
    device = start_torch(recipe.threads, recipe.device)
    check_loop(recipe, device)
    with joined(recipe.loop.parallel, device) as world:
        taught = world.together(lambda: load_model(teacher, device=device))
        if taught.config.kind != "teacher" or taught.config.sampling.guidance is None:
            raise RecipeError(
                f"{teacher} is a {taught.config.kind}; give --teacher a MODEL that motionloom train wrote"
            )
        if output.resolve() == teacher.resolve():
            raise RecipeError(f"--output {output} is the teacher's own folder; give the student another one")
        teacher_print = hashlib.sha256((teacher / EMA_FILE).read_bytes()).hexdigest()[:16]
        document = {"recipe": meaning_of(recipe), "teacher": teacher_print}
        prints = (fingerprint(document), world.first(lambda: dataset_fingerprint(data)))
        earlier = world.first(lambda: check_output(output, resume, "student", prints))
        config = earlier or student_config(recipe, taught.config, prints, teacher_print)
        check_windows(recipe, config, taught.codec, world)
        reader = WindowReader(Clips(data, config.data), recipe.data, config.expression_names, recipe.loop.seed)
        size = recipe.loop.batch_size
        reader.check(size, world.data_size)

        def begin() -> None:
            write_atomically(output / CODEC_FILE, codec_bytes(taught.codec))
            write_config(output, config)

        if not earlier:
            world.first(begin)

        def read_batch(rng: StepRng) -> Batch:
            return reader.batch(rng, taught.codec, taught.text, size, world.data_size, world.data_rank)

        stages = [distill_stage(recipe, index, taught, config, read_batch) for index in range(len(recipe.stages))]
        return _run(stages, recipe, config, output, reader, taught.codec, taught.text, device, report, world)


STEP_OBJECTIVES: dict[str, Callable[[Backbone, Backbone, StepRecipe], Objective]] = {
    "steps": StepDistillation,
    "consistency": PhasedConsistency,
    "reflow": Reflow,
    "matching": DistributionMatching,
}


def distill_stage(
    recipe: DistillRecipe,
    index: int,
    taught: LoadedModel,
    config: ModelConfig,
    read_batch: Callable[[StepRng], Batch],
) -> Stage:
    """A stage of the student. Few steps are learnt from what the last `merge` stage left, not from another student of
    few steps, which knows only its own times."""
    chosen = recipe.stages[index]
    merged = max((number for number in range(index) if recipe.stages[number].objective == "merge"), default=None)

    def make(previous: Path | None) -> Objective:
        torch.manual_seed(seed_from(recipe.loop.seed, "init"))
        student = make_net(config.net, taught.codec)
        student.load_state_dict(taught.net.state_dict(), strict=False)
        speed_up(taught.net, recipe.loop)
        if chosen.objective == "merge":
            guidance = taught.config.sampling.guidance
            assert guidance is not None  # checked before any work
            return GuidanceMerge(student, taught.net, guidance, recipe.merge)
        frozen = make_net(student.config, taught.codec)
        if previous is None or merged is None:
            frozen.load_state_dict(student.state_dict())
        else:
            weights = stage_file(previous.parent.parent, merged)
            fill(frozen, load_file(str(weights)), weights)
        frozen = speed_up(frozen.to(next(taught.net.parameters()).device), recipe.loop)
        sampler = recipe.sampler.model_copy(update={"subject_noise": subject_noise(recipe, taught.config)})
        return STEP_OBJECTIVES[chosen.objective](student, frozen, sampler)

    return Stage(f"{index}_{chosen.objective}", chosen.steps, chosen.rate_scale, make, read_batch)


def _run(
    stages: Sequence[Stage],
    recipe: TrainRecipe | DistillRecipe,
    config: ModelConfig,
    output: Path,
    reader: WindowReader,
    codec: VideoCodec,
    text: TextEncoder,
    device: torch.device,
    report: Report,
    world: World,
) -> RunSummary:
    began_from = world.first(lambda: saved_step(output))
    scratch: list[LoadedModel] = []

    def with_weights(weights: Mapping[str, Tensor]) -> LoadedModel:
        """A network beside the learning ones, made when it is first needed."""
        if not scratch:
            scratch.append(LoadedModel(config, make_net(config.net, codec).to(device).eval(), codec, text))
        fill(scratch[0].net, weights, output / EMA_FILE)
        return scratch[0]

    def draw(weights: Mapping[str, Tensor]) -> NDArray[np.uint8]:
        return sample_windows(with_weights(weights), reader, recipe.samples, recipe.loop.seed).sheet()

    run_stages(stages, recipe.loop, config, output, report, device, world, draw)
    return world.first(lambda: _finish(recipe, config, output, reader, with_weights, began_from))


def _finish(
    recipe: TrainRecipe | DistillRecipe,
    config: ModelConfig,
    output: Path,
    reader: WindowReader,
    with_weights: Callable[[Mapping[str, Tensor]], LoadedModel],
    began_from: int,
) -> RunSummary:
    """Samples and the summary, in the first process."""
    weights = load_weights(output / EMA_FILE, config)
    if recipe.samples:
        write_samples(output, with_weights(weights), reader, recipe.samples, recipe.loop.seed)
    rows = [json.loads(line) for line in (output / METRICS_FILE).read_text(encoding="utf-8").splitlines()]
    final = [row["loss"] for row in rows if row["stage"] == rows[-1]["stage"]]
    tail = final[-max(1, len(final) // 10) :]
    guided = config.sampling.guidance
    return RunSummary(
        folder=str(output),
        kind=config.kind,
        parameters=sum(weight.numel() for weight in weights.values()),
        steps=len(rows),
        resumed_from_step=began_from,
        first_loss=sum(final[:5]) / len(final[:5]),
        last_loss=sum(tail) / len(tail),
        seconds=round(sum(row["seconds"] for row in rows), 2),
        evaluations_per_window=config.sampling.steps if guided is None else guided_evaluations(config.sampling),
    )


def guided_evaluations(sampling: SamplingRecipe) -> int:
    """Network evaluations of one guided window: two per step where guidance acts, else one."""
    times = time_grid(sampling.steps, sampling.shift)[:-1]
    return sum(2 if sampling.guidance is not None and sampling.guidance.acts_at(t) else 1 for t in times)
