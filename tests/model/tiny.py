"""A network of a few thousand numbers and conditions full of noise, small enough for exact comparisons."""

from __future__ import annotations

import torch

from model.conditions import Conditions
from model.dit.config import NetConfig, TransformerRecipe
from model.dit.net import VideoDit

GRID = (2, 2, 3)
PATCH = (2, 4, 4)
TOKEN_DIM = 20
FACE_DIM, HAND_DIM, CAMERA_DIM, TEXT_DIM, TEXT_TOKENS = 9, 7, 5, 6, 4


def tiny_net(seed: int = 0, guidance_embedding: bool = False, depth: int = 2) -> VideoDit:
    """Every parameter is random (nothing zero), so that each input can reach the output."""
    config = NetConfig(
        transformer=TransformerRecipe(width=24, depth=depth, heads=3, mlp_ratio=2.0, face_bottleneck=4),
        grid_thw=GRID,
        patch_thw=PATCH,
        token_dim=TOKEN_DIM,
        text_dim=TEXT_DIM,
        face_dim=FACE_DIM,
        hand_dim=HAND_DIM,
        camera_dim=CAMERA_DIM,
        guidance_embedding=guidance_embedding,
    )
    torch.manual_seed(seed)
    net = VideoDit(config)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return net.eval()


def random_conditions(batch: int = 2, seed: int = 1) -> Conditions:
    source = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=source)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=source)

    frames, rows, columns = GRID[0] * PATCH[0], GRID[1] * PATCH[1], GRID[2] * PATCH[2]
    seen = torch.ones(batch, frames, dtype=torch.bool)
    return Conditions(
        time_s_BT=torch.arange(frames).expand(batch, frames) / 25.0,
        reference_BKNC=normal(batch, 1, GRID[1] * GRID[2], TOKEN_DIM),
        body_map_BTHW3=uniform(batch, frames, rows, columns, 3),
        body_BTJ3=normal(batch, frames, 33, 3),
        face_BTF=normal(batch, frames, FACE_DIM),
        face_anchor_BT2=uniform(batch, frames, 2),
        face_present_BT=seen,
        hands_BT2F=normal(batch, frames, 2, HAND_DIM),
        hands_anchor_BT22=uniform(batch, frames, 2, 2),
        hands_present_BT2=seen.unsqueeze(-1).expand(batch, frames, 2).clone(),
        text_BLD=normal(batch, TEXT_TOKENS, TEXT_DIM),
        text_mask_BL=torch.ones(batch, TEXT_TOKENS, dtype=torch.bool),
        text_pooled_BD=normal(batch, TEXT_DIM),
        camera_BTF=normal(batch, frames, CAMERA_DIM),
    )


def random_tokens(batch: int = 2, seed: int = 2) -> torch.Tensor:
    cells = GRID[0] * GRID[1] * GRID[2]
    return torch.randn(batch, cells, TOKEN_DIM, generator=torch.Generator().manual_seed(seed))
