"""What may and what may not reach the network's output. Comparisons are exact: a masked path is not a small path."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch._dynamo.utils import counters

from model.conditions import GROUPS, Conditions, keep_mask, stack_conditions
from model.dit.attention import attend
from model.dit.block import shift_neighbours
from model.dit.mask import BLOCK, EVERY_FRAME, video_block_mask, video_mask
from model.dit.net import VideoDit
from model.guidance import call
from model.motion.wholes import SEMANTIC_TOKENS
from tests.model.tiny import GRID, PATCH, TEXT_TOKENS, TOKEN_DIM, random_conditions, random_tokens, tiny_net

FIELDS = {
    "reference": (
        "reference_BKNC",
        "reference_mask_BK",
        "reference_body_BKJ3",
        "reference_looks_BKP4UV",
        "limb_colours_BL4",
    ),
    "body": ("body_BTJ3", "body_world_BTJ3"),
    "face": ("face_BTF", "face_place_BT7", "face_present_BT"),
    "hands": ("hands_BT2H3", "hands_shape_BT2F"),
    "semantic": ("semantic_BSF", "actions_BD"),
    "text": ("text_BLD", "text_pooled_BD", "text_mask_BL", "directions_BTF"),
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
    return call(net, random_tokens(), 0.4, net.encode(conditions, keep_mask(2, kept), GRID))


def test_fields_cover_every_condition() -> None:
    named = {name for names in FIELDS.values() for name in names} | {"time_s_BT"}
    assert named == set(Conditions.__dataclass_fields__)


@pytest.mark.parametrize("group", GROUPS)
def test_a_kept_group_matters_and_a_dropped_one_does_not(group: str) -> None:
    conditions = random_conditions()
    assert not torch.equal(predict(conditions), predict(changed(conditions, FIELDS[group], wild=False)))
    others = tuple(name for name in GROUPS if name != group)
    assert torch.equal(predict(conditions, others), predict(changed(conditions, FIELDS[group], wild=True), others))


@pytest.mark.parametrize("group", GROUPS)
def test_every_input_of_a_group_reaches_the_output(group: str) -> None:
    conditions = random_conditions()
    for name in FIELDS[group]:
        if getattr(conditions, name).dtype != torch.bool:
            assert not torch.equal(predict(conditions), predict(changed(conditions, (name,), wild=False))), name


@pytest.mark.parametrize("name", ["face_place_BT7", "hands_BT2H3"])
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
        mixed = call(net, noisy, 0.4, net.encode(conditions, keep, GRID))
    everything = predict(conditions)
    without = predict(conditions, tuple(name for name in GROUPS if name != "body"))
    assert torch.allclose(mixed[0], everything[0], atol=1e-5)
    assert torch.allclose(mixed[1], without[1], atol=1e-5)


def test_condition_tokens_see_neither_noise_nor_time() -> None:
    """The condition stream's keys and values have no gradient path from the video tokens or from t."""
    net, conditions = tiny_net(), random_conditions()
    state = net.encode(conditions, keep_mask(2), GRID)
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
        kept = net.encode(conditions, keep_mask(2), GRID)
        call(net, random_tokens(seed=5), 0.9, kept)
        again = call(net, random_tokens(), 0.3, kept)
        fresh = call(net, random_tokens(), 0.3, net.encode(conditions, keep_mask(2), GRID))
    assert torch.equal(again, fresh)


def test_motion_tokens_speak_to_their_own_frame_only() -> None:
    """With one block and no frame shift, a face change in latent frame 1 leaves frame 0 alone."""
    net, conditions, noisy = tiny_net(depth=1), random_conditions(), random_tokens()
    state = net.encode(conditions, keep_mask(2), GRID)
    cells = GRID[1] * GRID[2]
    reference_cells, frames, semantic = GRID[1] * GRID[2], GRID[0], SEMANTIC_TOKENS + 1
    first_face = 2 * reference_cells // 4 + semantic + TEXT_TOKENS + frames
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


