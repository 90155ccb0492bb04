"""The last strokes: a small convolution over the whole picture after the transformer, for codecs of plain pixels.

The transformer sees a patch of 2 x 8 x 8 pixels through one vector, too narrow for where an edge runs. This head sees
the noisy pixels, the transformer's guess, and the driver's limbs in the reference's colours at once, and neighbouring
patches too; what to make of them the transformer tells it, patch by patch.
It works on cells, CELLS to the side of a patch, as limbs are painted; the pixels of a cell are channels.
Source: a light pixel-level network behind a patch-level transformer is the idea of DiP and PixelDiT (2025).
Axis legend: B batch, f latent frames, N tokens, C numbers of a token, D width, h w cells of a picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.codec.base import Triple
from model.motion.encoders import PAINT_CELLS

CELLS = PAINT_CELLS
"""Per side of a patch."""


class DetailHead(nn.Module):
    """Adds to the clean tokens that the transformer predicts; begins with adding nothing."""

    def __init__(self, width: int, patch_thw: Triple, canvas_channels: int, channels: int) -> None:
        super().__init__()
        self.patch_thw = patch_thw
        frames, rows, columns = patch_thw
        pixels = 3 * frames * (rows // CELLS) * (columns // CELLS)
        self.at_patch = nn.Linear(width, 2 * channels + pixels)
        self.direct = nn.Conv2d(canvas_channels, pixels, 3, padding=1)
        self.first = nn.Conv2d(2 * pixels + canvas_channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = nn.Conv2d(channels, pixels, 3, padding=1)
        for layer in (self.direct, self.last):
            nn.init.zeros_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    @staticmethod
    def fits(patch_thw: Triple) -> bool:
        return not any(side % CELLS for side in patch_thw[1:])

    def forward(
        self, guess_BNC: Tensor, noisy_BNC: Tensor, video_BND: Tensor, canvas_BfChw: Tensor, grid_thw: Triple
    ) -> Tensor:
        """What is added to guess_BNC. canvas_BfChw: (B f, channels, h, w), as `canvas` makes it."""
        guess, noisy = (cells_of(tokens, self.patch_thw, grid_thw) for tokens in (guess_BNC, noisy_BNC))
        seen = torch.cat((guess, noisy.to(guess.dtype), canvas_BfChw.to(guess.dtype)), dim=1)
        told = self.at_patch(video_BND).reshape(-1, *grid_thw[1:], self.at_patch.out_features).permute(0, 3, 1, 2)
        # Smooth between patches: an edge of the grid must not become an edge of the picture.
        told = F.interpolate(told, size=seen.shape[-2:], mode="bilinear", align_corners=False)
        channels, pixels = self.second.out_channels, self.last.out_channels
        added, gate, copied = torch.split(told, [channels, channels, pixels], dim=1)
        hidden = F.silu(self.first(seen) + added)
        hidden = F.silu(self.second(hidden) * (1.0 + gate))
        # What is painted is near the picture from the start: a way for it that nothing has to be learnt for first.
        strokes = self.last(hidden) + self.direct(canvas_BfChw.to(guess.dtype)) * (1.0 + copied)
        return tokens_of(strokes, self.patch_thw, grid_thw)


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
    """(B f, channels, h, w): what is painted on cells, each (B, T or f, C, h, w); the pixel frames of a latent frame
    are channels."""
    return torch.cat([each.reshape(len(each) * grid_thw[0], -1, *each.shape[-2:]) for each in painted], dim=1)
