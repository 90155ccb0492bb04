"""The reference's looks on the driver's limbs: a small texture of every part of the body, and where it goes.

A part has a frame of its own in every picture: a middle, an axis along it, an axis across. What a reference shows in
the frame of a part is its texture, sampled once from the whole picture; painted into the driver's frame it is that part
in the driver's pose. Head and torso look different from the front and from behind, so their textures count by how alike
the two face; colours along bones (limb_maps.py) fill in where no texture fits.
Source: textures by part are what DensePose transfer does (Neverova et al. 2018), here with frames of joints in place of
a surface.
Axis legend: B batch, K references, T frames, J joints, P parts, U V texels along and across, h w cells.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from model.motion.limb_maps import (
    BODY_BONES,
    BODY_RADII,
    HEAD,
    HIPS,
    MIN_CONF,
    SHOULDERS,
    limb_cover,
    limb_radii,
    nearer,
    painted,
    plain,
    torso_length,
    with_round_head,
)

LIMBS: tuple[tuple[int, int], ...] = (
    (11, 13), (13, 15), (12, 14), (14, 16),
    (23, 25), (25, 27), (27, 31), (24, 26), (26, 28), (28, 32),
)  # fmt: skip
"""Parts that are a bone of BODY_BONES; torso and head follow them."""
PARTS = len(LIMBS) + 2
TORSO_BONES = [BODY_BONES.index(bone) for bone in ((11, 12), (11, 23), (12, 24), (23, 24))]
HEAD_BONES = [BODY_BONES.index(bone) for bone in ((0, 7), (0, 8))]
TORSO, HEAD_PART = len(LIMBS), len(LIMBS) + 1
TEXELS = 12
"""Of a texture, along and across."""
LENGTHEN, TORSO_WIDTH, HEAD_RADIUS = 1.15, 1.35, 0.36
"""Half the length of a limb, the torso's half width over that of the shoulders, a head with hair in torso lengths."""
EDGE = 5.0
"""A torso and a head fade over a fifth of their half size."""
FACING_SHARPNESS = 4.0
"""A profile (0) beside a front (0.8 shoulder widths in torso lengths) counts 0.08."""


def part_frames(body_BTJ3: Tensor) -> tuple[Tensor, Tensor]:
    """Frames (B, T, P, 3, 2) in crop units: middle, half axis along, half axis across; and which are seen, (B, T, P).

    The torso's and the head's axes run down from the neck; across is to the person's left as the picture shows it.
    """
    joints, conf = body_BTJ3[..., :2].float(), body_BTJ3[..., 2]
    length_B = torso_length(body_BTJ3)
    starts, ends = (torch.tensor([bone[end] for bone in LIMBS], device=joints.device) for end in (0, 1))
    radii = torch.tensor([BODY_RADII[BODY_BONES.index(bone)] for bone in LIMBS], device=joints.device)
    along = (joints[..., ends, :] - joints[..., starts, :]) / 2 * LENGTHEN
    limb = torch.stack(
        ((joints[..., starts, :] + joints[..., ends, :]) / 2, along, across(along, length_B, radii)), dim=-2
    )
    neck, hips = joints[..., list(SHOULDERS), :].mean(dim=-2), joints[..., list(HIPS), :].mean(dim=-2)
    left = joints[..., SHOULDERS[0], :] - joints[..., SHOULDERS[1], :]
    torso = torch.stack(((neck + hips) / 2, (hips - neck) / 2 * LENGTHEN, left / 2 * TORSO_WIDTH), dim=-2)
    face = joints[..., list(HEAD), :].mean(dim=-2)
    down = neck - face
    down = down / torch.linalg.vector_norm(down, dim=-1, keepdim=True).clamp_min(1e-4)
    down = down * (HEAD_RADIUS * length_B)[:, None, None]
    head = torch.stack((face, down, torch.stack((down[..., 1], -down[..., 0]), dim=-1)), dim=-2)
    seen_limb = torch.minimum(conf[..., starts], conf[..., ends]) >= MIN_CONF
    shoulders = (conf[..., list(SHOULDERS)] >= MIN_CONF).all(dim=-1)
    seen_torso = shoulders & (conf[..., list(HIPS)] >= MIN_CONF).all(dim=-1)
    seen_head = shoulders & (conf[..., list(HEAD)] >= MIN_CONF).all(dim=-1)
    seen = torch.cat((seen_limb, seen_torso.unsqueeze(-1), seen_head.unsqueeze(-1)), dim=-1)
    return torch.cat((limb, torso.unsqueeze(2), head.unsqueeze(2)), dim=2), seen & (length_B > 0)[:, None, None]


