"""Fine detail, noise and what compression took: energies of neighbouring octaves, block by block, at native size.

Axes: H rows, W columns, B blocks of 8x8 pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

_BLOCK_PX = 8
# Larger pictures are read in strips spread over their height, so that a frame costs about the same at any size. A strip
# at a time also keeps intermediate results small enough for the processor's cache.
_STRIP_ROWS, _PIXELS = 32, 160_000
# Laplacian (both axes) and second difference along one axis of that along the other, by 4.
_LAPLACIAN = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=np.float32) / 4
_CORNER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32) / 4
# Energy that white noise of variance 1 leaves in each band: the squared filter taps, summed.
FINE_GAIN, CORNER_GAIN, COARSE_GAIN = 1.25, 2.25, 1.25 / 16
MIDDLE_GAIN, MIDDLE_CORNER_GAIN = FINE_GAIN / 4, CORNER_GAIN / 4
# The 10th percentile of the corner energy of blocks of white noise of variance 1, by its mean (generated, 4 Mpx).
_NOISE_TENTH = 0.53

# Variance of noise that is not seen as such, luma levels squared: it is added within all logarithms.
UNSEEN_VARIANCE = 10.0
# Weights in `clarity`; chosen on every second clip of a folder with benchmarks/quality_ladders.py. Those of noise
# together exceed those of detail, so that strong noise never pays.
WEIGHTS: Mapping[str, float] = {
    "fine": 0.4,
    "middle": 1.0,
    "coarse": 0.08,
    "noise": -1.3,
    "middle_noise": -0.25,
    "border": -0.6,
}
CROWDING = 0.4


@dataclass(frozen=True, slots=True)
class BlockEnergies:
    """Mean squared response per 8x8 block, luma levels squared; only of filters that stay inside their block.

    Coding blocks have steps at their borders, which pass for detail to a filter across them. `border_B` has just those.

    fine_B, corner_B:           Laplacian and corner filter of the pixels.
    middle_B, middle_corner_B:  the same of 2x2 means two pixels apart, at all nine places in a block: an octave down.
    coarse_B:                   Laplacian of 4x4 means, across borders: two octaves down.
    border_B:                   as fine_B, where the filter reaches over the border.
    """

    fine_B: NDArray[np.float32]
    border_B: NDArray[np.float32]
    corner_B: NDArray[np.float32]
    middle_B: NDArray[np.float32]
    middle_corner_B: NDArray[np.float32]
    coarse_B: NDArray[np.float32]


def block_energies(luma_HW: NDArray[np.uint8]) -> BlockEnergies:
    """Energies of the picture's blocks; of evenly spread strips of rows where it is larger than 0.16 Mpx.

    A picture under 16 pixels a side counts as one flat block.
    """
    parts = [_strip_energies(strip_HW) for strip_HW in _strips(luma_HW)]
    if not parts:
        none = np.zeros(1, dtype=np.float32)
        return BlockEnergies(none, none, none, none, none, none)
    return BlockEnergies(*(np.concatenate(band) for band in zip(*parts, strict=True)))


def middle_rows(luma_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture, or of one larger than 0.32 Mpx the rows around its middle; whole blocks of 8 and pairs of fields."""
    height, width = luma_HW.shape
    rows = max(_STRIP_ROWS, 2 * _PIXELS // width // _BLOCK_PX * _BLOCK_PX)
    if rows >= height:
        return luma_HW
    top = (height - rows) // 2 // _BLOCK_PX * _BLOCK_PX
    return luma_HW[top : top + rows]


def _strips(luma_HW: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Pieces of whole blocks; multiples of 8 from the corner keep them on the coding grid."""
    height, width = (side // _BLOCK_PX * _BLOCK_PX for side in luma_HW.shape)
    # Below two blocks a side there is nothing to compare.
    if min(height, width) < 2 * _BLOCK_PX:
        return
    strips = -(-height // _STRIP_ROWS)
    wanted = min(strips, max(2, round(_PIXELS / (width * _STRIP_ROWS))))
    for index in range(wanted):
        top = int((index + 0.5) * strips / wanted) * _STRIP_ROWS
        yield luma_HW[top : min(top + _STRIP_ROWS, height), :width]


def _strip_energies(luma_HW: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
    picture_HW = luma_HW.astype(np.float32)
    fine = cv2.filter2D(picture_HW, -1, _LAPLACIAN)
    cv2.multiply(fine, fine, dst=fine)
    whole_B, inside_B = _block_means(fine), _block_means(fine, 1, 6)
    corner = cv2.filter2D(picture_HW, -1, _CORNER)
    cv2.multiply(corner, corner, dst=corner)
    # A 2x2 mean at its upper left pixel; from place 2 to 4 its neighbours two pixels away are means within the block.
    means = cv2.boxFilter(picture_HW, -1, (2, 2), anchor=(0, 0))
    centre = means[2:-2, 2:-2]
    upright = means[:-4] + means[4:]
    aside = means[2:-2, :-4] + means[2:-2, 4:]
    diagonal = upright[:, :-4] + upright[:, 4:]
    middle, middle_corner = np.zeros_like(means), np.zeros_like(means)
    beside = (aside + upright[:, 2:-2]) / 4
    np.square(centre - beside, out=middle[2:-2, 2:-2])
    np.square(centre - 2 * beside + diagonal / 4, out=middle_corner[2:-2, 2:-2])
    blocks_wh = (luma_HW.shape[1] // _BLOCK_PX, luma_HW.shape[0] // _BLOCK_PX)
    quarter = cv2.resize(picture_HW, (2 * blocks_wh[0], 2 * blocks_wh[1]), interpolation=cv2.INTER_AREA)
    coarse = cv2.filter2D(quarter, -1, _LAPLACIAN)
    return (
        inside_B,
        np.maximum(64 * whole_B - 36 * inside_B, 0) / 28,
        _block_means(corner, 1, 6),
        _block_means(middle, 2, 4),
        _block_means(middle_corner, 2, 4),
        cv2.resize(coarse * coarse, blocks_wh, interpolation=cv2.INTER_AREA).ravel(),
    )


def _block_means(energy_HW: NDArray[np.float32], first: int = 0, last: int = 7) -> NDArray[np.float32]:
    """Mean over rows and columns first to last of every block."""
    height, width = energy_HW.shape
    if (first, last) != (0, 7):
        energy_HW = cv2.multiply(energy_HW, _window(height, width, first, last))
    means = cv2.resize(energy_HW, (width // _BLOCK_PX, height // _BLOCK_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(means.ravel(), dtype=np.float32)


@lru_cache(maxsize=8)
def _window(height: int, width: int, first: int, last: int) -> NDArray[np.float32]:
    block = np.zeros((_BLOCK_PX, _BLOCK_PX), dtype=np.float32)
    block[first : last + 1, first : last + 1] = _BLOCK_PX**2 / (last + 1 - first) ** 2
    return np.tile(block, (height // _BLOCK_PX, width // _BLOCK_PX))


def noise_sigma(energies: BlockEnergies) -> float:
    """Standard deviation of white noise, in luma levels: what even the quietest tenth of the blocks has.

    Source: our definition; the estimate from the quietest blocks is that of Amer and Dubois 2005, the band that of
    Immerkaer 1996. Texture everywhere counts as noise, noise that compression wiped off flat areas does not.
    """
    return float(np.sqrt(_noise_variance(energies)))


def _noise_variance(energies: BlockEnergies) -> float:
    return float(np.percentile(energies.corner_B, 10)) / (CORNER_GAIN * _NOISE_TENTH)


def sharpness(energies: BlockEnergies) -> float:
    """0-1: how much fine detail the strongest edges have, noise subtracted: r / (r + 0.2).

    r is the energy of the two finest octaves by that two octaves below, over the tenth of the blocks with most of the
    latter, where a picture's edges are. 0 for a flat picture.
    Source: our definition; the ratio of octaves is the local slope of the spectrum (Field 1987).
    """
    variance = _noise_variance(energies)
    edges_B = energies.coarse_B >= np.percentile(energies.coarse_B, 90)

    def clean(band_B: NDArray[np.float32], gain: float) -> float:
        return max(0.0, float(band_B[edges_B].mean()) - gain * variance)

    # Half a level squared: an edge that weak is none.
    coarse = clean(energies.coarse_B, COARSE_GAIN) + 0.5
    ratio = (clean(energies.fine_B, FINE_GAIN) + clean(energies.middle_B, MIDDLE_GAIN)) / coarse
    return ratio / (ratio + 0.2)


def clarity(energies: BlockEnergies) -> float:
    """How far a picture's detail stands above its noise, less what coding blocks' borders stand out; natural logarithm.

    The heart of `quality`: see docs/scores.md for the reasons. -0.1 for a ruin, about 0.4 for clean footage.
    """

    def detail(band_B: NDArray[np.float32], gain: float) -> float:
        # The mean over blocks of logarithms: weak texture, which goes first, counts as much as strong edges.
        return float(np.log(band_B / gain + UNSEEN_VARIANCE).mean(dtype=np.float64))

    def noise(band_B: NDArray[np.float32], gain: float, percentile: int) -> float:
        return float(np.log(np.percentile(band_B, percentile) / gain + UNSEEN_VARIANCE))

    fine, border = (float(band_B.mean(dtype=np.float64)) for band_B in (energies.fine_B, energies.border_B))
    floor = FINE_GAIN * UNSEEN_VARIANCE
    return (
        WEIGHTS["fine"] * detail(energies.fine_B, FINE_GAIN)
        + WEIGHTS["middle"] * detail(energies.middle_corner_B, MIDDLE_CORNER_GAIN)
        + WEIGHTS["coarse"] * detail(energies.coarse_B, COARSE_GAIN)
        # At the borders, since coding blocks show first where a picture is quiet.
        + WEIGHTS["noise"] * noise(energies.border_B, FINE_GAIN, 25)
        + WEIGHTS["middle_noise"] * noise(energies.middle_B, MIDDLE_GAIN, 50)
        # Bounded: a blocky picture must not gain more by a blur than the blur takes.
        + WEIGHTS["border"] * (1.0 - (fine + floor) / (border + floor))
    )


def crowding(luma_HW: NDArray[np.uint8]) -> float:
    """What `clarity` owes to a small picture: 0.4 per halving of the shorter side below 360 pixels, else 0.

    The same scene in fewer pixels has more contrast between neighbours (spectra fall with frequency, Field 1987), so
    that a ruin of 144 rows would otherwise pass for a clean picture of 720.
    """
    return CROWDING * max(0.0, float(np.log2(360.0 / max(1, min(luma_HW.shape)))))
