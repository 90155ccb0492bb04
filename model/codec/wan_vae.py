"""The public Wan video autoencoder as a codec, from weights on disk, through diffusers' AutoencoderKLWan.

It is causal with T = 4 n + 1: the first frame alone makes the first latent frame, every further one stands for four.
A still is therefore one frame. Latents are normalised per channel by the mean and standard deviation of its config,
as Wan's own pipelines do before the transformer sees them (diffusers pipelines/wan, prepare_*_latents).
Latents of a whole video cannot be sliced into those of its parts: windows are encoded one by one.

Axis legend: B batch, T frames, H W pixels, N tokens in (t, y, x) order, C latent channels, f h w the latent grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from model.codec.base import Triple, codec_grid
from model.diffusers_files import diffusers_class, from_folder
from schemas.errors import DataError

_CLASS = "AutoencoderKLWan"
_CONFIG_FACT = "autoencoder"


@dataclass(frozen=True)
class WanVaeCodec:
    """vae is a diffusers AutoencoderKLWan. Works on the weights' device, answers on the input's."""

    vae: Any
    name: str = "wan_vae"
    # diffusers keeps the frames before inside the network while it works, and batches are read in another thread.
    _one_at_a_time: Lock = field(default_factory=Lock, repr=False, compare=False)

    @property
    def patch_thw(self) -> Triple:
        config = self.vae.config
        return config.scale_factor_temporal, config.scale_factor_spatial, config.scale_factor_spatial

    @property
    def token_dim(self) -> int:
        return int(self.vae.config.z_dim)

    @property
    def lead_in_frames(self) -> int:
        return self.patch_thw[0] - 1

    @torch.no_grad()
    def encode(self, rgb_BTHW3: Tensor) -> Tensor:
        """The posterior's mode, normalised."""
        _, frames, height, width, _ = rgb_BTHW3.shape
        codec_grid(self, (frames, height, width))
        mean_C, std_C = self._normal()
        rgb = rgb_BTHW3.permute(0, 4, 1, 2, 3).to(mean_C)
        with self._one_at_a_time:
            latents = self.vae.encode(rgb, return_dict=False)[0].mode()
        tokens: Tensor = (latents.flatten(2).transpose(1, 2) - mean_C) / std_C
        return tokens.to(rgb_BTHW3)

    @torch.no_grad()
    def decode(self, tokens_BNC: Tensor, grid_thw: Triple) -> Tensor:
        """Pixels in [-1, 1] (clamped by the decoder), 4 (f - 1) + 1 frames."""
        mean_C, std_C = self._normal()
        latents = (tokens_BNC.to(mean_C) * std_C + mean_C).transpose(1, 2)
        latents = latents.reshape(len(latents), -1, *grid_thw)
        with self._one_at_a_time:
            rgb = self.vae.decode(latents, return_dict=False)[0]
        return rgb.permute(0, 2, 3, 4, 1).to(tokens_BNC)  # type: ignore[no-any-return]

    def tensors(self) -> Mapping[str, Tensor]:
        return self.vae.state_dict()  # type: ignore[no-any-return]

    def facts(self) -> Mapping[str, object]:
        """The config, without what diffusers notes about its own version and files."""
        return {_CONFIG_FACT: {key: value for key, value in self.vae.config.items() if not key.startswith("_")}}

    def __deepcopy__(self, _: object) -> WanVaeCodec:
        """Frozen, so a copy of a network that has it may share it."""
        return self

    def _normal(self) -> tuple[Tensor, Tensor]:
        weight = next(self.vae.parameters())
        mean, std = self.vae.config.latents_mean, self.vae.config.latents_std
        return torch.tensor(mean).to(weight), torch.tensor(std).to(weight)


def wan_vae_from_folder(folder: Path) -> WanVaeCodec:
    """Raises: RecipeError, DataError or ResourceError, see `from_folder`."""
    return _ready(from_folder(_CLASS, folder), str(folder))


def wan_vae_from_tensors(tensors: Mapping[str, Tensor], facts: Mapping[str, Any], where: str) -> WanVaeCodec:
    """The codec as a MODEL folder keeps it. Raises: DataError when tensors and config do not fit each other."""
    kind = diffusers_class(_CLASS)
    try:
        vae = kind(**facts[_CONFIG_FACT])
        vae.load_state_dict(dict(tensors))
    except (KeyError, TypeError, RuntimeError) as error:
        first_line = str(error).split("\n")[0]
        raise DataError(f"{where}: no whole wan_vae codec ({first_line}); copy the folder again") from error
    return _ready(vae.to(next(iter(tensors.values())).dtype), where)


def _ready(vae: Any, where: str) -> WanVaeCodec:
    """Raises: DataError when the config's mean and deviation are not one per latent channel."""
    config = vae.config
    if not len(config.latents_mean) == len(config.latents_std) == config.z_dim:
        raise DataError(
            f"{where}: latents_mean has {len(config.latents_mean)} and latents_std {len(config.latents_std)} numbers, "
            f"expected z_dim {config.z_dim}"
        )
    return WanVaeCodec(vae.eval().requires_grad_(False))
