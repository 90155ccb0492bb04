"""What a frame looks like in 64 bits: the fact that copies are found by (curation/dedup.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from curation.ops.signature import hashes, low_coefficients, structure, to_words
from curation.scorers.base import ClipValue
from schemas.frames import FrameRequest, LumaBatch
from schemas.scores import Fact, FrameFacts, ScoreSpec

# Under this many luma levels the typical bit is decided by coding noise: black, flat and fog say nothing. Ours.
MIN_STRUCTURE = 1.5


class Signature:
    """Perceptual hash of eight frames a second; stateless. No clip score: copies are a matter of all clips."""

    name: ClassVar[str] = "signature"
    version: ClassVar[int] = 2
    needs: ClassVar[FrameRequest] = FrameRequest("signature", fps=8.0, short_side_px=144, pixels="luma")
    fact_names: ClassVar[tuple[str, ...]] = ("picture_hash", "picture_structure")
    specs: ClassVar[tuple[ScoreSpec, ...]] = ()

    def open(self) -> Signature:
        return self

    def measure(self, frames: LumaBatch) -> Mapping[str, Fact]:
        coefficients_T64 = low_coefficients(frames.luma_THW)
        structure_T = structure(coefficients_T64)
        fit_T = structure_T >= MIN_STRUCTURE
        words_T4 = np.where(fit_T[:, None], to_words(hashes(coefficients_T64)), np.float32(0))
        return {"picture_hash": Fact(words_T4, fit_T), "picture_structure": Fact.full(structure_T)}

    def reduce(self, facts: FrameFacts) -> Mapping[str, ClipValue]:
        return {}
