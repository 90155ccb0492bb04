"""What step distillation objectives share: a frozen teacher that walks, and students that jump.

Times are per sample: t_B. A step of the straight path with clean prediction x from t to u is
z + (u - t) / (1 - t) * (x - z); the prediction whose single step lands at a given point is the inverse of that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from model.conditions import Batch, keep_mask
from model.dit.backbone import Backbone, BackboneState
from model.noise import starting_noise
from model.objectives.base import PRIMARY, Losses, to_tensor
from model.rng import StepRng
from model.sampler import time_grid
from model.subject_noise import calmed
from schemas.recipe import StrictModel


class StepRecipe(StrictModel):
    """`steps` and `shift` become the student's sampler; `strength` is the guidance it is distilled at.

    teacher_substeps: Euler steps of the teacher in one step of the student (for `consistency`, its sub-intervals), at
    the times of a sampler of the same shift with so many times more steps: steps x teacher_substeps should be what the
    teacher is sampled with.
    start: where `steps` learns: on noised windows, one step of the student each; or on the teacher's own way from
    noise, all steps of the student on it at once. Guidance leads away from where noised windows are, and a noised
    window shows what its conditions do not tell.
    subject_noise: deviation of the noise where the subject is (model/subject_noise.py); the teacher's if left out.
    """

    steps: int = Field(default=4, gt=0)
    shift: float = Field(default=2.0, gt=0)
    teacher_substeps: int = Field(default=3, gt=0)
    strength: float = Field(default=2.0, ge=1)
    start: Literal["data", "noise"] = "data"
    subject_noise: float | None = Field(default=None, gt=0, le=1)


class StepObjective(ABC):
    """One player, the student; the teacher (already merged with guidance) is frozen."""

    def __init__(self, student: Backbone, teacher: Backbone, recipe: StepRecipe) -> None:
        self._student, self._teacher = student, teacher.requires_grad_(False)
        self._recipe = recipe
        self._times = time_grid(recipe.steps * recipe.teacher_substeps, recipe.shift)
        """The teacher's. Every teacher_substeps-th is one of the student's: both grids cut the same line evenly."""

    def players(self) -> Mapping[str, nn.Module]:
        return {PRIMARY: self._student}

    def all_times(self, like: Tensor) -> Tensor:
        """Times (steps x teacher_substeps + 1, B) of the teacher, the same for every sample."""
        return torch.tensor(self._times, device=like.device)[:, None].expand(-1, len(like))

    def drawn_step(self, rng: StepRng, like: Tensor) -> Tensor:
        """Times (teacher_substeps + 1, B) of the teacher in a random step of the student, drawn per sample."""
        parts = self._recipe.teacher_substeps
        first = [int(value * self._recipe.steps) * parts for value in rng.uniform_B(len(like), "phase")]
        return torch.stack([to_tensor([self._times[at + part] for at in first], like) for part in range(parts + 1)])

    @abstractmethod
    def losses(self, batch: Batch, step: int, rng: StepRng) -> Losses:
        """As Objective."""


def stepped(noisy_BNC: Tensor, clean_BNC: Tensor, t_B: Tensor, next_B: Tensor) -> Tensor:
    """Where the step from t to next ends."""
    share = ((next_B - t_B) / (1.0 - t_B))[:, None, None]
    return noisy_BNC + share * (clean_BNC - noisy_BNC)


def implied_clean(noisy_BNC: Tensor, landed_BNC: Tensor, t_B: Tensor, next_B: Tensor) -> Tensor:
    """The clean prediction whose single step from t to next lands there."""
    return noisy_BNC + ((1.0 - t_B) / (next_B - t_B))[:, None, None] * (landed_BNC - noisy_BNC)


def students_noise(net: Backbone, batch: Batch, recipe: StepRecipe, rng: StepRng, purpose: str) -> Tensor:
    """Noise as the student will be sampled from it."""
    noise = starting_noise(net.config, batch.conditions, batch.grid_thw, rng, purpose)
    deviation = 1.0 if recipe.subject_noise is None else recipe.subject_noise
    return calmed(noise, deviation, net.config, batch.conditions, batch.grid_thw)


def everything(net: Backbone, batch: Batch) -> BackboneState:
    """The condition state with all groups kept."""
    return net.encode(
        batch.conditions, keep_mask(len(batch.tokens_BNC), device=batch.tokens_BNC.device), batch.grid_thw
    )


@torch.no_grad()
def walked(net: Backbone, state: BackboneState, noisy_BNC: Tensor, times_SB: Tensor, strength_B: Tensor) -> Tensor:
    """Through all the times, S - 1 Euler steps of `net`."""
    moving = noisy_BNC
    for now_B, after_B in pairwise(times_SB):
        moving = stepped(moving, net(moving, now_B, state, strength_B), now_B, after_B)
    return moving
