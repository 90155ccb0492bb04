"""What is painted, redrawn: a small network that learns what painting by rule cannot know.

Painting lays the reference's looks along the driver's bones (model/motion/looks.py); where a finger's rim is dark,
how a face opens its mouth or how broad a shoulder is, no rule says. A U-Net corrects the painted picture, from that
picture, the fingers and what the face's bottleneck draws. It sees neither noise nor t, so it runs once per window, and
it learns from a loss of its own in every step, whatever t is: a picture that is right before any noise is removed
leaves less for the noise to decide.
Source: coarse to fine, a regression before a generator, is Bhunia et al. (PIDM, 2023) and Ma et al. (2017) of person
images; the U-Net is Ronneberger et al. (2015).
Axis legend: B batch, T pixel frames, f latent frames, h w cells of the detail head, H W cells of what is painted.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.dit.detail import Painted


class Rendering(NamedTuple):
    """What was painted by rule and what was made of it, which carries the gradients of the renderer."""

    sketch: Painted
    rendered: Painted


class Renderer(nn.Module):
    """(B, T, 4, H, W) to the same: colours times how much is drawn, and how much is. A fresh one changes nothing.

    Of a cell the pixels are channels, of a latent frame its pixel frames.
    """

    def __init__(self, patch_frames: int, fine: int, canvas_channels: int, channels: int) -> None:
        super().__init__()
        self.patch_frames, self.fine = patch_frames, fine
        middle, coarse = 3 * channels // 2, 2 * channels
        self.cells = _layer(canvas_channels, channels)
        self.to_middle = _layer(channels, middle, stride=2)
        self.to_coarse = _layer(middle, coarse, stride=2)
        self.coarse = _layer(coarse, coarse)
        self.from_coarse = _layer(coarse + middle, middle)
        self.from_middle = _layer(middle + channels, channels)
        self.last = nn.Conv2d(channels, patch_frames * 4 * fine**2, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, canvas_BfChw: Tensor, painted_BT4HW: Tensor) -> Tensor:
        """canvas_BfChw: (B f, channels, h, w), as `canvas` of model/dit/detail.py makes it."""
        cells = F.silu(self.cells(canvas_BfChw.to(memory_format=torch.channels_last)))
        middle = F.silu(self.to_middle(cells))
        coarse = F.silu(self.coarse(F.silu(self.to_coarse(middle))))
        middle = F.silu(self.from_coarse(torch.cat((F.interpolate(coarse, scale_factor=2.0), middle), dim=1)))
        cells = F.silu(self.from_middle(torch.cat((F.interpolate(middle, scale_factor=2.0), cells), dim=1)))
        made = self.last(cells)
        batch, frames = painted_BT4HW.shape[:2]
        made = made.reshape(batch, frames, -1, *made.shape[-2:])
        return painted_BT4HW + F.pixel_shuffle(made, self.fine).to(painted_BT4HW.dtype)


def _layer(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
    # Without norms between layers, the usual smaller numbers fade from layer to layer.
    nn.init.kaiming_normal_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
