"""One number in 0-1 for technical quality; docs/scores.md states the same constants."""

from __future__ import annotations

import math

# Weight of the quantisation error, and the variance of an error that is not seen as such, luma levels squared.
CODING_WEIGHT, UNSEEN_CODING_VARIANCE = 0.3, 1500.0
# `clarity` at which quality is half, and how steeply quality runs through it.
CLARITY_HALVES, STEEPNESS = 0.03, 8.0


def ramp(value: float, zero_at: float, one_at: float) -> float:
    """Linear from 0 at zero_at to 1 at one_at (either order), clamped."""
    return min(1.0, max(0.0, (value - zero_at) / (one_at - zero_at)))


def coarseness(coding_step: float | None) -> float:
    """What `clarity` owes to a coarse quantiser, of which pixels show the less the harder a picture was smoothed.

    An error spread evenly over a step has a twelfth of its square as variance. 0 where the step is not known.
    """
    return CODING_WEIGHT * math.log1p((coding_step or 0.0) ** 2 / 12 / UNSEEN_CODING_VARIANCE)


def composite_quality(clarity: float, coding_step: float | None, spread: float) -> float:
    """Logistic function of clarity less coarseness, times a ramp that is 1 unless hardly anything can be seen.

    clarity: mean over the clip's frames. coding_step: luma levels. spread: contrast, 0-1.
    """
    # Not down to 0: a hardly visible picture still has a worse copy.
    visible = 0.05 + 0.95 * ramp(spread, 0.01, 0.08)
    x = min(700.0, max(-700.0, STEEPNESS * (clarity - coarseness(coding_step) - CLARITY_HALVES)))
    return visible / (1.0 + math.exp(-x))