def across(along: Tensor, length_B: Tensor, radii: Tensor) -> Tensor:
    """Half axes across limbs, a radius long."""
    unit = along / torch.linalg.vector_norm(along, dim=-1, keepdim=True).clamp_min(1e-4)
    turned = torch.stack((unit[..., 1], -unit[..., 0]), dim=-1)
    return turned * (length_B[:, None] * radii)[:, None, :, None]


def facing(body_BTJ3: Tensor) -> Tensor:
    """(B, T): how wide the shoulders are, in torso lengths; positive seen from the front, 0 in profile or unseen."""
    joints = body_BTJ3[..., :2].float()
    wide = joints[..., SHOULDERS[0], 0] - joints[..., SHOULDERS[1], 0]
    seen = (body_BTJ3[..., list(SHOULDERS), 2] >= MIN_CONF).all(dim=-1)
    return (wide * seen / torso_length(body_BTJ3)[:, None].clamp_min(1e-3)).clamp(-1.5, 1.5)


def textures_of(rgb_HWC: Tensor, body_J3: Tensor) -> Tensor:
    """(P, 4, U, V) of a picture in [-1, 1] and its joints in shares of width and height: colours and whether seen.

    Joints must be in one unit for both axes (crop units of a square picture).
    """
    frames, seen = part_frames(body_J3[None, None])
    grid = torch.linspace(-1, 1, TEXELS, device=rgb_HWC.device)
    middle, along, wide = frames[0, 0].unbind(dim=1)
    at = middle[:, None, None] + grid[:, None, None] * along[:, None, None] + grid[:, None] * wide[:, None, None]
    inside = ((at > 0) & (at < 1)).all(dim=-1) & seen[0, 0][:, None, None]
    picture = rgb_HWC.permute(2, 0, 1).unsqueeze(0)
    colours = F.grid_sample(
        picture, at.reshape(1, -1, 1, 2) * 2 - 1, mode="bilinear", padding_mode="border", align_corners=False
    )
    colours = colours.reshape(3, PARTS, TEXELS, TEXELS).transpose(0, 1)
    return torch.cat((colours * inside.unsqueeze(1), inside.unsqueeze(1).to(colours.dtype)), dim=1)


def fitting(textures_BKP4UV: Tensor, facing_BK: Tensor, mask_BK: Tensor, driver_facing_B: Tensor) -> Tensor:
    """(B, P, 4, U, V): every part's texture, the references mixed by how they face, and how well it fits in [0, 1]."""
    alike_BK = torch.exp(-FACING_SHARPNESS * (facing_BK - driver_facing_B[:, None]).square())
    # A limb is much the same from every side.
    sided = torch.zeros(PARTS, device=facing_BK.device)
    sided[[TORSO, HEAD_PART]] = 1.0
    weight_BKP = (1.0 - sided) * (0.2 + 0.8 * alike_BK[..., None]) + sided * alike_BK[..., None]
    weight = (weight_BKP * mask_BK[..., None])[..., None, None] * textures_BKP4UV[:, :, :, 3]
    colours = (textures_BKP4UV[:, :, :, :3] * weight.unsqueeze(3)).sum(dim=1)
    total = weight.sum(dim=1)
    return torch.cat((colours / total.clamp_min(1e-6).unsqueeze(2), weight.amax(dim=1).unsqueeze(2)), dim=2)


