"""Make a codec from a recipe, store it beside a checkpoint, and refuse a checkpoint that saw another one."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from model.codec.base import Triple, VideoCodec, patchify
from model.codec.klt import KltCodec, fit_klt
from model.codec.pixel import PixelCodec
from schemas.errors import DataError, RecipeError
from schemas.fingerprint import canonical_json
from schemas.recipe import StrictModel

CODEC_FILE = "codec.safetensors"


class CodecRecipe(StrictModel):
    """`pixel` is lossless; `klt` keeps `channels` fitted directions of every patch."""

    name: Literal["pixel", "klt"] = "pixel"
    patch_thw: Triple = (2, 8, 8)
    channels: int = 96
    gamma: float = 0.5


def make_codec(recipe: CodecRecipe, training_rgb_BTHW3: Tensor) -> VideoCodec:
    """The codec a recipe asks for; `klt` is fitted on windows of the training shards, values in [-1, 1]."""
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
    facts = {"name": codec.name, "patch_thw": list(codec.patch_thw), "hash": codec_hash(codec)}
    # One header entry: safetensors writes several in an order that changes from run to run.
    header = {"codec": canonical_json(facts)}
    data: bytes = save({name: tensor.cpu().contiguous() for name, tensor in codec.tensors().items()}, metadata=header)
    return data


def load_codec(folder: Path, name: str, patch_thw: Triple, expected_hash: str) -> VideoCodec:
    """The codec of a MODEL folder.

    Raises: DataError when the file is missing or broken; RecipeError when it is not the codec the weights were
            trained with (its hash differs from the one in config.json).
    """
    path = folder / CODEC_FILE
    try:
        tensors = load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: cannot read the codec ({error}); copy the MODEL folder again, whole") from error
    codec: VideoCodec
    if name == "pixel":
        codec = PixelCodec(patch_thw)
    elif name == "klt":
        missing = sorted({"mean_P", "basis_PC", "scale_C"} - set(tensors))
        if missing:
            raise DataError(f"{path}: tensors {missing} are missing; copy the MODEL folder again, whole")
        codec = KltCodec(patch_thw, tensors["mean_P"], tensors["basis_PC"], tensors["scale_C"])
    else:
        raise RecipeError(f"{folder}: config.json names the codec {name!r}; known: pixel, klt")
    check_codec(codec, expected_hash, str(folder))
    return codec


def check_codec(codec: VideoCodec, expected_hash: str, where: str) -> None:
    """Raises RecipeError when `codec` is not the one a checkpoint was trained with."""
    actual = codec_hash(codec)
    if actual != expected_hash:
        raise RecipeError(
            f"{where}: trained with codec {expected_hash}, but this codec ({codec.name}) is {actual}; "
            "use the codec.safetensors written with the checkpoint, or train anew"
        )
