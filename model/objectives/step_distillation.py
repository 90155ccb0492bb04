"""Progressive step distillation: one student step does what several small teacher steps do.

The times of the student's sampler are fixed (K steps). At a random one of them the frozen, guidance-merged teacher
walks to the next in `teacher_substeps` Euler steps; the clean prediction that would reach the same point in one
Euler step is the student's target.
Source: Salimans & Ho, Progressive Distillation (2022), written for x-prediction and one jump from many steps to K.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.conditions import Batch
from model.objectives.base import Losses, noised, primary_losses, velocity_loss_B
from model.objectives.walking import StepObjective, drawn_step, everything, implied_clean, walked
from model.rng import StepRng


class StepDistillation(StepObjective):
    """One player, the student; the teacher (already merged with guidance) is frozen."""

    def losses(self, batch: Batch, step: int, rng: StepRng) -> Losses:
        clean, count = batch.tokens_BNC, len(batch.tokens_BNC)
        t_B, next_B = drawn_step(self._times, rng, clean)
        noisy = noised(clean, rng.normal_like(clean, "noise"), t_B)
        strength_B = torch.full((count,), self._recipe.strength, device=clean.device)
        target = self._teacher_target(batch, noisy, t_B, next_B, strength_B)
        predicted = self._student(noisy, t_B, everything(self._student, batch), strength_B)
        return primary_losses(velocity_loss_B(predicted, target, t_B))

    @torch.no_grad()
    def _teacher_target(self, batch: Batch, noisy: Tensor, t_B: Tensor, next_B: Tensor, strength_B: Tensor) -> Tensor:
        """The clean prediction whose single Euler step from t to next lands where the teacher's small steps land."""
        state = everything(self._teacher, batch)
        landed = walked(self._teacher, state, noisy, t_B, next_B, strength_B, self._recipe.teacher_substeps)
        return implied_clean(noisy, landed, t_B, next_B)
