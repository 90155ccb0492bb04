"""The last strokes: a small convolution over the whole picture after the transformer, for codecs of plain pixels.

The transformer sees a patch of 2 x 8 x 8 pixels through one vector, too narrow for where an edge runs. This head lays
the driver's limbs in the reference's looks over the transformer's guess, as much as the transformer trusts them there,
and then sees that, the noisy pixels and neighbouring patches at once; what to make of them the transformer tells it,
patch by patch.
It works on cells, CELLS to the side of a patch; the pixels of a cell are channels.
Source: a light pixel-level network behind a patch-level transformer is the idea of DiP and PixelDiT (2025).
Axis legend: B batch, f latent frames, N tokens, C numbers of a token, D width, h w cells of a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.codec.base import Triple, patchify

CELLS = 4
"""Per side of a patch."""
TRUST = 2.0
"""Before anything is learnt, what is painted counts to a share of sigmoid(2) = 0.88."""


class Painted(NamedTuple):
    """A first guess in tokens: colours in [-1, 1] times how much is painted, and how much is, in [0, 1]."""

    colours_BNC: Tensor
    cover_BNC: Tensor


class DetailHead(nn.Module):
    """Finishes the clean tokens that the transformer predicts; begins with what is painted, over them."""

    def __init__(self, width: int, patch_thw: Triple, canvas_channels: int, channels: int) -> None:
        super().__init__()
        self.patch_thw = patch_thw
        frames, rows, columns = patch_thw
        pixels = 3 * frames * (rows // CELLS) * (columns // CELLS)
        self.at_patch = nn.Linear(width, 2 * channels + pixels)
        self.first = nn.Conv2d(2 * pixels + canvas_channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = nn.Conv2d(channels, pixels, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    @staticmethod
    def fits(patch_thw: Triple) -> bool:
        return not any(side % CELLS for side in patch_thw[1:])

    def forward(
        self,
        guess_BNC: Tensor,
        noisy_BNC: Tensor,
        video_BND: Tensor,
        painted: Painted,
        canvas_BfChw: Tensor,
        grid_thw: Triple,
    ) -> Tensor:
        """(B, N, C). canvas_BfChw: (B f, channels, h, w), as `canvas` makes it."""
        guess, noisy, colours, cover = (
            cells_of(tokens, self.patch_thw, grid_thw).to(guess_BNC.dtype)
            for tokens in (guess_BNC, noisy_BNC, *painted)
        )
        told = self.at_patch(video_BND).reshape(-1, *grid_thw[1:], self.at_patch.out_features).permute(0, 3, 1, 2)
        # Smooth between patches: an edge of the grid must not become an edge of the picture.
        told = F.interpolate(told, size=guess.shape[-2:], mode="bilinear", align_corners=False)
        channels, pixels = self.second.out_channels, self.last.out_channels
        added, gate, trust = torch.split(told, [channels, channels, pixels], dim=1)
        # What is painted is near the picture from the start: nothing has to be learnt for that first.
        guess = guess + torch.sigmoid(TRUST + trust) * (colours - cover * guess)
        hidden = F.silu(self.first(torch.cat((guess, noisy, canvas_BfChw.to(guess.dtype)), dim=1)) + added)
        hidden = F.silu(self.second(hidden) * (1.0 + gate))
        return tokens_of(guess + self.last(hidden), self.patch_thw, grid_thw)


def cells_of(tokens_BNC: Tensor, patch_thw: Triple, grid_thw: Triple) -> Tensor:
    """(B f, pt * ph / CELLS * pw / CELLS * 3, h, w): the cells of every latent frame, their pixels as channels."""
    (f, rows, columns), (pt, ph, pw) = grid_thw, patch_thw
    cut = tokens_BNC.reshape(-1, rows, columns, pt, CELLS, ph // CELLS, CELLS, pw // CELLS, 3)
    return cut.permute(0, 3, 5, 7, 8, 1, 4, 2, 6).reshape(
        len(tokens_BNC) * f, -1, rows * CELLS, columns * CELLS
    )  # fmt: skip


def tokens_of(cells_BfChw: Tensor, patch_thw: Triple, grid_thw: Triple) -> Tensor:
    """The inverse of `cells_of`."""
    (f, rows, columns), (pt, ph, pw) = grid_thw, patch_thw
    cut = cells_BfChw.reshape(-1, pt, ph // CELLS, pw // CELLS, 3, rows, CELLS, columns, CELLS)
    return cut.permute(0, 5, 7, 1, 6, 2, 8, 3, 4).reshape(-1, f * rows * columns, pt * ph * pw * 3)


def canvas(painted: Sequence[Tensor], grid_thw: Triple) -> Tensor:
    """(B f, channels, h, w): what is painted, each (B, T or f, C, …), with one or more numbers to a side of a cell.

    Those numbers and the pixel frames of a latent frame are channels.
    """
    rows = grid_thw[1] * CELLS
    cells = [F.pixel_unshuffle(each, each.shape[-2] // rows) for each in painted]
    return torch.cat([each.reshape(len(each) * grid_thw[0], -1, *each.shape[-2:]) for each in cells], dim=1)


def painted_tokens(painted_BT4hw: Tensor, patch_thw: Triple, grid_thw: Triple) -> Painted:
    """What is painted, at any size, as tokens of pixels."""
    size_hw = (grid_thw[1] * patch_thw[1], grid_thw[2] * patch_thw[2])
    pixels = F.interpolate(painted_BT4hw.flatten(0, 1), size=size_hw, mode="bilinear", align_corners=False)
    pixels = pixels.reshape(*painted_BT4hw.shape[:3], *size_hw).permute(0, 1, 3, 4, 2)
    cover = pixels[..., 3:].expand(*pixels.shape[:-1], 3)
    return Painted(patchify(pixels[..., :3], patch_thw), patchify(cover, patch_thw))
