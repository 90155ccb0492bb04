"""Token states of an open_clip text tower, from the checkpoint or hub folder that curation's scores use too.

Layouts: see schemas/weights and curation/backends/clip_images. Nothing is downloaded and no code in files is run.
Source: Radford et al. 2021; the states are those after the last norm, before the projection into the shared space.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from schemas.errors import ResourceError
from schemas.weights import CLIP_CONFIG, CLIP_PATTERNS, CLIP_PREFIX, first_match, weights_folder

_LOAD_ERRORS = (
    OSError, EOFError, ImportError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, StopIteration,
    UnpicklingError, SafetensorError,
)  # fmt: skip
# What a tower of open_clip's own has; towers of other libraries have not.
_PARTS = ("token_embedding", "positional_embedding", "transformer", "ln_final")


def find_clip_text() -> Path | None:
    """The hub folder's configuration or the checkpoint file in the weights folder; None without one."""
    return first_match(CLIP_PATTERNS, weights_folder())


class ClipTextTower:
    """Frozen encoder on the CPU. width: D of its states. context: tokens at most, start and end mark among them."""

    def __init__(self, checkpoint: Path) -> None:
        """checkpoint: a file, or a hub folder or its configuration. Raises: ResourceError naming it."""
        if checkpoint.is_dir():
            checkpoint = checkpoint / CLIP_CONFIG
        if not checkpoint.is_file():
            raise ResourceError(f"{checkpoint}: no such file; give an open_clip checkpoint or hub folder")
        self._tower, self._tokenizer = _load(checkpoint)
        self.width = int(self._tower.ln_final.weight.shape[0])
        self.context = int(self._tower.positional_embedding.shape[0])
        probe = self._tower.token_embedding.weight.detach()[::97].float().contiguous().numpy().tobytes()
        self.name = f"clip-{self.width}-{hashlib.sha256(probe).hexdigest()[:12]}"

    def encode(self, caption: str, length: int) -> tuple[Tensor, Tensor, Tensor]:
        """Token states (length, D), zero beyond the end mark, the mask of real tokens, and the end mark's state (D,),
        which open_clip projects as the caption's vector. Long captions are cut and keep their end mark."""
        tower = self._tower
        with torch.no_grad():
            ids_C = self._tokenizer([caption])[0]
            end = int(ids_C.argmax())
            # Later tokens are masked from earlier ones: what stands after the end mark changes nothing.
            ids_L = ids_C[: end + 1]
            if len(ids_L) > length:
                ids_L = torch.cat([ids_L[: length - 1], ids_L[-1:]])
            hidden_LD = tower.token_embedding(ids_L) + tower.positional_embedding[: len(ids_L)]
            causal_LL = torch.full((len(ids_L), len(ids_L)), float("-inf")).triu(1)
            hidden_LD = tower.ln_final(tower.transformer(hidden_LD[None], attn_mask=causal_LL)[0]).float()
        states = torch.zeros(length, self.width)
        states[: len(ids_L)] = hidden_LD
        return states, torch.arange(length) < len(ids_L), hidden_LD[-1]


def _load(checkpoint: Path) -> tuple[Any, Any]:
    """The text tower and its tokenizer."""
    try:
        # Only here: the import takes seconds.
        import open_clip

        in_folder = checkpoint.name == CLIP_CONFIG
        name = f"local-dir:{checkpoint.parent}" if in_folder else checkpoint.stem.removeprefix(CLIP_PREFIX)
        config = open_clip.get_model_config(name)
        if config is None:
            raise ResourceError(f"{checkpoint}: open_clip has no model {name}; name the file {CLIP_PREFIX}NAME")
        text = config["text_cfg"]
        if "hf_model_name" in text or (not in_folder and ("hf_tokenizer_name" in text or "siglip" in name.lower())):
            raise ResourceError(
                f"{checkpoint}: a part of it would be downloaded; use a model of open_clip's own towers"
            )
        model, _ = open_clip.create_model_from_pretrained(
            name, pretrained=None if in_folder else str(checkpoint), device="cpu", weights_only=True
        )
        tower = getattr(model, "text", model).eval().requires_grad_(False)
        missing = [part for part in _PARTS if not hasattr(tower, part)]
        if missing:
            raise ResourceError(
                f"{checkpoint}: its text tower has no {missing[0]}; use a model of open_clip's own towers"
            )
        return tower, open_clip.get_tokenizer(name)
    except _LOAD_ERRORS as error:
        problem = "it is damaged or holds more than tensors" if isinstance(error, UnpicklingError) else error
        raise ResourceError(f"{checkpoint} cannot be loaded by open_clip: {problem}") from error
