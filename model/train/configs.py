"""What a run writes into config.json, and when a folder is refused or continued."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from model.codec.base import VideoCodec, codec_grid
from model.codec.catalog import CODEC_FILE, codec_hash
from model.data.camera_path import CAMERA_FEATURES
from model.data.motion_inputs import HAND_SHAPE_FEATURES, face_features
from model.data.semantic import MOMENTS, SEMANTIC_FEATURES
from model.dit.backbone import Backbone
from model.dit.config import InputDims
from model.dit.wan import WanBackbone
from model.store import CONFIG_FILE, ModelConfig, SamplingRecipe, read_config
from model.text.directions import DIRECTION_COLUMNS
from model.text.encoder import TextEncoder
from model.train.recipes import DistillRecipe, TrainRecipe
from schemas.errors import RecipeError


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


def subject_noise(recipe: DistillRecipe, teacher: ModelConfig) -> float:
    """Of a student: its recipe's, else the teacher's."""
    stated = recipe.sampler.subject_noise
    return teacher.sampling.subject_noise if stated is None else stated


def student_config(
    recipe: DistillRecipe, teacher: ModelConfig, prints: tuple[str, str], teacher_print: str
) -> ModelConfig:
    sampling = SamplingRecipe(
        steps=recipe.sampler.steps,
        shift=recipe.sampler.shift,
        strength=recipe.sampler.strength,
        overlap_frames=teacher.sampling.overlap_frames,
        one_backdrop_until=teacher.sampling.one_backdrop_until,
        subject_noise=subject_noise(recipe, teacher),
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
