"""Progressive step distillation: one student step does what several small teacher steps do.

The times of the student's sampler are fixed (K steps). From one of them the frozen, guidance-merged teacher walks to
the next in `teacher_substeps` Euler steps; the clean prediction that would reach the same point in one Euler step is
the student's target.
Source: Salimans & Ho, Progressive Distillation (2022), written for x-prediction and one jump from many steps to K.
`start: noise` takes the points of the teacher's own trajectories instead of noised windows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.conditions import Batch
from model.objectives.base import Losses, noised, primary_losses, velocity_loss_B
from model.objectives.walking import StepObjective, everything, implied_clean, students_noise, walked
from model.rng import StepRng


class StepDistillation(StepObjective):
    """One player, the student; the teacher (already merged with guidance) is frozen."""

    def losses(self, batch: Batch, step: int, rng: StepRng) -> Losses:
        noise = students_noise(self._student, batch, self._recipe, rng, "noise")
        strength_B = torch.full((len(noise),), self._recipe.strength, device=noise.device)
        if self._recipe.start == "noise":
            return self._losses_on_path(batch, noise, strength_B)
        times_SB = self.drawn_step(rng, noise)
        noisy = noised(batch.tokens_BNC, noise, times_SB[0])
        target = self.target(batch, noisy, times_SB, strength_B)
        predicted = self._student(noisy, times_SB[0], everything(self._student, batch), strength_B)
        return primary_losses(velocity_loss_B(predicted, target, times_SB[0]))

    @torch.no_grad()
    def target(self, batch: Batch, noisy: Tensor, times_SB: Tensor, strength_B: Tensor) -> Tensor:
        """The clean prediction whose single Euler step lands where the teacher's small ones through the times land."""
        landed = walked(self._teacher, everything(self._teacher, batch), noisy, times_SB, strength_B)
        return implied_clean(noisy, landed, times_SB[0], times_SB[-1])

    def _losses_on_path(self, batch: Batch, noise: Tensor, strength_B: Tensor) -> Losses:
        """Every step of the student, each from where the teacher's way from this noise has its start."""
        with torch.no_grad():
            guide = everything(self._teacher, batch)
        state = everything(self._student, batch)
        parts, times_SB = self._recipe.teacher_substeps, self.all_times(noise)
        noisy, losses = noise, []
        for first in range(0, len(times_SB) - 1, parts):
            t_B, next_B = times_SB[first], times_SB[first + parts]
            landed = walked(self._teacher, guide, noisy, times_SB[first : first + parts + 1], strength_B)
            predicted = self._student(noisy, t_B, state, strength_B)
            losses.append(velocity_loss_B(predicted, implied_clean(noisy, landed, t_B, next_B), t_B))
            noisy = landed
        return primary_losses(torch.stack(losses).mean(dim=0))
