"""Windows whose subject stands a little beside its place, as what a sampler has made so far may.

A network that only ever sees the truth in the noise learns to believe what it sees there. Its own samples begin with
guesses: a finger that comes out beside its joints is then taken for content and kept. Here the noisy input shows the
subject pushed about while the target does not, so that where things are comes from the conditions.
Source: what training never shows and sampling does is the exposure bias of Ning et al., Input Perturbation Reduces
Exposure Bias in Diffusion Models (2023), who add noise; displacing what conditions place is ours.
Axis legend: B batch, T frames, N tokens, C numbers of a token, H W pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from model.codec.base import Triple, patchify, unpatchify
from model.dit.detail import Painted
from model.objectives.base import to_tensor
from model.rng import StepRng

PULLS = 4
"""The field of displacements is drawn at this many places a side, and smooth between them."""
REACH_SHARE = 0.08
"""How far around what is painted the picture moves along, in sides of it."""


def misplaced(
    clean_BNC: Tensor, painted: Painted, patch_thw: Triple, grid_thw: Triple, t_B: Tensor, largest: float, rng: StepRng
) -> Tensor:
    """(B, N, C), pixels: displaced by up to about `largest` sides at t = 0 and not at all at t = 1, near what is
    painted. One smooth field for all frames of a window; how strong it is differs between windows.
    """
    video_BTHW3 = unpatchify(clean_BNC, patch_thw, grid_thw)
    batch, frames, height, width, _ = video_BTHW3.shape
    near_BTHW = spread(unpatchify(painted.cover_BNC, patch_thw, grid_thw)[..., 0])
    pulls = rng.normal_like(clean_BNC.new_empty(batch, 2, PULLS, PULLS), "pulls")
    strength_B = to_tensor(rng.uniform_B(batch, "misplaced"), clean_BNC) * largest * (1.0 - t_B)
    field_B2HW = F.interpolate(pulls, size=(height, width), mode="bilinear", align_corners=True)
    field_B2HW = field_B2HW * strength_B[:, None, None, None]
    y = (torch.arange(height, device=clean_BNC.device) + 0.5) / height
    x = (torch.arange(width, device=clean_BNC.device) + 0.5) / width
    place_HW2 = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    at = place_HW2 + near_BTHW.unsqueeze(-1) * field_B2HW.permute(0, 2, 3, 1).unsqueeze(1)
    pictures = video_BTHW3.permute(0, 1, 4, 2, 3).flatten(0, 1)
    moved = F.grid_sample(pictures, 2.0 * at.flatten(0, 1) - 1.0, padding_mode="border", align_corners=False)
    return patchify(moved.reshape(batch, frames, 3, height, width).permute(0, 1, 3, 4, 2), patch_thw)


def spread(cover_BTHW: Tensor) -> Tensor:
    """The same, wider and with a soft edge."""
    side = 2 * max(1, round(REACH_SHARE * min(cover_BTHW.shape[-2:]) / 2)) + 1
    pictures = cover_BTHW.flatten(0, 1).unsqueeze(1)
    wide = F.max_pool2d(pictures, side, stride=1, padding=side // 2)
    soft = F.avg_pool2d(wide, side, stride=1, padding=side // 2, count_include_pad=False)
    return soft.reshape(cover_BTHW.shape)
