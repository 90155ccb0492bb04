"""The noise that a window begins with: white, or partly moving as the camera moves.

What a random backdrop becomes is decided by the noise behind it. Where that noise moves along with the camera, the
backdrop does too, and a network that has to be taught nothing but "keep what the noise keeps" obeys a pan that white
noise would let it redraw in every frame.
Source: Burgert et al., Go-with-the-Flow (2025), who warp noise along the optical flow; here it is the camera's path
alone, at whole pixels, so that every number stays a standard normal one.
Axis legend: B batch, T frames, N tokens, C numbers of a token, S side of a picture in px, F path features.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.codec.base import Triple, patchify
from model.conditions import Conditions
from model.dit.config import NetConfig, WanConfig
from model.rng import StepRng

CANVAS_SIDES = 2
"""Side of the still noise in pictures: beyond, it repeats."""


def starting_noise(
    config: NetConfig | WanConfig, conditions: Conditions, grid_thw: Triple, rng: StepRng, purpose: str
) -> Tensor:
    """(B, N, C), standard normal. conditions.camera_BTF is what it follows, whether or not the network is told."""
    camera_BTF = conditions.camera_BTF
    count = grid_thw[0] * grid_thw[1] * grid_thw[2]
    white = rng.normal_like(camera_BTF.new_empty(len(camera_BTF), count, config.token_dim), purpose)
    share = config.transformer.noise_follows_camera if isinstance(config, NetConfig) and config.pixels else 0.0
    if share == 0.0:
        return white
    height, width = grid_thw[1] * config.patch_thw[1], grid_thw[2] * config.patch_thw[2]
    still = camera_BTF.new_empty(len(camera_BTF), CANVAS_SIDES * height, CANVAS_SIDES * width, 3)
    moving = moving_noise(rng.normal_like(still, f"{purpose}, moving"), camera_BTF, (height, width))
    noise: Tensor = share**0.5 * patchify(moving, config.patch_thw) + (1.0 - share) ** 0.5 * white
    return noise


def moving_noise(still_BHWC: Tensor, camera_BTF: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """(B, T, H, W, C): what a camera on its path (model/data/camera_path.py) sees of a plane of noise.

    Every pixel takes the nearest value of the plane; seen closer, values repeat, seen from farther, some are left out.
    """
    (height, width), device = size_hw, camera_BTF.device
    y = (torch.arange(height, device=device) + 0.5) / height - 0.5
    x = (torch.arange(width, device=device) + 0.5) / width - 0.5
    pan, tilt, roll, log_zoom = (camera_BTF[..., index, None, None].float() for index in range(4))
    # A camera that pans right moves the picture to the left; from a pixel back to where it was in the first frame.
    from_x, from_y = x + pan, y[:, None] - tilt
    cosine, sine = roll.cos() / log_zoom.exp(), roll.sin() / log_zoom.exp()
    at_x = ((cosine * from_x - sine * from_y + 0.5) * width).floor().long() % still_BHWC.shape[2]
    at_y = ((sine * from_x + cosine * from_y + 0.5) * height).floor().long() % still_BHWC.shape[1]
    row = torch.arange(len(camera_BTF), device=device)[:, None, None, None]
    return still_BHWC[row, at_y, at_x]
