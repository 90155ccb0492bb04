"""Muon: momentum whose update is orthogonalised, for the matrices inside transformer blocks and for convolutions.

Source: Jordan et al., Muon (2024), including the quintic Newton-Schulz coefficients and that a convolution's kernels
are a matrix of outputs by everything that one sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

import torch
from torch import Tensor

from model.parallel.shards import full, like, own, wrapped

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
    batched = value.reshape(-1, *value.shape[-2:])
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = batched @ batched.mT
        # The sums ride on the products: on a GPU a pass over all matrices costs as much as a third of a product.
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        batched = torch.baddbmm(batched, polynomial, batched, beta=a)
    value = batched.reshape(value.shape).to(matrices.dtype)
    return value.mT if tall else value


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; decoupled weight decay. Every parameter must be a matrix, or the kernels of a
    convolution.

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
            moving = [weight for weight in group["params"] if weight.grad is not None]
            alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
            for weight, moved in zip(moving, self._moved(moving, group["momentum"]), strict=True):
                alike.setdefault(weight.shape, []).append((weight, moved))
            if moving:
                torch._foreach_mul_([own(weight) for weight in moving], 1.0 - group["lr"] * group["weight_decay"])
            for shape, pairs in alike.items():
                # A spread matrix is gathered: its singular values are those of the whole.
                stacked = torch.stack([full(moved).flatten(1) for _, moved in pairs])
                rows, columns = stacked.shape[1:]
                # Tall matrices take larger steps, so that every output moves alike.
                size = group["lr"] * max(1.0, rows / columns) ** 0.5
                updates = orthogonalised(stacked, self._in_bf16).reshape(-1, *shape).unbind()
                torch._foreach_add_(
                    [own(weight) for weight, _ in pairs],
                    [own(like(update, weight)) for update, (weight, _) in zip(updates, pairs, strict=True)],
                    alpha=-size,
                )
        return loss

    def _moved(self, weights: Sequence[Tensor], momentum: float) -> list[Tensor]:
        """The gradients after Nesterov momentum. Lists of tensors at once: one kernel in place of hundreds."""
        for weight in weights:
            if "momentum" not in self.state[weight]:
                self.state[weight]["momentum"] = torch.zeros_like(weight)
        if not weights:
            return []
        kept = [own(self.state[weight]["momentum"]) for weight in weights]
        grads = [weight.grad for weight in weights if weight.grad is not None]
        torch._foreach_lerp_(kept, [own(grad) for grad in grads], 1.0 - momentum)
        moved = torch._foreach_lerp([own(grad) for grad in grads], kept, momentum)
        return [wrapped(part, grad) for part, grad in zip(moved, grads, strict=True)]
