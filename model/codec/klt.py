"""Karhunen-Loeve (PCA) patch tokenizer: a closed-form basis fitted on patches of the training shards.

A token keeps the `channels` strongest directions of a patch. Channel k is divided by std_k**gamma (times one common
factor), so gamma = 0 keeps the natural spectrum and gamma = 1 whitens it, which would spend capacity on noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from model.codec.base import Triple, patchify, unpatchify
from schemas.errors import RecipeError

TARGET_STD = 0.5
"""Root mean square of a token channel after scaling: about that of pixels in [-1, 1], so noise levels keep meaning."""


@dataclass(frozen=True)
class KltCodec:
    """mean_P and basis_PC live in patch space (P numbers); scale_C divides the coefficients."""

    patch_thw: Triple
    mean_P: Tensor
    basis_PC: Tensor
    scale_C: Tensor
    name: str = "klt"
    lead_in_frames: int = 0

    @property
    def token_dim(self) -> int:
        return int(self.scale_C.shape[0])

    def encode(self, rgb_BTHW3: Tensor) -> Tensor:
        return ((patchify(rgb_BTHW3, self.patch_thw) - self.mean_P) @ self.basis_PC) / self.scale_C

    def decode(self, tokens_BNC: Tensor, grid_thw: Triple) -> Tensor:
        return unpatchify((tokens_BNC * self.scale_C) @ self.basis_PC.T + self.mean_P, self.patch_thw, grid_thw)

    def tensors(self) -> Mapping[str, Tensor]:
        return {"mean_P": self.mean_P, "basis_PC": self.basis_PC, "scale_C": self.scale_C}

    def facts(self) -> Mapping[str, object]:
        return {}


def fit_klt(patches_MP: Tensor, patch_thw: Triple, channels: int, gamma: float = 0.5) -> KltCodec:
    """Fit the basis on M patches of the training data only, each counted with its mirror images in t, y and x.

    Footage has no preferred direction, few windows of it do: held aside, mirroring gains 0.4 dB where 16 windows were
    fitted and 0.1 to 0.2 dB from 64 on (benchmarks/results/2026-11-27-codec.md).

    Raises: RecipeError when more channels are asked for than a patch has numbers, or there are fewer patches than
            channels (the basis would be arbitrary).
    """
    count, numbers = patches_MP.shape
    if not 0 < channels <= numbers:
        raise RecipeError(f"codec.channels is {channels}; a patch of {patch_thw} has {numbers} numbers")
    if count < channels:
        raise RecipeError(f"{count} patches cannot fix {channels} codec channels; add data or lower codec.channels")
    patches = patches_MP.double()
    mean_P = patches.mean(dim=0)
    moment_PP = (patches - mean_P).T @ (patches - mean_P) / count
    mirrored = mirror_orders(patch_thw, numbers)
    common_P = torch.stack([mean_P[order] for order in mirrored]).mean(dim=0)
    covariance_PP = torch.zeros_like(moment_PP)
    for order in mirrored:
        away_P = mean_P[order] - common_P
        covariance_PP += (moment_PP[order][:, order] + torch.outer(away_P, away_P)) / len(mirrored)
    variance_P, vectors_PP = torch.linalg.eigh(covariance_PP)
    basis_PC = vectors_PP.flip(1)[:, :channels]
    # An eigenvector's sign is arbitrary; fixing it makes the basis, and so its hash, repeatable. Mirror images make
    # several entries equally large up to rounding: the first of them decides.
    largest_PC = basis_PC.abs() >= basis_PC.abs().amax(dim=0) * (1 - 1e-6)
    signs = torch.sign(basis_PC.gather(0, largest_PC.int().argmax(dim=0, keepdim=True)))
    std_C = variance_P.flip(0)[:channels].clamp_min(1e-10).sqrt()
    scale_C = std_C**gamma
    scale_C = scale_C * (((std_C / scale_C) ** 2).mean().sqrt() / TARGET_STD)
    return KltCodec(patch_thw, common_P.float(), (basis_PC * signs).float().contiguous(), scale_C.float())


def mirror_orders(patch_thw: Triple, numbers: int) -> list[Tensor]:
    """The 8 orders of a patch's numbers that mirror it in none, some or all of t, y and x."""
    place = torch.arange(numbers).reshape(*patch_thw, -1)
    axes = [[axis for axis in range(3) if choice >> axis & 1] for choice in range(8)]
    return [place.flip(chosen).flatten() for chosen in axes]
