"""Progressive step distillation: one student step does what several small teacher steps do.

The times of the student's sampler are fixed (K steps). At a random one of them the frozen, guidance-merged teacher
walks to the next in `teacher_substeps` Euler steps; the clean prediction that would reach the same point in one
Euler step is the student's target.
Source: Salimans & Ho, Progressive Distillation (2022), written for x-prediction and one jump from many steps to K.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from model.conditions import Batch, keep_mask
from model.dit.net import VideoDit
from model.objectives.base import PRIMARY, Losses, noised, primary_losses, to_tensor, velocity_loss_B
from model.rng import StepRng
from model.sampler import time_grid
from schemas.recipe import StrictModel


class StepRecipe(StrictModel):
    """`steps` and `shift` become the student's sampler; `strength` is the guidance it is distilled at."""

    steps: int = Field(default=4, gt=0)
    shift: float = Field(default=2.0, gt=0)
    teacher_substeps: int = Field(default=3, gt=0)
    strength: float = Field(default=2.0, ge=1)


class StepDistillation:
    """One player, the student; the teacher (already merged with guidance) is frozen."""

    def __init__(self, student: VideoDit, teacher: VideoDit, recipe: StepRecipe) -> None:
        self._student, self._teacher = student, teacher.requires_grad_(False)
        self._recipe = recipe
        self._times = time_grid(recipe.steps, recipe.shift)

    def players(self) -> Mapping[str, nn.Module]:
        return {PRIMARY: self._student}

    def losses(self, batch: Batch, step: int, rng: StepRng) -> Losses:
        clean, count = batch.tokens_BNC, len(batch.tokens_BNC)
        phase = [int(value * self._recipe.steps) for value in rng.uniform_B(count, "phase")]
        t_B = to_tensor([self._times[index] for index in phase], clean)
        next_B = to_tensor([self._times[index + 1] for index in phase], clean)
        noisy = noised(clean, rng.normal_like(clean, "noise"), t_B)
        strength_B = torch.full_like(t_B, self._recipe.strength)
        keep_BG = keep_mask(count, device=clean.device)
        target = self._teacher_target(batch, noisy, t_B, next_B, strength_B, keep_BG)
        state = self._student.encode(batch.conditions, keep_BG, batch.grid_thw)
        predicted = self._student(noisy, t_B, state, strength_B)
        return primary_losses(velocity_loss_B(predicted, target, t_B))

    @torch.no_grad()
    def _teacher_target(
        self, batch: Batch, noisy: Tensor, t_B: Tensor, next_B: Tensor, strength_B: Tensor, keep_BG: Tensor
    ) -> Tensor:
        """The clean prediction whose single Euler step from t to next lands where the teacher's small steps land."""
        state = self._teacher.encode(batch.conditions, keep_BG, batch.grid_thw)
        substeps = self._recipe.teacher_substeps
        moving = noisy
        for index in range(substeps):
            now_B = t_B + (next_B - t_B) * (index / substeps)
            after_B = t_B + (next_B - t_B) * ((index + 1) / substeps)
            predicted = self._teacher(moving, now_B, state, strength_B)
            share = ((after_B - now_B) / (1.0 - now_B))[:, None, None]
            moving = moving + share * (predicted - moving)
        return noisy + ((1.0 - t_B) / (next_B - t_B))[:, None, None] * (moving - noisy)
