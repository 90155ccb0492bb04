"""Less noise where the subject is: there and nowhere else, and nothing of it where the body is dropped."""

from __future__ import annotations

from dataclasses import replace

import torch

from model.codec.base import unpatchify
from model.conditions import GROUPS
from model.subject_noise import calmed
from tests.model.tiny import GRID, PATCH, TOKEN_DIM, random_conditions, tiny_config

SIDE_HW = (GRID[1] * PATCH[1], GRID[2] * PATCH[2])


def a_small_body() -> torch.Tensor:
    """(2, T, 33, 3): everything within the upper left corner."""
    body = random_conditions().body_BTJ3.clone()
    body[..., :2] = 0.1 + 0.05 * body[..., :2]
    return body


def test_noise_is_less_where_the_subject_is_and_nowhere_else() -> None:
    conditions = random_conditions()
    no_hands = torch.zeros_like(conditions.hands_BT2H3)
    conditions = replace(conditions, body_BTJ3=a_small_body(), hands_BT2H3=no_hands)
    noise = torch.ones(2, GRID[0] * GRID[1] * GRID[2], TOKEN_DIM)
    made = unpatchify(calmed(noise, 0.5, tiny_config(), conditions, GRID), PATCH, GRID)
    assert made.shape[2:4] == SIDE_HW
    assert torch.all(made[:, :, 0, 1] == 0.5)
    assert torch.all(made[:, :, 6:, 10:] == 1.0)
    assert torch.equal(calmed(noise, 1.0, tiny_config(), conditions, GRID), noise)


def test_a_dropped_group_does_not_show_in_the_noise() -> None:
    conditions, noise = random_conditions(), torch.ones(2, GRID[0] * GRID[1] * GRID[2], TOKEN_DIM)
    without = tuple(name for name in GROUPS if name not in ("body", "hands"))
    assert torch.equal(calmed(noise, 0.5, tiny_config(), conditions, GRID, without), noise)
    only_hands = tuple(name for name in GROUPS if name != "body")
    moved = replace(conditions, body_BTJ3=conditions.body_BTJ3.flip(1))
    made = calmed(noise, 0.5, tiny_config(), conditions, GRID, only_hands)
    assert torch.equal(made, calmed(noise, 0.5, tiny_config(), moved, GRID, only_hands))
    assert not torch.equal(made, noise)


def test_latents_of_a_learnt_codec_are_left_alone() -> None:
    noise = torch.ones(2, GRID[0] * GRID[1] * GRID[2], TOKEN_DIM)
    learnt = tiny_config().model_copy(update={"pixels": False})
    assert calmed(noise, 0.5, learnt, random_conditions(), GRID) is noise
