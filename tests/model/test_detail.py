"""The head over whole pixels: what it sees, and that it begins with what is painted."""

from __future__ import annotations

from dataclasses import replace

import torch

from model.codec.base import unpatchify
from model.conditions import keep_mask
from model.dit.detail import CELLS, DetailHead, cells_of, painted_tokens, tokens_of
from model.dit.net import VideoDit
from model.motion.encoders import FACE_STROKES, PAINT_CELLS
from tests.model.tiny import GRID, PATCH, random_conditions, random_tokens, tiny_config, tiny_net

WIDE = (2, 8, 8)


def test_cells_are_where_their_pixels_are() -> None:
    grid = (2, 3, 2)
    tokens = torch.randn(2, 12, 2 * 8 * 8 * 3)
    cells = cells_of(tokens, WIDE, grid)
    pixels = unpatchify(tokens, WIDE, grid)
    assert cells.shape == (4, 2 * 2 * 2 * 3, 12, 8)
    # Sample 1, latent frame 1, cell (5, 3): frames 2 and 3, rows 10 and 11, columns 6 and 7.
    expected = pixels[1, 2:4, 10:12, 6:8].reshape(-1)
    assert torch.equal(cells[3, :, 5, 3], expected)
    assert torch.equal(tokens_of(cells, WIDE, grid), tokens)


def test_a_fresh_head_lays_what_is_painted_over_the_guess() -> None:
    torch.manual_seed(0)
    net = VideoDit(tiny_config()).eval()
    conditions, noisy, t = random_conditions(), random_tokens(), torch.tensor([0.2, 0.7])
    state = net.encode(conditions, keep_mask(2), GRID)
    with_head = net(noisy, t, state)
    bare = net.encode(conditions, keep_mask(2, ()), GRID)
    without_guess = net(noisy, t, bare)
    head, net.detail = net.detail, None
    assert isinstance(head, DetailHead)
    guess = net(noisy, t, state)
    assert torch.equal(net(noisy, t, bare), without_guess)  # nothing painted, nothing changed
    colours, cover = state.painted or ()
    assert cover.max() > 0.5
    trust = (with_head - guess)[cover > 0.5] / (colours - cover * guess)[cover > 0.5]
    # The last layer of a fresh network is zero, but what trust the patches have differs a little.
    assert 0.7 < trust.median() < 0.97
    assert torch.equal(with_head[cover == 0], guess[cover == 0])


def test_a_trained_head_adds_strokes() -> None:
    net = tiny_net()
    conditions, noisy, t = random_conditions(), random_tokens(), torch.tensor([0.2, 0.7])
    bare = net.encode(conditions, keep_mask(2, ()), GRID)
    with_head = net(noisy, t, bare)
    net.detail = None
    assert not torch.allclose(net(noisy, t, bare), with_head, atol=1e-3)


def test_what_is_painted_is_tokens_of_pixels() -> None:
    grid = (1, 2, 3)
    painted = torch.randn(2, 2, 4, 16, 24)
    colours, cover = painted_tokens(painted, WIDE, grid)
    pixels = unpatchify(colours, WIDE, grid)
    assert torch.allclose(pixels, painted[:, :, :3].permute(0, 1, 3, 4, 2), atol=1e-6)
    assert torch.allclose(unpatchify(cover, WIDE, grid)[..., 2], painted[:, :, 3], atol=1e-6)
    coarse = painted_tokens(painted[..., ::2, ::2], WIDE, grid)
    assert coarse.colours_BNC.shape == colours.shape


def test_only_pixels_whose_patches_are_whole_cells_have_a_head() -> None:
    assert DetailHead.fits(PATCH)
    assert not DetailHead.fits((2, CELLS + 1, CELLS))
    assert VideoDit(tiny_config(detail_channels=0)).detail is None
    assert VideoDit(tiny_config().model_copy(update={"pixels": False})).detail is None


def test_the_limbs_reach_the_head_in_the_references_colours() -> None:
    net, conditions = tiny_net(), random_conditions()
    canvas = net.encode(conditions, keep_mask(2), GRID).canvas_BfChw
    other = replace(conditions, limb_colours_BL4=conditions.limb_colours_BL4.flip(1))
    assert canvas is not None
    recoloured = net.encode(other, keep_mask(2), GRID).canvas_BfChw
    assert recoloured is not None
    painted = 4 * (PAINT_CELLS // CELLS) ** 2 * PATCH[0]
    fingers = painted + 5 * PATCH[0]
    # Latent frames hold their pixel frames' channels; the fingers stay, whatever their colour, and go with their group.
    assert not torch.equal(canvas[:, :painted], recoloured[:, :painted])
    assert torch.equal(canvas[:, painted:], recoloured[:, painted:])
    without = net.encode(conditions, keep_mask(2, ("reference", "body")), GRID).canvas_BfChw
    assert without is not None
    assert canvas[:, painted:].any()
    assert not without[:, painted:].any()
    assert without[:, :painted].any()
    assert without.shape[1] == fingers + FACE_STROKES
