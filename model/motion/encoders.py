"""Body, face and hands of a window to condition tokens and maps.

Every encoder can be dropped per sample, and then nothing of its input reaches the output: tokens, additive maps and
anchors alike are replaced by learned or fixed nulls.

Axis legend: B batch, T pixel frames, f latent frames (T / pt), N tokens, D width; keep_B is True where kept.
Coordinates are (t, y, x) in latent units; a dropped group's anchors move to the middle of the picture, because a
token that still stood at the wrist would keep telling the pose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.codec.base import Triple
from model.conditions import Conditions
from model.motion.limb_maps import (
    BODY_BONES,
    HAND_BONES,
    PALMS,
    SegmentsCover,
    cover_tokens,
    finger_cover,
    limb_cover,
    painted_hands,
    segments_cover,
)
from model.motion.looks import dressed, facing, fitting

BODY_JOINTS = (0, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32)
"""MediaPipe Pose joints that are the body's business; fingers and features of the face are other groups'."""
MAP_CELLS = 2
"""Cells of a limb map per patch side."""
PAINT_CELLS = 8
"""Cells of what is painted per patch side: colours need no channel per bone, so they can be as fine as pixels."""
HAND_CELLS = 4
"""Cells of a map of hands per patch side: in a close view a finger is half a patch thick."""
STROKE_CELLS = 4
"""Cells of what the face draws."""
FACE_REACH = 3.0
"""RMS radii of the landmarks up to which the picture is the face's: its outline is at about 1.5, hair beyond."""
FACE_WAVES = (1.0, 2.0, 4.0, 8.0)
FACE_STROKES = 8
"""Channels in which the face's latent draws for the detail head."""
PLACE_FEATURES = 2 + 2 * 2 * len(FACE_WAVES)


class MotionTokens(NamedTuple):
    """Tokens with their rotary coordinates and the latent frame each belongs to (only that frame may look at it)."""

    tokens_BND: Tensor
    coordinates_BN3: Tensor
    frame_N: Tensor


def where_kept(keep_B: Tensor, kept: Tensor, null: Tensor) -> Tensor:
    """`kept` where keep_B, else `null`; unlike a product with 0 this stops even NaN and infinity."""
    return torch.where(keep_B.reshape(-1, *[1] * (kept.ndim - 1)), kept, null)


def pair_frames(features_BTF: Tensor, frames: int) -> Tensor:
    """Join the pixel frames of one latent frame: (B, T, F) -> (B, f, pt * F)."""
    return features_BTF.reshape(features_BTF.shape[0], frames, -1)


def anchor_cells(anchor_BN2: Tensor, grid_thw: Triple) -> Tensor:
    """Crop positions (y, x) in [0, 1] to grid cells, where the centre of cell i is i."""
    size = torch.tensor(grid_thw[1:], dtype=torch.float32, device=anchor_BN2.device)
    return anchor_BN2 * size - 0.5


def perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, outputs))


def coordinates_at(time_Bf: Tensor, cells_Bf2: Tensor) -> Tensor:
    return torch.cat((time_Bf.unsqueeze(-1), cells_Bf2), dim=-1)


def middle(batch: int, count: int, device: torch.device) -> Tensor:
    return torch.full((batch, count, 2), 0.5, device=device)


