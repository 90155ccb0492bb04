"""Which style a picture has, by comparing it with texts: CLIP's zero-shot classification.

Source: Radford et al. 2021, "Learning transferable visual models from natural language supervision", section 3.1: a
class is the mean vector of several prompts, and its probability the softmax of scaled cosines. Classes and prompts are
ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

STYLE_PROMPTS = {
    "real": ("a photo of a person", "a film still with a real actor", "live-action footage of people"),
    "anime": ("a frame of an anime", "a drawing of a cartoon character", "2D animation of a hand-drawn character"),
    "3d": ("a 3D render of a character", "a frame of a computer-animated film", "a video game character"),
    "animal": ("a photo of an animal", "wildlife footage of an animal", "a photo of a pet"),
    "doll": ("a photo of a doll", "a photo of a toy figure", "a puppet in a stop-motion film"),
}
STYLES = tuple(STYLE_PROMPTS)


def style_vectors(embed_texts: Callable[[Sequence[str]], NDArray[np.float32]]) -> NDArray[np.float32]:
    """(S, D) of length 1: the mean direction of each style's prompts, in the order of STYLES."""
    means = [embed_texts(prompts).mean(axis=0) for prompts in STYLE_PROMPTS.values()]
    vectors_SD = np.stack(means)
    unit_SD: NDArray[np.float32] = vectors_SD / np.linalg.norm(vectors_SD, axis=1, keepdims=True)
    return unit_SD


def style_probabilities(
    image_D: NDArray[np.float32], styles_SD: NDArray[np.float32], logit_scale: float
) -> NDArray[np.float64]:
    """(S,), sum 1: softmax of the cosines times logit_scale. All vectors have length 1."""
    logits_S = logit_scale * (styles_SD.astype(np.float64) @ image_D.astype(np.float64))
    weights_S = np.exp(logits_S - logits_S.max())
    shares_S: NDArray[np.float64] = weights_S / weights_S.sum()
    return shares_S
