from __future__ import annotations

import pytest
import torch

from model.conditions import GROUPS
from model.guidance import DualBranch, FullChain, GuidanceRecipe, SingleBranch, guide
from schemas.errors import RecipeError
from schemas.recipe import parse_recipe
from tests.model.tiny import GRID, random_conditions, random_tokens, tiny_net

KEPT = ("reference", "semantic", "text", "camera")
DROPPED = ("body", "face", "hands")


@torch.no_grad()
def test_strength_one_is_the_conditional_branch_bit_for_bit() -> None:
    net, conditions, noisy = tiny_net(), random_conditions(), random_tokens()
    single = SingleBranch(net, conditions, GRID)
    dual = DualBranch(net, conditions, GRID, GuidanceRecipe(strength=1.0))
    assert torch.equal(dual.predict(noisy, 0.3), single.predict(noisy, 0.3))
    assert dual.evaluations == 1
    full, kept = torch.randn(3, 4, 5), torch.randn(3, 4, 5)
    assert torch.equal(guide(full, kept, 1.0), full)


@torch.no_grad()
@pytest.mark.parametrize("strength", [1.5, 3.0])
def test_two_branches_equal_the_full_chain_with_two_weight_levels(strength: float) -> None:
    """Kept groups first with weight 1, all dropped groups sharing w: the chain telescopes to two branches."""
    net, conditions, noisy = tiny_net(), random_conditions(), random_tokens()
    chain = FullChain(net, conditions, GRID, (*KEPT, *DROPPED), [1.0] * len(KEPT) + [strength] * len(DROPPED))
    dual = DualBranch(net, conditions, GRID, GuidanceRecipe(strength=strength, dropped=DROPPED))
    expected, found = chain.predict(noisy, 0.3), dual.predict(noisy, 0.3)
    assert (expected - found).abs().max() < 1e-5 * expected.abs().max()
    assert (chain.evaluations, dual.evaluations) == (len(GROUPS) + 1, 2)
    unequal = FullChain(net, conditions, GRID, (*KEPT, *DROPPED), [1.0] * len(KEPT) + [strength, 1.0, 1.0])
    assert (unequal.predict(noisy, 0.3) - found).abs().max() > 1e-3


@torch.no_grad()
def test_outside_its_interval_guidance_costs_nothing() -> None:
    net, conditions, noisy = tiny_net(), random_conditions(), random_tokens()
    dual = DualBranch(net, conditions, GRID, GuidanceRecipe(strength=3.0, until_t=0.5))
    assert torch.equal(dual.predict(noisy, 0.5), SingleBranch(net, conditions, GRID).predict(noisy, 0.5))
    assert dual.evaluations == 1


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(RecipeError, match="unknown condition groups"):
        parse_recipe(GuidanceRecipe, {"dropped": ["legs"]}, "test")
