"""The two runs: a teacher from shards, a few-step student from a teacher and shards. One loop, other objectives."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file

from model.codec.base import VideoCodec, codec_grid
from model.codec.catalog import CODEC_FILE, codec_bytes, codec_hash, load_codec, make_codec
from model.conditions import Batch
from model.data.camera_path import CAMERA_FEATURES
from model.data.motion_inputs import HAND_SHAPE_FEATURES, face_features
from model.data.reader import Clips, WindowReader, dataset_fingerprint, expression_names_of
from model.data.semantic import MOMENTS, SEMANTIC_FEATURES
from model.dit.backbone import Backbone, first_net, make_net
from model.dit.config import InputDims
from model.dit.wan import WanBackbone
from model.generate import write_samples
from model.objectives.base import Objective
from model.objectives.consistency import PhasedConsistency
from model.objectives.flow import FlowMatching
from model.objectives.guidance_merge import GuidanceMerge
from model.objectives.matching import DistributionMatching
from model.objectives.reflow import Reflow
from model.objectives.step_distillation import StepDistillation, StepRecipe
from model.rng import StepRng, seed_from
from model.sampler import time_grid
from model.store import (
    CONFIG_FILE,
    EMA_FILE,
    METRICS_FILE,
    LoadedModel,
    ModelConfig,
    SamplingRecipe,
    fill,
    load_model,
    read_config,
    write_atomically,
    write_config,
)
from model.text.directions import DIRECTION_COLUMNS
from model.text.encoder import TextEncoder, check_text_encoder, make_text_encoder
from model.train.checkpoint import saved_step
from model.train.loop import Stage, StepReport, run_stages
from model.train.recipes import DistillRecipe, TrainRecipe, TrainStage
from schemas.errors import RecipeError, ResourceError
from schemas.fingerprint import fingerprint

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


def train_teacher(data: Path, output: Path, recipe: TrainRecipe, resume: bool, report: Report) -> RunSummary:
    """Train a teacher on a DATASET into a MODEL folder; `resume` continues a killed run exactly.

    Raises: RecipeError before any work when the folder holds a model and `resume` is not given, or when its recipe or
            dataset is another one; DataError for a bad sample.
    """
    one_process_only()
    device = start_torch(recipe.threads, recipe.device)
    prints = (fingerprint(recipe.model_dump(mode="json")), dataset_fingerprint(data))
    earlier = check_output(output, resume, "teacher", prints)
    names = earlier.expression_names if earlier else expression_names_of(data)
    clips = Clips(data, recipe.data)
    readers = [
        WindowReader(clips, stage.data, names, seed_from(recipe.loop.seed, "stage", number), first_step)
        for number, (stage, first_step) in enumerate(zip(recipe.stages, first_steps(recipe.stages), strict=True))
    ]
    text = make_text_encoder(recipe.text.name, recipe.text.weights, recipe.text.max_tokens)
    if earlier:
        check_text_encoder(text, earlier.text_encoder, str(output))
        codec = load_codec(output, earlier.codec_name, earlier.codec_patch_thw, earlier.codec_hash)
        config = earlier
    else:
        codec = make_codec(recipe.codec, readers[0].training_windows(CODEC_FIT_WINDOWS))
    torch.manual_seed(seed_from(recipe.loop.seed, "init"))
    if saved_step(output):
        net = make_net(config.net, codec)
    else:
        net = first_net(recipe.backbone, recipe.transformer, codec, input_dims(text, names))
    if not earlier:
        config = teacher_config(recipe, codec, net, text, names, prints)
        write_atomically(output / CODEC_FILE, codec_bytes(codec))
        write_config(output, config)
    size = recipe.loop.batch_size

    def stage_of(number: int) -> Stage:
        chosen, reader = recipe.stages[number], readers[number]
        return Stage(
            chosen.name,
            chosen.steps,
            chosen.rate_scale,
            lambda _: FlowMatching(net, chosen.flow),
            lambda rng: reader.batch(rng, codec, text, size),
            chosen.trains,
            chosen.decay_from,
        )

    stages = [stage_of(number) for number in range(len(recipe.stages))]
    return _run(stages, recipe, config, output, net, readers[-1], codec, text, device, report)


def first_steps(stages: Sequence[TrainStage]) -> list[int]:
    """The step of the whole run at which each stage begins."""
    return [sum(stage.steps for stage in stages[:number]) for number in range(len(stages))]


def distil_student(
    teacher: Path, data: Path, output: Path, recipe: DistillRecipe, resume: bool, report: Report
) -> RunSummary:
    """Distil a MODEL into a few-step student in a folder of its own.

    Raises: RecipeError before any work, as train_teacher does, and when `teacher` is itself a student.
    """
    one_process_only()
    device = start_torch(recipe.threads, recipe.device)
    taught = load_model(teacher, device=device)
    if taught.config.kind != "teacher" or taught.config.sampling.guidance is None:
        raise RecipeError(f"{teacher} is a {taught.config.kind}; give --teacher a MODEL that motionloom train wrote")
    if output.resolve() == teacher.resolve():
        raise RecipeError(f"--output {output} is the teacher's own folder; give the student another one")
    teacher_print = hashlib.sha256((teacher / EMA_FILE).read_bytes()).hexdigest()[:16]
    document = {"recipe": recipe.model_dump(mode="json"), "teacher": teacher_print}
    prints = (fingerprint(document), dataset_fingerprint(data))
    earlier = check_output(output, resume, "student", prints)
    config = earlier or student_config(recipe, taught.config, prints, teacher_print)
    if not earlier:
        write_atomically(output / CODEC_FILE, codec_bytes(taught.codec))
        write_config(output, config)
    reader = WindowReader(Clips(data, config.data), recipe.data, config.expression_names, recipe.loop.seed)
    torch.manual_seed(seed_from(recipe.loop.seed, "init"))
    student = make_net(config.net, taught.codec)
    student.load_state_dict(taught.net.state_dict(), strict=False)
    size = recipe.loop.batch_size

    def read_batch(rng: StepRng) -> Batch:
        return reader.batch(rng, taught.codec, taught.text, size)

    stages = [_distill_stage(recipe, index, student, taught, read_batch) for index in range(len(recipe.stages))]
    return _run(stages, recipe, config, output, student, reader, taught.codec, taught.text, device, report)


STEP_OBJECTIVES: dict[str, Callable[[Backbone, Backbone, StepRecipe], Objective]] = {
    "steps": StepDistillation,
    "consistency": PhasedConsistency,
    "reflow": Reflow,
    "matching": DistributionMatching,
}


def _distill_stage(
    recipe: DistillRecipe, index: int, student: Backbone, taught: LoadedModel, read_batch: Callable[[StepRng], Batch]
) -> Stage:
    """A stage of the student. The teacher of a `steps` stage is the student as the stage before left it."""
    chosen = recipe.stages[index]

    def make(previous: Path | None) -> Objective:
        if chosen.objective == "merge":
            guidance = taught.config.sampling.guidance
            assert guidance is not None  # checked before any work
            return GuidanceMerge(student, taught.net, guidance, recipe.merge)
        frozen = make_net(student.config, taught.codec)
        if previous is None:
            frozen.load_state_dict(student.state_dict())
        else:
            fill(frozen, load_file(str(previous)), previous)
        frozen = frozen.to(next(taught.net.parameters()).device)
        return STEP_OBJECTIVES[chosen.objective](student, frozen, recipe.sampler)

    return Stage(f"{index}_{chosen.objective}", chosen.steps, chosen.rate_scale, make, read_batch)


def _run(
    stages: Sequence[Stage],
    recipe: TrainRecipe | DistillRecipe,
    config: ModelConfig,
    output: Path,
    net: Backbone,
    reader: WindowReader,
    codec: VideoCodec,
    text: TextEncoder,
    device: torch.device,
    report: Report,
) -> RunSummary:
    began_from = saved_step(output)
    run_stages(stages, recipe.loop, config, output, report, device)
    model = LoadedModel(config, net, codec, text)
    if recipe.samples:
        write_samples(output, model, reader, recipe.samples, recipe.loop.seed)
    rows = [json.loads(line) for line in (output / METRICS_FILE).read_text(encoding="utf-8").splitlines()]
    final = [row["loss"] for row in rows if row["stage"] == rows[-1]["stage"]]
    tail = final[-max(1, len(final) // 10) :]
    guided = config.sampling.guidance
    return RunSummary(
        folder=str(output),
        kind=config.kind,
        parameters=sum(weight.numel() for weight in net.parameters()),
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


def check_output(
    output: Path, resume: bool, kind: Literal["teacher", "student"], prints: tuple[str, str]
) -> ModelConfig | None:
    """The config of a run to be resumed, or None for a fresh folder.

    Raises: RecipeError when going on would overwrite a model or mix two recipes or datasets.
    """
    if not (output / CONFIG_FILE).is_file():
        if output.exists() and any(path.name != CODEC_FILE and path.suffix != ".part" for path in output.iterdir()):
            raise RecipeError(f"--output {output} is not empty and holds no {CONFIG_FILE}; give a new folder")
        return None
    config = read_config(output)
    if not resume:
        raise RecipeError(f"--output {output} already holds a model; add --resume to continue it, or give a new folder")
    for what, found, wanted in (
        ("kind", config.kind, kind),
        ("recipe", config.recipe_fingerprint, prints[0]),
        ("dataset", config.dataset_fingerprint, prints[1]),
    ):
        if found != wanted:
            raise RecipeError(f"--output {output} belongs to another {what} ({found}, not {wanted}); give a new folder")
    return config


def input_dims(text: TextEncoder, names: tuple[str, ...]) -> InputDims:
    return InputDims(
        text_dim=text.width,
        face_dim=face_features(len(names)),
        hand_dim=HAND_SHAPE_FEATURES,
        camera_dim=CAMERA_FEATURES,
        direction_dim=len(DIRECTION_COLUMNS),
        semantic_dim=SEMANTIC_FEATURES,
        semantic_moments=MOMENTS,
    )


def teacher_config(
    recipe: TrainRecipe,
    codec: VideoCodec,
    net: Backbone,
    text: TextEncoder,
    names: tuple[str, ...],
    prints: tuple[str, str],
) -> ModelConfig:
    """Raises: RecipeError for a window size that codec or network cannot take."""
    for frames, size_px in ((recipe.data.frames, recipe.data.size_px), *_buckets(recipe)):
        grid = codec_grid(codec, (frames, size_px, size_px))
        if isinstance(net, WanBackbone):
            net.check_grid(grid)
    return ModelConfig(
        kind="teacher",
        net=net.config,
        codec_name=codec.name,
        codec_patch_thw=codec.patch_thw,
        codec_hash=codec_hash(codec),
        text_encoder=text.name,
        text_weights=recipe.text.weights,
        data=recipe.data,
        expression_names=names,
        sampling=SamplingRecipe(**(recipe.sampling.model_dump() | {"guidance": recipe.guidance})),
        recipe=recipe.model_dump(mode="json"),
        recipe_fingerprint=prints[0],
        dataset_fingerprint=prints[1],
    )


def _buckets(recipe: TrainRecipe) -> list[tuple[int, int]]:
    return [(bucket.frames, bucket.size_px) for stage in recipe.stages for bucket in stage.data.buckets]


def student_config(
    recipe: DistillRecipe, teacher: ModelConfig, prints: tuple[str, str], teacher_print: str
) -> ModelConfig:
    sampling = SamplingRecipe(
        steps=recipe.sampler.steps,
        shift=recipe.sampler.shift,
        strength=recipe.sampler.strength,
        overlap_frames=teacher.sampling.overlap_frames,
    )
    return teacher.model_copy(
        update={
            "kind": "student",
            "net": teacher.net.model_copy(update={"guidance_embedding": True}),
            "sampling": sampling,
            "recipe": recipe.model_dump(mode="json"),
            "recipe_fingerprint": prints[0],
            "dataset_fingerprint": prints[1],
            "teacher_fingerprint": teacher_print,
        }
    )


def start_torch(threads: int | None, device: str) -> torch.device:
    """Apply thread count and pick the device. Raises: ResourceError when CUDA is asked for and absent."""
    if threads is not None:
        torch.set_num_threads(threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise ResourceError("device: cuda was asked for, but torch sees no CUDA device; set device=cpu")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def one_process_only() -> None:
    """Raises: ResourceError under torchrun with more than one process: gradients are not exchanged yet."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size > 1:
        raise ResourceError(f"WORLD_SIZE is {size}, but training runs in one process; use --nproc-per-node 1")