class BodyEncoder(nn.Module):
    """Limbs as a map, added to the video tokens (it is spatially aligned), and one pose token per latent frame.

    The token also has the joints in three dimensions, which tell what a picture cannot: who turns which way.
    """

    def __init__(self, patch_frames: int, width: int) -> None:
        super().__init__()
        self.map_in = nn.Linear(patch_frames * len(BODY_BONES) * MAP_CELLS**2, width)
        self.pose = perceptron(patch_frames * len(BODY_JOINTS) * 6, width, width)
        self.still_map_in = nn.Linear(len(BODY_BONES) * MAP_CELLS**2, width)
        self.null_map = nn.Parameter(torch.zeros(width))
        self.null_token = nn.Parameter(torch.randn(width) * 0.02)

    def added_map(self, body_BTJ3: Tensor, grid_thw: Triple, keep_B: Tensor) -> Tensor:
        """What is added to the video tokens, (B, N, D)."""
        cover = limb_cover(body_BTJ3, BODY_BONES, (grid_thw[1] * MAP_CELLS, grid_thw[2] * MAP_CELLS))
        return where_kept(keep_B, self.map_in(cover_tokens(cover, grid_thw)), self.null_map)

    @staticmethod
    def paint(
        conditions: Conditions, grid_thw: Triple, keep: Mapping[str, Tensor], cover_of: SegmentsCover = segments_cover
    ) -> Tensor:
        """The driver's body and face in the reference's looks, a first guess of the picture, (B, T, 4, h, w).

        keep: by group, (B,); what is dropped paints nothing, and without a reference nothing is.
        """
        cells_hw = (grid_thw[1] * PAINT_CELLS, grid_thw[2] * PAINT_CELLS)
        mask_BK = conditions.reference_mask_BK
        body_BTJ3, world_BTJ3 = (
            where_kept(keep["body"], joints, torch.zeros_like(joints))
            for joints in (conditions.body_BTJ3, conditions.body_world_BTJ3)
        )
        face_seen_BT1 = (conditions.face_present_BT & keep["face"][:, None]).unsqueeze(-1)
        face_BT7 = torch.where(face_seen_BT1, conditions.face_place_BT7, 0.0)
        # Every reference has a scale of its own.
        faces_BK = facing(conditions.reference_body_BKJ3.flatten(0, 1).unsqueeze(1)).reshape(mask_BK.shape)
        looks = fitting(conditions.reference_looks_BKP4UV.float(), faces_BK, mask_BK, facing(body_BTJ3).mean(dim=1))
        picture = dressed(body_BTJ3, world_BTJ3, face_BT7, conditions.limb_colours_BL4, looks, cells_hw, cover_of)
        return where_kept(keep["reference"], picture, torch.zeros_like(picture))

    def of_stills(self, body_BKJ3: Tensor, rows_columns: tuple[int, int]) -> Tensor:
        """What is added to reference tokens, (B, K, N, D): which part of the picture is which limb."""
        rows, columns = rows_columns
        images = body_BKJ3.shape[1]
        cover = limb_cover(body_BKJ3, BODY_BONES, (rows * MAP_CELLS, columns * MAP_CELLS))
        tokens = self.still_map_in(cover_tokens(cover, (images, rows, columns)))
        shape = (tokens.shape[0], images, rows * columns, tokens.shape[-1])
        return tokens.reshape(shape)  # type: ignore[no-any-return]

    def forward(
        self, body_BTJ3: Tensor, world_BTJ3: Tensor, time_Bf: Tensor, grid_thw: Triple, keep_B: Tensor
    ) -> MotionTokens:
        batch, frames = time_Bf.shape
        joints = torch.tensor(BODY_JOINTS, device=body_BTJ3.device)
        seen = body_BTJ3[:, :, joints]
        # Centred on the picture and weighted by confidence, so that an unseen joint is not a corner.
        placed = torch.cat(((seen[..., :2] - 0.5).clamp(-1.5, 1.5) * seen[..., 2:], seen[..., 2:]), dim=-1)
        features = torch.cat((placed, world_BTJ3[:, :, joints]), dim=-1)
        tokens = where_kept(keep_B, self.pose(pair_frames(features.flatten(2), frames)), self.null_token)
        cells = anchor_cells(middle(batch, frames, tokens.device), grid_thw)
        return MotionTokens(tokens, coordinates_at(time_Bf, cells), torch.arange(frames, device=tokens.device))


