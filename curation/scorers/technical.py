"""Technical quality of the picture, frame by frame at native size, on luma alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from curation.ops import bars, blocks, detail, garbage, graphics
from curation.ops.quality import composite_quality
from curation.scorers.base import ClipValue, mean, median
from schemas.frames import FrameRequest, LumaBatch
from schemas.scores import Fact, FrameFacts, ScoreSpec

_SPEC = "docs/scores.md"
_SCREEN = 0.6
_ACTIVE = ("active_left", "active_top", "active_right", "active_bottom")
_OF_PIXELS = (
    "sharpness", "noise_sigma", "blockiness", "clarity", "luma_mean", "contrast", "black", "interlaced",
    *_ACTIVE, "flat", "screen", "corrupted",
)  # fmt: skip


class Technical:
    """Sharpness, noise, compression, exposure, bars, combing, screens and garbage on two frames a second."""

    name: ClassVar[str] = "technical"
    version: ClassVar[int] = 5
    needs: ClassVar[FrameRequest] = FrameRequest("technical", 2.0, None, pixels="luma", coding=True)
    fact_names: ClassVar[tuple[str, ...]] = (*_OF_PIXELS, "coding_step")
    specs: ClassVar[tuple[ScoreSpec, ...]] = (
        ScoreSpec("sharpness", "0-1", "higher_is_better", 3, _SPEC),
        ScoreSpec("noise_sigma", "luma levels", "lower_is_better", 3, "Amer and Dubois 2005"),
        ScoreSpec("blockiness", "share of block borders", "lower_is_better", 3, _SPEC),
        ScoreSpec("coding_step", "luma levels", "lower_is_better", 1, _SPEC),
        ScoreSpec("luma_mean", "luma levels 0-255", "neutral", 1, _SPEC),
        ScoreSpec("contrast", "share of range", "higher_is_better", 1, _SPEC),
        ScoreSpec("black_fraction", "share of frames", "lower_is_better", 1, _SPEC),
        ScoreSpec("letterbox_fraction", "share of area", "lower_is_better", 2, _SPEC),
        ScoreSpec("active_left_fraction", "share of width", "neutral", 1, _SPEC),
        ScoreSpec("active_top_fraction", "share of height", "neutral", 1, _SPEC),
        ScoreSpec("active_right_fraction", "share of width", "neutral", 1, _SPEC),
        ScoreSpec("active_bottom_fraction", "share of height", "neutral", 1, _SPEC),
        ScoreSpec("interlaced_fraction", "share of frames", "lower_is_better", 2, _SPEC),
        ScoreSpec("flat_fraction", "share of area", "neutral", 1, _SPEC),
        ScoreSpec("screen_fraction", "share of frames", "lower_is_better", 1, _SPEC),
        ScoreSpec("corrupted_fraction", "share of frames", "lower_is_better", 1, _SPEC),
        ScoreSpec("quality", "0-1", "higher_is_better", 4, _SPEC),
    )

    def open(self) -> _TechnicalSession:
        return _TechnicalSession()

    def reduce(self, facts: FrameFacts) -> Mapping[str, ClipValue]:
        black_T = facts.values("black") > 0
        if not len(black_T):
            return {}
        # A black frame has no sharpness to speak of: quality describes the frames that show something.
        shown = ~black_T
        medians = {name: median(facts.values(name)[shown]) for name in ("sharpness", "noise_sigma", "blockiness")}
        luma_mean, contrast = mean(facts.values("luma_mean")), mean(facts.values("contrast"))
        clarity = mean(facts.values("clarity")[shown])
        log_step = mean(np.log(facts.values("coding_step")))
        coding_step = None if log_step is None else math.exp(log_step)
        quality = 0.0
        if clarity is not None:
            quality = composite_quality(clarity, coding_step, contrast or 0.0)
        # Bars are what every shown frame has: the picture is the union of what is inside them.
        edges = {name: facts.values(name)[shown] for name in _ACTIVE}
        outermost = (np.min, np.min, np.max, np.max)
        active = [
            float(outer(edges[name])) if shown.any() else whole
            for name, outer, whole in zip(_ACTIVE, outermost, (0.0, 0.0, 1.0, 1.0), strict=True)
        ]
        return {
            **medians,
            "coding_step": coding_step,
            "luma_mean": luma_mean,
            "contrast": contrast,
            "black_fraction": float(black_T.mean()),
            "letterbox_fraction": 1.0 - (active[2] - active[0]) * (active[3] - active[1]),
            **{f"{name}_fraction": edge for name, edge in zip(_ACTIVE, active, strict=True)},
            "interlaced_fraction": mean(facts.values("interlaced")),
            "flat_fraction": mean(facts.values("flat")),
            "screen_fraction": float((facts.values("screen") >= _SCREEN).mean()),
            "corrupted_fraction": mean(facts.values("corrupted")),
            "quality": quality,
        }


class _TechnicalSession:
    def __init__(self) -> None:
        self._garbage = garbage.GarbageWatch()

    def measure(self, frames: LumaBatch) -> Mapping[str, Fact]:
        rows = [self._frame(luma_HW) for luma_HW in frames.luma_THW]
        columns = np.asarray(rows, dtype=np.float32).T
        of_pixels = {name: Fact.full(column) for name, column in zip(_OF_PIXELS, columns, strict=True)}
        return {**of_pixels, "coding_step": frames.coding_step or Fact.of([None] * len(frames))}

    def _frame(self, luma_HW: NDArray[np.uint8]) -> tuple[float, ...]:
        energies = detail.block_energies(luma_HW)
        middle_HW = detail.middle_rows(luma_HW)
        histogram = cv2.calcHist([luma_HW], [0], None, [256], [0, 256]).ravel()
        flat, screen = graphics.flatness_and_screen(luma_HW)
        return (
            detail.sharpness(energies),
            detail.noise_sigma(energies),
            blocks.blockiness(middle_HW),
            detail.clarity(energies) - detail.crowding(luma_HW),
            float(np.dot(histogram, np.arange(256)) / luma_HW.size),
            blocks.contrast(histogram),
            float(bars.is_black(luma_HW)),
            float(bars.is_interlaced(middle_HW)),
            *bars.active_picture(luma_HW),
            flat,
            screen,
            float(self._garbage.sees(middle_HW)),
        )
