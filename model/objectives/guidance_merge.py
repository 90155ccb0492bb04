"""Guidance merging: the student learns in one evaluation what the teacher says with two.

The strength is an input of the student (a sinusoidal embedding added to the time embedding), drawn per sample, so one
student covers a range of strengths.
Source: Meng et al., On Distillation of Guided Diffusion Models (2023), first stage; strength as an input as in LCM.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import nn

from model.conditions import GROUPS, Batch, keep_mask
from model.dit.backbone import Backbone
from model.guidance import GuidanceRecipe, guide
from model.noise import starting_noise
from model.objectives.base import PRIMARY, Losses, noised, primary_losses, to_tensor, velocity_loss_B
from model.objectives.flow import FlowRecipe, draw_times
from model.rng import StepRng
from schemas.recipe import StrictModel


class MergeRecipe(StrictModel):
    """Strengths are drawn uniformly from 1 to `max_strength`."""

    max_strength: float = Field(default=3.0, ge=1)
    flow: FlowRecipe = FlowRecipe()


class GuidanceMerge:
    """One player, the student; the teacher is frozen. Which set is dropped, and when, comes from the teacher."""

    def __init__(self, student: Backbone, teacher: Backbone, guidance: GuidanceRecipe, recipe: MergeRecipe) -> None:
        self._student, self._teacher = student, teacher.requires_grad_(False)
        self._guidance, self._recipe = guidance, recipe

    def players(self) -> Mapping[str, nn.Module]:
        return {PRIMARY: self._student}

    def losses(self, batch: Batch, step: int, rng: StepRng) -> Losses:
        clean, count = batch.tokens_BNC, len(batch.tokens_BNC)
        times = draw_times(self._recipe.flow, count, rng)
        t_B = to_tensor(times, clean)
        noisy = noised(clean, starting_noise(self._student.config, batch.conditions, batch.grid_thw, rng, "noise"), t_B)
        strength_B = to_tensor(1.0 + (self._recipe.max_strength - 1.0) * rng.uniform_B(count, "strength"), clean)
        # The interval alone: a teacher that is itself sampled at strength 1 can be merged at others.
        guidance = self._guidance
        acts_B = torch.tensor([guidance.from_t <= t < guidance.until_t for t in times], device=clean.device)
        everything = keep_mask(count, device=clean.device)
        kept = keep_mask(count, [name for name in GROUPS if name not in self._guidance.dropped], clean.device)
        with torch.no_grad():
            full = self._teacher(noisy, t_B, self._teacher.encode(batch.conditions, everything, batch.grid_thw))
            partial = self._teacher(noisy, t_B, self._teacher.encode(batch.conditions, kept, batch.grid_thw))
            applied_B = torch.where(acts_B, strength_B, torch.ones_like(strength_B))
            target = guide(full, partial, applied_B[:, None, None])
        state = self._student.encode(batch.conditions, everything, batch.grid_thw)
        predicted = self._student(noisy, t_B, state, strength_B)
        return primary_losses(velocity_loss_B(predicted, target, t_B))
