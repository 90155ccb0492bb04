"""Phased consistency: from anywhere in a step of the student's sampler, the jump to its end is the same.

A step of the student is cut into `teacher_substeps` intervals. From a random one of their starts the frozen, guidance-
merged teacher takes one Euler step; the student's jump from before that step must land where its own jump from after
it lands (where the teacher itself landed, in the last interval). The student is its own target, without gradient.
Source: Wang et al., Phased Consistency Models (2024); without an averaged target as in Geng et al., Consistency Models
Made Easy (2024).
"""

from __future__ import annotations

import torch

from model.conditions import Batch
from model.objectives.base import Losses, noised, primary_losses, to_tensor, velocity_loss_B
from model.objectives.walking import StepObjective, everything, implied_clean, stepped, students_noise, walked
from model.rng import StepRng


class PhasedConsistency(StepObjective):
    """One player, the student; the teacher is frozen."""

    def losses(self, batch: Batch, step: int, rng: StepRng) -> Losses:
        clean, parts = batch.tokens_BNC, self._recipe.teacher_substeps
        times_SB = self.drawn_step(rng, clean)
        index_B = to_tensor(rng.uniform_B(len(clean), "interval") * parts, clean).long()
        t_B, after_B = (times_SB.gather(0, at_B.unsqueeze(0))[0] for at_B in (index_B, index_B + 1))
        start_B, end_B = times_SB[0], times_SB[-1]
        strength_B = torch.full_like(t_B, self._recipe.strength)
        noisy = noised(clean, students_noise(self._student, batch, self._recipe, rng, "noise"), t_B)
        state = everything(self._student, batch)
        with torch.no_grad():
            both_2B = torch.stack((t_B, after_B))
            walked_to = walked(self._teacher, everything(self._teacher, batch), noisy, both_2B, strength_B)
            last_B = index_B >= parts - 1
            # In the last interval there is nothing left to jump; any time short of 1 keeps the arithmetic finite.
            jump_B = torch.where(last_B, start_B, after_B)
            jumped = stepped(walked_to, self._student(walked_to, jump_B, state, strength_B), jump_B, end_B)
            landed = torch.where(last_B[:, None, None], walked_to, jumped)
            target = implied_clean(noisy, landed, t_B, end_B)
        predicted = self._student(noisy, t_B, state, strength_B)
        return primary_losses(velocity_loss_B(predicted, target, t_B))
