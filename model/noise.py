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
    turn_BT22, shift_BT2 = steps_to_plane(camera_BTF)
    from_x = x + shift_BT2[..., 0, None, None]
    from_y = y[:, None] + shift_BT2[..., 1, None, None]
    (xx, xy), (yx, yy) = (row.unbind(-1) for row in turn_BT22[..., None, None, :, :].unbind(-2))
    at_x = ((xx * from_x + xy * from_y + 0.5) * width).floor().long() % still_BHWC.shape[2]
    at_y = ((yx * from_x + yy * from_y + 0.5) * height).floor().long() % still_BHWC.shape[1]
    row = torch.arange(len(camera_BTF), device=device)[:, None, None, None]
    return still_BHWC[row, at_y, at_x]


def steps_to_plane(camera_BTF: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations with scale (B, T, 2, 2) and shifts (B, T, 2) that take a pixel, measured in pictures from the middle,
    to its place in the first frame: rotation @ (pixel + shift). A camera that pans right moves the picture to the left.
    """
    pan, tilt, roll, log_zoom = (camera_BTF[..., index].float() for index in range(4))
    cosine, sine = roll.cos() / log_zoom.exp(), roll.sin() / log_zoom.exp()
    turn = torch.stack((torch.stack((cosine, -sine), dim=-1), torch.stack((sine, cosine), dim=-1)), dim=-2)
    return turn, torch.stack((pan, -tilt), dim=-1)
