"""Per-window motion to condition tokens. Every encoder can be dropped per sample, and then nothing of its input
reaches the output: tokens, additive maps and anchors alike are replaced by learned or fixed nulls.

Axis legend: B batch, T pixel frames, f latent frames (T / pt), N tokens, D width; keep_B is True where kept.
Coordinates are (t, y, x) in latent units; a dropped group's anchors move to the middle of the picture, because a
token that still stood at the wrist would keep telling the pose.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.codec.base import Triple, patchify


class MotionTokens(NamedTuple):
    """Tokens with their rotary coordinates and the latent frame each belongs to (only that frame may look at it)."""

    tokens_BND: Tensor
    coordinates_BN3: Tensor
    frame_N: Tensor


def where_kept(keep_B: Tensor, kept: Tensor, null: Tensor) -> Tensor:
    """`kept` where keep_B, else `null`; unlike a product with 0 this stops even NaN and infinity."""
    return torch.where(keep_B.reshape(-1, *[1] * (kept.ndim - 1)), kept, null)


def pair_frames(features_BTF: Tensor, frames: int) -> Tensor:
    """Join the pixel frames of one latent frame: (B, T, F) -> (B, f, pt * F)."""
    return features_BTF.reshape(features_BTF.shape[0], frames, -1)


def anchor_cells(anchor_BN2: Tensor, grid_thw: Triple) -> Tensor:
    """Crop positions (y, x) in [0, 1] to grid cells, where the centre of cell i is i."""
    size = torch.tensor(grid_thw[1:], dtype=torch.float32, device=anchor_BN2.device)
    return anchor_BN2 * size - 0.5


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, outputs))


def _coordinates(time_Bf: Tensor, cells_Bf2: Tensor) -> Tensor:
    return torch.cat((time_Bf.unsqueeze(-1), cells_Bf2), dim=-1)


def _middle(batch: int, count: int, device: torch.device) -> Tensor:
    return torch.full((batch, count, 2), 0.5, device=device)


class BodyEncoder(nn.Module):
    """Skeleton picture, added to the video tokens (it is spatially aligned), and one pose token per latent frame."""

    def __init__(self, patch_thw: Triple, joints: int, width: int) -> None:
        super().__init__()
        self.patch_thw = patch_thw
        pt, ph, pw = patch_thw
        self.map_in = nn.Linear(pt * ph * pw * 3, width)
        self.pose = _perceptron(pt * joints * 3, width, width)
        self.null_map = nn.Parameter(torch.zeros(width))
        self.null_token = nn.Parameter(torch.randn(width) * 0.02)

    def added_map(self, map_BTHW3: Tensor, keep_B: Tensor) -> Tensor:
        """What is added to the video tokens, (B, N, D)."""
        return where_kept(keep_B, self.map_in(patchify(map_BTHW3, self.patch_thw)), self.null_map)

    def forward(self, body_BTJ3: Tensor, time_Bf: Tensor, grid_thw: Triple, keep_B: Tensor) -> MotionTokens:
        batch, frames = time_Bf.shape
        tokens = where_kept(keep_B, self.pose(pair_frames(body_BTJ3.flatten(2), frames)), self.null_token)
        cells = anchor_cells(_middle(batch, frames, tokens.device), grid_thw)
        return MotionTokens(tokens, _coordinates(time_Bf, cells), torch.arange(frames, device=tokens.device))


class FaceEncoder(nn.Module):
    """Expression, gaze and head rotation through a narrow bottleneck: room for motion, little for identity."""

    def __init__(self, patch_frames: int, features: int, bottleneck: int, width: int) -> None:
        super().__init__()
        self.squeeze = _perceptron(patch_frames * features, width, bottleneck)
        self.spread = _perceptron(bottleneck, width, width)
        self.null_token = nn.Parameter(torch.randn(width) * 0.02)
        self.unseen_token = nn.Parameter(torch.randn(width) * 0.02)

    def forward(
        self,
        face_BTF: Tensor,
        anchor_BT2: Tensor,
        present_BT: Tensor,
        time_Bf: Tensor,
        grid_thw: Triple,
        keep_B: Tensor,
    ) -> MotionTokens:
        batch, frames = time_Bf.shape
        tokens = self.spread(self.squeeze(pair_frames(face_BTF, frames)))
        seen_Bf, anchor_Bf2 = seen_anchor(anchor_BT2, present_BT, frames)
        tokens = torch.where(seen_Bf.unsqueeze(-1), tokens, self.unseen_token)
        tokens = where_kept(keep_B, tokens, self.null_token)
        anchor_Bf2 = where_kept(keep_B, anchor_Bf2, _middle(batch, frames, tokens.device))
        coordinates = _coordinates(time_Bf, anchor_cells(anchor_Bf2, grid_thw))
        return MotionTokens(tokens, coordinates, torch.arange(frames, device=tokens.device))


class HandsEncoder(nn.Module):
    """Palm-normalised hand shape: one token per hand and latent frame, standing at the wrist."""

    def __init__(self, patch_frames: int, features: int, width: int) -> None:
        super().__init__()
        self.shape = _perceptron(patch_frames * features, width, width)
        self.side = nn.Parameter(torch.randn(2, width) * 0.02)
        self.null_token = nn.Parameter(torch.randn(width) * 0.02)
        self.unseen_token = nn.Parameter(torch.randn(width) * 0.02)

    def forward(
        self,
        hands_BT2F: Tensor,
        anchor_BT22: Tensor,
        present_BT2: Tensor,
        time_Bf: Tensor,
        grid_thw: Triple,
        keep_B: Tensor,
    ) -> MotionTokens:
        batch, frames = time_Bf.shape
        tokens, coordinates = [], []
        for hand in (0, 1):
            token = self.shape(pair_frames(hands_BT2F[:, :, hand], frames))
            seen_Bf, anchor_Bf2 = seen_anchor(anchor_BT22[:, :, hand], present_BT2[:, :, hand], frames)
            token = torch.where(seen_Bf.unsqueeze(-1), token, self.unseen_token)
            token = where_kept(keep_B, token, self.null_token)
            anchor_Bf2 = where_kept(keep_B, anchor_Bf2, _middle(batch, frames, token.device))
            tokens.append(token + self.side[hand])
            coordinates.append(_coordinates(time_Bf, anchor_cells(anchor_Bf2, grid_thw)))
        frame_N = torch.arange(frames, device=time_Bf.device).repeat(2)
        return MotionTokens(torch.cat(tokens, dim=1), torch.cat(coordinates, dim=1), frame_N)


class CameraEncoder(nn.Module):
    """Camera path since the window's first frame: a small structured token per latent frame.

    A structured channel is needed because sentence embeddings hardly tell "pan left" from "pan right".
    """

    def __init__(self, patch_frames: int, features: int, width: int) -> None:
        super().__init__()
        self.path = _perceptron(patch_frames * features, width, width)
        self.null_token = nn.Parameter(torch.randn(width) * 0.02)

    def forward(self, camera_BTF: Tensor, time_Bf: Tensor, grid_thw: Triple, keep_B: Tensor) -> MotionTokens:
        batch, frames = time_Bf.shape
        tokens = where_kept(keep_B, self.path(pair_frames(camera_BTF, frames)), self.null_token)
        cells = anchor_cells(_middle(batch, frames, tokens.device), grid_thw)
        return MotionTokens(tokens, _coordinates(time_Bf, cells), torch.arange(frames, device=tokens.device))


def seen_anchor(anchor_BT2: Tensor, present_BT: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Mean anchor over the present pixel frames of each latent frame, and whether there was any; middle if not."""
    batch = anchor_BT2.shape[0]
    present = present_BT.reshape(batch, frames, -1, 1).float()
    total = present.sum(dim=2)
    mean = (anchor_BT2.reshape(batch, frames, -1, 2) * present).sum(dim=2) / total.clamp_min(1.0)
    return total.squeeze(-1) > 0, torch.where(total > 0, mean, 0.5)
