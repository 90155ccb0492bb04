"""One backdrop for all frames: places that a camera sees again look alike, people and later steps are left alone."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F

from model.backdrop import OneBackdrop, backdrop_share, shared_backdrop
from model.codec.base import patchify
from model.noise import moving_noise
from tests.model.tiny import GRID, PATCH, random_conditions

SIDE, FRAMES = 32, 6


def path(**features: float) -> torch.Tensor:
    """(1, T, 5): every frame goes on by as much."""
    names = ("pan", "tilt", "roll", "log_zoom")
    step = torch.tensor([features.get(name, 0.0) for name in names] + [0.0])
    return (torch.arange(FRAMES)[:, None] * step)[None]


def seen_by(camera: torch.Tensor) -> torch.Tensor:
    """(1, T, 3, H, W): a soft pattern as the camera sees it, by the module that moves noise."""
    coarse = torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(3))
    plane = F.interpolate(coarse, (2 * SIDE, 2 * SIDE), mode="bicubic").permute(0, 2, 3, 1)
    return moving_noise(plane, camera, (SIDE, SIDE)).permute(0, 1, 4, 2, 3)


def test_frames_that_agree_are_left_as_they_are() -> None:
    for camera in (path(), path(pan=0.08), path(tilt=-0.08), path(roll=0.1), path(log_zoom=0.1)):
        frames = seen_by(camera)
        shared = shared_backdrop(frames, torch.ones(1, FRAMES, 1, SIDE, SIDE), camera)
        still = shared_backdrop(frames, torch.ones(1, FRAMES, 1, SIDE, SIDE), torch.zeros_like(camera))
        off = (shared - frames).abs().mean() / frames.std()
        assert off < 0.12
        if camera.any():
            assert (still - frames).abs().mean() / frames.std() > 3 * off


def test_guesses_of_single_frames_become_one() -> None:
    camera = path(pan=0.03)
    frames = seen_by(camera)
    guesses = frames + torch.randn(frames.shape, generator=torch.Generator().manual_seed(1))
    shared = shared_backdrop(guesses, torch.ones(1, FRAMES, 1, SIDE, SIDE), camera)
    # Six frames: most of the error is averaged away.
    assert (shared - frames).square().mean() < 0.3 * (guesses - frames).square().mean()


def test_people_are_no_backdrop() -> None:
    camera = path(pan=0.03)
    frames = seen_by(camera)
    share = torch.ones(1, FRAMES, 1, SIDE, SIDE)
    share[..., 10:20, 10:20] = 0
    spoilt = torch.where(share > 0, frames, torch.full_like(frames, 100.0))
    shared = shared_backdrop(spoilt, share, camera)
    assert (shared * share).abs().max() < 30  # a resampled edge takes a little of its neighbour
    inner = F.max_pool2d(1 - share[0], 5, stride=1, padding=2)[None] == 0
    assert ((shared - frames) * inner).abs().max() < 1.5


def test_a_body_hides_the_backdrop_where_it_is() -> None:
    conditions = random_conditions(1)
    body = torch.zeros_like(conditions.body_BTJ3)
    body[:, :, [11, 12, 23, 24], 2] = 1.0
    body[:, :, [11, 12, 23, 24], :2] = torch.tensor([[0.6, 0.3], [0.4, 0.3], [0.55, 0.6], [0.45, 0.6]])
    nobody = replace(conditions, body_BTJ3=body, hands_BT2H3=torch.zeros_like(conditions.hands_BT2H3))
    share = backdrop_share(nobody, (SIDE, SIDE))
    assert not share[0, 0, 0, int(0.3 * SIDE) : int(0.6 * SIDE), SIDE // 2 - 2 : SIDE // 2 + 2].any()
    assert share[0, 0, 0, SIDE - 2, 2] == 1


class Guesses:
    evaluations = 0

    def __init__(self, tokens: torch.Tensor) -> None:
        self._tokens = tokens

    def predict(self, noisy_BNC: torch.Tensor, t: float) -> torch.Tensor:
        self.evaluations += 1
        return self._tokens


def test_it_acts_early_and_fades_out() -> None:
    conditions = random_conditions(1)
    nobody = replace(
        conditions,
        body_BTJ3=torch.zeros_like(conditions.body_BTJ3),
        hands_BT2H3=torch.zeros_like(conditions.hands_BT2H3),
        camera_BTF=torch.zeros_like(conditions.camera_BTF),
    )
    size = [axis * side for axis, side in zip(GRID, PATCH, strict=True)]
    guess = patchify(torch.randn(1, *size, 3, generator=torch.Generator().manual_seed(2)), PATCH)
    inner = Guesses(guess)
    predictor = OneBackdrop(inner, nobody, GRID, PATCH, until_t=0.6)
    early, middle, late = (predictor.predict(guess, t) for t in (0.0, 0.5, 0.6))
    assert torch.equal(late, guess)
    assert predictor.evaluations == 3
    spread = [float(each.reshape(GRID[0], -1).std(dim=0).mean()) for each in (early, middle, late)]
    assert spread[0] < spread[1] < spread[2]
