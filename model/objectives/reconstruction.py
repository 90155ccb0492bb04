"""Learn a codec: bring back the pixels of a window from few numbers per patch.

The batch's tokens are patches of pixels (those of the `pixel` codec), its conditions are not looked at.
Loss: L1 and L2 of pixels in [-1, 1], L1 of the differences between neighbouring pixels in x and y (edges), and a
small KL divergence of the latents from a unit Gaussian, which keeps them from growing. Source of the mix: the
autoencoder of latent diffusion (Rombach et al. 2022) without its perceptual and adversarial parts, which need weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from model.codec.base import Triple, patchify, unpatchify
from model.codec.causal_vae import CausalVae
from model.conditions import Batch
from model.objectives.base import PRIMARY, Losses, primary_losses
from model.rng import StepRng
from schemas.recipe import StrictModel


class ReconstructionRecipe(StrictModel):
    """Weights of the parts of the loss."""

    l1: float = Field(default=0.2, ge=0)
    l2: float = Field(default=1.0, ge=0)
    gradient: float = Field(default=0.05, ge=0)
    kl: float = Field(default=1e-6, ge=0)
    flips: bool = True
    """Mirror windows in x, y and time at random: footage is short, and codecs have no business with direction."""


class Reconstruction:
    """One player: the autoencoder."""

    def __init__(self, vae: CausalVae, grid_thw: Triple, recipe: ReconstructionRecipe) -> None:
        self._vae, self._grid, self._recipe = vae, grid_thw, recipe

    def players(self) -> Mapping[str, nn.Module]:
        return {PRIMARY: self._vae}

    def losses(self, batch: Batch, step: int, rng: StepRng) -> Losses:
        recipe = self._recipe
        patches = self._flipped(batch.tokens_BNC, rng) if recipe.flips else batch.tokens_BNC
        mean, log_variance = self._vae.posterior(patches, self._grid)
        latents = mean + (0.5 * log_variance).exp() * rng.normal_like(mean, "posterior")
        made = self._vae.patches(latents, self._grid)
        error = made - patches
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance)
        per_sample_B = (
            recipe.l1 * error.abs().mean(dim=(1, 2))
            + recipe.l2 * error.square().mean(dim=(1, 2))
            + recipe.gradient * edge_error_B(unpatchify(error, self._vae.patch_thw, self._grid))
            + recipe.kl * divergence.mean(dim=(1, 2))
        )
        return primary_losses(per_sample_B)

    def _flipped(self, patches_BNP: Tensor, rng: StepRng) -> Tensor:
        """Each window mirrored along t, y and x, each with probability 1/2."""
        rgb_BTHW3 = unpatchify(patches_BNP, self._vae.patch_thw, self._grid)
        rows = []
        for slot, rgb_THW3 in enumerate(rgb_BTHW3):
            draws = rng.numpy(slot, "flips").random(3)
            rows.append(rgb_THW3.flip([axis for axis, draw in enumerate(draws) if draw < 0.5]))
        return patchify(torch.stack(rows), self._vae.patch_thw)


def edge_error_B(error_BTHW3: Tensor) -> Tensor:
    """Mean absolute error of the differences between neighbouring pixels, in y and in x."""
    down = error_BTHW3.diff(dim=2).abs().mean(dim=(1, 2, 3, 4))
    across = error_BTHW3.diff(dim=3).abs().mean(dim=(1, 2, 3, 4))
    return down + across
