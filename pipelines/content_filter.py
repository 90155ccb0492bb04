"""What may be animated: filters that look at prompt and reference pictures before any work, and their refusals."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipelines.prompt_rules import PromptRule, broken_rules
from schemas.errors import DecodeError, RecipeError
from schemas.recipe import StrictModel, load_recipe

if TYPE_CHECKING:
    from curation.backends.clip_images import ClipImages

RECIPES_DIR = Path(__file__).parent / "recipes"
SAME_PICTURE_BITS = 10
"""Copies differ in at most so many of the 64 bits. Bits of unrelated pictures agree like thrown coins: 32 differ, give
or take 4."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A reference picture: what to call it, its RGB pixels (H, W, 3), and the SHA-256 of the file they come from."""

    name: str
    rgb_HWC: NDArray[np.uint8]
    sha256: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not animated: the rule's name, and the reason in words."""

    rule: str
    reason: str


class ContentFilter(Protocol):
    """Looks at what is asked for. `name` goes into the manifest of every video that it let pass."""

    name: str

    def check(self, prompt: str, references: Sequence[Picture]) -> list[Refusal]: ...


class PictureTexts(StrictModel):
    """What a picture may look like and what not, in words for an open_clip model."""

    refuse: tuple[str, ...] = ()
    accept: tuple[str, ...] = ()
    at_least: float = Field(default=0.5, gt=0.0, le=1.0)


class ContentRecipe(StrictModel):
    """A file of rules. `pictures` is None where a file only adds rules for prompts."""

    prompt: tuple[PromptRule, ...] = ()
    pictures: PictureTexts | None = None


class PromptFilter:
    """Refuses prompts that break a rule."""

    name = "prompt_rules"

    def __init__(self, rules: Sequence[PromptRule]) -> None:
        self._rules = tuple(rules)

    def check(self, prompt: str, references: Sequence[Picture]) -> list[Refusal]:
        broken = broken_rules(prompt, self._rules)
        return list(dict.fromkeys(Refusal(rule.name, rule.reason) for rule in broken))


class BlockedPictures:
    """Refuses references that look like a blocked picture, also resized, re-encoded or mirrored.

    hashes: 64-bit picture hashes (curation/ops/signature.py) with the line each came from.
    """

    name = "blocked_pictures"

    def __init__(self, hashes: Sequence[tuple[int, str]]) -> None:
        self._hash_N = np.array([value for value, _ in hashes], dtype=np.uint64)
        self._lines = [line for _, line in hashes]

    def check(self, prompt: str, references: Sequence[Picture]) -> list[Refusal]:
        from curation.ops.signature import hamming, mirrored

        refusals = []
        for picture in references:
            own = np.array([picture_hash(picture.rgb_HWC)], dtype=np.uint64)
            for version in (own, mirrored(own)):
                near = np.flatnonzero(hamming(self._hash_N, version) <= SAME_PICTURE_BITS)
                if len(near):
                    reason = f"{picture.name} looks like a blocked picture ({self._lines[near[0]]})"
                    refusals.append(Refusal(self.name, reason))
                    break
        return refusals


class LikelyPictures:
    """Refuses references that an open_clip model finds closer to refused texts than to accepted ones."""

    name = "open_clip_pictures"

    def __init__(self, clip: ClipImages, texts: PictureTexts) -> None:
        self._clip, self._texts = clip, texts
        self._vectors_ND = clip.embed_texts([*texts.refuse, *texts.accept])

    def check(self, prompt: str, references: Sequence[Picture]) -> list[Refusal]:
        refusals = []
        for picture in references:
            logits_N = self._clip.logit_scale * (self._vectors_ND @ self._clip.embed_image(picture.rgb_HWC))
            share_N = np.exp(logits_N - logits_N.max())
            share = float(share_N[: len(self._texts.refuse)].sum() / share_N.sum())
            if share >= self._texts.at_least:
                reason = f"{picture.name} looks like what is refused ({share:.2f}, at least {self._texts.at_least:g})"
                refusals.append(Refusal(self.name, reason))
        return refusals


def make_filters(rule_files: Sequence[Path] = (), blocked: Path | None = None) -> tuple[list[ContentFilter], list[str]]:
    """The default filters with the rules of further files added, and the names of filters that cannot run here.

    Files add rules; none takes a default one away.
    Raises: RecipeError for a file that is missing or wrong; ResourceError when an open_clip model cannot be loaded.
    """
    from curation.backends.clip_images import find_clip

    default = load_recipe(ContentRecipe, "default", (), RECIPES_DIR, "content")
    added = [load_recipe(ContentRecipe, path, (), RECIPES_DIR, "content") for path in rule_files]
    rules = [rule for recipe in (default, *added) for rule in recipe.prompt]
    filters: list[ContentFilter] = [PromptFilter(rules)]
    if blocked is not None:
        filters.append(BlockedPictures(read_blocked(blocked)))
    clip = find_clip()
    every_texts = [recipe.pictures for recipe in (default, *added) if recipe.pictures is not None]
    if clip is None:
        return filters, [LikelyPictures.name]
    filters += [LikelyPictures(clip, texts) for texts in every_texts if texts.refuse]
    return filters, []


def refuse(filters: Sequence[ContentFilter], prompt: str, references: Sequence[Picture]) -> None:
    """Raises: RecipeError with every refusal, by the rule's name."""
    refusals = [refusal for each in filters for refusal in each.check(prompt, references)]
    if refusals:
        listed = "; ".join(f"{refusal.rule}: {refusal.reason}" for refusal in refusals)
        raise RecipeError(f"refused by the content filter: {listed}. Nothing was written")


def read_picture(path: Path) -> Picture:
    """Raises: DecodeError when the file is no picture."""
    import cv2

    data = path.read_bytes()
    bgr = cv2.imdecode(np.frombuffer(data or b"\0", dtype=np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise DecodeError(f"{path} is not a readable picture")
    rgb_HWC = np.ascontiguousarray(bgr[..., ::-1]).astype(np.uint8)
    return Picture(str(path), rgb_HWC, hashlib.sha256(data).hexdigest())


def picture_hash(rgb_HWC: NDArray[np.uint8]) -> int:
    """The 64-bit hash by which curation finds copies."""
    import cv2

    from curation.ops.signature import hashes, low_coefficients

    luma_HW = cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2GRAY)
    return int(hashes(low_coefficients(luma_HW[None].astype(np.uint8)))[0])


def read_blocked(path: Path) -> list[tuple[int, str]]:
    """Lines of a block list: 16 hex digits of a hash, or a picture's path from the list's folder; # begins a comment.

    Raises: RecipeError naming the line that is neither.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"block list {path} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        entry = line.partition("#")[0].strip()
        if entry:
            found.append((_hash_of(entry, path, number), f"{path.name} line {number}"))
    return found


def _hash_of(entry: str, listed_in: Path, number: int) -> int:
    if len(entry) == 16 and all(char in "0123456789abcdefABCDEF" for char in entry):
        return int(entry, 16)
    picture = listed_in.parent / entry
    try:
        return picture_hash(read_picture(picture).rgb_HWC)
    except (OSError, DecodeError) as error:
        raise RecipeError(
            f"block list {listed_in} line {number}: {entry} is neither 16 hex digits nor a readable picture"
        ) from error


def filter_record(filters: Sequence[ContentFilter], absent: Sequence[str]) -> dict[str, Any]:
    """What the manifest says about filtering."""
    return {"state": "passed", "filters": [each.name for each in filters], "not_run": list(absent)}
