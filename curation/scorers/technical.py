"""Technical quality of the picture, frame by frame at native size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from curation.ops import image
from curation.scorers.base import ClipValue, mean, median
from schemas.frames import FrameBatch, FrameRequest
from schemas.scores import Fact, FrameFacts, ScoreSpec

_SPEC = "docs/scores.md"


class Technical:
    """Sharpness, noise, blocking, exposure, bars and combing on two frames a second; stateless."""

    name: ClassVar[str] = "technical"
    version: ClassVar[int] = 1
    needs: ClassVar[FrameRequest] = FrameRequest("technical", fps=2.0, short_side_px=None)
    fact_names: ClassVar[tuple[str, ...]] = (
        "sharpness", "noise_sigma", "blockiness", "luma_mean", "contrast", "black", "letterbox", "interlaced",
    )  # fmt: skip
    specs: ClassVar[tuple[ScoreSpec, ...]] = (
        ScoreSpec("sharpness", "0-1", "higher_is_better", 1, "Crete et al. 2007"),
        ScoreSpec("noise_sigma", "luma levels", "lower_is_better", 1, "Immerkaer 1996"),
        ScoreSpec("blockiness", "share of block borders", "lower_is_better", 1, _SPEC),
        ScoreSpec("luma_mean", "luma levels 0-255", "neutral", 1, _SPEC),
        ScoreSpec("contrast", "share of range", "higher_is_better", 1, _SPEC),
        ScoreSpec("black_fraction", "share of frames", "lower_is_better", 1, _SPEC),
        ScoreSpec("letterbox_fraction", "share of area", "lower_is_better", 1, _SPEC),
        ScoreSpec("interlaced_fraction", "share of frames", "lower_is_better", 1, _SPEC),
        ScoreSpec("quality", "0-1", "higher_is_better", 1, _SPEC),
    )

    def open(self) -> Technical:
        return self

    def measure(self, frames: FrameBatch) -> Mapping[str, Fact]:
        rows = []
        for rgb_HWC in frames.rgb_THWC:
            luma_HW = image.luma(rgb_HWC)
            rows.append(
                (
                    image.sharpness(luma_HW),
                    image.noise_sigma(luma_HW),
                    image.blockiness(luma_HW),
                    float(luma_HW.mean(dtype=np.float64)),
                    image.contrast(luma_HW),
                    float(image.is_black(luma_HW)),
                    image.letterbox_share(luma_HW),
                    float(image.is_interlaced(luma_HW)),
                )
            )
        columns = np.asarray(rows, dtype=np.float32).T
        return {name: Fact.full(column) for name, column in zip(self.fact_names, columns, strict=True)}

    def reduce(self, facts: FrameFacts) -> Mapping[str, ClipValue]:
        black_T = facts.values("black") > 0
        if not len(black_T):
            return {}
        # A black frame has no sharpness to speak of: quality describes the frames that show something.
        shown = {name: facts.values(name)[~black_T] for name in ("sharpness", "noise_sigma", "blockiness")}
        medians = {name: median(values) for name, values in shown.items()}
        luma_mean, contrast = mean(facts.values("luma_mean")), mean(facts.values("contrast"))
        quality: float | None = 0.0
        sharp, noise, block = medians["sharpness"], medians["noise_sigma"], medians["blockiness"]
        if sharp is not None and noise is not None and block is not None:
            quality = image.composite_quality(sharp, noise, block, luma_mean or 0.0, contrast or 0.0)
        return {
            **medians,
            "luma_mean": luma_mean,
            "contrast": contrast,
            "black_fraction": float(black_T.mean()),
            "letterbox_fraction": median(facts.values("letterbox")),
            "interlaced_fraction": mean(facts.values("interlaced")),
            "quality": quality,
        }
