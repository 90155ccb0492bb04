"""The subject pushed about in the noisy input: only near what is painted, less the less noise there is."""

from __future__ import annotations

import pytest
import torch

from model.codec.base import patchify, unpatchify
from model.dit.detail import Painted
from model.objectives.misplaced import misplaced, spread
from model.rng import StepRng

PATCH, GRID, SIDE = (2, 8, 8), (2, 8, 8), 64
LARGEST = 0.1


def ramp() -> torch.Tensor:
    """(1, T, H, W, 3): x, y and 0 in sides, the same in all frames: a pixel's colour says where it came from."""
    at = (torch.arange(SIDE) + 0.5) / SIDE
    x, y = torch.meshgrid(at, at, indexing="xy")
    return torch.stack((x, y, torch.zeros_like(x)), dim=-1).expand(1, 4, SIDE, SIDE, 3)


def painted_disc() -> torch.Tensor:
    """(1, T, H, W, 1): a disc of 10 px in the middle."""
    at = torch.arange(SIDE) + 0.5 - SIDE / 2
    disc = (at.square() + at[:, None].square()).sqrt() < 10
    return disc.float().expand(1, 4, SIDE, SIDE).unsqueeze(-1)


def moved(t: float, cover: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """(T, H, W, 2): by how much every pixel shows another place, in sides."""
    cover_BNC = patchify(cover.expand(1, 4, SIDE, SIDE, 3), PATCH)
    clean = patchify(ramp(), PATCH)
    shown = misplaced(
        clean,
        Painted(torch.zeros_like(cover_BNC), cover_BNC),
        PATCH,
        GRID,
        torch.tensor([t]),
        LARGEST,
        StepRng(seed, 1),
    )
    return (unpatchify(shown, PATCH, GRID) - ramp())[0, ..., :2]


def test_only_what_is_painted_moves_and_all_frames_alike() -> None:
    off = moved(0.0, painted_disc())
    assert off[:, 27:37, 27:37].abs().amax() > 0.01
    assert off[:, :8].abs().amax() < 1e-5
    assert off[:, :, -8:].abs().amax() < 1e-5
    assert torch.allclose(off, off[:1].expand_as(off), atol=1e-6)


def test_nothing_moves_where_nothing_is_painted_or_nothing_is_noisy() -> None:
    assert moved(0.0, torch.zeros_like(painted_disc())).abs().amax() < 1e-5
    assert moved(1.0, painted_disc()).abs().amax() < 1e-5


def test_how_far_follows_the_noise_and_differs_between_windows() -> None:
    middle = [moved(0.0, painted_disc(), seed)[0, 32, 32] for seed in range(40)]
    lengths = torch.stack(middle).norm(dim=-1)
    assert lengths.max() > 2 * lengths.median()
    # Strength is even in [0, LARGEST), a pull is normal, and the middle is the mean of four: half as far as at one of
    # them. The mean length of two normal numbers is 1.25.
    assert lengths.mean() == pytest.approx(0.5 * LARGEST * 1.25 / 2, rel=0.35)
    half = moved(0.5, painted_disc(), 3)[0, 32, 32]
    assert torch.allclose(half, middle[3] / 2, atol=1e-4)


def test_the_cover_spreads_softly() -> None:
    wide = spread(painted_disc()[..., 0])
    assert wide.amax() == pytest.approx(1.0)
    row = wide[0, 0, 32]
    assert (row > 0.5).sum() >= 22
    assert (row[1:] - row[:-1]).abs().amax() < 0.5