def test_masked_references_are_not_read() -> None:
    conditions = random_conditions()
    mask = torch.tensor([[True, False], [True, False]])
    one = replace(conditions, reference_mask_BK=mask)
    tokens, joints = conditions.reference_BKNC.clone(), conditions.reference_body_BKJ3.clone()
    tokens[:, 1], joints[:, 1] = 7.0, 0.1
    other = replace(one, reference_BKNC=tokens, reference_body_BKJ3=joints)
    assert torch.equal(predict(one), predict(other))
    assert not torch.equal(predict(one), predict(conditions))


def test_other_window_sizes_pass_through_the_same_weights() -> None:
    grid = (1, 4, 2)
    conditions = random_conditions(frames=grid[0] * PATCH[0])
    net = tiny_net()
    with torch.no_grad():
        out = call(net, random_tokens(grid=grid), 0.4, net.encode(conditions, keep_mask(2), grid))
    assert out.shape == (2, 8, TOKEN_DIM)


@pytest.mark.parametrize("training", [True, False])
def test_attention_by_hand_and_by_kernel_agree(training: bool) -> None:
    source = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 3, n, 8, generator=source) for n in (5, 7, 7))
    mask = torch.rand(2, 1, 5, 7, generator=source) > 0.4
    mask[..., 0] = True
    with torch.set_grad_enabled(training):
        found = attend(query, key, value, mask)
    scores = (query @ key.transpose(-1, -2) / 8**0.5).masked_fill(~mask, -1e9)
    assert torch.allclose(found, torch.softmax(scores, -1) @ value, atol=1e-5)


