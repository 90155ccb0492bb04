"""How much people like the picture, and which style it seems to have; both only where weights are given."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from curation.backends.aesthetic_head import find_head, find_head_file
from curation.backends.clip_images import ClipImages, find_clip, model_files
from curation.ops.styles import STYLES, style_probabilities, style_vectors
from curation.scorers.base import ClipValue, mean
from schemas.frames import FrameBatch, FrameRequest
from schemas.scores import Fact, FrameFacts, ScoreSpec

_CLIP = "CLIP zero-shot, Radford et al. 2021"
# The scale on which LAION's predictor was taught.
_WORST, _BEST = 1.0, 10.0


class Aesthetic:
    """LAION's predictor and zero-shot style on one frame in two seconds; facts are absent without weights."""

    name: ClassVar[str] = "aesthetic"
    version: ClassVar[int] = 2
    needs: ClassVar[FrameRequest] = FrameRequest("aesthetic", fps=0.5, short_side_px=288)
    fact_names: ClassVar[tuple[str, ...]] = ("aesthetic_raw", *(f"style_{style}" for style in STYLES))
    specs: ClassVar[tuple[ScoreSpec, ...]] = (
        ScoreSpec("aesthetic", "1-10", "higher_is_better", 1, "LAION aesthetic predictor, Schuhmann 2022"),
        ScoreSpec("style_estimate", "name", "neutral", 1, _CLIP, text=True),
        ScoreSpec("style_confidence", "0-1", "higher_is_better", 1, _CLIP),
    )

    def open(self) -> Aesthetic:
        return self

    def measure(self, frames: FrameBatch) -> Mapping[str, Fact]:
        """Raises: ResourceError when weights are given and cannot be used."""
        clip = find_clip()
        head = None if clip is None else find_head(clip.width)
        rating_T = np.zeros(len(frames), dtype=np.float32)
        style_TS = np.zeros((len(frames), len(STYLES)), dtype=np.float32)
        if clip is not None:
            for t, rgb_HWC in enumerate(frames.rgb_THWC):
                image_D = clip.embed_image(rgb_HWC)
                style_TS[t] = style_probabilities(image_D, _styles_of(clip), clip.logit_scale)
                rating_T[t] = 0.0 if head is None else head.rate(image_D)
        there_T, rated_T = (np.full(len(frames), network is not None) for network in (clip, head))
        styles = {f"style_{style}": Fact(style_TS[:, s].copy(), there_T) for s, style in enumerate(STYLES)}
        return {"aesthetic_raw": Fact(rating_T, rated_T), **styles}

    def reduce(self, facts: FrameFacts) -> Mapping[str, ClipValue]:
        rating = mean(facts.values("aesthetic_raw"))
        shares = {style: mean(facts.values(f"style_{style}")) for style in STYLES}
        known = {style: share for style, share in shares.items() if share is not None}
        likeliest = max(known, key=lambda style: known[style]) if known else None
        return {
            "aesthetic": None if rating is None else min(max(rating, _WORST), _BEST),
            "style_estimate": likeliest,
            "style_confidence": None if likeliest is None else known[likeliest],
        }


@functools.lru_cache(maxsize=1)
def _styles_of(clip: ClipImages) -> NDArray[np.float32]:
    """The styles' vectors, from the model's text tower once."""
    return style_vectors(clip.embed_texts)


def weight_files() -> tuple[Path, ...]:
    """Files of the weights folder that this scorer reads; none without an open_clip model.

    Raises: ResourceError when the model's folder is incomplete.
    """
    model, head = model_files(), find_head_file()
    return model if head is None or not model else (*model, head)
