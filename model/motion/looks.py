"""The reference's looks on the driver's limbs: a small texture of every part of the body, and where it goes.

A part has a frame of its own in every picture: a middle, an axis along it, an axis across. What a reference shows in
the frame of a part is its texture, sampled once from the whole picture; painted into the driver's frame it is that part
in the driver's pose. A torso looks different from the front and from behind, so its texture counts by how alike the two
face; where none fits it has the colours along its bones (limb_maps.py). A head is hair with a face on it where the
driver shows one: without, nothing would tell a picture from behind from one from the front.
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
    PALMS,
    SHOULDERS,
    Painting,
    SegmentsCover,
    limb_radii,
    nearer,
    one_limb,
    plain,
    segments_cover,
    torso_length,
    with_round_head,
)

LIMBS: tuple[tuple[int, int], ...] = (
    (11, 13), (13, 15), (12, 14), (14, 16),
    (23, 25), (25, 27), (27, 31), (24, 26), (26, 28), (28, 32),
)  # fmt: skip
"""Parts that are a bone of BODY_BONES; torso, hair and face follow them."""
PARTS = len(LIMBS) + 3
TORSO_BONES = [BODY_BONES.index(bone) for bone in ((11, 12), (11, 23), (12, 24), (23, 24))]
HEAD_BONES = [BODY_BONES.index(bone) for bone in ((0, 7), (0, 8))]
TORSO, HAIR, FACE = range(len(LIMBS), PARTS)
TEXELS = 12
"""Of a texture, along and across."""
LENGTHEN, TORSO_WIDTH, HEAD_RADIUS = 1.15, 1.35, 0.36
"""Half the length of a limb, the torso's half width over that of the shoulders, a head with hair in torso lengths."""
FACE_RADIUS = 1.3
"""Half the side of a face in RMS radii of its landmarks: less than it is, so that no surroundings are in it."""
UPWARDS, CROWN, CROWN_SIZE = 0.3, 1.5, 0.12
"""Where hair is sampled when a face is seen: towards which side, how far from the middle of the ears, and half the side
of that place, in RMS radii of its landmarks."""
NAPE_SIZE, BEHIND = 0.2, 0.6
"""Without a face: half the side of that place in radii of the head, and how far behind the ears it is, in distances
of the nose from them."""
FACE_ABOVE = 20.0
"""The weight of a face beside the head that it is on."""
EDGE = 5.0
"""Torso, head and face fade over a fifth of their half size."""
FACING_SHARPNESS = 4.0
"""A profile (0) beside a front (0.8 shoulder widths in torso lengths) counts 0.08."""


