"""From noise to tokens, and from short windows to a video of any length.

Time runs from t = 0 (noise) to t = 1 (clean); z = t x + (1 - t) noise. The Euler step with x-prediction is
z <- z + (t' - t) (x_hat - z) / (1 - t); at t' = 1 it is x_hat exactly, so the last step is taken as that.
The second-order step uses the prediction of the step before as well: no evaluation more, an error of higher order.
Axis legend: B batch, N tokens, C channels, S segments, T frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.windows import back_and_forth
from model.guidance import Predictor

Solver = Literal["euler", "second_order"]


class Sampled(NamedTuple):
    """Clean tokens and the number of network evaluations (NFE) spent on them."""

    tokens_BNC: Tensor
    evaluations: int


@dataclass(frozen=True, slots=True)
class Pinned:
    """Tokens already known (the overlap with the previous segment) and where they belong."""

    tokens_BNC: Tensor
    known_N: Tensor


def time_grid(steps: int, shift: float) -> list[float]:
    """steps + 1 times from 0 to 1; a shift above 1 spends more steps near the noise.

    Source: sigma' = s sigma / (1 + (s - 1) sigma) with sigma = 1 - t, as in Stable Diffusion 3 (Esser et al. 2024).
    """
    sigmas = [1.0 - index / steps for index in range(steps + 1)]
    return [1.0 - shift * sigma / (1.0 + (shift - 1.0) * sigma) for sigma in sigmas]


def euler_step(noisy_BNC: Tensor, clean_BNC: Tensor, t: float, next_t: float) -> Tensor:
    """Move along the straight line towards the predicted clean tokens."""
    if next_t >= 1.0:
        return clean_BNC
    return noisy_BNC + (next_t - t) / (1.0 - t) * (clean_BNC - noisy_BNC)


def second_order_step(
    noisy_BNC: Tensor, velocity_BNC: Tensor, earlier_BNC: Tensor | None, earlier_t: float, t: float, next_t: float
) -> Tensor:
    """The step from t to next_t along the velocity at t, corrected by its change since earlier_t.

    earlier_BNC is the velocity at earlier_t; None (the first step) gives the Euler step.
    Source: Adams-Bashforth of second order with variable steps. Extrapolating the clean prediction over
    log(t / (1 - t)), as DPM-Solver++(2M) does, ends in first order here: the ends of the path are at infinity.
    """
    if earlier_BNC is None:
        return noisy_BNC + (next_t - t) * velocity_BNC
    weight = (next_t - t) / (2.0 * (t - earlier_t))
    return noisy_BNC + (next_t - t) * (velocity_BNC + weight * (velocity_BNC - earlier_BNC))


@torch.no_grad()
def sample(
    predictor: Predictor,
    noise_BNC: Tensor,
    times: list[float],
    pinned: Pinned | None = None,
    solver: Solver = "euler",
) -> Sampled:
    """Integrate from noise_BNC over `times` (0 .. 1).

    Pinned tokens are put back at every step at that step's noise level, so the new frames grow to fit them.
    """
    before = predictor.evaluations
    noisy = noise_BNC
    earlier: Tensor | None = None
    earlier_t = 0.0
    for t, next_t in pairwise(times):
        if pinned is not None:
            held = t * pinned.tokens_BNC + (1.0 - t) * noise_BNC
            noisy = torch.where(pinned.known_N[:, None], held, noisy)
        clean = predictor.predict(noisy, t)
        if solver == "euler":
            noisy = euler_step(noisy, clean, t, next_t)
        else:
            velocity = (clean - noisy) / (1.0 - t)
            noisy = second_order_step(noisy, velocity, earlier, earlier_t, t, next_t)
            earlier, earlier_t = velocity, t
    if pinned is not None:
        noisy = torch.where(pinned.known_N[:, None], pinned.tokens_BNC, noisy)
    return Sampled(noisy, predictor.evaluations - before)


def segment_frames(length: int, window: int, overlap: int) -> list[NDArray[np.int64]]:
    """Frame indices of the windows that cover a video of `length` frames, each `overlap` frames into the one before.

    The last window is filled by playing the video back from its end; what it adds beyond the end is thrown away.
    """
    starts = range(0, max(1, length - overlap), window - overlap)
    return [back_and_forth(np.arange(start, start + window, dtype=np.int64), length) for start in starts]
