"""What a scorer is: a measurement with a unit. It knows no threshold, no file and no Ray."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from schemas.frames import FrameBatch, FrameRequest, LumaBatch
from schemas.scores import Fact, FrameFacts, ScoreSpec

ClipValue = float | str | None


# FrameBatch where the scorer asks for "rgb", LumaBatch where it asks for "luma" or "yuv".
BatchT = TypeVar("BatchT", FrameBatch, LumaBatch, contravariant=True)


class ScorerSession(Protocol[BatchT]):
    """One scorer at work on one video; it may remember the frame before."""

    def measure(self, frames: BatchT) -> Mapping[str, Fact]:
        """One value per frame of this window, for every fact the scorer declares."""


@runtime_checkable
class LateSession(Protocol):
    """A session whose facts need later frames: `measure` returns those that are due, in order, `finish` the rest."""

    def finish(self) -> Mapping[str, Fact]:
        """What is still owed once the last frame was measured."""


class FrameScorer(Protocol):
    """Measures facts per frame, and reduces its facts over an interval to clip scores.

    fact_names: columns of `frames/` that `measure` fills.
    specs:      columns of `clips/` that `reduce` fills; a score that cannot be measured there is None.
    version:    part of the fingerprint of everything this scorer measured.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    needs: ClassVar[FrameRequest]
    fact_names: ClassVar[tuple[str, ...]]
    specs: ClassVar[tuple[ScoreSpec, ...]]

    def open(self) -> ScorerSession[FrameBatch] | ScorerSession[LumaBatch]:
        """Starts a video; nothing of the video before may change the result."""

    def reduce(self, facts: FrameFacts) -> Mapping[str, ClipValue]:
        """Clip scores from the facts of one interval. Pure arithmetic: no frame is looked at again."""


def median(values: NDArray[np.float32]) -> float | None:
    """Median, or None when nothing was measured."""
    return float(np.median(values)) if len(values) else None


def mean(values: NDArray[np.float32]) -> float | None:
    """Mean in double precision, or None when nothing was measured."""
    return float(np.mean(values, dtype=np.float64)) if len(values) else None