def part_frames(body_BTJ3: Tensor) -> tuple[Tensor, Tensor]:
    """Frames (B, T, P - 1, 3, 2) in crop units of all but the face: middle, half axis along, half axis across; and
    which are seen, (B, T, P - 1).

    The torso's and the head's axes run down from the neck; across is to the person's left as the picture shows it.
    """
    joints, conf = body_BTJ3[..., :2].float(), body_BTJ3[..., 2]
    length_B = torso_length(body_BTJ3)
    starts, ends = (torch.tensor([bone[end] for bone in LIMBS], device=joints.device) for end in (0, 1))
    radii = torch.tensor([BODY_RADII[BODY_BONES.index(bone)] for bone in LIMBS], device=joints.device)
    along = (joints[..., ends, :] - joints[..., starts, :]) / 2 * LENGTHEN
    limb = torch.stack(
        ((joints[..., starts, :] + joints[..., ends, :]) / 2, along, half_across(along, length_B, radii)), dim=-2
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


def face_frames(place_BT7: Tensor) -> Tensor:
    """Frames (B, T, 3, 2) of faces, by `face_place` (model/data/motion_inputs.py)."""
    place = place_BT7.float()
    return torch.stack((place[..., [1, 0]], FACE_RADIUS * place[..., 3:5], FACE_RADIUS * place[..., 5:]), dim=-2)


def worn_frames(body_BTJ3: Tensor, place_BT7: Tensor) -> tuple[Tensor, Tensor]:
    """Frames (B, T, P, 3, 2) of all parts and which are seen, (B, T, P). Hair is worn on the whole head.

    place_BT7: the faces (`face_place`), radius 0 where there is none.
    """
    parts, parts_seen = part_frames(body_BTJ3)
    frames = torch.cat((parts, face_frames(place_BT7).unsqueeze(2)), dim=2)
    return frames, torch.cat((parts_seen, place_BT7[..., 2:3] > 0), dim=-1)


def sampled_frames(body_BTJ3: Tensor, place_BT7: Tensor) -> tuple[Tensor, Tensor]:
    """The same where a reference is read: hair is what is above a face, or the middle of a head that shows none."""
    frames, seen = worn_frames(body_BTJ3, place_BT7)
    middle, down = frames[:, :, FACE, 0], frames[:, :, FACE, 1]
    radius = place_BT7[..., 2:3].float()
    nose, ears = body_BTJ3[..., HEAD[0], :2].float(), body_BTJ3[..., list(HEAD[1:]), :2].float().mean(dim=-2)
    # A turned head shows hair where it turned away from, a bowed one above, and one that looks at us all around.
    hair = ears - middle - UPWARDS * down
    hair = hair / torch.linalg.vector_norm(hair, dim=-1, keepdim=True).clamp_min(1e-4)
    side = CROWN_SIZE * radius * torch.eye(2, device=radius.device).unsqueeze(-2).unsqueeze(-2)
    crown = torch.stack((ears + CROWN * radius * hair, side[0], side[1]), dim=2)
    nape = frames[:, :, HAIR] * torch.tensor([1.0, NAPE_SIZE, NAPE_SIZE], device=frames.device)[:, None]
    nape[:, :, 0] = ears - BEHIND * (nose - ears)
    frames[:, :, HAIR] = torch.where(seen[:, :, FACE, None, None], crown, nape)
    seen_head = (body_BTJ3[..., list(HEAD), 2] >= MIN_CONF).all(dim=-1)
    seen[:, :, HAIR] = torch.where(seen[:, :, FACE], seen_head, seen[:, :, HAIR])
    return frames, seen


def half_across(along: Tensor, length_B: Tensor, radii: Tensor) -> Tensor:
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


def textures_of(rgb_HWC: Tensor, body_J3: Tensor, face_place_7: Tensor) -> Tensor:
    """(P, 4, U, V) of a picture in [-1, 1] and its joints in shares of width and height: colours and whether seen.

    Joints must be in one unit for both axes (crop units of a square picture), and the face as worn_frames takes it.
    """
    frames, seen = sampled_frames(body_J3[None, None], face_place_7[None, None])
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
    """(B, P, 4, U, V): every part's texture in the reference that fits it best, and how well it does, in [0, 1].

    One, not a mean of all: of two faces that look to different sides a mean has four eyes.
    """
    alike_BK = torch.exp(-FACING_SHARPNESS * (facing_BK - driver_facing_B[:, None]).square())
    # A limb is much the same from every side and hair just the same; a face is only seen from one.
    sided = torch.zeros(PARTS, device=facing_BK.device)
    sided[TORSO] = 1.0
    fits_BKP = (1.0 - sided) * (0.2 + 0.8 * alike_BK[..., None]) + sided * alike_BK[..., None]
    weight = (fits_BKP * mask_BK[..., None])[..., None, None] * textures_BKP4UV[:, :, :, 3]
    best_BP = weight.mean(dim=(3, 4)).argmax(dim=1)
    chosen = best_BP[:, None, :, None, None]
    colours = textures_BKP4UV[:, :, :, :3].take_along_dim(chosen.unsqueeze(3), dim=1)[:, 0]
    fits = weight.take_along_dim(chosen, dim=1)[:, 0]
    # Nothing else could be in hair's place: how alike the two face only chooses between references.
    fits[:, HAIR] = (fits[:, HAIR] > 0).to(fits.dtype)
    return torch.cat((colours, fits.unsqueeze(2)), dim=2)


def worn(texture_B4UV: Tensor, frame_BT32: Tensor, cells_hw: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """One part's texture in the driver's frames, (B, T, 4, h, w), and each cell's place in the part, (B, T, h, w) along
    and (B, T, h, w) across it in half axes: 1 is the part's edge.
    """
    batch, frames = frame_BT32.shape[:2]
    h, w = cells_hw
    x = (torch.arange(w, device=frame_BT32.device) + 0.5) / w
    y = (torch.arange(h, device=frame_BT32.device)[:, None] + 0.5) / h
    middle, along, wide = frame_BT32.unbind(dim=2)
    # The inverse of a 2 x 2 matrix; a part seen along its axis has none and shows nothing.
    area = along[..., 0] * wide[..., 1] - along[..., 1] * wide[..., 0]
    safe = torch.where(area.abs() < 1e-5, torch.full_like(area, 1e-5), area).unsqueeze(-1)
    to_u, to_v = wide.flip(-1) / safe, along.flip(-1) / safe
    off_x, off_y = x - middle[..., 0, None, None], y - middle[..., 1, None, None]
    u = (off_x * to_u[..., 0, None, None] - off_y * to_u[..., 1, None, None]).clamp(-4, 4)
    v = (off_y * to_v[..., 1, None, None] - off_x * to_v[..., 0, None, None]).clamp(-4, 4)
    # grid_sample's x runs along the last axis of the texture: across.
    grid = torch.stack((v, u), dim=-1).reshape(batch, frames * h, w, 2)
    seen = F.grid_sample(texture_B4UV, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return seen.reshape(batch, 4, frames, h, w).transpose(1, 2), u, v


def dressed(
    body_BTJ3: Tensor,
    world_BTJ3: Tensor,
    face_place_BT7: Tensor,
    limb_colours_BL4: Tensor,
    fitting_BP4UV: Tensor,
    cells_hw: tuple[int, int],
    cover_of: SegmentsCover = segments_cover,
) -> Tensor:
    """(B, T, 4, h, w): the driver's body and face in the reference's looks, as `Painting` gives it.

    Every bone is a limb of its colour, with its texture where one fits; torso and head are wholes, and on the head is
    the face, in the colour of hands where no reference shows one.
    """
    batch, frames = body_BTJ3.shape[:2]
    colours_BL4 = limb_colours_BL4.float()
    frames_BTP32, seen_BTP = worn_frames(body_BTJ3, face_place_BT7)
    rounded_BTJ3, radii_BL = with_round_head(body_BTJ3), limb_radii(body_BTJ3)
    painting = Painting(batch, frames, cells_hw, body_BTJ3.device)

    def whole(part: int, otherwise_B4: Tensor, weight_BT: Tensor, is_round: bool) -> Tensor:
        """Paints a part that is not a bone; how much of it is where."""
        texture, along, across = worn(fitting_BP4UV[:, part], frames_BTP32[:, :, part], cells_hw)
        size = (along.square() + across.square()).sqrt() if is_round else torch.maximum(along.abs(), across.abs())
        cover = ((1.1 - size) * EDGE).clamp(0, 1) * seen_BTP[:, :, part, None, None]
        colour = mixed(plain(otherwise_B4), texture[:, :, :3], texture[:, :, 3:])
        painting.add(cover, colour, weight_BT)
        return cover * colour[:, :, 3]

    head_weight = nearer(world_BTJ3, ((HEAD[0], HEAD[0]),))[..., 0]
    hides = {
        TORSO: whole(TORSO, known_mean(colours_BL4[:, TORSO_BONES]), nearer(world_BTJ3, (SHOULDERS,))[..., 0], False),
        HAIR: whole(HAIR, torch.zeros_like(colours_BL4[:, 0]), head_weight, True),
    }
    whole(FACE, known_mean(colours_BL4[:, -len(PALMS) :]), head_weight * FACE_ABOVE, True)
    for index, bone in enumerate(BODY_BONES):
        cover = one_limb(rounded_BTJ3, bone, cells_hw, radii_BL[:, index], cover_of)
        colour = plain(colours_BL4[:, index])
        # The bones of a part that is there itself are its first guess, no more.
        if index in TORSO_BONES or index in HEAD_BONES:
            cover = cover * (1.0 - hides[TORSO if index in TORSO_BONES else HAIR])
        if bone in LIMBS:
            part = LIMBS.index(bone)
            texture, _, _ = worn(fitting_BP4UV[:, part], frames_BTP32[:, :, part], cells_hw)
            # Where a texture fits, its colour; and a bone whose colour nobody saw is seen there.
            colour = mixed(colour, texture[:, :, :3], texture[:, :, 3:] * seen_BTP[:, :, part, None, None, None])
        painting.add(cover, colour, nearer(world_BTJ3, (bone,))[..., 0])
    return painting.picture()


def mixed(colour_BT4hw: Tensor, texture_BT3hw: Tensor, share_BT1hw: Tensor) -> Tensor:
    """A colour with how well it is known, and the texture in its place to a share of it."""
    colour = colour_BT4hw[:, :, :3] + share_BT1hw * (texture_BT3hw - colour_BT4hw[:, :, :3])
    return torch.cat((colour, colour_BT4hw[:, :, 3:] + share_BT1hw * (1.0 - colour_BT4hw[:, :, 3:])), dim=2)


def known_mean(colours_BL4: Tensor) -> Tensor:
    """(B, 4): the mean of the colours that were seen, and whether one was."""
    seen = colours_BL4[..., 3:]
    mean = (colours_BL4[..., :3] * seen).sum(dim=1) / seen.sum(dim=1).clamp_min(1.0)
    return torch.cat((mean, seen.amax(dim=1)), dim=-1)
