"""Three-dimensional rotary positions with continuous coordinates.

A token's coordinate is (t, y, x) in latent units and need not be an integer: a face token sits where the head is.
Attention logits depend on coordinate differences only.
Source: Su et al., RoFormer (2021); the split over three axes follows open video transformers such as Wan.
"""

from __future__ import annotations

import torch
from torch import Tensor


def axis_split(head_dim: int) -> tuple[int, int, int]:
    """How many channels of a head rotate with t, y and x: a quarter for time, the rest shared, all even."""
    time = max(2, head_dim // 4 // 2 * 2)
    rows = (head_dim - time) // 4 * 2
    return time, rows, head_dim - time - rows


def rotary_table(coordinates_BN3: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each (B, 1, N, head_dim / 2), for `rotate`."""
    angles = []
    for axis, channels in enumerate(axis_split(head_dim)):
        exponent = torch.arange(0, channels, 2, device=coordinates_BN3.device, dtype=torch.float32) / channels
        angles.append(coordinates_BN3[..., axis : axis + 1].float() * theta**-exponent)
    angle_BN = torch.cat(angles, dim=-1).unsqueeze(1)
    return angle_BN.cos(), angle_BN.sin()


def rotate(heads_BHND: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the channel pairs (i, i + D/2) of every head by the token's angles."""
    cosine, sine = table
    first, second = heads_BHND.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, first * sine + second * cosine), dim=-1).to(heads_BHND.dtype)


def grid_coordinates(grid_thw: tuple[int, int, int], time_units_BT: Tensor) -> Tensor:
    """(B, N, 3) for a video grid whose latent frames lie at `time_units_BT`; rows and columns count cells."""
    frames, rows, columns = grid_thw
    batch = time_units_BT.shape[0]
    y = torch.arange(rows, device=time_units_BT.device, dtype=torch.float32)
    x = torch.arange(columns, device=time_units_BT.device, dtype=torch.float32)
    shape = (batch, frames, rows, columns)
    t_full = time_units_BT.float()[:, :, None, None].expand(shape)
    return torch.stack((t_full, y[:, None].expand(shape), x.expand(shape)), dim=-1).reshape(batch, -1, 3)
