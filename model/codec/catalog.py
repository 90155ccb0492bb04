"""Make a codec from a recipe, store it beside a checkpoint, and refuse a checkpoint that saw another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from pydantic import model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from model.codec.base import Triple, VideoCodec, patchify
from model.codec.causal_vae import codec_from_tensors
from model.codec.klt import KltCodec, fit_klt
from model.codec.pixel import PixelCodec
from model.codec.wan_vae import wan_vae_from_folder, wan_vae_from_tensors
from schemas.errors import DataError, RecipeError
from schemas.fingerprint import canonical_json
from schemas.recipe import StrictModel

CODEC_FILE = "codec.safetensors"
CodecName = Literal["pixel", "klt", "causal_vae", "wan_vae"]
READY_MADE = ("causal_vae", "wan_vae")
"""Codecs that are read from a folder and not fitted to the data of a run."""


class CodecRecipe(StrictModel):
    """`pixel` is lossless; `klt` keeps `channels` fitted directions of every patch. `causal_vae` (a folder that
    motionloom train-codec wrote) and `wan_vae` (a folder with a diffusers AutoencoderKLWan) come ready from `weights`,
    which fixes their patch and channels."""

    name: CodecName = "pixel"
    patch_thw: Triple = (2, 8, 8)
    channels: int = 96
    gamma: float = 0.5
    weights: Path | None = None

    @model_validator(mode="after")
    def _check(self) -> CodecRecipe:
        ready = self.name in READY_MADE
        if ready and self.weights is None:
            raise ValueError(f"{self.name} needs weights: the folder that holds it")
        if not ready and self.weights is not None:
            raise ValueError(f"{self.name} is not read from weights; leave weights out")
        without_effect = sorted(self.model_fields_set & {"patch_thw", "channels", "gamma"})
        if ready and without_effect:
            raise ValueError(f"{', '.join(without_effect)}: fixed by the weights of {self.name}; leave them out")
        return self


def make_codec(recipe: CodecRecipe, training_rgb_BTHW3: Tensor) -> VideoCodec:
    """The codec a recipe asks for; `klt` is fitted on windows of the training shards, values in [-1, 1].

    Raises: RecipeError, DataError or ResourceError when `weights` holds no such codec or cannot be read.
    """
    if recipe.weights is not None:
        return wan_vae_from_folder(recipe.weights) if recipe.name == "wan_vae" else read_codec(recipe.weights)
    if recipe.name == "pixel":
        return PixelCodec(recipe.patch_thw)
    patches = patchify(training_rgb_BTHW3, recipe.patch_thw)
    return fit_klt(patches.reshape(-1, patches.shape[-1]), recipe.patch_thw, recipe.channels, recipe.gamma)


def codec_hash(codec: VideoCodec) -> str:
    """16 hex digits over the codec's name, patch and every fitted number."""
    digest = hashlib.sha256(f"{codec.name}|{codec.patch_thw}|{codec.token_dim}".encode())
    for name, tensor in sorted(codec.tensors().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return digest.hexdigest()[:16]


def codec_bytes(codec: VideoCodec) -> bytes:
    """The content of `codec.safetensors`; the hash stands in its header."""
    facts = {"name": codec.name, "patch_thw": list(codec.patch_thw), "hash": codec_hash(codec), **codec.facts()}
    # One header entry: safetensors writes several in an order that changes from run to run.
    header = {"codec": canonical_json(facts)}
    data: bytes = save({name: tensor.cpu().contiguous() for name, tensor in codec.tensors().items()}, metadata=header)
    return data


def load_codec(folder: Path, name: str, patch_thw: Triple, expected_hash: str) -> VideoCodec:
    """The codec of a MODEL folder.

    Raises: DataError when the file is missing or broken; RecipeError when it is not the codec the weights were
            trained with (its hash differs from the one in config.json).
    """
    tensors, facts = _read(folder / CODEC_FILE)
    codec = _codec(name, patch_thw, tensors, facts, folder / CODEC_FILE)
    check_codec(codec, expected_hash, str(folder))
    return codec


def read_codec(folder: Path) -> VideoCodec:
    """A trained codec by what its own file says.

    Raises: RecipeError when the folder holds none; DataError when the file is broken.
    """
    path = folder / CODEC_FILE
    if not path.is_file():
        raise RecipeError(f"{folder} holds no {CODEC_FILE}; motionloom train-codec writes such a folder")
    tensors, facts = _read(path)
    try:
        pt, ph, pw = facts["patch_thw"]
        codec = _codec(str(facts["name"]), (pt, ph, pw), tensors, facts, path)
        check_codec(codec, str(facts["hash"]), str(path))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: the header does not describe a codec ({error}); copy the folder again") from error
    return codec


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors of a codec file and what its header says."""
    try:
        with safe_open(str(path), "pt") as file:
            facts = json.loads((file.metadata() or {}).get("codec", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: cannot read the codec ({error}); copy the folder again, whole") from error
    return tensors, facts


def _codec(
    name: str, patch_thw: Triple, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], path: Path
) -> VideoCodec:
    if name == "pixel":
        return PixelCodec(patch_thw)
    if name == "klt":
        missing = sorted({"mean_P", "basis_PC", "scale_C"} - set(tensors))
        if missing:
            raise DataError(f"{path}: tensors {missing} are missing; copy the MODEL folder again, whole")
        return KltCodec(patch_thw, tensors["mean_P"], tensors["basis_PC"], tensors["scale_C"])
    if name == "causal_vae":
        return codec_from_tensors(tensors, patch_thw, str(path))
    if name == "wan_vae":
        return wan_vae_from_tensors(tensors, facts, str(path))
    raise RecipeError(f"{path}: the codec {name!r} is not known; known: {', '.join(get_args(CodecName))}")


def check_codec(codec: VideoCodec, expected_hash: str, where: str) -> None:
    """Raises RecipeError when `codec` is not the one a checkpoint was trained with."""
    actual = codec_hash(codec)
    if actual != expected_hash:
        raise RecipeError(
            f"{where}: trained with codec {expected_hash}, but this codec ({codec.name}) is {actual}; "
            "use the codec.safetensors written with the checkpoint, or train anew"
        )
