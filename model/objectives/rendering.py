"""What the renderer of the first guess learns from: the true picture, over a backdrop that it need not know.

What it draws is laid over the true picture's own surroundings, softened until nothing of the subject is in them. So it
learns colours and how much of the picture is the subject, and never what is behind.
Axis legend: B batch, T frames, N tokens, C numbers of a token, H W pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from model.codec.base import Triple, patchify, unpatchify
from model.dit.render import Rendering
from model.objectives.misplaced import spread

COARSE_PX = 8
"""Surroundings are known at this many pixels: the mean of what is no subject there."""
REACH = 5
"""Coarse cells a side over which they are averaged."""


def rendering_loss_B(
    rendering: Rendering, clean_BNC: Tensor, patch_thw: Triple, grid_thw: Triple, weight_BN: Tensor
) -> Tensor:
    """Mean squared error per sample of what is rendered over the surroundings. weight_BN: of the tokens in the mean."""
    with torch.no_grad():
        behind_BNC = surroundings(clean_BNC, rendering.sketch.cover_BNC, patch_thw, grid_thw)
    colours_BNC, cover_BNC = rendering.rendered
    error_BN = (colours_BNC + (1.0 - cover_BNC) * behind_BNC - clean_BNC).square().mean(dim=2)
    return (error_BN * weight_BN).sum(dim=1) / weight_BN.sum(dim=1)


def surroundings(clean_BNC: Tensor, cover_BNC: Tensor, patch_thw: Triple, grid_thw: Triple) -> Tensor:
    """(B, N, C): a soft picture of what is not covered, filled in where all around is."""
    pictures_M3HW = unpatchify(clean_BNC, patch_thw, grid_thw).permute(0, 1, 4, 2, 3).flatten(0, 1)
    free_M1HW = 1.0 - spread(unpatchify(cover_BNC, patch_thw, grid_thw)[..., 0].clamp(0, 1)).flatten(0, 1).unsqueeze(1)
    size_hw = pictures_M3HW.shape[-2:]
    known = F.avg_pool2d(torch.cat((pictures_M3HW * free_M1HW, free_M1HW), dim=1), COARSE_PX, ceil_mode=True)
    known = F.avg_pool2d(known, REACH, stride=1, padding=REACH // 2)
    # A little of the mean over all that is free, and of the picture's, where everything around is covered.
    picture = torch.cat((pictures_M3HW, torch.ones_like(free_M1HW)), dim=1).mean(dim=(2, 3), keepdim=True)
    known = known + 1e-3 * known.mean(dim=(2, 3), keepdim=True) + 1e-6 * picture
    soft = F.interpolate(known[:, :3] / known[:, 3:], size=size_hw, mode="bilinear", align_corners=False)
    batch, frames = len(clean_BNC), grid_thw[0] * patch_thw[0]
    return patchify(soft.reshape(batch, frames, 3, *size_hw).permute(0, 1, 3, 4, 2), patch_thw)
