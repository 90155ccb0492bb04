"""A small causal video autoencoder that begins as the KLT of its patches and learns what that leaves out.

A latent frame stands for exactly pt pixel frames (T = pt n, so a still is pt equal frames) and knows its own and
earlier frames only; so does what is decoded of it. The convolutions run over the grid of patches: one token sees its
neighbours, which a patch-wise KLT cannot. Every residual branch ends in zeros, so before the first step the
autoencoder is the KLT exactly, and what is learnt comes on top of it.

Axis legend: B batch, T frames, H W pixels, N tokens = (T/pt)(H/ph)(W/pw) in (t, y, x) order, P numbers of a patch,
C channels of a token, D width, f h w the token grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.codec.base import Triple, grid_of, patchify, unpatchify
from model.codec.klt import TARGET_STD, KltCodec
from schemas.errors import DataError

START_LOG_VARIANCE = -8.0
"""Of the posterior before training: a standard deviation of 0.018 beside token channels of about 0.5."""
TIME_TAPS = 3


class CausalBlock(nn.Module):
    """x + f(x): RMS norm, a 3x3 convolution in space, one over this and the two frames before, a zeroed projection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.Parameter(torch.ones(width))
        self.space = nn.Conv3d(width, width, (1, 3, 3), padding=(0, 1, 1), padding_mode="replicate")
        self.time = nn.Conv3d(width, width, (TIME_TAPS, 1, 1))
        self.out = nn.Conv3d(width, width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x_BDfhw: Tensor) -> Tensor:
        scale = x_BDfhw.square().mean(dim=1, keepdim=True).add(1e-6).rsqrt()
        inner = F.silu(self.space(x_BDfhw * scale * self.norm[:, None, None, None]))
        # The first frame is held before the beginning, as it is for a still.
        inner = torch.cat((inner[:, :, :1].expand(-1, -1, TIME_TAPS - 1, -1, -1), inner), dim=2)
        change: Tensor = self.out(F.silu(self.time(inner)))
        return x_BDfhw + change


class CausalVae(nn.Module):
    """Encoder and decoder around the linear codec they start from."""

    mean_P: Tensor
    basis_PC: Tensor
    scale_C: Tensor
    shift_C: Tensor
    gain: Tensor

    def __init__(self, start: KltCodec, width: int, depth: int) -> None:
        super().__init__()
        self.patch_thw = start.patch_thw
        numbers, channels = start.basis_PC.shape
        self.width, self.depth, self.channels = width, depth, channels
        for name, tensor in start.tensors().items():
            self.register_buffer(name, tensor.clone())
        # What makes tokens of latents; set after training by `fit_token_scale`.
        self.register_buffer("shift_C", torch.zeros(channels))
        self.register_buffer("gain", torch.ones(()))
        self.encoder_in = nn.Linear(numbers, width)
        self.encoder_blocks = nn.ModuleList(CausalBlock(width) for _ in range(depth))
        self.encoder_out = nn.Linear(width, 2 * channels)
        self.decoder_in = nn.Linear(channels, width)
        self.decoder_blocks = nn.ModuleList(CausalBlock(width) for _ in range(depth))
        self.decoder_out = nn.Linear(width, numbers)
        for layer in (self.encoder_out, self.decoder_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def posterior(self, patches_BNP: Tensor, grid_thw: Triple) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latents, each (B, N, C)."""
        centred = patches_BNP - self.mean_P
        seen = self.encoder_out(_over_grid(self.encoder_blocks, self.encoder_in(centred), grid_thw))
        change, log_variance = seen.chunk(2, dim=-1)
        return (centred @ self.basis_PC) / self.scale_C + change, START_LOG_VARIANCE + log_variance.clamp(-12.0, 12.0)

    def patches(self, latents_BNC: Tensor, grid_thw: Triple) -> Tensor:
        """Patches (B, N, P) of latents."""
        linear = (latents_BNC * self.scale_C) @ self.basis_PC.T + self.mean_P
        seen = _over_grid(self.decoder_blocks, self.decoder_in(latents_BNC), grid_thw)
        return linear + self.decoder_out(seen)  # type: ignore[no-any-return]


def _over_grid(blocks: nn.ModuleList, tokens_BND: Tensor, grid_thw: Triple) -> Tensor:
    batch, _, width = tokens_BND.shape
    picture = tokens_BND.transpose(1, 2).reshape(batch, width, *grid_thw)
    for block in blocks:
        picture = block(picture)
    return picture.flatten(2).transpose(1, 2)


@torch.no_grad()
def fit_token_scale(vae: CausalVae, rgb_BTHW3: Tensor) -> None:
    """Centre the tokens and give them the root mean square that every codec's tokens have.

    One factor for all channels: what training made weak stays weak.
    """
    patches = patchify(rgb_BTHW3.to(vae.mean_P.device), vae.patch_thw)
    grid = grid_of((rgb_BTHW3.shape[1], rgb_BTHW3.shape[2], rgb_BTHW3.shape[3]), vae.patch_thw)
    latents = torch.cat([vae.posterior(part, grid)[0] for part in torch.split(patches, 8)])
    vae.shift_C.copy_(latents.mean(dim=(0, 1)))
    vae.gain.copy_(TARGET_STD / (latents - vae.shift_C).square().mean().sqrt().clamp_min(1e-6))


@dataclass(frozen=True)
class CausalVaeCodec:
    """The trained autoencoder as a codec. Works on the weights' device, answers on the input's."""

    vae: CausalVae
    name: str = "causal_vae"
    lead_in_frames: int = 0

    @property
    def patch_thw(self) -> Triple:
        return self.vae.patch_thw

    @property
    def token_dim(self) -> int:
        return self.vae.channels

    @torch.no_grad()
    def encode(self, rgb_BTHW3: Tensor) -> Tensor:
        _, frames, height, width, _ = rgb_BTHW3.shape
        grid = grid_of((frames, height, width), self.patch_thw)
        patches = patchify(rgb_BTHW3.to(self.vae.mean_P.device), self.patch_thw)
        mean_BNC, _ = self.vae.posterior(patches, grid)
        return ((mean_BNC - self.vae.shift_C) * self.vae.gain).to(rgb_BTHW3.device)

    @torch.no_grad()
    def decode(self, tokens_BNC: Tensor, grid_thw: Triple) -> Tensor:
        latents = tokens_BNC.to(self.vae.mean_P.device) / self.vae.gain + self.vae.shift_C
        rgb = unpatchify(self.vae.patches(latents, grid_thw), self.patch_thw, grid_thw)
        return rgb.to(tokens_BNC.device)

    def tensors(self) -> Mapping[str, Tensor]:
        return self.vae.state_dict()

    def facts(self) -> Mapping[str, object]:
        return {}


def codec_from_tensors(tensors: Mapping[str, Tensor], patch_thw: Triple, where: str) -> CausalVaeCodec:
    """Rebuild the codec; the sizes are those of the tensors.

    Raises: DataError naming what is missing or does not fit.
    """
    try:
        start = KltCodec(patch_thw, tensors["mean_P"], tensors["basis_PC"], tensors["scale_C"])
        width = tensors["encoder_in.weight"].shape[0]
        depth = len({name.split(".")[1] for name in tensors if name.startswith("encoder_blocks.")})
        vae = CausalVae(start, width, depth)
        vae.load_state_dict(dict(tensors))
    except (KeyError, RuntimeError) as error:
        first_line = str(error).split("\n")[0]
        raise DataError(f"{where}: no whole causal_vae codec ({first_line}); train or copy it again") from error
    return CausalVaeCodec(vae.eval().requires_grad_(False))
