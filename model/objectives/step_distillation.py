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

from model.conditions import Batch
from model.dit.backbone import Backbone
from model.objectives.base import PRIMARY, Losses, noised, primary_losses, to_tensor, velocity_loss_B
from model.objectives.walking import everything, implied_clean, walked
from model.rng import StepRng
from model.sampler import time_grid
from schemas.recipe import StrictModel


class StepRecipe(StrictModel):
    """`steps` and `shift` become the student's sampler; `strength` is the guidance it is distilled at.

    teacher_substeps: Euler steps of the teacher in one step of the student (for `consistency`, its sub-intervals).
    """

    steps: int = Field(default=4, gt=0)
    shift: float = Field(default=2.0, gt=0)
    teacher_substeps: int = Field(default=3, gt=0)
    strength: float = Field(default=2.0, ge=1)


class StepDistillation:
    """One player, the student; the teacher (already merged with guidance) is frozen."""

    def __init__(self, student: Backbone, teacher: Backbone, recipe: StepRecipe) -> None:
        self._student, self._teacher = student, teacher.requires_grad_(False)
        self._recipe = recipe
        self._times = time_grid(recipe.steps, recipe.shift)

    def players(self) -> Mapping[str, nn.Module]:
        return {PRIMARY: self._student}

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


def drawn_step(times: list[float], rng: StepRng, like: Tensor) -> tuple[Tensor, Tensor]:
    """A random step of the student's sampler per sample: its time and the next."""
    phase = [int(value * (len(times) - 1)) for value in rng.uniform_B(len(like), "phase")]
    return to_tensor([times[index] for index in phase], like), to_tensor([times[index + 1] for index in phase], like)
