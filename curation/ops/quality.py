"""One number in 0-1 for technical quality; docs/scores.md states the same weights and ramps."""

from __future__ import annotations

import math
from collections.abc import Mapping

# Weight of each trait (`curation.ops.detail.traits`), and of the logarithm of blockiness.
# Fitted by benchmarks/quality_ladders.py: steps down a ladder must fall, clean footage lie high, ruins low.
WEIGHTS: Mapping[str, float] = {
    "noise": -0.559,
    "corner_third": 0.133,
    "corner_half": 0.331,
    "fine_half": -0.54,
    "middle_half": -0.368,
    "corner_all": -0.295,
    "fine_all": -0.09,
    "middle_all": -0.155,
    "coarse_all": -2.522,
    "fine_clean_all": 0.054,
    "middle_clean_all": 2.83,
    "corner_edges": 0.427,
    "fine_clean_edges": -0.148,
    "middle_clean_edges": 1.96,
    "coarse_edges": -1.7,
    "blocks": -0.639,
}
BIAS = 1.733

# Blockiness, and noise in luma levels, that halve quality.
BLOCKS_HALVE, NOISE_HALVES = 0.02, 10.0


def detail_logit(traits: Mapping[str, float], blockiness: float) -> float:
    """Weighted sum of a frame's traits: over 0 for clean detail, below for blur, noise, enlargement, compression."""
    values = {**traits, "blocks": math.log(blockiness + 0.003)}
    return BIAS + sum(weight * values[name] for name, weight in WEIGHTS.items())


def ramp(value: float, zero_at: float, one_at: float) -> float:
    """Linear from 0 at zero_at to 1 at one_at (either order), clamped."""
    return min(1.0, max(0.0, (value - zero_at) / (one_at - zero_at)))


def composite_quality(logit: float, noise: float, block: float, luma_mean: float, spread: float) -> float:
    """Logistic function of the detail logit, times a ramp that is 1 unless hardly anything can be seen, times another,
    times 1 / (1 + (block / 0.02)^4) and 1 / (1 + (noise / 10)^2): visible blocks and strong noise ruin what otherwise
    has plenty of detail.

    logit: mean over the clip's frames. noise: noise_sigma, luma levels. block: blockiness.
    luma_mean: 0-255. spread: contrast, 0-1.
    """
    # Not down to 0: a hardly visible picture still has a worse copy.
    visible = 0.05 + 0.95 * ramp(abs(luma_mean - 120.0), 119.0, 95.0) * ramp(spread, 0.01, 0.05)
    whole = 1.0 / (1.0 + (max(0.0, block) / BLOCKS_HALVE) ** 4) / (1.0 + (noise / NOISE_HALVES) ** 2)
    return visible * whole / (1.0 + math.exp(-min(60.0, max(-60.0, logit))))
