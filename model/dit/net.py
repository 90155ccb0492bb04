"""The network: conditions once, then as many denoising calls as the sampler likes.

    state = net.encode(conditions, keep_BG)          # condition stream through all blocks; knows no noise
    x_hat = net(noisy_BNC, t_B, state)               # one network evaluation (NFE)

Sequence: [video tokens | reference | body | face | hands | camera | text]. The body picture and the first reference
are added to the video tokens (they are spatially aligned); everything that must not leak spatial identity is a token.
Time convention: t = 1 is clean, t = 0 is noise; the network predicts the clean tokens (x-prediction).
Axis legend: see model/conditions.py; f latent frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.conditions import GROUPS, Conditions
from model.dit.block import Block, KeyValue
from model.dit.config import NetConfig
from model.dit.rope import grid_coordinates, rotary_table
from model.motion.encoders import BodyEncoder, CameraEncoder, FaceEncoder, HandsEncoder, where_kept

BODY_JOINTS = 33
REFERENCE_TIME_UNITS = -4.0
"""Rotary time of reference image 0; image i sits at this times (i + 1), apart from every video frame."""
TEXT_COORDINATE = -1.0
SINUSOIDS = 64


@dataclass(frozen=True)
class ConditionState:
    """What the video stream needs of the conditions; independent of noise and timestep, so reusable."""

    layers: tuple[KeyValue, ...]
    rope_video: tuple[Tensor, Tensor]
    mask_video: Tensor
    pooled_BD: Tensor
    added_BND: Tensor
    reference_BNC: Tensor


class VideoDit(nn.Module):
    """Video diffusion transformer with separate, droppable condition groups."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        size = config.transformer
        width, patch_frames = size.width, config.patch_thw[0]
        self.video_in = nn.Linear(config.token_dim, width)
        self.reference_in = nn.Linear(config.token_dim, width)
        self.reference_added = nn.Linear(config.token_dim, width)
        self.null_reference = nn.Parameter(torch.randn(width) * 0.02)
        self.reference_pool = nn.Linear(width, width)
        self.body = BodyEncoder(config.patch_thw, BODY_JOINTS, width)
        self.face = FaceEncoder(patch_frames, config.face_dim, size.face_bottleneck, width)
        self.hands = HandsEncoder(patch_frames, config.hand_dim, width)
        self.camera = CameraEncoder(patch_frames, config.camera_dim, width)
        self.text_in = nn.Linear(config.text_dim, width)
        self.null_text = nn.Parameter(torch.randn(width) * 0.02)
        self.text_pool = nn.Linear(config.text_dim, width)
        self.kind = nn.Parameter(torch.randn(len(GROUPS), width) * 0.02)
        self.time_in = nn.Sequential(nn.Linear(2 * SINUSOIDS, width), nn.SiLU(), nn.Linear(width, width))
        self.guidance_in: nn.Sequential | None = None
        if config.guidance_embedding:
            self.guidance_in = nn.Sequential(nn.Linear(2 * SINUSOIDS, width), nn.SiLU(), nn.Linear(width, width))
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(width, size.heads, size.mlp_ratio) for _ in range(size.depth))
        self.final_modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, config.token_dim)
        self.copy_gate = nn.Linear(width, config.token_dim)
        self._start_small()

    def _start_small(self) -> None:
        """Zero-initialise every path whose best first guess is "no effect"."""
        zeroed: list[nn.Module] = [self.modulation, self.final_modulation, self.out, self.copy_gate]
        if self.guidance_in is not None:
            zeroed.append(self.guidance_in[2])
        for layer in zeroed:
            if isinstance(layer, nn.Linear):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    def encode(self, conditions: Conditions, keep_BG: Tensor) -> ConditionState:
        """Run the condition stream. keep_BG[b, g] False removes all influence of group g on sample b."""
        config, grid = self.config, self.config.grid_thw
        keep = dict(zip(GROUPS, keep_BG.unbind(dim=1), strict=True))
        batch, images, cells, _ = conditions.reference_BKNC.shape
        time_Bf = conditions.time_s_BT.reshape(batch, grid[0], -1).mean(dim=2) * config.transformer.rope_units_per_s

        reference = self.reference_in(conditions.reference_BKNC.reshape(batch, images * cells, -1))
        reference = where_kept(keep["reference"], reference, self.null_reference)
        still_Bk = torch.full((batch, 1), REFERENCE_TIME_UNITS, device=reference.device)
        reference_at = torch.cat(
            [grid_coordinates((1, *grid[1:]), still_Bk * (image + 1)) for image in range(images)], dim=1
        )
        text = where_kept(keep["text"], self.text_in(conditions.text_BLD), self.null_text)
        text_mask_BL = conditions.text_mask_BL.bool() & keep["text"].unsqueeze(1)
        text_mask_BL = text_mask_BL | (torch.arange(text.shape[1], device=text.device) == 0)
        text_at = torch.full((batch, text.shape[1], 3), TEXT_COORDINATE, device=text.device)
        body = self.body(conditions.body_BTJ3, time_Bf, grid, keep["body"])
        face = self.face(
            conditions.face_BTF, conditions.face_anchor_BT2, conditions.face_present_BT, time_Bf, grid, keep["face"]
        )
        hands = self.hands(
            conditions.hands_BT2F, conditions.hands_anchor_BT22, conditions.hands_present_BT2, time_Bf, grid,
            keep["hands"],
        )  # fmt: skip
        camera = self.camera(conditions.camera_BTF, time_Bf, grid, keep["camera"])
        parts = [reference, body.tokens_BND, face.tokens_BND, hands.tokens_BND, text, camera.tokens_BND]
        stream = torch.cat([part + self.kind[index] for index, part in enumerate(parts)], dim=1)
        coordinates = torch.cat(
            (reference_at, body.coordinates_BN3, face.coordinates_BN3, hands.coordinates_BN3, text_at,
             camera.coordinates_BN3), dim=1
        )  # fmt: skip
        everywhere = -1
        frame_N = torch.cat(
            (self._frames(reference, everywhere), body.frame_N, face.frame_N, hands.frame_N,
             self._frames(text, everywhere), camera.frame_N)
        )  # fmt: skip
        visible_BN = torch.ones(stream.shape[:2], dtype=torch.bool, device=stream.device)
        first_text = reference.shape[1] + len(body.frame_N) + len(face.frame_N) + len(hands.frame_N)
        visible_BN[:, first_text : first_text + text.shape[1]] = text_mask_BL

        head_dim = config.transformer.width // config.transformer.heads
        rope = rotary_table(coordinates, head_dim, config.transformer.rope_theta)
        constant = self.modulation(F.silu(self.time_in(frequencies(torch.ones(1, device=stream.device)))))
        constant_B6D = constant.reshape(1, 6, -1)
        mask_cond = visible_BN[:, None, None, :]
        layers = []
        for block in self.blocks:
            stream, seen = block.condition(stream, constant_B6D, rope, mask_cond)  # type: ignore[operator]
            layers.append(seen)

        first_image = conditions.reference_BKNC[:, 0].repeat(1, grid[0], 1)
        first_image = where_kept(keep["reference"], first_image, torch.zeros_like(first_image))
        added = self.body.added_map(conditions.body_map_BTHW3, keep["body"])
        added = added + where_kept(keep["reference"], self.reference_added(first_image), self.null_reference)
        pooled = self.reference_pool(reference.mean(dim=1)) + where_kept(
            keep["text"], self.text_pool(conditions.text_pooled_BD), torch.zeros_like(time_Bf[:, :1])
        )
        return ConditionState(
            layers=tuple(layers),
            rope_video=rotary_table(grid_coordinates(grid, time_Bf), head_dim, config.transformer.rope_theta),
            mask_video=self._video_mask(visible_BN, frame_N),
            pooled_BD=pooled,
            added_BND=added,
            reference_BNC=first_image,
        )

    def forward(
        self, noisy_BNC: Tensor, t_B: Tensor, state: ConditionState, guidance_B: Tensor | None = None
    ) -> Tensor:
        """Predicted clean tokens. guidance_B is the strength to imitate; only a distilled student takes one."""
        embedding = self.time_in(frequencies(t_B)) + state.pooled_BD
        if self.guidance_in is not None:
            strength = torch.ones_like(t_B) if guidance_B is None else guidance_B
            # Divided so that the useful range 1-8 spans the sinusoids like t does.
            embedding = embedding + self.guidance_in(frequencies(strength / 8.0))
        active = F.silu(embedding)
        shared = self.modulation(active).reshape(-1, 6, self.config.transformer.width)
        video = self.video_in(noisy_BNC) + state.added_BND
        for block, seen in zip(self.blocks, state.layers, strict=True):
            video = block.video(  # type: ignore[operator]
                video, shared, state.rope_video, seen, state.mask_video, self.config.grid_thw
            )
        shift, scale = self.final_modulation(active).unsqueeze(1).chunk(2, dim=-1)
        video = F.layer_norm(video, (video.shape[-1],)) * (1 + scale) + shift
        # The gate lets still parts be copied from the reference at full detail, past the narrow stream.
        return self.out(video) + self.copy_gate(video) * state.reference_BNC  # type: ignore[no-any-return]

    @staticmethod
    def _frames(tokens_BND: Tensor, value: int) -> Tensor:
        return torch.full((tokens_BND.shape[1],), value, device=tokens_BND.device)

    def _video_mask(self, visible_BN: Tensor, frame_N: Tensor) -> Tensor:
        """(B, 1, Nv, Nv + Nc): video sees all video, references and text; motion only of its own latent frame."""
        frames, rows, columns = self.config.grid_thw
        cells = frames * rows * columns
        own_V = torch.arange(frames, device=frame_N.device).repeat_interleave(rows * columns)
        aligned_VN = (frame_N[None, :] < 0) | (frame_N[None, :] == own_V[:, None])
        cond = aligned_VN[None] & visible_BN[:, None, :]
        video = torch.ones((cond.shape[0], cells, cells), dtype=torch.bool, device=frame_N.device)
        return torch.cat((video, cond), dim=2).unsqueeze(1)


def frequencies(value_B: Tensor) -> Tensor:
    """Sinusoids of a scalar in about [0, 1]: (B, 2 * SINUSOIDS)."""
    exponent = torch.arange(SINUSOIDS, device=value_B.device, dtype=torch.float32) / SINUSOIDS
    angle = value_B.float().unsqueeze(1) * 1000.0 * torch.exp(-math.log(10_000.0) * exponent)
    return torch.cat((angle.cos(), angle.sin()), dim=1)
