"""Conditions of the window as a whole: what the motion means, what the camera does, what the text states of both.

Axis legend: B batch, T pixel frames, f latent frames, S moments, M tokens, D width; keep_B is True where kept.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.codec.base import Triple
from model.motion.encoders import pair_frames, perceptron, where_kept

SEMANTIC_TOKENS = 4
SEMANTIC_BOTTLENECK = 16
"""Numbers per semantic token: enough for which motion it is, too few for every pose of it."""
CAMERA_OCTAVES = 3


class SemanticEncoder(nn.Module):
    """Bone directions at moments around the window, pooled by learned queries into few narrow tokens; action labels
    as one token more, and both pooled for the time embedding."""

    def __init__(self, features: int, moments: int, text_dim: int, width: int) -> None:
        super().__init__()
        self.moment_in = perceptron(features, width, width)
        self.moment_at = nn.Parameter(torch.randn(moments, width) * 0.02)
        self.queries = nn.Parameter(torch.randn(SEMANTIC_TOKENS, width) * 0.2)
        self.squeeze = nn.Linear(width, SEMANTIC_BOTTLENECK)
        self.spread = nn.Linear(SEMANTIC_BOTTLENECK, width)
        self.action_in = nn.Linear(text_dim, width)
        self.null_tokens = nn.Parameter(torch.randn(SEMANTIC_TOKENS + 1, width) * 0.02)
        self.pool = nn.Linear(width, width)

    def latents(self, semantic_BSF: Tensor) -> Tensor:
        """(B, SEMANTIC_TOKENS, SEMANTIC_BOTTLENECK): all that the moments tell."""
        moments = self.moment_in(semantic_BSF) + self.moment_at
        queries = self.queries.expand(moments.shape[0], -1, -1)
        return torch.tanh(self.squeeze(F.scaled_dot_product_attention(queries, moments, moments)))

    def forward(self, semantic_BSF: Tensor, actions_BD: Tensor, keep_B: Tensor) -> Tensor:
        """(B, SEMANTIC_TOKENS + 1, D)."""
        tokens = torch.cat((self.spread(self.latents(semantic_BSF)), self.action_in(actions_BD).unsqueeze(1)), dim=1)
        return where_kept(keep_B, tokens, self.null_tokens)


class CameraEncoder(nn.Module):
    """The measured path as a map: for every cell, where its piece of backdrop was at the window's start."""

    def __init__(self, patch_frames: int, features: int, width: int) -> None:
        super().__init__()
        self.patch_frames = patch_frames
        self.map_in = nn.Linear(patch_frames * (4 * CAMERA_OCTAVES + features), width)
        self.null_map = nn.Parameter(torch.zeros(width))

    def added_map(self, camera_BTF: Tensor, grid_thw: Triple, keep_B: Tensor) -> Tensor:
        """What is added to the video tokens, (B, N, D)."""
        f, rows, columns = grid_thw
        batch, frames, count = camera_BTF.shape
        y = (torch.arange(rows, device=camera_BTF.device) + 0.5) / rows - 0.5
        x = (torch.arange(columns, device=camera_BTF.device) + 0.5) / columns - 0.5
        pan, tilt, roll, zoom = (camera_BTF[..., index, None, None].float() for index in range(4))
        # The scene moves against the camera: the backdrop point now at (x, y) started here.
        scale = torch.exp(-zoom)
        moved_x, moved_y = x + pan, y[:, None] - tilt
        cosine, sine = torch.cos(roll) * scale, torch.sin(roll) * scale
        shift = torch.stack((cosine * moved_x - sine * moved_y - x, sine * moved_x + cosine * moved_y - y[:, None]), -1)
        octaves = 2.0 ** torch.arange(CAMERA_OCTAVES, device=camera_BTF.device)
        angle = shift.unsqueeze(-1) * (octaves * math.pi)
        waves = torch.cat((angle.sin(), angle.cos() - 1.0), dim=-1).flatten(4)
        plain = camera_BTF[:, :, None, None, :].expand(batch, frames, rows, columns, count)
        features = torch.cat((waves, plain), dim=-1).reshape(batch, f, frames // f, rows, columns, -1)
        tokens = features.permute(0, 1, 3, 4, 2, 5).reshape(batch, f * rows * columns, -1)
        return where_kept(keep_B, self.map_in(tokens), self.null_map)


class DirectionsEncoder(nn.Module):
    """What the text states of camera and orientation: one vector per latent frame, added to its video tokens, and the
    mean for the time embedding. A structured channel, because sentence vectors hardly tell left from right."""

    def __init__(self, patch_frames: int, features: int, width: int) -> None:
        super().__init__()
        self.stated = perceptron(patch_frames * features, width, width)
        self.null_token = nn.Parameter(torch.randn(width) * 0.02)

    def forward(self, directions_BTF: Tensor, frames: int, keep_B: Tensor) -> Tensor:
        """(B, f, D)."""
        return where_kept(keep_B, self.stated(pair_frames(directions_BTF, frames)), self.null_token)
