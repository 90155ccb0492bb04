"""The network: conditions once, then as many denoising calls as the sampler likes.

    state = net.encode(conditions, keep_BG, grid_thw)    # condition stream through all blocks; knows no noise
    x_hat = net(noisy_BNC, t_B, state)                   # one network evaluation (NFE)

Sequence: [video tokens | reference | semantic | text | body | face | hands]. What is aligned with the picture (limb
maps, the camera's path, the first reference) is added to the video tokens; everything that must not leak spatial
identity is a token.
Time convention: t = 1 is clean, t = 0 is noise; the network predicts the clean tokens (x-prediction).
Axis legend: see model/conditions.py; f latent frames.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.codec.base import Triple
from model.conditions import GROUPS, MOTION_GROUPS, Conditions
from model.dit.attention import AttentionKernel
from model.dit.block import Block
from model.dit.config import NetConfig
from model.dit.detail import CELLS, DetailHead, canvas, painted_tokens
from model.dit.mask import EVERY_FRAME, video_block_mask, video_mask
from model.dit.render import Renderer, Rendering
from model.dit.rope import grid_coordinates, rotary_table
from model.dit.state import ConditionState, ConditionStream
from model.motion.completion import JointCompletion
from model.motion.encoders import (
    FACE_STROKES,
    PAINT_CELLS,
    BodyEncoder,
    FaceEncoder,
    HandsEncoder,
    perceptron,
    where_kept,
)
from model.motion.limb_maps import compiled_segments_cover, cover_tokens, over, segments_cover
from model.motion.wholes import SEMANTIC_TOKENS, CameraEncoder, DirectionsEncoder, SemanticEncoder
from model.parallel.context import ContextGroup
from schemas.errors import RecipeError

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

REFERENCE_TIME_UNITS = -4.0
"""Rotary time of reference image 0; image i sits at this times (i + 1), apart from every video frame."""
TEXT_COORDINATE, SEMANTIC_COORDINATE = -1.0, -2.0
REFERENCE_MERGE = 2
"""Cells of a still that become one reference token, per side: a quarter of the tokens."""
SINUSOIDS = 64
CANVAS_CHANNELS = 4 * (PAINT_CELLS // CELLS) ** 2 + 5
"""Of a pixel frame: the painted picture and the fingers, on the cells of the detail head."""


class VideoDit(nn.Module):
    """Video diffusion transformer with separate, droppable condition groups."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        self.context: ContextGroup | None = None
        """The processes that share the video tokens; set by the trainer."""
        self.attention: AttentionKernel = "sdpa"
        self.compiled = False
        size = config.transformer
        width, patch_frames = size.width, config.patch_thw[0]
        self.video_in = nn.Linear(config.token_dim, width)
        self.reference_in = nn.Linear(REFERENCE_MERGE**2 * config.token_dim, width)
        self.reference_added = nn.Linear(config.token_dim, width)
        self.null_reference = nn.Parameter(torch.randn(width) * 0.02)
        self.reference_pool = nn.Linear(width, width)
        self.body = BodyEncoder(patch_frames, width)
        self.face = FaceEncoder(patch_frames, config.face_dim, size.face_bottleneck, width)
        self.hands = HandsEncoder(patch_frames, config.hand_dim, width)
        self.semantic = SemanticEncoder(config.semantic_dim, config.semantic_moments, config.text_dim, width)
        self.completion = JointCompletion(SEMANTIC_TOKENS + 1, width)
        self.camera = CameraEncoder(patch_frames, config.camera_dim, width)
        self.directions = DirectionsEncoder(patch_frames, config.direction_dim, width)
        self.text_in = nn.Linear(config.text_dim, width)
        self.null_text = nn.Parameter(torch.randn(width) * 0.02)
        self.text_pool = nn.Linear(config.text_dim, width)
        self.painted_in = nn.Linear(patch_frames * 4 * PAINT_CELLS**2, width)
        self.kind = nn.Parameter(torch.randn(len(GROUPS), width) * 0.02)
        self.time_in = perceptron(2 * SINUSOIDS, width, width)
        self.guidance_in: nn.Sequential | None = None
        if config.guidance_embedding:
            self.guidance_in = perceptron(2 * SINUSOIDS, width, width)
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(width, size.heads, size.mlp_ratio) for _ in range(size.depth))
        self.final_modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, config.token_dim)
        self.copy_gate = nn.Linear(width, config.token_dim)
        self.detail: DetailHead | None = None
        self.render: Renderer | None = None
        if config.pixels and size.detail_channels and DetailHead.fits(config.patch_thw):
            canvas_channels = CANVAS_CHANNELS * patch_frames + FACE_STROKES
            self.detail = DetailHead(width, config.patch_thw, canvas_channels, size.detail_channels)
            if size.render_channels:
                self.render = Renderer(patch_frames, PAINT_CELLS // CELLS, canvas_channels, size.render_channels)
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

    def speed_up(self, compiled: bool, attention: AttentionKernel) -> None:
        """How the same numbers are calculated: blocks and painting through torch.compile or not, and by which kernel
        the video attends.

        Names of weights and what is learnt stay as they are, so that checkpoints do not know of it.
        """
        self.attention, self.compiled = attention, compiled
        for block in self.blocks:
            assert isinstance(block, Block)
            block.compiled = compiled

    def encode(self, conditions: Conditions, keep_BG: Tensor, grid_thw: Triple) -> ConditionState:
        """Run the condition stream. keep_BG[b, g] False removes all influence of group g on sample b."""
        keep = dict(zip(GROUPS, keep_BG.unbind(dim=1), strict=True))
        batch, frames = keep_BG.shape[0], grid_thw[0]
        time_Bf = conditions.time_s_BT.reshape(batch, frames, -1).mean(dim=2) * self.config.transformer.rope_units_per_s
        semantic = self.semantic(conditions.semantic_BSF, conditions.actions_BD, keep["semantic"])
        joints = self.completion.completed(conditions.body_BTJ3, conditions.body_world_BTJ3, semantic)
        conditions = replace(conditions, body_BTJ3=joints[0], body_world_BTJ3=joints[1])
        stream = self._stream(conditions, semantic, keep, time_Bf, grid_thw)
        stated_BfD = self.directions(conditions.directions_BTF, frames, keep["text"])

        first_image = conditions.reference_BKNC[:, 0].repeat(1, frames, 1)
        first_image = where_kept(keep["reference"], first_image, torch.zeros_like(first_image))
        added = self.body.added_map(conditions.body_BTJ3, grid_thw, keep["body"])
        hands_BTLhw = self.hands.cover(conditions.hands_BT2H3, grid_thw, keep["hands"])
        face = (conditions.face_BTF, conditions.face_place_BT7, conditions.face_present_BT, grid_thw, keep["face"])
        # Nothing of it is learnt.
        with torch.no_grad():
            painted_BT4hw = self._painted(conditions, keep, grid_thw)
        strokes = () if self.detail is None else (self.hands.fingers(hands_BTLhw), self.face.paint(*face))
        rendering: Rendering | None = None
        if self.render is not None:
            rendered_BT4hw = self.render(canvas((painted_BT4hw, *strokes), grid_thw), painted_BT4hw)
            tokens_of = partial(painted_tokens, patch_thw=self.config.patch_thw, grid_thw=grid_thw)
            rendering = Rendering(tokens_of(painted_BT4hw), tokens_of(rendered_BT4hw))
            # It learns from its own loss alone (model/objectives/rendering.py).
            painted_BT4hw = rendered_BT4hw.detach()
        added = added + self.painted_in(cover_tokens(painted_BT4hw, grid_thw))
        added = added + self.hands.added_map(hands_BTLhw, grid_thw, keep["hands"])
        added = added + self.face.added_field(*face)
        added = added + self.camera.added_map(conditions.camera_BTF, grid_thw, keep["camera"])
        added = added + stated_BfD.repeat_interleave(grid_thw[1] * grid_thw[2], dim=1)
        added = added + where_kept(keep["reference"], self.reference_added(first_image), self.null_reference)
        text_pooled = where_kept(keep["text"], self.text_pool(conditions.text_pooled_BD), self.null_text)
        pooled = stream.pooled_BD + text_pooled + stated_BfD.mean(dim=1)

        head_dim = self.config.transformer.width // self.config.transformer.heads
        rope = rotary_table(stream.coordinates_BN3, head_dim, self.config.transformer.rope_theta)
        constant = self.modulation(F.silu(self.time_in(frequencies(torch.ones(1, device=time_Bf.device)))))
        constant_B6D = constant.reshape(1, 6, -1)
        mask_cond = stream.visible_BN[:, None, None, :]
        layers, tokens = [], stream.tokens_BND
        for block in self.blocks:
            tokens, seen = block.condition(tokens, constant_B6D, rope, mask_cond)  # type: ignore[operator]
            layers.append(seen)
        # Once for all steps and blocks that use this state.
        mask: Tensor | BlockMask
        if self.attention == "flex":
            mask = video_block_mask(stream.visible_BN, stream.frame_N, grid_thw)
        else:
            mask = video_mask(stream.visible_BN, stream.frame_N, grid_thw)
        return ConditionState(
            grid_thw=grid_thw,
            layers=tuple(layers),
            rope_video=rotary_table(grid_coordinates(grid_thw, time_Bf), head_dim, self.config.transformer.rope_theta),
            mask_video=mask,
            pooled_BD=pooled,
            semantic_BMD=semantic,
            added_BND=added,
            reference_BNC=first_image,
            painted=None if self.detail is None else painted_tokens(painted_BT4hw, self.config.patch_thw, grid_thw),
            canvas_BfChw=None if self.detail is None else canvas((painted_BT4hw, *strokes), grid_thw),
            rendering=rendering,
        )

    def _painted(self, conditions: Conditions, keep: dict[str, Tensor], grid_thw: Triple) -> Tensor:
        """A first guess of the picture, hands over limbs in the reference's looks, (B, T, 4, h, w)."""
        cover_of = compiled_segments_cover() if self.compiled else segments_cover
        hands_BT4hw = self.hands.paint(conditions, grid_thw, keep, cover_of)
        return over(hands_BT4hw, self.body.paint(conditions, grid_thw, keep, cover_of))

    def _stream(
        self, conditions: Conditions, semantic: Tensor, keep: dict[str, Tensor], time_Bf: Tensor, grid_thw: Triple
    ) -> ConditionStream:
        """Tokens of all groups with places, frames and visibility."""
        batch, device = time_Bf.shape[0], time_Bf.device
        text = where_kept(keep["text"], self.text_in(conditions.text_BLD), self.null_text)
        text_mask_BL = conditions.text_mask_BL.bool() & keep["text"].unsqueeze(1)
        text_mask_BL = text_mask_BL | (torch.arange(text.shape[1], device=device) == 0)
        motion = (
            self.body(conditions.body_BTJ3, conditions.body_world_BTJ3, time_Bf, grid_thw, keep["body"]),
            self.face(
                conditions.face_BTF, conditions.face_place_BT7, conditions.face_present_BT, time_Bf, grid_thw,
                keep["face"],
            ),
            self.hands(conditions.hands_BT2H3, conditions.hands_shape_BT2F, time_Bf, grid_thw, keep["hands"]),
        )  # fmt: skip
        reference, reference_at, reference_seen = self._references(conditions, keep["reference"], grid_thw)
        parts = {
            "reference": (reference, reference_at, reference_seen, None),
            "semantic": (semantic, nowhere(semantic, SEMANTIC_COORDINATE), None, None),
            "text": (text, nowhere(text, TEXT_COORDINATE), text_mask_BL, None),
            **{
                name: (tokens.tokens_BND, tokens.coordinates_BN3, None, tokens.frame_N)
                for name, tokens in zip(MOTION_GROUPS, motion, strict=True)
            },
        }
        count = {name: part[0].shape[1] for name, part in parts.items()}
        return ConditionStream(
            torch.cat([part[0] + self.kind[GROUPS.index(name)] for name, part in parts.items()], dim=1),
            torch.cat([part[1] for part in parts.values()], dim=1),
            torch.cat(
                [
                    torch.ones(batch, count[name], dtype=torch.bool, device=device) if part[2] is None else part[2]
                    for name, part in parts.items()
                ],
                dim=1,
            ),
            torch.cat(
                [
                    torch.full((count[name],), EVERY_FRAME, device=device) if part[3] is None else part[3]
                    for name, part in parts.items()
                ]
            ),
            self.reference_pool(weighted_mean(reference, reference_seen)) + self.semantic.pool(semantic.mean(dim=1)),
        )

    def _references(self, conditions: Conditions, keep_B: Tensor, grid_thw: Triple) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens, places and visibility of all reference images; a token is 2 x 2 cells of a still."""
        batch, images = conditions.reference_BKNC.shape[:2]
        if grid_thw[1] % REFERENCE_MERGE or grid_thw[2] % REFERENCE_MERGE:
            raise RecipeError(f"a grid of {grid_thw[1:]} cells; references need multiples of {REFERENCE_MERGE}")
        half = (grid_thw[1] // REFERENCE_MERGE, grid_thw[2] // REFERENCE_MERGE)
        tokens = self.reference_in(merged_cells(conditions.reference_BKNC, grid_thw[1:]))
        tokens = tokens + self.body.of_stills(conditions.reference_body_BKJ3, half)
        tokens = where_kept(keep_B, tokens, self.null_reference)
        out, places, seen = [], [], []
        for image in range(images):
            time_B1 = torch.full((batch, 1), REFERENCE_TIME_UNITS * (image + 1), device=tokens.device)
            token = tokens[:, image]
            out.append(token)
            # In cells of the video's grid: the middle of 2 x 2 cells lies between them.
            at = grid_coordinates((1, *half), time_B1)
            at = torch.cat((at[..., :1], at[..., 1:] * REFERENCE_MERGE + (REFERENCE_MERGE - 1) / 2), dim=-1)
            places.append(at)
            real_B = conditions.reference_mask_BK[:, image].bool()
            # A dropped group shows one image of nulls, whatever was given: the count would tell something.
            seen_B = torch.where(keep_B, real_B, torch.full_like(real_B, image == 0))
            seen.append(seen_B.unsqueeze(1).expand(-1, token.shape[1]))
        return torch.cat(out, dim=1), torch.cat(places, dim=1), torch.cat(seen, dim=1)

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
        context = self.context
        video, rope, reference = self.video_in(noisy_BNC) + state.added_BND, state.rope_video, state.reference_BNC
        if context is not None:
            rope = (context.part(rope[0], dim=2), context.part(rope[1], dim=2))
            video, reference = context.part(video, dim=1), context.part(reference, dim=1)
        for block, seen in zip(self.blocks, state.layers, strict=True):
            video = block.video(  # type: ignore[operator]
                video, shared, rope, seen, state.mask_video, state.grid_thw, context
            )
        shift, scale = self.final_modulation(active).unsqueeze(1).chunk(2, dim=-1)
        video = F.layer_norm(video, (video.shape[-1],)) * (1 + scale) + shift
        # The gate lets still parts be copied from the reference at full detail, past the narrow stream.
        clean: Tensor = self.out(video) + self.copy_gate(video) * reference
        if self.detail is not None:
            assert state.canvas_BfChw is not None  # made with the state
            assert state.painted is not None
            guess = clean if context is None else context.shared(clean, dim=1)
            told = video if context is None else context.shared(video, dim=1)
            finished = self.detail(guess, noisy_BNC, told, state.painted, state.canvas_BfChw, state.grid_thw)
            clean = finished if context is None else context.part(finished, dim=1)
        clean = clean.float()
        return clean if context is None else context.whole(clean, dim=1)


def nowhere(tokens_BND: Tensor, coordinate: float) -> Tensor:
    """(B, N, 3): all tokens at one place outside the picture."""
    return torch.full((*tokens_BND.shape[:2], 3), coordinate, device=tokens_BND.device)


def merged_cells(stills_BKNC: Tensor, rows_columns: tuple[int, int]) -> Tensor:
    """Tokens of 2 x 2 cells side by side: (B, K, N / 4, 4 C)."""
    rows, columns = rows_columns
    batch, images, _, channels = stills_BKNC.shape
    shape = (batch, images, rows // REFERENCE_MERGE, REFERENCE_MERGE, columns // REFERENCE_MERGE, REFERENCE_MERGE)
    cut = stills_BKNC.reshape(*shape, channels).permute(0, 1, 2, 4, 3, 5, 6)
    return cut.reshape(batch, images, -1, REFERENCE_MERGE**2 * channels)


def weighted_mean(tokens_BND: Tensor, seen_BN: Tensor) -> Tensor:
    """(B, D): the mean of the tokens that are seen."""
    weight = seen_BN.unsqueeze(-1).to(tokens_BND.dtype)
    return (tokens_BND * weight).sum(dim=1) / weight.sum(dim=1)


def frequencies(value_B: Tensor) -> Tensor:
    """Sinusoids of a scalar in about [0, 1]: (B, 2 * SINUSOIDS)."""
    exponent = torch.arange(SINUSOIDS, device=value_B.device, dtype=torch.float32) / SINUSOIDS
    angle = value_B.float().unsqueeze(1) * 1000.0 * torch.exp(-math.log(10_000.0) * exponent)
    return torch.cat((angle.cos(), angle.sin()), dim=1)