def worn(textures_BP4UV: Tensor, frames_BTP32: Tensor, cells_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Every part's texture in the driver's frames, (B, T, P, 4, h, w), and each cell's place in the part, (…, 2, h, w).

    Places are (along, across) in half axes: 1 is the part's edge.
    """
    batch, frames, parts = frames_BTP32.shape[:3]
    h, w = cells_hw
    device = frames_BTP32.device
    x = (torch.arange(w, device=device) + 0.5) / w
    y = (torch.arange(h, device=device) + 0.5) / h
    cells = torch.stack((x.expand(h, w), y[:, None].expand(h, w)), dim=0)
    middle, along, wide = frames_BTP32.unbind(dim=3)
    # The inverse of a 2 x 2 matrix; a part seen along its axis has none and shows nothing.
    area = along[..., 0] * wide[..., 1] - along[..., 1] * wide[..., 0]
    safe = torch.where(area.abs() < 1e-5, torch.full_like(area, 1e-5), area)[..., None, None]
    off = cells - middle[..., :, None, None]
    u = (off[..., 0, :, :] * wide[..., 1, None, None] - off[..., 1, :, :] * wide[..., 0, None, None]) / safe
    v = (off[..., 1, :, :] * along[..., 0, None, None] - off[..., 0, :, :] * along[..., 1, None, None]) / safe
    place = torch.stack((u, v), dim=3).clamp(-4, 4)
    # grid_sample's x runs along the last axis of the texture: across.
    grid = torch.stack((v, u), dim=-1).clamp(-4, 4).transpose(1, 2).reshape(batch * parts, frames * h, w, 2)
    seen = F.grid_sample(textures_BP4UV.flatten(0, 1), grid, mode="bilinear", padding_mode="border", align_corners=True)
    return seen.reshape(batch, parts, 4, frames, h, w).permute(0, 3, 1, 2, 4, 5), place


def dressed(
    body_BTJ3: Tensor, world_BTJ3: Tensor, limb_colours_BL4: Tensor, fitting_BP4UV: Tensor, cells_hw: tuple[int, int]
) -> Tensor:
    """(B, T, 4, h, w): the driver's body in the reference's looks, as `painted` gives it.

    Every bone is a limb of its colour, with its texture where one fits; over them lie torso and head, where those fit.
    """
    colours_BL4 = limb_colours_BL4[:, : len(BODY_BONES)].float()
    cover = limb_cover(with_round_head(body_BTJ3), BODY_BONES, cells_hw, limb_radii(body_BTJ3))
    frames, seen_BTP = part_frames(body_BTJ3)
    texture, place = worn(fitting_BP4UV, frames, cells_hw)
    fits = texture[:, :, :, 3:] * seen_BTP[..., None, None, None]
    colours = plain(colours_BL4).expand(*cover.shape[:3], 4, *cells_hw).clone()
    bones = [BODY_BONES.index(bone) for bone in LIMBS]
    # Where a texture fits, its colour; and a bone whose colour nobody saw is seen there.
    limb = torch.cat((texture[:, :, : len(LIMBS), :3], torch.ones_like(fits[:, :, : len(LIMBS)])), dim=3)
    colours[:, :, bones] += fits[:, :, : len(LIMBS)] * (limb - colours[:, :, bones])
    square = place[:, :, TORSO].abs().amax(dim=2)
    round_ = torch.linalg.vector_norm(place[:, :, HEAD_PART], dim=2)
    large = torch.stack((square, round_), dim=2)
    large_cover = ((1.1 - large) * EDGE).clamp(0, 1) * fits[:, :, TORSO:, 0]
    # The bones of a part that is there itself are its first guess, no more.
    for part, its_bones in enumerate((TORSO_BONES, HEAD_BONES)):
        cover[:, :, its_bones] *= 1.0 - large_cover[:, :, part : part + 1]
    large_colours = torch.cat((texture[:, :, TORSO:, :3], torch.ones_like(fits[:, :, TORSO:])), dim=3)
    weight = torch.cat((nearer(world_BTJ3, BODY_BONES), nearer(world_BTJ3, (SHOULDERS, (HEAD[0], HEAD[0])))), dim=2)
    return painted(torch.cat((cover, large_cover), dim=2), torch.cat((colours, large_colours), dim=2), weight)
