"""The head over whole pixels: what it sees, and that it begins with nothing."""

from __future__ import annotations

from dataclasses import replace

import torch

from model.codec.base import unpatchify
from model.conditions import keep_mask
from model.dit.detail import CELLS, DetailHead, cells_of, tokens_of
from model.dit.net import VideoDit
from model.motion.encoders import FACE_STROKES
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


def test_a_fresh_head_adds_nothing_and_a_trained_one_does() -> None:
    torch.manual_seed(0)
    net = VideoDit(tiny_config()).eval()
    trained = tiny_net()
    conditions, noisy, t = random_conditions(), random_tokens(), torch.tensor([0.2, 0.7])
    for each, adds in ((net, False), (trained, True)):
        state = each.encode(conditions, keep_mask(2), GRID)
        with_head = each(noisy, t, state)
        head, each.detail = each.detail, None
        assert isinstance(head, DetailHead)
        assert torch.equal(each(noisy, t, state), with_head) is not adds


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
    painted = 4 * PATCH[0]
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
