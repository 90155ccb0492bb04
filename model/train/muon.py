"""Muon: momentum whose update is orthogonalised, for the matrices inside the transformer blocks.

Source: Jordan et al., Muon (2024), including the quintic Newton-Schulz coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor

from model.parallel.shards import full, like, own

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5


def orthogonalised(matrices: Tensor, in_bf16: bool = True) -> Tensor:
    """About the nearest matrices with all singular values 1 (they end between 0.7 and 1.2); (..., rows, columns)."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[-2] > matrices.shape[-1]
    value: Tensor = matrices.mT if tall else matrices
    value = value / (value.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    if in_bf16:
        # The iteration forgives rounding: it only has to push singular values towards 1.
        value = value.bfloat16()
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = value @ value.mT
        value = a * value + (b * gram + c * gram @ gram) @ value
    value = value.to(matrices.dtype)
    return value.mT if tall else value


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; decoupled weight decay. Every parameter must be a matrix.

    in_bf16 False keeps the iteration in fp32, so that runs with other numbers of processes, which add up gradients in
    another order, stay close (measured over 10 steps: losses 6e-8 apart instead of 6e-6).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        in_bf16: bool = True,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._in_bf16 = in_bf16

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    alike.setdefault(weight.shape, []).append(weight)
            for (rows, columns), weights in alike.items():
                # A spread matrix is gathered: its singular values are those of the whole.
                moved = torch.stack([full(self._moved(weight, group["momentum"])) for weight in weights])
                # Tall matrices take larger steps, so that every output moves alike.
                size = group["lr"] * max(1.0, rows / columns) ** 0.5
                for weight, update in zip(weights, orthogonalised(moved, self._in_bf16), strict=True):
                    weight.mul_(1.0 - group["lr"] * group["weight_decay"])
                    own(weight).add_(own(like(update, weight)), alpha=-size)
        return loss

    def _moved(self, weight: Tensor, momentum: float) -> Tensor:
        """The gradient after Nesterov momentum."""
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        assert weight.grad is not None  # only weights with gradients come here
        own(state["momentum"]).lerp_(own(weight.grad), 1.0 - momentum)
        return weight.grad.lerp(state["momentum"], momentum)
