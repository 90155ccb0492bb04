"""Measurements on one still image. Luma is float32 in 0-255, axes H (rows) and W (columns)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.float32]

# Side of the re-blur filter in Crete et al. 2007.
_REBLUR_TAPS = 9
# Coding block side of H.264 macroblock transforms and of MPEG-1/2/4 and JPEG.
_BLOCK_PX = 8
# A darker pixel than this is black in limited-range video, with a margin for noise (BT.601/709 black is 16 of 255).
_BLACK_LUMA = 24.0


def luma(rgb_HWC: NDArray[np.uint8]) -> Luma:
    """BT.601 luma, 0-255."""
    gray: NDArray[np.uint8] = cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2GRAY)
    return gray.astype(np.float32)


def sharpness(luma_HW: Luma) -> float:
    """How much local contrast a blur would destroy: 0 for a picture that is already blurred, towards 1 for a crisp one.

    A picture that loses little neighbour contrast when blurred again was blurred before.
    Source: Crete, Dolmiere, Ladret, Nicolas 2007, "The blur effect"; this is 1 minus their blur estimate.
    """
    worst_blur = 0.0
    for axis in (0, 1):
        taps = (1, _REBLUR_TAPS) if axis == 0 else (_REBLUR_TAPS, 1)
        again = cv2.blur(luma_HW, taps, borderType=cv2.BORDER_REFLECT)
        before = np.abs(np.diff(luma_HW, axis=axis))
        after = np.abs(np.diff(again, axis=axis))
        total = float(before.sum(dtype=np.float64))
        if total <= 0:
            return 0.0
        lost = float(np.maximum(before - after, 0).sum(dtype=np.float64))
        worst_blur = max(worst_blur, (total - lost) / total)
    return 1.0 - worst_blur


def noise_sigma(luma_HW: Luma) -> float:
    """Standard deviation of white noise, in luma levels.

    Source: Immerkaer 1996, "Fast noise variance estimation": a Laplacian difference that cancels edges. The median of
    the absolute response instead of its mean keeps texture from passing for noise.
    """
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
    response = cv2.filter2D(luma_HW, cv2.CV_32F, kernel)[1:-1, 1:-1]
    if response.size == 0:
        return 0.0
    # median |N(0, s)| = 0.6745 s; the kernel's taps have norm 6
    return float(np.median(np.abs(response)) / (0.6745 * 6.0))


def blockiness(luma_HW: Luma) -> float:
    """Share of coding block borders that stand out as isolated steps, beyond other grid positions; 0 for none.

    A border pixel stands out when its luma step is more than twice both neighbouring steps plus two levels. Texture
    and edges stand out equally often at all eight positions of the grid, block borders only at theirs (a crop moves
    it, so the position is searched). The strongest line per position is left out: a picture edge is no block border.
    Source: our definition, after the border-against-inside comparison of Wang, Sheikh, Bovik 2002.
    """
    excess = 0.0
    for lines_HW in (luma_HW, luma_HW.T):
        steps = np.abs(np.diff(lines_HW, axis=1))
        if steps.shape[1] < 3 * _BLOCK_PX:
            continue
        stands_out = steps[:, 1:-1] > 2.0 * np.maximum(steps[:, :-2], steps[:, 2:]) + 2.0
        columns = stands_out.mean(axis=0)
        shares = [float(np.sort(columns[p::_BLOCK_PX])[:-1].mean()) for p in range(_BLOCK_PX)]
        excess += max(shares) - float(np.median(shares))
    return excess / 2


def contrast(luma_HW: Luma) -> float:
    """Spread between the 5th and 95th percentile of luma, as a share of full range, 0-1."""
    low, high = np.percentile(luma_HW, (5, 95))
    return float(high - low) / 255.0


def is_black(luma_HW: Luma) -> bool:
    """Whether 98 % of the pixels are black."""
    return bool(np.mean(luma_HW < _BLACK_LUMA) >= 0.98)


def letterbox_share(luma_HW: Luma) -> float:
    """Share of the frame's area in uniform black bars at its borders; 0 for a frame that is black altogether."""
    dark_HW = luma_HW < _BLACK_LUMA
    rows, columns = dark_HW.mean(axis=1) >= 0.98, dark_HW.mean(axis=0) >= 0.98
    if rows.all() or columns.all():
        return 0.0
    height = len(rows) - int(np.argmin(rows)) - int(np.argmin(rows[::-1]))
    width = len(columns) - int(np.argmin(columns)) - int(np.argmin(columns[::-1]))
    return 1.0 - height * width / luma_HW.size


def is_interlaced(luma_HW: Luma) -> bool:
    """Whether neighbouring rows differ clearly more than rows of the same field do: the comb of two fields in motion.

    In a progressive picture the next row is nearer than the one after it, so the ratio stays below 1.
    """
    if luma_HW.shape[0] < 8:
        return False
    next_row = float(np.abs(luma_HW[1:-1] - luma_HW[:-2]).mean(dtype=np.float64))
    same_field = float(np.abs(luma_HW[2:] - luma_HW[:-2]).mean(dtype=np.float64))
    return next_row > 1.25 * same_field + 0.5


def ramp(value: float, zero_at: float, one_at: float) -> float:
    """Linear from 0 at zero_at to 1 at one_at (either order), clamped."""
    return min(1.0, max(0.0, (value - zero_at) / (one_at - zero_at)))


def composite_quality(sharp: float, noise: float, block: float, luma_mean: float, spread: float) -> float:
    """One number in 0-1 for technical quality: the product of five ramps, so that any one ruin is enough.

    Where each ramp begins and ends is stated in docs/scores.md.
    """
    return (
        ramp(sharp, 0.25, 0.50)
        * ramp(noise, 15.0, 5.0)
        * ramp(block, 0.030, 0.012)
        * ramp(abs(luma_mean - 120.0), 115.0, 80.0)
        * ramp(spread, 0.02, 0.20)
    )
