from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from model.guidance import DualBranch, GuidanceRecipe, SingleBranch
from model.sampler import Pinned, Solver, euler_step, sample, segment_frames, time_grid
from tests.model.tiny import GRID, random_conditions, random_tokens, tiny_net


class Constant:
    """A predictor that always says the same clean tokens, and remembers what it was shown."""

    def __init__(self, clean: torch.Tensor) -> None:
        self.evaluations, self.clean, self.shown = 0, clean, list[torch.Tensor]()

    def predict(self, noisy_BNC: torch.Tensor, t: float) -> torch.Tensor:
        self.evaluations += 1
        self.shown.append(noisy_BNC)
        return self.clean


@torch.no_grad()
def test_evaluations_are_counted_per_branch() -> None:
    net, conditions, noise = tiny_net(), random_conditions(), random_tokens()
    teacher = DualBranch(net, conditions, GRID, GuidanceRecipe(strength=2.0))
    assert sample(teacher, noise, time_grid(20, 2.0)).evaluations == 40
    assert sample(SingleBranch(net, conditions, GRID), noise, time_grid(4, 2.0)).evaluations == 4
    assert sample(teacher, noise, time_grid(5, 2.0)).evaluations == 10


def test_the_path_is_straight_and_its_end_exact() -> None:
    clean, noise = random_tokens(seed=3), random_tokens(seed=4)
    predictor = Constant(clean)
    assert torch.equal(sample(predictor, noise, time_grid(3, 1.0)).tokens_BNC, clean)
    assert torch.allclose(predictor.shown[1], clean / 3 + noise * 2 / 3, atol=1e-6)
    assert torch.allclose(euler_step(noise, clean, 0.5, 0.75), (noise + clean) / 2, atol=1e-6)


class GaussianData:
    """The exact prediction for data N(m, s^2): where the flow ends is known in closed form."""

    evaluations, mean, std = 0, 1.5, 0.3

    def predict(self, noisy_BNC: torch.Tensor, t: float) -> torch.Tensor:
        self.evaluations += 1
        variance = (t * self.std) ** 2 + (1 - t) ** 2
        return self.mean + t * self.std**2 / variance * (noisy_BNC - t * self.mean)


def test_the_second_order_solver_is_of_second_order() -> None:
    """Doubling the steps divides Euler's error by about 2, the other's by about 4; both spend one evaluation a step."""
    noise = torch.randn(1, 400, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = GaussianData.mean + GaussianData.std * noise

    def error(steps: int, solver: Solver) -> float:
        found = sample(GaussianData(), noise, time_grid(steps, 1.0), solver=solver)
        assert found.evaluations == steps
        return float((found.tokens_BNC - exact).abs().mean())

    assert error(32, "euler") / error(64, "euler") == pytest.approx(2.0, abs=0.3)
    assert error(32, "second_order") / error(64, "second_order") > 3.0
    assert error(32, "second_order") < 0.5 * error(32, "euler")


def test_pinned_tokens_are_held_at_the_step_noise_and_come_back_unchanged() -> None:
    known, noise = random_tokens(seed=5), random_tokens(seed=4)
    predictor = Constant(random_tokens(seed=3))
    first = torch.arange(noise.shape[1]) < 6
    result = sample(predictor, noise, time_grid(2, 1.0), Pinned(known, first))
    assert torch.equal(result.tokens_BNC[:, first], known[:, first])
    assert torch.equal(result.tokens_BNC[:, ~first], predictor.clean[:, ~first])
    assert torch.allclose(predictor.shown[1][:, first], (known / 2 + noise / 2)[:, first], atol=1e-6)


@pytest.mark.parametrize("shift", [1.0, 2.0])
def test_time_runs_from_noise_to_clean(shift: float) -> None:
    times = time_grid(4, shift)
    assert (times[0], times[-1], len(times)) == (0.0, 1.0, 5)
    assert all(np.diff(times) > 0)
    assert times[1] == pytest.approx(0.25 if shift == 1.0 else 1 - 1.5 / 1.75)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 14, 15, 50])
def test_segments_cover_every_frame_once(length: int) -> None:
    window, overlap = 8, 2
    plan = segment_frames(length, window, overlap)
    joined = np.concatenate([plan[0], *[frames[overlap:] for frames in plan[1:]]])
    assert joined[:length].tolist() == list(range(length))
    assert all(len(frames) == window and frames.max() < length for frames in plan)
    assert len(joined) - length < window
    for before, after in pairwise(plan):
        assert before[-overlap:].tolist() == after[:overlap].tolist()
