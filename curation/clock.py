"""Playback time and real time: what a file's clock says, and what it stands for when the camera ran at another rate.

Tables hold presentation time of the file. Rates (everything "per second") are measured in real time, which runs
`factor` times slower: one second of playback of 240 fps footage at 30 fps is an eighth of a second of the world.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.scores import FrameFacts

# However slowly footage plays, consumers that sample see at least one frame in this much playback: a short clip of it
# must not go unmeasured.
LONGEST_SAMPLE_STEP_S = 0.5
# An interval this far from the median is another interval, not the rounding of a coarse time base.
_UNEVEN_SHARE, _UNEVEN_S = 0.25, 1.5e-3
_VFR_FRAMES, _VFR_SHARE = 2, 0.01


@dataclass(frozen=True, slots=True)
class Clock:
    """On which clock frames are delivered.

    factor:  real-time factor, capture rate / playback rate; delivered times are presentation times divided by it.
    max_fps: frames beyond this rate on the delivered clock are left out for everybody; None delivers all.
    """

    factor: float = 1.0
    max_fps: float | None = None

    def period_s(self, fps: float) -> float:
        """Time between samples on this clock, for a consumer that wants fps of them in a second of real time.

        In playback time never shorter than 1 / fps (time-lapse costs no more than other footage), and never longer
        than LONGEST_SAMPLE_STEP_S unless the consumer asked for that.
        """
        playback_s = min(max(self.factor, 1.0) / fps, max(1.0 / fps, LONGEST_SAMPLE_STEP_S))
        return playback_s / self.factor


PLAYBACK = Clock()


@dataclass(frozen=True, slots=True)
class FrameIntervals:
    """Seconds between consecutive presented frames; vfr when they are of clearly different lengths."""

    min_s: float | None
    max_s: float | None
    cv: float | None
    vfr: bool


def frame_intervals(pts_s_T: NDArray[np.float64]) -> FrameIntervals:
    """Shortest, longest, coefficient of variation, and whether the rate varies; None under two frames.

    Variable is: at least 2 intervals, and 1 % of them, are off the median by more than a quarter and 1.5 ms, so that
    neither one lost frame nor times rounded to milliseconds count.
    """
    step_s_T = np.diff(pts_s_T)
    if not len(step_s_T):
        return FrameIntervals(None, None, None, False)
    middle_s = float(np.median(step_s_T))
    uneven = int((np.abs(step_s_T - middle_s) > max(_UNEVEN_SHARE * middle_s, _UNEVEN_S)).sum())
    cv = float(step_s_T.std() / step_s_T.mean())
    return FrameIntervals(
        float(step_s_T.min()),
        float(step_s_T.max()),
        cv,
        uneven >= max(_VFR_FRAMES, _VFR_SHARE * len(step_s_T)),
    )


def on_real_clock(facts: FrameFacts, factor: float) -> FrameFacts:
    """The same facts with times in real time; their values are in real time already."""
    if factor == 1.0:
        return facts
    return FrameFacts(facts.pts_s_T / factor, facts.end_s / factor, facts.facts)
