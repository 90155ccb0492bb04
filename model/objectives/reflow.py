"""Reflow: straight lines from each noise to what the teacher makes of it.

The frozen, guidance-merged teacher turns noise into a video in few Euler steps; the student learns flow matching on
the pair. Paths that do not cross can be walked in one or two steps.
Source: Liu et al., Flow Straight and Fast (2023).
"""

from __future__ import annotations

import torch

from model.conditions import Batch
from model.objectives.base import Losses, noised, primary_losses, velocity_loss_B
from model.objectives.walking import StepObjective, everything, students_noise, walked
from model.rng import StepRng


class Reflow(StepObjective):
    """One player, the student; the teacher is frozen. Its steps for a pair: teacher_substeps times the student's."""

    def losses(self, batch: Batch, step: int, rng: StepRng) -> Losses:
        clean = batch.tokens_BNC
        noise = students_noise(self._student, batch, self._recipe, rng, "noise")
        strength_B = torch.full((len(clean),), self._recipe.strength, device=clean.device)
        with torch.no_grad():
            guide = everything(self._teacher, batch)
        made = walked(self._teacher, guide, noise, self.all_times(clean), strength_B)
        t_B = self.drawn_step(rng, clean)[0]
        predicted = self._student(noised(made, noise, t_B), t_B, everything(self._student, batch), strength_B)
        return primary_losses(velocity_loss_B(predicted, made, t_B))
