"""Exponential moving average of weights, with a warm-up so that the first steps do not linger."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from model.parallel.shards import own


class Ema:
    """average <- d * average + (1 - d) * weights, where d grows as (1 + n) / (10 + n) up to `decay`."""

    def __init__(self, weights: Mapping[str, Tensor], decay: float, updates: int = 0) -> None:
        self.decay = decay
        self.updates = updates
        self.tensors = {name: tensor.detach().clone() for name, tensor in weights.items()}

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        now = net.state_dict()
        averages = [own(self.tensors[name]) for name in now]
        torch._foreach_lerp_(averages, [own(tensor) for tensor in now.values()], 1.0 - decay)
