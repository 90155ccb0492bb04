"""LAION's aesthetic predictor: a small network on CLIP vectors of ViT-L/14, from the weights folder.

Source: Christoph Schuhmann, "improved-aesthetic-predictor" (2022), file sac+logos+ava1-l14-linearMSE.pth: five linear
layers 768-1024-128-64-16-1 with dropout between them in training only and no other function, trained on people's
ratings from 1 to 10 (SAC, LAION-Logos, AVA) of pictures whose vectors OpenAI's ViT-L/14 made, scaled to length 1.
The file is read as safetensors or with torch's weights_only: neither runs code from it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curation.backends.clip_images import LOAD_ERRORS, load_problem
from schemas.errors import ResourceError
from schemas.weights import AESTHETIC_HEAD_PATTERNS, file_stamp, first_match, weights_folder

# Positions of the linear layers among layers and dropouts. The predictor's relatives with activations have others.
_LINEAR = (0, 2, 4, 6, 7)


@dataclass(frozen=True, slots=True)
class AestheticHead:
    """Weights (out, in) and biases (out,) of the linear layers, first to last; the last has one output."""

    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]

    def rate(self, image_D: NDArray[np.float32]) -> float:
        """How much people like a picture, about 1-10, from its vector of length 1. Not clipped to that range."""
        values = image_D
        for weight_OI, bias_O in self.layers:
            values = weight_OI @ values + bias_O
        return float(values[0])


def find_head_file(folder: Path | None = None) -> Path | None:
    """The predictor's file below the folder (the weights folder for None)."""
    return first_match(AESTHETIC_HEAD_PATTERNS, folder or weights_folder())


def find_head(width: int) -> AestheticHead | None:
    """The predictor of the weights folder, once per process; None without a file.

    width: of the vectors that it will rate.
    Raises: ResourceError naming the file when it cannot be loaded, is another network, or takes another width.
    """
    path = find_head_file()
    return None if path is None else _load(path, file_stamp(path), width)


@functools.lru_cache(maxsize=1)
def _load(path: Path, stamp: tuple[str, int, int], width: int) -> AestheticHead:
    """stamp: of the file, so that a replaced one is read again. Raises: ResourceError as `find_head`."""
    try:
        # Only here: the imports take seconds.
        import torch
        from safetensors.torch import load_file

        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        arrays = {str(key): np.asarray(tensor.float().numpy(), dtype=np.float32) for key, tensor in state.items()}
    except LOAD_ERRORS as error:
        raise ResourceError(f"{path} cannot be loaded: {load_problem(error)}") from error
    expected = {f"layers.{index}.{part}" for index in _LINEAR for part in ("weight", "bias")}
    if set(arrays) != expected:
        raise ResourceError(f"{path} is not LAION's linear predictor: it has {sorted(arrays)}, not {sorted(expected)}")
    layers = tuple((arrays[f"layers.{index}.weight"], arrays[f"layers.{index}.bias"]) for index in _LINEAR)
    takes = layers[0][0].shape[-1]
    if takes != width:
        raise ResourceError(
            f"{path} rates vectors of {takes} numbers, but the open_clip model makes {width}; LAION's is for ViT-L-14"
        )
    gives = width
    for weight_OI, bias_O in layers:
        if weight_OI.shape != (len(bias_O), gives):
            raise ResourceError(f"{path}: a layer has shape {weight_OI.shape}, expected ({len(bias_O)}, {gives})")
        gives = len(bias_O)
    if gives != 1:
        raise ResourceError(f"{path} gives {gives} numbers, expected 1")
    return AestheticHead(layers)
