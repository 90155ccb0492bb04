"""Reflow: straight lines from each noise to what the teacher makes of it.

The frozen, guidance-merged teacher turns noise into a video in few Euler steps; the student learns flow matching on
the pair. Paths that do not cross can be walked in one or two steps.
Source: Liu et al., Flow Straight and Fast (2023).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from model.conditions import Batch
from model.dit.backbone import Backbone
from model.objectives.base import PRIMARY, Losses, noised, primary_losses, velocity_loss_B
from model.objectives.step_distillation import StepRecipe, drawn_step
from model.objectives.walking import everything, walked
from model.rng import StepRng
from model.sampler import time_grid


class Reflow:
    """One player, the student; the teacher is frozen. Its steps for a pair: teacher_substeps times the student's."""

    def __init__(self, student: Backbone, teacher: Backbone, recipe: StepRecipe) -> None:
        self._student, self._teacher = student, teacher.requires_grad_(False)
        self._recipe = recipe
        self._times = time_grid(recipe.steps, recipe.shift)

    def players(self) -> Mapping[str, nn.Module]:
        return {PRIMARY: self._student}

    def losses(self, batch: Batch, step: int, rng: StepRng) -> Losses:
        clean = batch.tokens_BNC
        noise = rng.normal_like(clean, "noise")
        strength_B = torch.full((len(clean),), self._recipe.strength, device=clean.device)
        state, made = everything(self._teacher, batch), noise
        for start, end in zip(self._times[:-1], self._times[1:], strict=True):
            start_B, end_B = (torch.full_like(strength_B, value) for value in (start, end))
            made = walked(self._teacher, state, made, start_B, end_B, strength_B, self._recipe.teacher_substeps)
        t_B, _ = drawn_step(self._times, rng, clean)
        predicted = self._student(noised(made, noise, t_B), t_B, everything(self._student, batch), strength_B)
        return primary_losses(velocity_loss_B(predicted, made, t_B))
