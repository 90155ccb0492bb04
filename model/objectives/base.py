"""The contract between an objective and the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from model.conditions import Batch
from model.rng import StepRng

PRIMARY = "model"
"""The player whose weights become model.safetensors and ema.safetensors."""
MIN_NOISE = 0.05
"""1 - t is not taken smaller than this in the loss weight. Source: t_eps of JiT."""


class Losses(NamedTuple):
    """What each player minimises, and the primary player's loss per sample (to name a bad sample)."""

    per_player: Mapping[str, Tensor]
    per_sample_B: Tensor


class Objective(Protocol):
    """players(): who learns; losses(): what they minimise on a batch. Frozen teachers are the objective's own."""

    def players(self) -> Mapping[str, nn.Module]: ...

    def losses(self, batch: Batch, step: int, rng: StepRng) -> Losses: ...


def noised(clean_BNC: Tensor, noise_BNC: Tensor, t_B: Tensor) -> Tensor:
    """z = t x + (1 - t) noise."""
    t = t_B[:, None, None]
    return t * clean_BNC + (1.0 - t) * noise_BNC


def velocity_loss_B(predicted_BNC: Tensor, target_BNC: Tensor, t_B: Tensor, weight_BN: Tensor | None = None) -> Tensor:
    """Squared error of the velocities that two clean predictions imply: the x error over (1 - t), per sample.

    weight_BN: weights of the tokens in the mean; all alike without.
    """
    scaled = (predicted_BNC - target_BNC) / (1.0 - t_B)[:, None, None].clamp_min(MIN_NOISE)
    error_BN = scaled.square().mean(dim=2)
    if weight_BN is None:
        return error_BN.mean(dim=1)
    return (error_BN * weight_BN).sum(dim=1) / weight_BN.sum(dim=1)


def primary_losses(per_sample_B: Tensor) -> Losses:
    return Losses({PRIMARY: per_sample_B.mean()}, per_sample_B.detach())


def to_tensor(values: object, like: Tensor) -> Tensor:
    """Numbers drawn by StepRng as a float tensor beside `like`."""
    return torch.as_tensor(values, dtype=torch.float32, device=like.device)