def some_visible(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Visibility of condition tokens for two samples, and their frames: 150 for every frame, then 2 per frame."""
    source = torch.Generator().manual_seed(0)
    visible_BN = torch.rand(2, count, generator=source) > 0.3
    visible_BN[0, :148] = False
    visible_BN[1, 2:146] = True
    frame_N = torch.full((count,), EVERY_FRAME)
    frame_N[150:] = torch.arange(count - 150) % 2
    return visible_BN, frame_N


@pytest.mark.parametrize("grid", [(2, 12, 12), (2, 8, 8)])
def test_blocks_are_the_dense_mask(grid: tuple[int, int, int]) -> None:
    """Pair by pair, and block by block: listed as full where all is seen, left out where nothing is."""
    visible_BN, frame_N = some_visible(154)
    dense = video_mask(visible_BN, frame_N, grid)
    blocks = video_block_mask(visible_BN, frame_N, grid)
    queries, keys = dense.shape[2:]
    zero = torch.zeros((), dtype=torch.long)
    batch, query, key = torch.arange(2)[:, None, None], torch.arange(queries)[:, None], torch.arange(keys)
    assert torch.equal(blocks.mask_mod(batch, zero, query, key), dense[:, 0])
    assert tuple(blocks.shape) == (2, 1, queries, keys)
    kinds = set()
    for sample in range(2):
        for row in range(-(-queries // BLOCK)):
            full = blocks.full_kv_indices[sample, 0, row, : blocks.full_kv_num_blocks[sample, 0, row]].tolist()
            part = blocks.kv_indices[sample, 0, row, : blocks.kv_num_blocks[sample, 0, row]].tolist()
            assert not set(full) & set(part)
            for column in range(-(-keys // BLOCK)):
                cut = dense[sample, 0, row * BLOCK : (row + 1) * BLOCK, column * BLOCK : (column + 1) * BLOCK]
                if column in full:
                    assert bool(cut.all())
                elif column not in part:
                    assert not bool(cut.any())
                kinds.add("full" if column in full else "part" if column in part else "none")
    assert kinds >= {"full", "part"}
    if grid == (2, 8, 8):
        assert "none" in kinds  # the first sample shows nobody the tokens of one whole block


UNFUSED = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")


@UNFUSED
def test_flex_attention_is_the_masked_product() -> None:
    visible_BN, frame_N = some_visible(154)
    grid, source = (2, 12, 12), torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 3, count, 16, generator=source) for count in (288, 442, 442))
    expected = attend(query, key, value, video_mask(visible_BN, frame_N, grid))
    found = attend(query, key, value, video_block_mask(visible_BN, frame_N, grid))
    assert torch.allclose(found, expected, atol=1e-5)
    every_BN = torch.ones_like(visible_BN)
    assert not torch.allclose(attend(query, key, value, video_mask(every_BN, frame_N, grid)), expected, atol=1e-3)


def everything_of(net: VideoDit) -> torch.Tensor:
    conditions = random_conditions()
    mask = torch.tensor([[True, False], [True, True]])
    conditions = replace(conditions, reference_mask_BK=mask)
    return call(net, random_tokens(), 0.4, net.encode(conditions, keep_mask(2), GRID))


@UNFUSED
@torch.no_grad()
def test_the_network_with_flex_attention_is_the_same_network() -> None:
    net = tiny_net(width=48)
    expected = everything_of(net)
    net.speed_up(False, "flex")
    assert torch.allclose(everything_of(net), expected, rtol=1e-5, atol=1e-5 * float(expected.detach().abs().max()))


# Dynamo looks at everything that comes into a graph; torch says so of tensors that are no leaves.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.slow
def test_compiled_blocks_are_the_same_network_from_one_graph_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three blocks and two networks share a graph per stream, all limbs another; nothing of a block is left out."""
    monkeypatch.setattr("model.dit.block.COMPILER", "aot_eager")
    net = tiny_net(depth=3)
    expected = everything_of(net)
    expected.square().mean().backward()  # type: ignore[no-untyped-call]
    gradients = [weight.grad for weight in net.parameters()]
    fast = tiny_net(depth=3)
    fast.speed_up(True, "sdpa")
    assert fast.state_dict().keys() == net.state_dict().keys()
    torch._dynamo.reset()
    counters.clear()
    found = everything_of(fast)
    found.square().mean().backward()  # type: ignore[no-untyped-call]
    # Limbs are rounded otherwise where multiplications and sums are one instruction.
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5 * float(expected.detach().abs().max()))
    for weight, gradient in zip(fast.parameters(), gradients, strict=True):
        assert (weight.grad is None) == (gradient is None)
        assert gradient is None or torch.allclose(weight.grad, gradient, rtol=1e-4, atol=1e-6)
    twin = copy.deepcopy(fast)
    with torch.no_grad():
        for weight in twin.parameters():
            weight.add_(0.01)
    assert not torch.allclose(everything_of(twin), expected, rtol=1e-3)
    assert counters["stats"]["unique_graphs"] == 3
    assert not counters["graph_break"]


def test_shift_moves_channel_groups_by_one_cell() -> None:
    grid, width = (2, 2, 2), 12
    video = torch.arange(8.0)[:, None].expand(8, width).unsqueeze(0)
    moved = shift_neighbours(video, grid)[0].reshape(*grid, width)
    assert moved[0, 0, 0].tolist()[:6] == [4.0, 0.0, 2.0, 0.0, 1.0, 0.0]
    assert moved[1, 1, 1].tolist()[:6] == [0.0, 3.0, 0.0, 5.0, 0.0, 6.0]
    assert moved[1, 1, 1].tolist()[6:] == [7.0] * 6


def test_references_that_nobody_has_are_cut_and_change_nothing() -> None:
    """Two samples with one reference of the two that they have room for."""
    conditions = random_conditions()
    mask = conditions.reference_mask_BK.clone()
    mask[:, 1:] = False
    roomy = replace(conditions, reference_mask_BK=mask)
    cut = stack_conditions([roomy])
    assert cut.reference_BKNC.shape[1] == cut.reference_body_BKJ3.shape[1] == 1
    assert torch.allclose(predict(cut), predict(roomy), atol=1e-5)
    mask[1, 1] = True
    assert stack_conditions([replace(conditions, reference_mask_BK=mask)]).reference_BKNC.shape[1] == 2
