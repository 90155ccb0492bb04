"""How much of the picture text covers: titles, subtitles, logos with letters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from curation.backends.text_detector import text_mask
from curation.scorers.base import ClipValue, mean
from schemas.frames import FrameRequest, LumaBatch
from schemas.scores import Fact, FrameFacts, ScoreSpec

Detect = Callable[[NDArray[np.uint8]], "NDArray[np.bool_] | None"]


class Text:
    """Share of the picture under boxes of text, on one frame in two seconds; absent without the detector."""

    name: ClassVar[str] = "text"
    version: ClassVar[int] = 2
    needs: ClassVar[FrameRequest] = FrameRequest("text", fps=0.5, short_side_px=360, pixels="luma")
    fact_names: ClassVar[tuple[str, ...]] = ("text_area",)
    specs: ClassVar[tuple[ScoreSpec, ...]] = (
        ScoreSpec("text_fraction", "share of area", "lower_is_better", 1, "PP-OCRv6 detection, Liao et al. 2020"),
    )

    def __init__(self, detect: Detect = text_mask) -> None:
        self._detect = detect

    def open(self) -> Text:
        return self

    def measure(self, frames: LumaBatch) -> Mapping[str, Fact]:
        masks = [self._detect(luma_HW) for luma_HW in frames.luma_THW]
        area_T = np.array([0.0 if mask is None else mask.mean() for mask in masks], dtype=np.float32)
        return {"text_area": Fact(area_T, np.array([mask is not None for mask in masks], dtype=np.bool_))}

    def reduce(self, facts: FrameFacts) -> Mapping[str, ClipValue]:
        return {"text_fraction": mean(facts.values("text_area"))}