class FaceEncoder(nn.Module):
    """Expression, head rotation, gaze: one latent per frame through a narrow bottleneck, standing at the head.

    `latents` is what a leak test looks at: the few numbers that all knowledge of the driver's face passes through.
    """

    def __init__(self, patch_frames: int, features: int, bottleneck: int, width: int) -> None:
        super().__init__()
        self.squeeze = perceptron(patch_frames * features, width, bottleneck)
        self.spread = perceptron(bottleneck, width, width)
        self.field = perceptron(bottleneck + PLACE_FEATURES, width, width)
        self.strokes = perceptron(bottleneck + PLACE_FEATURES, 4 * FACE_STROKES, FACE_STROKES)
        self.null_token = nn.Parameter(torch.randn(width) * 0.02)
        self.unseen_token = nn.Parameter(torch.randn(width) * 0.02)

    def latents(self, face_BTF: Tensor, frames: int) -> Tensor:
        """(B, f, bottleneck)."""
        return torch.tanh(self.squeeze(pair_frames(face_BTF, frames)))

    def added_field(
        self, face_BTF: Tensor, place_BT7: Tensor, present_BT: Tensor, grid_thw: Triple, keep_B: Tensor
    ) -> Tensor:
        """What is added to the video tokens, (B, N, D): what the latent means at a cell's place in the face.

        Attention has to find out for every patch where in the face it lies; here it is told. Zero away from the face.
        """
        return self._over_picture(self.field, face_BTF, place_BT7, present_BT, grid_thw, keep_B).flatten(1, 3)

    def paint(
        self, face_BTF: Tensor, place_BT7: Tensor, present_BT: Tensor, grid_thw: Triple, keep_B: Tensor
    ) -> Tensor:
        """The same at STROKE_CELLS per patch side for the detail head, (B, f, FACE_STROKES, h, w)."""
        frames, rows, columns = grid_thw
        cells = (frames, rows * STROKE_CELLS, columns * STROKE_CELLS)
        made = self._over_picture(self.strokes, face_BTF, place_BT7, present_BT, cells, keep_B)
        return made.permute(0, 1, 4, 2, 3)

    def _over_picture(
        self, layer: nn.Module, face_BTF: Tensor, place_BT7: Tensor, present_BT: Tensor, grid_thw: Triple,
        keep_B: Tensor,
    ) -> Tensor:  # fmt: skip
        """(B, f, h, w, outputs): what the layer makes of the latent at every cell's place in the face."""
        frames, rows, columns = grid_thw
        seen_Bf, place_Bf7 = seen_place(place_BT7, present_BT, frames)
        near_Bfhw, place_BfhwF = in_face(place_Bf7, rows, columns)
        latents = self.latents(face_BTF, frames)[:, :, None, None].expand(-1, -1, rows, columns, -1)
        told: Tensor = layer(torch.cat((latents, place_BfhwF.to(latents.dtype)), dim=-1))
        told = told * (near_Bfhw * (seen_Bf & keep_B[:, None])[..., None, None]).unsqueeze(-1).to(told.dtype)
        return where_kept(keep_B, told, torch.zeros_like(told))

    def forward(
        self,
        face_BTF: Tensor,
        place_BT7: Tensor,
        present_BT: Tensor,
        time_Bf: Tensor,
        grid_thw: Triple,
        keep_B: Tensor,
    ) -> MotionTokens:
        batch, frames = time_Bf.shape
        tokens = self.spread(self.latents(face_BTF, frames))
        seen_Bf, place_Bf7 = seen_place(place_BT7, present_BT, frames)
        anchor_Bf2 = place_Bf7[..., :2]
        tokens = torch.where(seen_Bf.unsqueeze(-1), tokens, self.unseen_token)
        tokens = where_kept(keep_B, tokens, self.null_token)
        anchor_Bf2 = where_kept(keep_B, anchor_Bf2, middle(batch, frames, tokens.device))
        at = coordinates_at(time_Bf, anchor_cells(anchor_Bf2, grid_thw))
        return MotionTokens(tokens, at, torch.arange(frames, device=tokens.device))


