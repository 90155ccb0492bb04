"""Fine detail, noise and what compression took: energies of three octaves, block by block, at native size.

Axes: H rows, W columns, B blocks of 8x8 pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_BLOCK_PX = 8
# Larger pictures are read in strips of 64 rows spread over their height, so that a frame costs the same at any size.
_STRIP_ROWS, _MARGIN_ROWS, _PIXELS = 64, 8, 320_000
_SECOND = np.array([1, -2, 1], dtype=np.float32) / 4
_SMOOTH = np.array([1, 2, 1], dtype=np.float32) / 4
# The same one octave down: two pixels between taps.
_WIDE_SECOND = np.array([1, 0, -2, 0, 1], dtype=np.float32) / 4
_WIDE_SMOOTH = np.array([1, 0, 2, 0, 1], dtype=np.float32) / 4
# Energy that white noise of variance 1 leaves in each band (measured on generated noise, 4 Mpx).
_NOISE_GAIN = {"fine": 0.2832, "corner": 0.1416, "middle": 0.0381, "coarse": 0.0075}
# The 10th percentile of the corner energy of 8x8 blocks of white noise of variance 1.
_NOISE_TENTH = 0.0894


@dataclass(frozen=True, slots=True)
class BlockEnergies:
    """Mean squared response per 8x8 block, luma levels squared.

    fine_B, middle_B, coarse_B: second differences along rows and columns, an octave apart; fine is the highest.
    corner_B: second difference along both, the highest frequencies on both axes: little of a picture, a lot of noise.
    """

    fine_B: NDArray[np.float32]
    corner_B: NDArray[np.float32]
    middle_B: NDArray[np.float32]
    coarse_B: NDArray[np.float32]


def block_energies(luma_HW: NDArray[np.uint8]) -> BlockEnergies:
    """Energies of the picture's blocks; of evenly spread strips of rows where it is larger than 0.32 Mpx.

    Bands: a Laplacian pyramid's, with two-sided second differences instead of a difference of Gaussians.
    A picture under 16 pixels a side counts as one flat block.
    """
    # Below two blocks a side there is nothing to compare: one block without any energy.
    parts = [_strip_energies(strip_HW, margin) for strip_HW, margin in _strips(luma_HW)]
    if not parts:
        none = np.zeros(1, dtype=np.float32)
        return BlockEnergies(none, none, none, none)
    return BlockEnergies(*(np.concatenate(band) for band in zip(*parts, strict=True)))


def middle_rows(luma_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture, or of one larger than 0.32 Mpx the rows around its middle; whole blocks of 8 and pairs of fields."""
    height, width = luma_HW.shape
    rows = max(_STRIP_ROWS, _PIXELS // width // _BLOCK_PX * _BLOCK_PX)
    if rows >= height:
        return luma_HW
    top = (height - rows) // 2 // _BLOCK_PX * _BLOCK_PX
    return luma_HW[top : top + rows]


def _strips(luma_HW: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Pieces of the picture, each with how many rows at its top and bottom are only there for the filters."""
    height, width = luma_HW.shape
    if min(height, width) < 2 * _BLOCK_PX:
        return
    whole_rows = _STRIP_ROWS + 2 * _MARGIN_ROWS
    strips = max(2, round(_PIXELS / (width * whole_rows)))
    if height * width <= _PIXELS or strips * whole_rows >= height:
        yield luma_HW, 0
        return
    for index in range(strips):
        # Multiples of 8 keep the blocks on the coding grid.
        top = round((height - whole_rows) * (index + 0.5) / strips) // _BLOCK_PX * _BLOCK_PX
        yield luma_HW[top : top + whole_rows], _MARGIN_ROWS


def _strip_energies(luma_HW: NDArray[np.uint8], margin: int) -> tuple[NDArray[np.float32], ...]:
    picture_HW = luma_HW.astype(np.float32)
    across = cv2.sepFilter2D(picture_HW, -1, _SECOND, _SMOOTH)
    down = cv2.sepFilter2D(picture_HW, -1, _SMOOTH, _SECOND)
    corner = cv2.sepFilter2D(picture_HW, -1, _SECOND, _SECOND)
    half = cv2.sepFilter2D(picture_HW, -1, _SMOOTH, _SMOOTH)
    wide_across = cv2.sepFilter2D(half, -1, _WIDE_SECOND, _WIDE_SMOOTH)
    wide_down = cv2.sepFilter2D(half, -1, _WIDE_SMOOTH, _WIDE_SECOND)
    quarter = np.ascontiguousarray(cv2.sepFilter2D(half, -1, _WIDE_SMOOTH, _WIDE_SMOOTH)[::2, ::2])
    coarse_across = cv2.sepFilter2D(quarter, -1, _WIDE_SECOND, _WIDE_SMOOTH)
    coarse_down = cv2.sepFilter2D(quarter, -1, _WIDE_SMOOTH, _WIDE_SECOND)
    rows = (luma_HW.shape[0] - 2 * margin) // _BLOCK_PX
    columns = luma_HW.shape[1] // _BLOCK_PX

    def per_block(energy_HW: NDArray[np.float32], side_px: int) -> NDArray[np.float32]:
        top = margin * side_px // _BLOCK_PX
        inner_HW = energy_HW[top : top + rows * side_px, : columns * side_px]
        blocks: NDArray[np.float32] = cv2.resize(inner_HW, (columns, rows), interpolation=cv2.INTER_AREA)
        return blocks.ravel()

    return (
        per_block(across * across + down * down, _BLOCK_PX),
        per_block(corner * corner, _BLOCK_PX),
        per_block(wide_across * wide_across + wide_down * wide_down, _BLOCK_PX),
        per_block(coarse_across * coarse_across + coarse_down * coarse_down, _BLOCK_PX // 2),
    )


def noise_sigma(energies: BlockEnergies) -> float:
    """Standard deviation of white noise, in luma levels: what even the quietest tenth of the blocks has.

    Source: our definition; the estimate from the quietest blocks is that of Amer and Dubois 2005, the band that of
    Immerkaer 1996. Texture everywhere counts as noise, noise that compression wiped off flat areas does not.
    """
    return float(np.sqrt(_noise_variance(energies)))


def _noise_variance(energies: BlockEnergies) -> float:
    return float(np.percentile(energies.corner_B, 10)) / _NOISE_TENTH


def sharpness(energies: BlockEnergies) -> float:
    """0-1: how much finest detail the edges have, noise subtracted: r / (r + 0.1), r fine by middle energy.

    Over the tenth of the blocks with most middle energy, where a picture's edges are. 0 for a flat picture.
    Source: our definition; the ratio of neighbouring octaves is the local slope of the spectrum (Field 1987).
    """
    variance = _noise_variance(energies)
    edges_B = energies.middle_B >= np.percentile(energies.middle_B, 90)
    middle = float(energies.middle_B[edges_B].mean()) - _NOISE_GAIN["middle"] * variance
    fine = float(energies.fine_B[edges_B].mean()) - _NOISE_GAIN["fine"] * variance
    if middle <= 0 or fine <= 0:
        return 0.0
    return (fine / middle) / (fine / middle + 0.1)


def traits(energies: BlockEnergies) -> dict[str, float]:
    """Logarithms (natural) that describe a picture's finest detail; their weighted sum is the heart of `quality`.

    Small constants keep flat pictures finite. `_all` is the mean logarithm over blocks, which every block moves;
    `_edges` the logarithm of the mean over the blocks between the 90th and 99.5th percentile; `_half` of the median
    block; `_quiet` of the 10th percentile. Noise is subtracted where the name says `clean`.
    """
    variance = _noise_variance(energies)
    raw = {
        "fine": np.sort(energies.fine_B),
        "corner": np.sort(energies.corner_B),
        "middle": np.sort(energies.middle_B),
        "coarse": np.sort(energies.coarse_B),
    }
    floor = {"fine": 0.02, "corner": 0.005, "middle": 0.1, "coarse": 0.5}
    clean = {band: np.maximum(raw[band] - _NOISE_GAIN[band] * variance, 0) for band in raw}
    size = len(energies.fine_B)
    edges = slice(int(0.9 * size), max(int(0.995 * size), int(0.9 * size) + 1))

    def log_all(band: str, values_B: NDArray[np.float32]) -> float:
        return float(np.log(values_B + floor[band]).mean(dtype=np.float64))

    def log_edges(band: str, values_B: NDArray[np.float32]) -> float:
        return float(np.log(values_B[edges].mean(dtype=np.float64) + floor[band]))

    def log_at(band: str, share: float) -> float:
        return float(np.log(raw[band][int(share * (size - 1))] + floor[band]))

    return {
        "noise": float(np.log(variance + 0.3)),
        "corner_third": log_at("corner", 0.35),
        "corner_half": log_at("corner", 0.6),
        "fine_half": log_at("fine", 0.5),
        "middle_half": log_at("middle", 0.5),
        "corner_all": log_all("corner", raw["corner"]),
        "fine_all": log_all("fine", raw["fine"]),
        "middle_all": log_all("middle", raw["middle"]),
        "coarse_all": log_all("coarse", raw["coarse"]),
        "fine_clean_all": log_all("fine", clean["fine"]),
        "middle_clean_all": log_all("middle", clean["middle"]),
        "corner_edges": log_edges("corner", raw["corner"]),
        "fine_clean_edges": log_edges("fine", clean["fine"]),
        "middle_clean_edges": log_edges("middle", clean["middle"]),
        "coarse_edges": log_edges("coarse", raw["coarse"]),
    }
