"""umT5's encoder in plain torch, from a folder in transformers' layout: config.json, safetensors, tokenizer.json.

Source: Chung et al., UniMax (2023) for umT5; Raffel et al. (2020) for T5: RMS norm before each part, gated GELU, no
biases, attention scores not divided by the root of the width, a learned bias per distance bucket. umT5 differs from T5
in that every layer has its own such table. The weights are read as they are stored and computed with in float32.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from schemas.errors import ResourceError
from schemas.weights import UMT5_PATTERNS, first_match, weights_folder

_INDEX = "model.safetensors.index.json"
# Where a pipeline keeps the tokenizer beside its encoder
_TOKENIZERS = ("tokenizer.json", "tokenizer/tokenizer.json", "../tokenizer/tokenizer.json")


def find_umt5() -> Path | None:
    """The folder of the weights folder that holds a umT5; None without one."""
    config = first_match(UMT5_PATTERNS, weights_folder())
    return config.parent if config is not None else None


class Umt5:
    """Frozen encoder; `name` carries a hash of a part of the weights, so that another build is noticed.

    Raises: ResourceError naming what the folder lacks, or the file that cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        config = _config(folder)
        self._layers, self._heads = int(config["num_layers"]), int(config["num_heads"])
        self._buckets = int(config.get("relative_attention_num_buckets", 32))
        self._farthest = int(config.get("relative_attention_max_distance", 128))
        self._epsilon = float(config.get("layer_norm_epsilon", 1e-6))
        self.width = int(config["d_model"])
        self._tokenizer = _tokenizer(folder)
        self._weights = _encoder_weights(folder)
        self._check()
        probe = self._weights["embed_tokens.weight"][::97].float().contiguous().numpy().tobytes()
        probe += self._weights["final_layer_norm.weight"].float().contiguous().numpy().tobytes()
        self.name = f"umt5-{self.width}x{self._layers}-{hashlib.sha256(probe).hexdigest()[:12]}"

    def encode(self, caption: str, length: int) -> tuple[Tensor, Tensor]:
        """Token states (length, D), zero beyond the caption, and the mask of real tokens; long captions are cut.

        The last real token is the end mark; a cut caption keeps it.
        """
        self._tokenizer.enable_truncation(length)
        ids = torch.tensor(self._tokenizer.encode(caption).ids)
        states = torch.zeros(length, self.width)
        if len(ids):
            with torch.no_grad():
                states[: len(ids)] = self._forward(ids)
        return states, torch.arange(length) < len(ids)

    def _forward(self, ids_L: Tensor) -> Tensor:
        hidden = self._weights["embed_tokens.weight"][ids_L].float()
        buckets_LL = distance_buckets(len(ids_L), self._buckets, self._farthest)
        for layer in range(self._layers):
            name = f"block.{layer}.layer."
            normed = self._norm(hidden, f"{name}0.layer_norm.weight")
            query, key, value = (
                self._linear(normed, f"{name}0.SelfAttention.{part}")
                .reshape(len(ids_L), self._heads, -1)
                .transpose(0, 1)
                for part in "qkv"
            )
            table = self._weights[f"{name}0.SelfAttention.relative_attention_bias.weight"].float()
            bias_HLL = table[buckets_LL].permute(2, 0, 1)
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias_HLL, scale=1.0)
            hidden = hidden + self._linear(mixed.transpose(0, 1).flatten(1), f"{name}0.SelfAttention.o")
            normed = self._norm(hidden, f"{name}1.layer_norm.weight")
            gate = F.gelu(self._linear(normed, f"{name}1.DenseReluDense.wi_0"), approximate="tanh")
            widened = gate * self._linear(normed, f"{name}1.DenseReluDense.wi_1")
            hidden = hidden + self._linear(widened, f"{name}1.DenseReluDense.wo")
        return self._norm(hidden, "final_layer_norm.weight")

    def _linear(self, values: Tensor, name: str) -> Tensor:
        return F.linear(values, self._weights[f"{name}.weight"].float())

    def _norm(self, values: Tensor, name: str) -> Tensor:
        return F.rms_norm(values, (values.shape[-1],), self._weights[name].float(), self._epsilon)

    def _check(self) -> None:
        parts = ["0.SelfAttention.q", "0.SelfAttention.k", "0.SelfAttention.v", "0.SelfAttention.o"]
        parts += ["0.SelfAttention.relative_attention_bias", "0.layer_norm", "1.layer_norm"]
        parts += ["1.DenseReluDense.wi_0", "1.DenseReluDense.wi_1", "1.DenseReluDense.wo"]
        names = [f"block.{layer}.layer.{part}.weight" for layer in range(self._layers) for part in parts]
        missing = [
            name for name in ("embed_tokens.weight", *names, "final_layer_norm.weight") if name not in self._weights
        ]
        if missing:
            raise ResourceError(f"these weights are no umT5 encoder of {self._layers} layers: {missing[0]} is missing")


def distance_buckets(length: int, buckets: int, farthest: int) -> Tensor:
    """(L, L) bucket of key minus query position: the upper half for keys that follow. In each half, half of the buckets
    are single distances, the others widen logarithmically up to `farthest`. Source: Raffel et al. 2020, section 2.1."""
    position_L = torch.arange(length)
    offset_LL = position_L[None, :] - position_L[:, None]
    half = buckets // 2
    exact = half // 2
    distance_LL = offset_LL.abs()
    widening_LL = torch.log(distance_LL.clamp_min(1).float() / exact) / math.log(farthest / exact) * (half - exact)
    far_LL = (exact + widening_LL.long()).clamp(max=half - 1)
    return (offset_LL > 0).long() * half + torch.where(distance_LL < exact, distance_LL, far_LL)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResourceError(f"{path} cannot be read ({error}); give a umT5 folder in transformers' layout") from error
    if config.get("model_type") != "umt5":
        raise ResourceError(f"{path} is of a {config.get('model_type')} model; give a umT5 folder (model_type umt5)")
    return dict(config)


def _tokenizer(folder: Path) -> Tokenizer:
    path = next((folder / name for name in _TOKENIZERS if (folder / name).is_file()), None)
    if path is None:
        raise ResourceError(f"{folder} has no tokenizer.json, nor has tokenizer/ in it or beside it; put it there")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises Exception itself
        raise ResourceError(f"{path} cannot be read: {error}") from error
    tokenizer.no_padding()
    return tokenizer


def _encoder_weights(folder: Path) -> dict[str, Tensor]:
    """The encoder's tensors without their prefix, in one file or several; the embedding under one name."""
    index = folder / _INDEX
    try:
        if index.is_file():
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        else:
            names = ["model.safetensors"]
        tensors: dict[str, Tensor] = {}
        for name in names:
            tensors.update(load_file(str(folder / name)))
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ResourceError(
            f"{folder}: the weights cannot be read ({error}); save the encoder as safetensors"
        ) from error
    found = {name.removeprefix("encoder."): value for name, value in tensors.items() if name.startswith("encoder.")}
    if "shared.weight" in tensors:
        found["embed_tokens.weight"] = tensors["shared.weight"]
    return found
