"""Multi-condition guidance: two branches in place of one per condition group.

Let x(A) be the prediction with only the groups A present. The full chain over groups c_1..c_K with weights w_k is
    x = x({}) + sum_k w_k [x(c_1..c_k) - x(c_1..c_{k-1})]                          K + 1 network evaluations.
If the kept groups S come first with weight 1 and all dropped groups D share one weight w, the sum telescopes to
    x = x(S) + w [x(S+D) - x(S)] = x(S+D) + (w - 1) [x(S+D) - x(S)]                2 network evaluations, exactly.
The last form is what we compute: at w = 1 it is the conditional branch bit for bit.
Weights sum to one, so guiding x-predictions, velocities or scores is the same thing.
Axis legend: B batch, N tokens, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from pydantic import Field, model_validator
from torch import Tensor

from model.codec.base import Triple
from model.conditions import GROUPS, Conditions, keep_mask
from model.dit.backbone import Backbone, BackboneState
from schemas.recipe import StrictModel


class GuidanceRecipe(StrictModel):
    """Strength w, the dropped set D (the rest is kept), and the interval of t in which guidance acts.

    Outside the interval one branch is enough. Dropping everything over the noisy half is the calibrated start.
    """

    strength: float = Field(default=2.0, ge=1.0)
    dropped: tuple[str, ...] = GROUPS
    from_t: float = 0.0
    until_t: float = 1.0

    @model_validator(mode="after")
    def _check(self) -> GuidanceRecipe:
        unknown = sorted(set(self.dropped) - set(GROUPS))
        if unknown:
            raise ValueError(f"unknown condition groups {unknown}; known: {', '.join(GROUPS)}")
        return self

    def acts_at(self, t: float) -> bool:
        return self.strength != 1.0 and self.from_t <= t < self.until_t


class Predictor(Protocol):
    """Clean-token prediction at a time shared by the batch; `evaluations` counts network calls since construction."""

    @property
    def evaluations(self) -> int: ...

    def predict(self, noisy_BNC: Tensor, t: float) -> Tensor: ...


class SingleBranch:
    """One network call per prediction: a plain conditional model, or a student told which strength to imitate."""

    def __init__(
        self, net: Backbone, conditions: Conditions, grid_thw: Triple, strength: float | None = None,
        given: Sequence[str] = GROUPS,
    ) -> None:  # fmt: skip
        self.evaluations = 0
        self._net = net
        keep_BG = keep_mask(conditions.batch_size, given, conditions.time_s_BT.device)
        self._state = net.encode(conditions, keep_BG, grid_thw)
        self._strength = strength

    def predict(self, noisy_BNC: Tensor, t: float) -> Tensor:
        self.evaluations += 1
        return call(self._net, noisy_BNC, t, self._state, self._strength)


class DualBranch:
    """The guided teacher: conditional branch always, the branch without D where the recipe says so.

    given: the groups that there are at all; both branches do without the others.
    """

    def __init__(
        self, net: Backbone, conditions: Conditions, grid_thw: Triple, recipe: GuidanceRecipe,
        given: Sequence[str] = GROUPS,
    ) -> None:  # fmt: skip
        self.evaluations = 0
        self._net, self._recipe = net, recipe
        batch, device = conditions.batch_size, conditions.time_s_BT.device
        kept = [name for name in given if name not in recipe.dropped]
        self._full = net.encode(conditions, keep_mask(batch, given, device), grid_thw)
        self._kept = net.encode(conditions, keep_mask(batch, kept, device), grid_thw)

    def predict(self, noisy_BNC: Tensor, t: float) -> Tensor:
        self.evaluations += 1
        full = call(self._net, noisy_BNC, t, self._full)
        if not self._recipe.acts_at(t):
            return full
        self.evaluations += 1
        return guide(full, call(self._net, noisy_BNC, t, self._kept), self._recipe.strength)


class FullChain:
    """The reference: one branch per group, in the order given, each with its own weight."""

    def __init__(
        self, net: Backbone, conditions: Conditions, grid_thw: Triple, order: Sequence[str], weights: Sequence[float]
    ) -> None:
        self.evaluations = 0
        self._net, self._weights = net, tuple(weights)
        batch, device = conditions.batch_size, conditions.time_s_BT.device
        self._states = [
            net.encode(conditions, keep_mask(batch, order[:count], device), grid_thw) for count in range(len(order) + 1)
        ]

    def predict(self, noisy_BNC: Tensor, t: float) -> Tensor:
        self.evaluations += len(self._states)
        outputs = [call(self._net, noisy_BNC, t, state) for state in self._states]
        total = outputs[0]
        for weight, before, after in zip(self._weights, outputs[:-1], outputs[1:], strict=True):
            total = total + weight * (after - before)
        return total


def guide(full_BNC: Tensor, kept_BNC: Tensor, strength: float | Tensor) -> Tensor:
    """Dual-branch guidance; the strength may be one per sample, shaped to broadcast."""
    return full_BNC + (strength - 1.0) * (full_BNC - kept_BNC)


def call(net: Backbone, noisy_BNC: Tensor, t: float, state: BackboneState, strength: float | None = None) -> Tensor:
    """One network evaluation at one time for the whole batch."""
    t_B = torch.full((noisy_BNC.shape[0],), t, device=noisy_BNC.device)
    guidance_B = None if strength is None else torch.full_like(t_B, strength)
    return net(noisy_BNC, t_B, state, guidance_B)  # type: ignore[no-any-return]
