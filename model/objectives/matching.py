"""Distribution matching: the student's videos shall look to a denoiser as the teacher's do.

Two players. The student makes a video in its few steps; at a random noise level the frozen, guidance-merged teacher
(the real denoiser) and a second denoiser trained on the student's videos (the fake one) are asked where the clean
video lies, and the student moves by their difference. The fake denoiser learns in the same loop, on what the student
makes now.
Source: Yin et al., DMD2 (2024): several student steps by simulation, no regression loss. There fresh noise is added
between the steps; here they are the sampler's Euler steps.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from model.conditions import Batch
from model.dit.backbone import Backbone
from model.noise import starting_noise
from model.objectives.base import PRIMARY, Losses, noised, to_tensor, velocity_loss_B
from model.objectives.flow import FlowRecipe, draw_times
from model.objectives.walking import StepRecipe, everything, stepped, students_noise
from model.rng import StepRng
from model.sampler import time_grid

FAKE = "fake"


class DistributionMatching:
    """Players: the student, and the fake denoiser (a copy of the teacher at the start)."""

    def __init__(self, student: Backbone, teacher: Backbone, recipe: StepRecipe) -> None:
        self._student, self._teacher = student, teacher.requires_grad_(False)
        self._fake = copy.deepcopy(teacher).requires_grad_(True)
        self._recipe = recipe
        self._times = time_grid(recipe.steps, recipe.shift)

    def players(self) -> Mapping[str, nn.Module]:
        return {PRIMARY: self._student, FAKE: self._fake}

    def losses(self, batch: Batch, step: int, rng: StepRng) -> Losses:
        clean, count = batch.tokens_BNC, len(batch.tokens_BNC)
        strength_B = torch.full((count,), self._recipe.strength, device=clean.device)
        made = self._made(batch, strength_B, rng)
        t_B = to_tensor(draw_times(FlowRecipe(), count, rng), clean)
        noise = starting_noise(self._student.config, batch.conditions, batch.grid_thw, rng, "noise")
        noisy = noised(made.detach(), noise, t_B)
        fake = self._fake(noisy, t_B, everything(self._fake, batch), strength_B)
        fake_B = velocity_loss_B(fake, made.detach(), t_B)
        with torch.no_grad():
            real = self._teacher(noisy, t_B, everything(self._teacher, batch), strength_B)
            size_B = (made - real).abs().mean(dim=(1, 2), keepdim=True).clamp_min(1e-4)
            target = made - (fake - real) / size_B
        student_B = 0.5 * (made - target).square().mean(dim=(1, 2))
        return Losses({PRIMARY: student_B.mean(), FAKE: fake_B.mean()}, student_B.detach())

    def _made(self, batch: Batch, strength_B: Tensor, rng: StepRng) -> Tensor:
        """A video at a random one of the student's steps; steps before it are simulated without gradient."""
        state = everything(self._student, batch)
        # One draw for the whole step: every process must evaluate the networks equally often.
        last = int(StepRng(rng.seed, rng.step).numpy(0, "last").random() * self._recipe.steps)
        noisy = students_noise(self._student, batch, self._recipe, rng, "start")
        times_SB = torch.tensor(self._times, device=noisy.device)[:, None].expand(-1, len(noisy))
        with torch.no_grad():
            for t_B, next_B in pairwise(times_SB[: last + 1]):
                # As the sampler goes: a student that learnt on other points would never meet them.
                noisy = stepped(noisy, self._student(noisy, t_B, state, strength_B), t_B, next_B)
        return self._student(noisy, times_SB[last], state, strength_B)  # type: ignore[no-any-return]
