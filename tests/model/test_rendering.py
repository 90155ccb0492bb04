"""The renderer of the first guess: it begins with what is painted and learns the subject, not what is behind it."""

from __future__ import annotations

import torch

from model.codec.base import patchify, unpatchify
from model.conditions import keep_mask
from model.dit.detail import Painted
from model.dit.net import VideoDit
from model.dit.render import Rendering
from model.objectives.rendering import rendering_loss_B, surroundings
from tests.model.tiny import GRID, random_conditions, random_tokens, tiny_config, tiny_net

WIDE, FRAMES = (2, 8, 8), (1, 4, 4)


def tokens(pictures_BTHWC: torch.Tensor) -> torch.Tensor:
    return patchify(pictures_BTHWC, WIDE)


def a_disc(side: int = 32) -> torch.Tensor:
    """(1, 2, side, side, 1): 1 in the middle."""
    y, x = torch.meshgrid(torch.arange(side) - side / 2, torch.arange(side) - side / 2, indexing="ij")
    return ((x**2 + y**2).sqrt() < 6).float().expand(1, 2, side, side).unsqueeze(-1)


def test_a_fresh_renderer_changes_nothing_and_a_trained_one_does() -> None:
    torch.manual_seed(0)
    fresh = VideoDit(tiny_config()).encode(random_conditions(), keep_mask(2), GRID)
    assert fresh.rendering is not None
    assert fresh.painted is not None
    assert torch.equal(fresh.rendering.sketch.colours_BNC, fresh.painted.colours_BNC)
    trained = tiny_net().encode(random_conditions(), keep_mask(2), GRID)
    assert trained.rendering is not None
    assert trained.painted is not None
    assert not torch.allclose(trained.rendering.sketch.colours_BNC, trained.painted.colours_BNC, atol=1e-2)
    assert VideoDit(tiny_config(render_channels=0)).encode(random_conditions(), keep_mask(2), GRID).rendering is None


def test_only_its_own_loss_reaches_it() -> None:
    net = tiny_net().train()
    state = net.encode(random_conditions(), keep_mask(2), GRID)
    noisy = random_tokens()
    net(noisy, torch.tensor([0.3, 0.6]), state).square().mean().backward()
    assert net.render is not None
    assert all(weight.grad is None for weight in net.render.parameters())
    state = net.encode(random_conditions(), keep_mask(2), GRID)
    assert state.rendering is not None
    rendering_loss_B(state.rendering, noisy, net.config.patch_thw, GRID, torch.ones(noisy.shape[:2])).sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in net.render.parameters())


def test_surroundings_know_nothing_of_what_is_covered() -> None:
    disc = a_disc()
    wall = torch.full((1, 2, 32, 32, 3), 0.4)
    picture = wall * (1 - disc) - 0.9 * disc
    cover = tokens(disc.expand(-1, -1, -1, -1, 3))
    behind = unpatchify(surroundings(tokens(picture), cover, WIDE, FRAMES), WIDE, FRAMES)
    assert torch.allclose(behind, wall, atol=1e-2)
    everything = torch.ones_like(cover)
    behind = unpatchify(surroundings(tokens(picture), everything, WIDE, FRAMES), WIDE, FRAMES)
    assert torch.isfinite(behind).all()
    assert torch.allclose(behind, picture.mean(dim=(2, 3), keepdim=True).expand_as(behind), atol=1e-2)


def test_the_true_subject_has_no_loss_and_a_wrong_one_has() -> None:
    disc = a_disc().expand(-1, -1, -1, -1, 3)
    wall = torch.full((1, 2, 32, 32, 3), 0.4)
    clean = tokens(wall * (1 - disc) - 0.9 * disc)
    sketch = Painted(tokens(disc * 0.1), tokens(disc))
    weight_BN = torch.ones(clean.shape[:2])

    def loss(colour: float, cover: float) -> float:
        rendered = Painted(tokens(disc * colour * cover), tokens(disc * cover))
        return float(rendering_loss_B(Rendering(sketch, rendered), clean, WIDE, FRAMES, weight_BN))

    assert loss(-0.9, 1.0) < 1e-3
    assert loss(-0.9, 1.0) < loss(-0.9, 0.7) < loss(0.1, 1.0)
