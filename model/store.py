"""The MODEL folder: what a checkpoint must say about itself, how it is written, and when it is refused.

    config.json  model.safetensors  ema.safetensors  codec.safetensors  trainer/  metrics.jsonl  samples/
Every file is written under a temporary name and renamed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from model.codec.base import Triple, VideoCodec
from model.codec.catalog import load_codec
from model.data.reader import DataRecipe
from model.dit.backbone import Backbone, make_net
from model.dit.config import NetConfig, WanConfig
from model.guidance import GuidanceRecipe
from model.parallel.shards import like
from model.sampler import Solver
from model.text.encoder import TextEncoder, check_text_encoder, make_text_encoder_like
from schemas.errors import DataError, RecipeError
from schemas.fingerprint import canonical_json
from schemas.recipe import StrictModel

CONFIG_FILE, MODEL_FILE, EMA_FILE = "config.json", "model.safetensors", "ema.safetensors"
METRICS_FILE, SAMPLES_DIR, TRAINER_DIR = "metrics.jsonl", "samples", "trainer"


class SamplingRecipe(StrictModel):
    """How windows are sampled. `guidance` makes two branches; a student has `strength`, an input of its network."""

    steps: int
    shift: float = 2.0
    solver: Solver = "euler"
    guidance: GuidanceRecipe | None = None
    strength: float | None = None
    overlap_frames: int = 2
    subject_noise: float = Field(default=1.0, gt=0, le=1)
    """Deviation of the starting noise where the subject is (model/subject_noise.py)."""
    one_backdrop_until: float = Field(default=0.0, ge=0, le=1)
    """The t until which frames share their guesses of the backdrop (model/backdrop.py); 0 leaves them alone."""


class ModelConfig(StrictModel):
    """config.json: all that is needed to rebuild and use the network, and what it was made from."""

    format_version: Literal[1] = 1
    kind: Literal["teacher", "student"]
    net: NetConfig | WanConfig
    codec_name: str
    codec_patch_thw: Triple
    codec_hash: str
    text_encoder: str
    text_weights: str | None = None
    """Where the text encoder's weights were; None for encoders that come with their package."""
    data: DataRecipe
    expression_names: tuple[str, ...]
    sampling: SamplingRecipe
    recipe: dict[str, Any]
    recipe_fingerprint: str
    dataset_fingerprint: str
    teacher_fingerprint: str | None = None


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to use, with the codec and text encoder it was trained with."""

    config: ModelConfig
    net: Backbone
    codec: VideoCodec
    text: TextEncoder


def write_atomically(path: Path, data: bytes) -> None:
    """A reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


_HEADER = "trained_with"


class TrainedWith(Protocol):
    """What a weights file says about its surroundings: a ModelConfig, or what a codec's training has in its place."""

    @property
    def codec_hash(self) -> str: ...

    @property
    def text_encoder(self) -> str: ...


def weights_bytes(tensors: Mapping[str, Tensor], config: TrainedWith) -> bytes:
    """Weights with the hashes of codec and text encoder in the header."""
    # One header entry: safetensors writes several in an order that changes from run to run.
    header = {_HEADER: canonical_json({"codec": config.codec_hash, "text": config.text_encoder})}
    own = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data: bytes = save(own, metadata=header)
    return data


def read_config(folder: Path) -> ModelConfig:
    """Raises: RecipeError when the folder is no MODEL or its config.json is not of this version."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise RecipeError(f"{folder} is not a MODEL: it has no {CONFIG_FILE} (motionloom train writes one)")
    try:
        return ModelConfig.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        raise RecipeError(f"{path} is not a config of this version: {error}") from error


def write_config(folder: Path, config: ModelConfig) -> None:
    text = json.dumps(config.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
    write_atomically(folder / CONFIG_FILE, text.encode())


def load_weights(path: Path, config: ModelConfig) -> dict[str, Tensor]:
    """Tensors of one checkpoint file.

    Raises: DataError when the file is missing or broken; RecipeError when it was trained with another codec or text
            encoder than config.json says.
    """
    try:
        with safe_open(str(path), "pt") as file:
            header = json.loads((file.metadata() or {}).get(_HEADER, "{}"))
        tensors: dict[str, Tensor] = load_file(str(path))
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: cannot read the weights ({error}); finish or repeat the training") from error
    for what, expected in (("codec", config.codec_hash), ("text", config.text_encoder)):
        if header.get(what) != expected:
            raise RecipeError(
                f"{path}: trained with {what} {header.get(what)}, but {CONFIG_FILE} beside it says {expected}; "
                "the files are of different runs"
            )
    return tensors


def load_model(folder: Path, weights: str = EMA_FILE, device: torch.device | None = None) -> LoadedModel:
    """The network of a MODEL folder in evaluation mode, with its codec and text encoder.

    Raises: RecipeError for a folder that is no MODEL, or whose codec or text encoder do not fit; DataError for
            missing or broken files.
    """
    config = read_config(folder)
    codec = load_codec(folder, config.codec_name, config.codec_patch_thw, config.codec_hash)
    text = make_text_encoder_like(config.text_encoder, config.text_weights)
    check_text_encoder(text, config.text_encoder, str(folder))
    net = make_net(config.net, codec)
    fill(net, load_weights(folder / weights, config), folder / weights)
    return LoadedModel(config, net.to(device or torch.device("cpu")).eval(), codec, text)


def fill(net: torch.nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy whole weights into a network, spread or not.

    Raises: DataError naming what is missing, left over or of another shape.
    """
    own = net.state_dict()
    wrong = sorted(set(own) ^ set(tensors)) + [
        f"{name} {tuple(tensors[name].shape)} != {tuple(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    if wrong:
        raise DataError(f"{path}: the weights do not fit the network of {CONFIG_FILE}: {', '.join(wrong[:5])}")
    net.load_state_dict({name: like(tensor, own[name]) for name, tensor in tensors.items()})
