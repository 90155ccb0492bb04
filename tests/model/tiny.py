"""A network of a few thousand numbers and conditions full of noise, small enough for exact comparisons."""

from __future__ import annotations

import torch

from model.conditions import Batch, Conditions
from model.data.motion_inputs import HAND_SHAPE_FEATURES
from model.dit.config import NetConfig, TransformerRecipe
from model.dit.net import VideoDit
from model.motion.limb_maps import PAINTED_BONES
from model.motion.looks import PARTS, TEXELS

GRID = (2, 2, 4)
PATCH = (2, 4, 4)
TOKEN_DIM = 2 * 4 * 4 * 3
FACE_DIM, HAND_DIM, CAMERA_DIM, TEXT_DIM, TEXT_TOKENS = 9, HAND_SHAPE_FEATURES, 5, 6, 4
DIRECTION_DIM, SEMANTIC_DIM, MOMENTS, REFERENCES = 8, 10, 3, 2


def tiny_net(
    seed: int = 0, guidance_embedding: bool = False, depth: int = 2, width: int = 24, heads: int = 3
) -> VideoDit:
    """Every parameter is random (nothing zero), so that each input can reach the output."""
    config = tiny_config(guidance_embedding, depth=depth, width=width, heads=heads)
    torch.manual_seed(seed)
    net = VideoDit(config)
    with torch.no_grad():
        for weight in net.parameters():
            # A convolution sums over nine places.
            weight.add_(torch.randn_like(weight) * (0.2 if weight.ndim < 4 else 0.05))
    return net.eval()


def tiny_config(guidance_embedding: bool = False, **transformer: float) -> NetConfig:
    sizes = {
        "width": 24,
        "depth": 2,
        "heads": 3,
        "mlp_ratio": 2.0,
        "face_bottleneck": 4,
        "detail_channels": 6,
        "render_channels": 4,
    }
    return NetConfig(
        transformer=TransformerRecipe.model_validate({**sizes, **transformer}),
        patch_thw=PATCH,
        token_dim=TOKEN_DIM,
        text_dim=TEXT_DIM,
        face_dim=FACE_DIM,
        hand_dim=HAND_DIM,
        camera_dim=CAMERA_DIM,
        direction_dim=DIRECTION_DIM,
        semantic_dim=SEMANTIC_DIM,
        semantic_moments=MOMENTS,
        pixels=True,
        guidance_embedding=guidance_embedding,
    )


def random_conditions(batch: int = 2, seed: int = 1, frames: int = GRID[0] * PATCH[0]) -> Conditions:
    source = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=source)

    def joints(*shape: int) -> torch.Tensor:
        """x, y in the picture and confidence enough to be drawn."""
        return torch.cat(
            (torch.rand(*shape, 2, generator=source), 0.5 + 0.5 * torch.rand(*shape, 1, generator=source)), -1
        )

    return Conditions(
        time_s_BT=torch.arange(frames).expand(batch, frames) / 25.0,
        reference_BKNC=normal(batch, REFERENCES, GRID[1] * GRID[2], TOKEN_DIM),
        reference_mask_BK=torch.ones(batch, REFERENCES, dtype=torch.bool),
        reference_body_BKJ3=joints(batch, REFERENCES, 33),
        reference_looks_BKP4UV=torch.rand(batch, REFERENCES, PARTS, 4, TEXELS, TEXELS, generator=source),
        limb_colours_BL4=torch.rand(batch, len(PAINTED_BONES), 4, generator=source),
        body_BTJ3=joints(batch, frames, 33),
        body_world_BTJ3=normal(batch, frames, 33, 3),
        face_BTF=normal(batch, frames, FACE_DIM),
        face_place_BT7=torch.rand(batch, frames, 7, generator=source),
        face_present_BT=torch.ones(batch, frames, dtype=torch.bool),
        hands_BT2H3=joints(batch, frames, 2, 21),
        hands_shape_BT2F=normal(batch, frames, 2, HAND_DIM),
        semantic_BSF=normal(batch, MOMENTS, SEMANTIC_DIM),
        actions_BD=normal(batch, TEXT_DIM),
        text_BLD=normal(batch, TEXT_TOKENS, TEXT_DIM),
        text_mask_BL=torch.ones(batch, TEXT_TOKENS, dtype=torch.bool),
        text_pooled_BD=normal(batch, TEXT_DIM),
        directions_BTF=normal(batch, frames, DIRECTION_DIM),
        camera_BTF=normal(batch, frames, CAMERA_DIM),
    )


def random_tokens(batch: int = 2, seed: int = 2, grid: tuple[int, int, int] = GRID) -> torch.Tensor:
    cells = grid[0] * grid[1] * grid[2]
    return torch.randn(batch, cells, TOKEN_DIM, generator=torch.Generator().manual_seed(seed))


def random_batch(batch: int = 2, seed: int = 0) -> Batch:
    tokens = random_tokens(batch, seed=2 + seed)
    keys = tuple("abcdefgh"[:batch])
    return Batch(tokens, GRID, torch.zeros(tokens.shape[:2]), random_conditions(batch, seed=1 + seed), keys)
