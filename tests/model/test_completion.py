"""Joints that nobody saw: guessed where enough others were, left alone where not, and learnt by hiding."""

from __future__ import annotations

from dataclasses import replace

import torch

from model.conditions import keep_mask
from model.motion.completion import GUESSED_CONF, MIN_SEEN, JointCompletion
from model.motion.encoders import BODY_JOINTS
from tests.model.tiny import GRID, random_conditions, random_tokens, tiny_net

WIDTH, TOKENS = 8, 3


def a_body(frames: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(3)
    body = torch.cat((torch.rand(2, frames, 33, 2, generator=source), torch.full((2, frames, 33, 1), 0.9)), dim=-1)
    return body, torch.randn(2, frames, 33, 3, generator=source)


def a_completion() -> JointCompletion:
    torch.manual_seed(1)
    return JointCompletion(TOKENS, WIDTH)


def test_only_what_was_not_seen_is_guessed_and_says_so() -> None:
    body, world = a_body()
    body[0, :, [13, 15], 2] = 0.0
    meaning = torch.randn(2, TOKENS, WIDTH)
    full, full_world = a_completion().completed(body, world, meaning)
    assert torch.equal(full[1], body[1])
    others = [joint for joint in range(33) if joint not in (13, 15)]
    assert torch.equal(full[0][:, others], body[0][:, others])
    assert torch.equal(full_world[0][:, others], world[0][:, others])
    assert torch.allclose(full[0, :, [13, 15], 2], torch.tensor(GUESSED_CONF))
    other, _ = a_completion().completed(body, world, -meaning)
    assert not torch.allclose(other[0, :, 15, :2], full[0, :, 15, :2])  # what the motion means has a say


def test_a_guess_moves_and_grows_with_what_was_seen() -> None:
    body, world = a_body()
    body[:, :, 15, 2] = 0.0
    meaning = torch.randn(2, TOKENS, WIDTH)
    at = a_completion().completed(body, world, meaning)[0][:, :, 15, :2]
    moved = body.clone()
    moved[..., :2] = 3.0 * body[..., :2] - 5.0
    assert torch.allclose(a_completion().completed(moved, world, meaning)[0][:, :, 15, :2], 3.0 * at - 5.0, atol=1e-4)


def test_of_a_body_that_is_hardly_there_nothing_is_guessed() -> None:
    body, world = a_body()
    body[:, :, list(BODY_JOINTS[MIN_SEEN - 1 :]), 2] = 0.0
    full, full_world = a_completion().completed(body, world, torch.randn(2, TOKENS, WIDTH))
    assert torch.equal(full, body)
    assert torch.equal(full_world, world)


def test_hidden_joints_are_learnt() -> None:
    """Two bodies that differ in a wrist, which only what the motion means tells apart."""
    body, world = a_body(frames=1)
    body[1], world[1] = body[0], world[0]
    body[1, :, 15, :2] += 0.4
    hidden = torch.zeros(2, len(BODY_JOINTS), dtype=torch.bool)
    hidden[:, BODY_JOINTS.index(15)] = True
    meaning = torch.randn(2, TOKENS, WIDTH)
    net = a_completion()
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    first = net.loss_B(body, world, hidden, meaning).mean().detach()
    for _ in range(150):
        optimiser.zero_grad()
        net.loss_B(body, world, hidden, meaning).mean().backward()
        optimiser.step()
    assert net.loss_B(body, world, hidden, meaning).mean().detach() < 0.05 * first
    blind = body.clone()
    blind[:, :, 15] = 0.0
    guessed = net.completed(blind, torch.where(blind[..., 2:] > 0, world, 0.0), meaning)[0]
    assert torch.allclose(guessed[:, :, 15, :2], body[:, :, 15, :2], atol=0.05)
    assert not net.loss_B(body, world, torch.zeros_like(hidden), meaning).any()


def test_a_dropped_body_stays_dropped_whatever_is_guessed() -> None:
    """Half of the joints missing: without the body's group nothing of the rest comes through by way of guesses."""
    net, noisy, t = tiny_net(), random_tokens(), torch.tensor([0.2, 0.7])
    conditions = random_conditions()
    body = conditions.body_BTJ3.clone()
    body[:, :, list(BODY_JOINTS[::2])] = 0.0
    half = replace(conditions, body_BTJ3=body)
    other = replace(conditions, body_BTJ3=torch.where(body > 0, 1.0 - body, body))
    without = keep_mask(2, ("reference", "semantic", "text", "face", "hands", "camera"))
    assert torch.equal(net(noisy, t, net.encode(half, without, GRID)), net(noisy, t, net.encode(other, without, GRID)))
    given = keep_mask(2)
    made = net(noisy, t, net.encode(half, given, GRID))
    assert not torch.equal(made, net(noisy, t, net.encode(other, given, GRID)))
