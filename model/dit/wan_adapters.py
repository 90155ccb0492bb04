"""What a public Wan transformer has no input for, brought to it by layers that start at zero.

Adapters are added to the patch tokens of their latent frame, hands and face around where they are seen; the meaning of
the motion takes the place of the last of Wan's 512 text states, which its pipeline leaves zero. Every last layer
starts at zero, so before training a Wan network computes what it computed (tests/model/test_wan.py).

Axis legend: see model/conditions.py; f h w the latent grid, h' w' the grid of Wan's patch tokens, C latent channels,
D Wan's width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.codec.base import Triple
from model.conditions import Conditions
from model.dit.config import WanConfig
from model.dit.net import SINUSOIDS, frequencies
from model.motion.encoders import pair_frames, seen_place, where_kept
from model.motion.wholes import SEMANTIC_BOTTLENECK, SEMANTIC_TOKENS

TEXT_TOKENS = 512
"""Wan pads its text with zeros to so many states; its attention counts on it."""
OWN_TOKENS = SEMANTIC_TOKENS + 1
HIDDEN = 256
NEAR = 0.12
"""Standard deviation, in picture sides, of the spot that a hand's or a face's features are added to."""


class WanAdapters(nn.Module):
    """`width` and `text_dim` are Wan's own, `patch_thw` its patch of latents."""

    def __init__(self, config: WanConfig, width: int, text_dim: int, patch_thw: Triple) -> None:
        super().__init__()
        self.patch_thw = patch_thw
        per_frame = config.patch_thw[0]
        self.hands = adapter(config.hand_dim * per_frame, width)
        self.face = adapter(config.face_dim * per_frame, width)
        self.camera = adapter(config.camera_dim * per_frame, width)
        self.directions = adapter(config.direction_dim * per_frame, width)
        # As narrow as our own network's: enough for which motion it is, too little for every pose of it.
        meaning, narrow = config.semantic_dim * config.semantic_moments, SEMANTIC_TOKENS * SEMANTIC_BOTTLENECK
        self.semantic = adapter(meaning, SEMANTIC_TOKENS * text_dim, narrow)
        self.actions = zeroed(nn.Linear(config.text_dim, text_dim))
        self.text = None if config.text_dim == text_dim else zeroed(nn.Linear(config.text_dim, text_dim))
        self.guidance = adapter(2 * SINUSOIDS, width) if config.guidance_embedding else None
        self.reference: nn.Module | None = None
        self.body: nn.Module | None = None
        if config.kind == "wan":
            self.reference = zeroed(nn.Conv3d(config.token_dim, width, patch_thw, patch_thw))
            self.body = zeroed(nn.Conv3d(config.token_dim, width, patch_thw, patch_thw))

    def states(self, conditions: Conditions, keep: dict[str, Tensor]) -> Tensor:
        """Wan's 512 text states: the caption's, zeros as in its pipeline, and last the meaning of the motion."""
        seen_BL1 = (conditions.text_mask_BL.bool() & keep["text"].unsqueeze(1)).unsqueeze(-1)
        states = conditions.text_BLD if self.text is None else self.text(conditions.text_BLD)
        states = torch.where(seen_BL1, states, torch.zeros_like(states))[:, : TEXT_TOKENS - OWN_TOKENS]
        meaning = self.semantic(conditions.semantic_BSF.flatten(1)).unflatten(1, (SEMANTIC_TOKENS, -1))
        own = torch.cat((meaning, self.actions(conditions.actions_BD).unsqueeze(1)), dim=1)
        own = where_kept(keep["semantic"], own, torch.zeros_like(own))
        missing = states.new_zeros(len(states), TEXT_TOKENS - OWN_TOKENS - states.shape[1], states.shape[2])
        return torch.cat((states, missing, own), dim=1)

    def added(
        self, conditions: Conditions, keep: dict[str, Tensor], reference_BC1hw: Tensor, pose_BCfhw: Tensor
    ) -> Tensor:
        """What is added to the patch tokens, (B, D, f, h', w')."""
        frames, height, width = pose_BCfhw.shape[2:]
        grid = (frames, height // self.patch_thw[1], width // self.patch_thw[2])
        everywhere = self._stated(self.camera, conditions.camera_BTF, keep["camera"], frames)
        everywhere = everywhere + self._stated(self.directions, conditions.directions_BTF, keep["text"], frames)
        total = everywhere.transpose(1, 2)[..., None, None].expand(-1, -1, *grid)
        spots = [
            (self.face, "face", conditions.face_BTF, conditions.face_place_BT7[..., :2], conditions.face_present_BT)
        ]
        for side in (0, 1):
            wrist_BT3 = conditions.hands_BT2H3[:, :, side, 0]
            shape_BTF = conditions.hands_shape_BT2F[:, :, side]
            spots.append((self.hands, "hands", shape_BTF, wrist_BT3[..., [1, 0]], wrist_BT3[..., 2] > 0))
        for layer, group, features, anchor, present in spots:
            seen_BT = present.bool() & keep[group].unsqueeze(1)
            values = layer(pair_frames(torch.where(seen_BT[..., None], features, 0.0), frames))
            near = nearness(torch.where(seen_BT[..., None], anchor, 0.5), seen_BT, grid)
            total = total + values.transpose(1, 2)[..., None, None] * near.unsqueeze(1)
        if self.reference is not None and self.body is not None:
            held, drawn = self.reference(reference_BC1hw), self.body(pose_BCfhw)
            total = total + where_kept(keep["reference"], held, torch.zeros_like(held))
            total = total + where_kept(keep["body"], drawn, torch.zeros_like(drawn))
        return total

    def strength(self, guidance_B: Tensor | None, like_B: Tensor) -> Tensor | float:
        """What tells a student which guidance to imitate; nothing for a teacher."""
        if self.guidance is None:
            return 0.0
        strength_B = torch.ones_like(like_B) if guidance_B is None else guidance_B
        said: Tensor = self.guidance(frequencies(strength_B / 8.0))
        return said[:, :, None, None, None]

    @staticmethod
    def _stated(layer: nn.Module, values_BTF: Tensor, keep_B: Tensor, frames: int) -> Tensor:
        """(B, f, D), zero where dropped."""
        said: Tensor = layer(pair_frames(values_BTF, frames))
        return where_kept(keep_B, said, torch.zeros_like(said))


def nearness(anchor_BT2: Tensor, seen_BT: Tensor, grid_thw: Triple) -> Tensor:
    """(B, f, h', w'): 1 at the anchor (y, x in [0, 1]), falling off like a Gaussian; 0 in frames without it."""
    frames, rows, columns = grid_thw
    seen_Bf, anchor_Bf2 = seen_place(anchor_BT2, seen_BT, frames)
    y = (torch.arange(rows, device=anchor_BT2.device) + 0.5) / rows
    x = (torch.arange(columns, device=anchor_BT2.device) + 0.5) / columns
    away = (y[:, None] - anchor_Bf2[..., 0, None, None]).square() + (x - anchor_Bf2[..., 1, None, None]).square()
    return torch.exp(-away / (2.0 * NEAR**2)) * seen_Bf[..., None, None]


def zeroed(layer: nn.Linear | nn.Conv3d) -> nn.Module:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def adapter(inputs: int, outputs: int, hidden: int = HIDDEN) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), zeroed(nn.Linear(hidden, outputs)))
