"""Flow matching: predict the clean tokens from a point on the straight line between noise and data.

Source: Lipman et al., Flow Matching (2023); x-prediction with the loss in velocity space is JiT's; the logit-normal
timesteps are Stable Diffusion 3's, moved towards noise because a small network otherwise stays a per-patch denoiser.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import Tensor, nn

from model.conditions import GROUPS, MOTION_GROUPS, Batch
from model.dit.backbone import Backbone
from model.dit.net import VideoDit
from model.dit.state import ConditionState
from model.motion.encoders import BODY_JOINTS
from model.noise import starting_noise
from model.objectives.base import PRIMARY, Losses, noised, primary_losses, to_tensor, velocity_loss_B
from model.objectives.misplaced import misplaced
from model.objectives.rendering import rendering_loss_B
from model.rng import StepRng
from schemas.recipe import StrictModel

AT_NOISE_UNTIL = 0.05
PER_STEP = 0.6180339887498949
"""Fractional part of the golden ratio: the most evenly spreading multiple in one dimension."""
PER_SLOT = 0.7548776662466927
"""Inverse of the plastic number, which does the same for the second dimension."""


class FlowRecipe(StrictModel):
    """t = sigmoid(N(t_mean, t_std)); dropout rates are per sample and make the branches guidance needs.

    at_noise: share of the samples with t in [0, AT_NOISE_UNTIL] instead: further on, the mean of many noisy pixels
    already tells the colour of a wall, and only almost pure noise makes the network ask the conditions.
    groups: those that this stage gives at all. drop: rates of single groups instead of drop_each (a measured camera
    path is often absent, so that stated moves have to be obeyed). drop_motion leaves the meaning of the motion without
    its geometry. detail_weight: weight in the loss of tokens that show a face or a hand, over the others' 1.
    misplaced: how far the subject may stand beside its place in the noisy input, in sides of the picture.
    render_weight: of the loss of what is painted and redrawn (model/dit/render.py). completion_weight: of the loss of
    joints that are hidden to be guessed (model/motion/completion.py).
    """

    t_mean: float = -1.0
    t_std: float = Field(default=1.0, gt=0)
    at_noise: float = Field(default=0.1, ge=0, lt=1)
    groups: tuple[str, ...] = GROUPS
    drop_each: float = Field(default=0.1, ge=0, le=1)
    drop: dict[str, float] = Field(default={"camera": 0.5})
    drop_motion: float = Field(default=0.08, ge=0, le=1)
    drop_all: float = Field(default=0.06, ge=0, le=1)
    detail_weight: float = Field(default=2.0, ge=1)
    misplaced: float = Field(default=0.0, ge=0, le=0.5)
    render_weight: float = Field(default=1.0, ge=0)
    completion_weight: float = Field(default=0.1, ge=0)

    @field_validator("groups", "drop")
    @classmethod
    def _known(cls, value: tuple[str, ...] | dict[str, float]) -> tuple[str, ...] | dict[str, float]:
        unknown = sorted(set(value) - set(GROUPS))
        if unknown:
            raise ValueError(f"unknown condition groups {unknown}; known: {', '.join(GROUPS)}")
        return value


class FlowMatching:
    """One player: the network. Conditions are dropped at random so that it also learns to do without them."""

    def __init__(self, net: Backbone, recipe: FlowRecipe) -> None:
        self._net = net
        self._recipe = recipe

    def players(self) -> Mapping[str, nn.Module]:
        return {PRIMARY: self._net}

    def losses(self, batch: Batch, step: int, rng: StepRng) -> Losses:
        clean, net, recipe = batch.tokens_BNC, self._net, self._recipe
        t_B = to_tensor(draw_times(recipe, len(clean), rng), clean)
        keep_BG = draw_keep(recipe, len(clean), rng).to(clean.device)
        state = net.encode(batch.conditions, keep_BG, batch.grid_thw)
        shown = clean
        if recipe.misplaced and isinstance(state, ConditionState) and state.painted is not None:
            patch_thw = net.config.patch_thw
            shown = misplaced(clean, state.painted, patch_thw, batch.grid_thw, t_B, recipe.misplaced, rng)
        noise = starting_noise(net.config, batch.conditions, batch.grid_thw, rng, "noise")
        predicted = net(noised(shown, noise, t_B), t_B, state)
        weight_BN = 1.0 + (recipe.detail_weight - 1.0) * batch.detail_BN
        loss_B = velocity_loss_B(predicted, clean, t_B, weight_BN)
        if isinstance(net, VideoDit) and isinstance(state, ConditionState):
            loss_B = loss_B + self._first_guess_loss_B(net, batch, state, weight_BN, rng)
        return primary_losses(loss_B)

    def _first_guess_loss_B(
        self, net: VideoDit, batch: Batch, state: ConditionState, weight_BN: Tensor, rng: StepRng
    ) -> Tensor:
        """Of what makes the first guess: joints that nobody saw, and the picture painted of them."""
        hidden_BJ = to_tensor(draw_hidden(len(batch.keys), rng), batch.tokens_BNC) > 0
        body, world = batch.conditions.body_BTJ3, batch.conditions.body_world_BTJ3
        loss_B = self._recipe.completion_weight * net.completion.loss_B(body, world, hidden_BJ, state.semantic_BMD)
        if state.rendering is not None:
            patch_thw = net.config.patch_thw
            rendering_B = rendering_loss_B(state.rendering, batch.tokens_BNC, patch_thw, batch.grid_thw, weight_BN)
            loss_B = loss_B + self._recipe.render_weight * rendering_B
        return loss_B if net.context is None else net.context.alike(loss_B)


def draw_times(recipe: FlowRecipe, batch: int, rng: StepRng) -> list[float]:
    """Logit-normal timesteps in (0, 1), spread evenly over steps and slots.

    The loss depends strongly on t. Kronecker sequences (the fractional parts of multiples of an irrational number)
    visit all noise levels in every few steps, so the mean loss of five steps already means something.
    """
    start = StepRng(rng.seed, 0).numpy(0, "time").random()
    times = []
    for slot in range(batch):
        share = (start + rng.step * PER_STEP + (rng.first_slot + slot) * PER_SLOT) % 1.0
        if share < recipe.at_noise:
            times.append(AT_NOISE_UNTIL * share / recipe.at_noise)
            continue
        share = (share - recipe.at_noise) / (1.0 - recipe.at_noise)
        normal = NormalDist().inv_cdf(min(max(share, 1e-6), 1.0 - 1e-6))
        times.append(1.0 / (1.0 + math.exp(-(recipe.t_mean + recipe.t_std * normal))))
    return times


def draw_hidden(batch: int, rng: StepRng) -> NDArray[np.float32]:
    """(B, J): 1 for the joints of BODY_JOINTS to hide and guess, up to two thirds of them, the same over a window."""
    out = np.zeros((batch, len(BODY_JOINTS)), np.float32)
    for slot in range(batch):
        draw = rng.numpy(slot, "hidden joints")
        count = int(draw.integers(1, 2 * len(BODY_JOINTS) // 3 + 1))
        out[slot, draw.permutation(len(BODY_JOINTS))[:count]] = 1.0
    return out


def draw_keep(recipe: FlowRecipe, batch: int, rng: StepRng) -> Tensor:
    """keep_BG: each group dropped alone, the motion groups together, or everything."""
    rates = [1.0 if name not in recipe.groups else recipe.drop.get(name, recipe.drop_each) for name in GROUPS]
    rows = []
    for slot in range(batch):
        draw = rng.numpy(slot, "dropout").random(len(GROUPS) + 2)
        keep = [bool(value >= rate) for value, rate in zip(draw[: len(GROUPS)], rates, strict=True)]
        if draw[-2] < recipe.drop_motion:
            keep = [kept and name not in MOTION_GROUPS for kept, name in zip(keep, GROUPS, strict=True)]
        if draw[-1] < recipe.drop_all:
            keep = [False] * len(GROUPS)
        rows.append(keep)
    return torch.tensor(rows, dtype=torch.bool)