class HandsEncoder(nn.Module):
    """Hands as a map (in close views a finger spans cells) and as palm-normalised tokens at the wrist."""

    def __init__(self, patch_frames: int, features: int, width: int) -> None:
        super().__init__()
        self.map_in = nn.Linear(patch_frames * 2 * len(HAND_BONES) * HAND_CELLS**2, width)
        self.shape = perceptron(patch_frames * features, width, width)
        self.side = nn.Parameter(torch.randn(2, width) * 0.02)
        self.null_map = nn.Parameter(torch.zeros(width))
        self.null_token = nn.Parameter(torch.randn(width) * 0.02)
        self.unseen_token = nn.Parameter(torch.randn(width) * 0.02)

    @staticmethod
    def cover(hands_BT2H3: Tensor, grid_thw: Triple, keep_B: Tensor) -> Tensor:
        """(B, T, 2 * bones, h, w): both hands' bones, none where the group is dropped."""
        cells_hw = (grid_thw[1] * HAND_CELLS, grid_thw[2] * HAND_CELLS)
        cover = torch.cat([limb_cover(hands_BT2H3[:, :, hand], HAND_BONES, cells_hw) for hand in (0, 1)], dim=2)
        return where_kept(keep_B, cover, torch.zeros_like(cover))

    @staticmethod
    def paint(
        conditions: Conditions, grid_thw: Triple, keep: Mapping[str, Tensor], cover_of: SegmentsCover = segments_cover
    ) -> Tensor:
        """`painted_hands` in the reference's colours; nothing painted where hands or reference are dropped."""
        colours_B24 = conditions.limb_colours_BL4[:, -len(PALMS) :].float()
        kept_B = keep["hands"] & keep["reference"]
        hands_BT2H3 = where_kept(kept_B, conditions.hands_BT2H3, torch.zeros_like(conditions.hands_BT2H3))
        cells_hw = (grid_thw[1] * PAINT_CELLS, grid_thw[2] * PAINT_CELLS)
        colours_B24 = where_kept(kept_B, colours_B24, torch.zeros_like(colours_B24))
        return painted_hands(hands_BT2H3, conditions.hands_shape_BT2F, colours_B24, cells_hw, cover_of)

    @staticmethod
    def fingers(cover_BTLhw: Tensor) -> Tensor:
        """Which finger is where for the detail head, (B, T, 5, h, w), of what `cover` gave."""
        return finger_cover(cover_BTLhw)

    def added_map(self, cover_BTLhw: Tensor, grid_thw: Triple, keep_B: Tensor) -> Tensor:
        """What is added to the video tokens, (B, N, D)."""
        return where_kept(keep_B, self.map_in(cover_tokens(cover_BTLhw, grid_thw)), self.null_map)

    def forward(
        self, hands_BT2H3: Tensor, shape_BT2F: Tensor, time_Bf: Tensor, grid_thw: Triple, keep_B: Tensor
    ) -> MotionTokens:
        batch, frames = time_Bf.shape
        tokens, coordinates = [], []
        for hand in (0, 1):
            token = self.shape(pair_frames(shape_BT2F[:, :, hand], frames))
            wrist_BT3 = hands_BT2H3[:, :, hand, 0]
            seen_Bf, anchor_Bf2 = seen_place(wrist_BT3[..., [1, 0]], wrist_BT3[..., 2] > 0, frames)
            token = torch.where(seen_Bf.unsqueeze(-1), token, self.unseen_token)
            token = where_kept(keep_B, token, self.null_token)
            anchor_Bf2 = where_kept(keep_B, anchor_Bf2, middle(batch, frames, token.device))
            tokens.append(token + self.side[hand])
            coordinates.append(coordinates_at(time_Bf, anchor_cells(anchor_Bf2, grid_thw)))
        frame_N = torch.arange(frames, device=time_Bf.device).repeat(2)
        return MotionTokens(torch.cat(tokens, dim=1), torch.cat(coordinates, dim=1), frame_N)


def in_face(place_Bf7: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """How near every cell is to the face, (B, f, h, w) in [0, 1], and where in it, (B, f, h, w, PLACE_FEATURES).

    In RMS radii of the landmarks from their middle, so that a face means the same in every view.
    """
    device = place_Bf7.device
    y = (torch.arange(rows, device=device, dtype=torch.float32) + 0.5) / rows
    x = (torch.arange(columns, device=device, dtype=torch.float32) + 0.5) / columns
    radius_Bf11 = place_Bf7[..., 2, None, None].clamp_min(1e-3)
    from_y = (y[:, None] - place_Bf7[..., 0, None, None]) / radius_Bf11
    from_x = (x - place_Bf7[..., 1, None, None]) / radius_Bf11
    near = (1.0 - (from_x.square() + from_y.square()) / FACE_REACH**2).clamp_min(0.0)
    place = torch.stack((from_y.expand_as(near), from_x.expand_as(near)), dim=-1).clamp(-FACE_REACH, FACE_REACH)
    angles = (place.unsqueeze(-1) * torch.tensor(FACE_WAVES, device=device)).flatten(-2)
    return near, torch.cat((place, angles.sin(), angles.cos()), dim=-1)


def seen_place(place_BTP: Tensor, present_BT: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Mean place over the present pixel frames of each latent frame, and whether there was any; middle if not."""
    batch = place_BTP.shape[0]
    present = present_BT.reshape(batch, frames, -1, 1).float()
    total = present.sum(dim=2)
    mean = (place_BTP.reshape(batch, frames, -1, place_BTP.shape[2]) * present).sum(dim=2) / total.clamp_min(1.0)
    return total.squeeze(-1) > 0, torch.where(total > 0, mean, 0.5)
