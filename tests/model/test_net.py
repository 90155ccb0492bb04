"""What may and what may not reach the network's output. Comparisons are exact: a masked path is not a small path."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model.conditions import GROUPS, Conditions, keep_mask
from model.dit.block import shift_neighbours
from model.guidance import call
from tests.model.tiny import GRID, random_conditions, random_tokens, tiny_net

FIELDS = {
    "reference": ("reference_BKNC",),
    "body": ("body_map_BTHW3", "body_BTJ3"),
    "face": ("face_BTF", "face_anchor_BT2", "face_present_BT"),
    "hands": ("hands_BT2F", "hands_anchor_BT22", "hands_present_BT2"),
    "text": ("text_BLD", "text_pooled_BD", "text_mask_BL"),
    "camera": ("camera_BTF",),
}


def changed(conditions: Conditions, names: tuple[str, ...], wild: bool) -> Conditions:
    """Other values in the named fields: NaN where `wild`, because even 0 * NaN would show."""
    values = {}
    for name in names:
        value = getattr(conditions, name)
        if value.dtype == torch.bool:
            values[name] = value.clone().logical_not() if wild else value
        else:
            values[name] = torch.full_like(value, torch.nan) if wild else value.flip(0) * 0.7 + 0.1
    return replace(conditions, **values)


@torch.no_grad()
def predict(conditions: Conditions, kept: tuple[str, ...] = GROUPS) -> torch.Tensor:
    net = tiny_net()
    return call(net, random_tokens(), 0.4, net.encode(conditions, keep_mask(2, kept)))


def test_fields_cover_every_condition() -> None:
    named = {name for names in FIELDS.values() for name in names} | {"time_s_BT"}
    assert named == set(Conditions.__dataclass_fields__)


@pytest.mark.parametrize("group", GROUPS)
def test_a_kept_group_matters_and_a_dropped_one_does_not(group: str) -> None:
    conditions = random_conditions()
    assert not torch.equal(predict(conditions), predict(changed(conditions, FIELDS[group], wild=False)))
    others = tuple(name for name in GROUPS if name != group)
    assert torch.equal(predict(conditions, others), predict(changed(conditions, FIELDS[group], wild=True), others))


@pytest.mark.parametrize("name", ["face_anchor_BT2", "hands_anchor_BT22"])
def test_anchors_matter_only_while_their_group_is_kept(name: str) -> None:
    conditions = random_conditions()
    moved = replace(conditions, **{name: 1.0 - getattr(conditions, name)})
    assert not torch.equal(predict(conditions), predict(moved))
    others = tuple(group for group in GROUPS if group != name.split("_")[0])
    assert torch.equal(predict(conditions, others), predict(moved, others))


def test_dropping_acts_per_sample() -> None:
    net, conditions, noisy = tiny_net(), random_conditions(), random_tokens()
    keep = keep_mask(2)
    keep[1, GROUPS.index("body")] = False
    with torch.no_grad():
        mixed = call(net, noisy, 0.4, net.encode(conditions, keep))
    everything = predict(conditions)
    without = predict(conditions, tuple(name for name in GROUPS if name != "body"))
    assert torch.allclose(mixed[0], everything[0], atol=1e-5)
    assert torch.allclose(mixed[1], without[1], atol=1e-5)


def test_condition_tokens_see_neither_noise_nor_time() -> None:
    """The condition stream's keys and values have no gradient path from the video tokens or from t."""
    net, conditions = tiny_net(), random_conditions()
    state = net.encode(conditions, keep_mask(2))
    noisy = random_tokens().requires_grad_()
    t_B = torch.tensor([0.1, 0.9], requires_grad=True)
    net(noisy, t_B, state).sum().backward()
    assert noisy.grad is not None
    assert noisy.grad.abs().sum() > 0
    for layer in state.layers:
        for value in layer:
            gradients = torch.autograd.grad(value.sum(), [noisy, t_B], allow_unused=True, retain_graph=True)
            assert gradients == (None, None)


def test_one_condition_state_serves_every_step() -> None:
    """Reusing the state (the cache) is the same as encoding again, bit for bit, at other noise and time."""
    net, conditions = tiny_net(), random_conditions()
    with torch.no_grad():
        kept = net.encode(conditions, keep_mask(2))
        call(net, random_tokens(seed=5), 0.9, kept)
        again = call(net, random_tokens(), 0.3, kept)
        fresh = call(net, random_tokens(), 0.3, net.encode(conditions, keep_mask(2)))
    assert torch.equal(again, fresh)


def test_motion_tokens_speak_to_their_own_frame_only() -> None:
    """With one block and no frame shift, a face change in latent frame 1 leaves frame 0 alone."""
    net, conditions, noisy = tiny_net(depth=1), random_conditions(), random_tokens()
    state = net.encode(conditions, keep_mask(2))
    cells = GRID[1] * GRID[2]
    reference_cells, frames = GRID[1] * GRID[2], GRID[0]
    first_face = reference_cells + frames
    mask = state.mask_video[:, 0, :, noisy.shape[1] :]
    assert bool(mask[:, :cells, first_face].all())
    assert not bool(mask[:, :cells, first_face + 1].any())
    assert bool(mask[:, cells:, first_face + 1].all())


def test_masked_text_tokens_are_not_read() -> None:
    conditions = random_conditions()
    mask = conditions.text_mask_BL.clone()
    mask[:, 2:] = False
    cut = replace(conditions, text_mask_BL=mask)
    states = conditions.text_BLD.clone()
    states[:, 2:] = 7.0
    assert torch.equal(predict(cut), predict(replace(cut, text_BLD=states)))


def test_shift_moves_channel_groups_by_one_cell() -> None:
    grid, width = (2, 2, 2), 12
    video = torch.arange(8.0)[:, None].expand(8, width).unsqueeze(0)
    moved = shift_neighbours(video, grid)[0].reshape(*grid, width)
    assert moved[0, 0, 0].tolist()[:6] == [4.0, 0.0, 2.0, 0.0, 1.0, 0.0]
    assert moved[1, 1, 1].tolist()[:6] == [0.0, 3.0, 0.0, 5.0, 0.0, 6.0]
    assert moved[1, 1, 1].tolist()[6:] == [7.0] * 6
