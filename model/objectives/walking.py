"""What step distillation objectives share: a frozen teacher that walks, and students that jump.

Times are per sample: t_B. A step of the straight path with clean prediction x from t to u is
z + (u - t) / (1 - t) * (x - z); the prediction whose single step lands at a given point is the inverse of that.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.conditions import Batch, keep_mask
from model.dit.backbone import Backbone, BackboneState


def stepped(noisy_BNC: Tensor, clean_BNC: Tensor, t_B: Tensor, next_B: Tensor) -> Tensor:
    """Where the step from t to next ends."""
    share = ((next_B - t_B) / (1.0 - t_B))[:, None, None]
    return noisy_BNC + share * (clean_BNC - noisy_BNC)


def implied_clean(noisy_BNC: Tensor, landed_BNC: Tensor, t_B: Tensor, next_B: Tensor) -> Tensor:
    """The clean prediction whose single step from t to next lands there."""
    return noisy_BNC + ((1.0 - t_B) / (next_B - t_B))[:, None, None] * (landed_BNC - noisy_BNC)


def everything(net: Backbone, batch: Batch) -> BackboneState:
    """The condition state with all groups kept."""
    return net.encode(
        batch.conditions, keep_mask(len(batch.tokens_BNC), device=batch.tokens_BNC.device), batch.grid_thw
    )


@torch.no_grad()
def walked(
    net: Backbone,
    state: BackboneState,
    noisy_BNC: Tensor,
    t_B: Tensor,
    end_B: Tensor,
    strength_B: Tensor,
    substeps: int,
) -> Tensor:
    """From t to end in equal Euler steps of `net`."""
    moving = noisy_BNC
    for index in range(substeps):
        now_B = t_B + (end_B - t_B) * (index / substeps)
        after_B = t_B + (end_B - t_B) * ((index + 1) / substeps)
        moving = stepped(moving, net(moving, now_B, state, strength_B), now_B, after_B)
    return moving
