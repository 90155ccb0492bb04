"""One number in 0-1 for technical quality; docs/scores.md states the same constants."""

from __future__ import annotations

import math

# `clarity` at which quality is half, and how steeply quality runs through it.
CLARITY_HALVES, STEEPNESS = 0.08, 6.0


def ramp(value: float, zero_at: float, one_at: float) -> float:
    """Linear from 0 at zero_at to 1 at one_at (either order), clamped."""
    return min(1.0, max(0.0, (value - zero_at) / (one_at - zero_at)))


def composite_quality(clarity: float, luma_mean: float, spread: float) -> float:
    """Logistic function of clarity, times ramps that are 1 unless hardly anything can be seen.

    clarity: mean over the clip's frames. luma_mean: 0-255. spread: contrast, 0-1.
    """
    # Not down to 0: a hardly visible picture still has a worse copy.
    visible = 0.05 + 0.95 * ramp(abs(luma_mean - 120.0), 119.0, 95.0) * ramp(spread, 0.01, 0.05)
    x = min(700.0, max(-700.0, STEEPNESS * (clarity - CLARITY_HALVES)))
    return visible / (1.0 + math.exp(-x))
