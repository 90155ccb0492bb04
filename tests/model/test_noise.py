"""Noise that moves with the camera: exact where a move is of whole pixels, standard normal always."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.codec.base import unpatchify
from model.data.camera_path import stated_path
from model.noise import moving_noise, starting_noise
from model.rng import StepRng
from model.text.directions import direction_features
from model.text.stage_directions import parse_directions
from tests.model.tiny import random_conditions, tiny_config

SIDE = 16


def path(*rows: tuple[float, float, float, float]) -> torch.Tensor:
    return torch.tensor([[*row, 1.0] for row in rows]).unsqueeze(0)


def seen(*rows: tuple[float, float, float, float]) -> torch.Tensor:
    still = torch.randn(1, 2 * SIDE, 2 * SIDE, 3, generator=torch.Generator().manual_seed(0))
    return moving_noise(still, path(*rows), (SIDE, SIDE))[0]


def test_a_camera_at_rest_sees_the_same_noise_in_every_frame() -> None:
    first, second = seen((0, 0, 0, 0), (0, 0, 0, 0))
    assert torch.equal(first, second)


@pytest.mark.parametrize("steps", [1, 5])
def test_noise_moves_against_the_camera(steps: int) -> None:
    """Pan right: everything goes left; tilt up: everything goes down."""
    first, panned, tilted = seen((0, 0, 0, 0), (steps / SIDE, 0, 0, 0), (0, steps / SIDE, 0, 0))
    assert torch.equal(panned[:, :-steps], first[:, steps:])
    assert torch.equal(tilted[steps:], first[:-steps])


def test_a_quarter_roll_and_a_zoom() -> None:
    first, rolled, closer = seen((0, 0, 0, 0), (0, 0, np.pi / 2 - 1e-6, 0), (0, 0, 0, np.log(2)))
    # A camera that rolls clockwise sees the world turn counter-clockwise.
    assert torch.equal(rolled, first.rot90(1, (0, 1)))
    assert torch.equal(closer[::2, ::2], first[SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4])
    assert torch.equal(closer[::2], closer[1::2])


def test_every_number_stays_standard_normal() -> None:
    config = tiny_config(noise_follows_camera=0.75)
    conditions = random_conditions(64)
    camera = torch.randn(conditions.camera_BTF.shape, generator=torch.Generator().manual_seed(1))
    noise = starting_noise(config, replace(conditions, camera_BTF=camera), (2, 2, 2), StepRng(3, 0), "noise")
    assert noise.shape == (64, 8, config.token_dim)
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(noise.std()) == pytest.approx(1.0, abs=0.02)


def test_the_stated_share_of_the_variance_is_common_to_all_frames() -> None:
    config = tiny_config(noise_follows_camera=0.75)
    still = replace(random_conditions(64), camera_BTF=torch.zeros_like(random_conditions(64).camera_BTF))
    noise = starting_noise(config, still, (2, 2, 2), StepRng(3, 0), "noise")
    frames = unpatchify(noise, config.patch_thw, (2, 2, 2)).transpose(0, 1).flatten(1)
    assert np.corrcoef(frames[0], frames[3])[0, 1] == pytest.approx(0.75, abs=0.02)


def test_without_a_share_it_is_the_white_noise_of_before() -> None:
    config, conditions = tiny_config(), random_conditions(2)
    noise = starting_noise(config, conditions, (2, 2, 2), StepRng(3, 0), "noise")
    assert torch.equal(noise, StepRng(3, 0).normal_like(torch.empty(2, 8, config.token_dim), "noise"))


@pytest.mark.parametrize(
    ("text", "feature", "sign"),
    [
        ("The camera pans left.", 0, -1),
        ("The camera trucks right.", 0, 1),
        ("The camera tilts up.", 1, 1),
        ("The camera rolls clockwise.", 2, 1),
        ("The camera zooms out.", 3, -1),
        ("The camera dollies in.", 3, 1),
    ],
)
def test_a_stated_move_is_a_path(text: str, feature: int, sign: int) -> None:
    directions = direction_features(parse_directions(text), 8)
    path_TF = stated_path(directions, np.arange(8) / 8)
    moved = path_TF[-1, :4] - path_TF[0, :4]
    assert sign * moved[feature] > 0.1
    assert not np.delete(moved, feature).any()
    assert np.allclose(path_TF[0, :4], 0)
