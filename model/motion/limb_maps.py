"""Limbs as pictures, one channel per bone: where it runs, at a few cells per patch.

Every bone has a channel of its own, so that crossing limbs, left and right stay apart; brightness is confidence, and
a bone with an unseen end is not drawn. The falloff is wider than a cell: values between cells carry its exact place.
Drawn on the device from joints, so nothing but joints has to be read, augmented or sent.
Source: confidence as brightness follows MimicMotion's pose rendering; bones, channels and falloff are ours.
Axis legend: B batch, T frames, J joints, L bones, h w cells; positions (x, y) in crop units.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence
from functools import cache, reduce

import torch
import torch.nn.functional as F
from torch import Tensor

BODY_BONES: tuple[tuple[int, int], ...] = (
    (11, 12), (11, 23), (12, 24), (23, 24),
    (11, 13), (13, 15), (12, 14), (14, 16),
    (23, 25), (25, 27), (27, 31), (24, 26), (26, 28), (28, 32),
    (0, 7), (0, 8),
)  # fmt: skip
"""MediaPipe Pose bones without those of hands and face, which are other groups' business."""
PALMS: tuple[tuple[int, int], ...] = ((15, 19), (16, 20))
"""From wrist to knuckle of the forefinger, left and right: where a hand's colour is."""
PAINTED_BONES = (*BODY_BONES, *PALMS)
"""Whatever a reference gives a colour to."""
HAND_BONES: tuple[tuple[int, int], ...] = tuple((0 if joint % 4 == 1 else joint - 1, joint) for joint in range(1, 21))
HAND_RADII: tuple[float, ...] = tuple(0.18 if start == 0 else 0.12 for start, _ in HAND_BONES)
"""Half the thickness of a palm's rays and of fingers, in palm lengths (from wrist to knuckle of the middle finger)."""
WRIST, MIDDLE_KNUCKLE = 0, 9
BODY_RADII: tuple[float, ...] = (
    0.12, 0.16, 0.16, 0.14,
    0.11, 0.09, 0.11, 0.09,
    0.15, 0.11, 0.08, 0.15, 0.11, 0.08,
    0.25, 0.25,
)  # fmt: skip
"""Half the thickness of what is around each of BODY_BONES, in torso lengths (half a metre): a clothed grown-up's."""
SHOULDERS, HIPS, HEAD = (11, 12), (23, 24), (0, 7, 8)
HEAD_SPREAD = 0.25
MIN_CONF = 0.3
"""A joint below draws nothing: a guess must not look like a fact. Source: MimicMotion."""
OCCLUSION = 6.0
"""Of two limbs that cross half a torso apart, the nearer one has twenty times the weight."""
FALLOFF_CELLS = 1.5
EDGE_CELLS = 1.0
"""The falloff of what has a thickness of its own: an edge, no more."""
BODY_COLOURS_L3 = tuple(colorsys.hsv_to_rgb(index / len(BODY_BONES), 1.0, 1.0) for index in range(len(BODY_BONES)))
PICTURE_CELLS = 128
"""Cells of a drawn picture's shorter side, if it has as many pixels: its lines then look alike at every size."""
SegmentsCover = Callable[[Tensor, Tensor, Tensor | None, tuple[int, int]], Tensor]
"""`segments_cover`, compiled or not."""


def limb_cover(
    joints_BTJ3: Tensor,
    bones: Sequence[tuple[int, int]],
    cells_hw: tuple[int, int],
    radius_BL: Tensor | None = None,
) -> Tensor:
    """(B, T, L, h, w) in [0, 1]: 1 on the bone, falling linearly to 0 at FALLOFF_CELLS from it, times confidence.

    radius_BL, in crop units: how far from the bone it is still 1, beyond which it falls within EDGE_CELLS.
    """
    radius_BTL = None if radius_BL is None else radius_BL[:, None]
    return segments_cover(*_ends(joints_BTJ3, bones), radius_BTL, cells_hw)


def segments_cover(
    start_BTL3: Tensor, end_BTL3: Tensor, radius_BTL: Tensor | None, cells_hw: tuple[int, int]
) -> Tensor:
    """`limb_cover` of bones given by their ends, (x, y, confidence)."""
    h, w = cells_hw
    scale = torch.tensor([w, h], dtype=torch.float32, device=start_BTL3.device)
    start_BTL2, end_BTL2 = start_BTL3[..., :2] * scale, end_BTL3[..., :2] * scale
    conf_BTL = start_BTL3[..., 2].clamp(0, 1) * end_BTL3[..., 2].clamp(0, 1)
    seen_BTL = torch.minimum(start_BTL3[..., 2], end_BTL3[..., 2]) >= MIN_CONF
    x = torch.arange(w, device=scale.device, dtype=torch.float32) + 0.5
    y = torch.arange(h, device=scale.device, dtype=torch.float32)[:, None] + 0.5
    along = (end_BTL2 - start_BTL2)[..., None, None]
    from_x = x - start_BTL2[..., 0, None, None]
    from_y = y - start_BTL2[..., 1, None, None]
    along_x, along_y = along.unbind(dim=3)
    share = ((from_x * along_x + from_y * along_y) / (along_x**2 + along_y**2 + 1e-6)).clamp(0, 1)
    distance = torch.sqrt((from_x - share * along_x) ** 2 + (from_y - share * along_y) ** 2 + 1e-12)
    falloff = FALLOFF_CELLS
    if radius_BTL is not None:
        distance, falloff = distance - w * radius_BTL[..., None, None], EDGE_CELLS
    cover = (1.0 - distance / falloff).clamp(0, 1)
    return cover * (conf_BTL * seen_BTL)[..., None, None]


def _ends(joints_BTJ3: Tensor, bones: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """(B, T, L, 3): where bones begin and end."""
    joints = joints_BTJ3.float()
    starts, ends = (torch.tensor([bone[end] for bone in bones], device=joints.device) for end in (0, 1))
    return joints[..., starts, :], joints[..., ends, :]


def one_limb(
    joints_BTJ3: Tensor,
    bone: tuple[int, int],
    cells_hw: tuple[int, int],
    radius_B: Tensor,
    cover_of: SegmentsCover = segments_cover,
) -> Tensor:
    """(B, T, h, w): `limb_cover` of one bone; cover_of: what calculates it.

    What is as fine as pixels is made bone by bone: it stays in the processor's cache and is several times as fast.
    """
    start_BT13, end_BT13 = _ends(joints_BTJ3, (bone,))
    # Contiguous, because what is compiled is compiled anew for other strides.
    return cover_of(start_BT13, end_BT13, radius_B.contiguous()[:, None, None], cells_hw).squeeze(2)


@cache
def compiled_segments_cover() -> SegmentsCover:
    """`segments_cover` by torch.compile: on a CPU six times as fast, after 25 s for the first call of a shape."""
    compiled: SegmentsCover = torch.compile(segments_cover, dynamic=False)
    return compiled


def torso_length(body_BTJ3: Tensor) -> Tensor:
    """(B,) in crop units: the longest of the window, because seen from above it looks shorter; 0 where none is seen."""
    joints = body_BTJ3.float()
    ends = [joints[:, :, list(pair), :2].mean(dim=2) for pair in (SHOULDERS, HIPS)]
    seen_BT = (joints[:, :, [*SHOULDERS, *HIPS], 2] >= MIN_CONF).all(dim=2)
    longest: Tensor = (torch.linalg.vector_norm(ends[0] - ends[1], dim=-1) * seen_BT).amax(dim=1)
    return longest


def limb_radii(body_BTJ3: Tensor) -> Tensor:
    """(B, L) for BODY_BONES in crop units; 0 where no frame shows shoulders and hips: then limbs are lines."""
    radii: Tensor = torso_length(body_BTJ3)[:, None] * torch.tensor(BODY_RADII, device=body_BTJ3.device)
    return radii


def hand_radii(hand_BTH3: Tensor, shape_BTF: Tensor) -> Tensor:
    """(B, L) of one hand for HAND_BONES in crop units; 0 where no frame shows it.

    shape_BTF: its joints from the wrist in palm lengths, x y z each, along the axes of the picture. How large a palm is
    they tell better than the picture, where one that points at the camera is short.
    """
    hand = hand_BTH3.float()
    shape_BTH3 = shape_BTF[..., : 3 * hand.shape[2]].float().reshape(hand.shape)
    off_BTH2 = (hand[..., :2] - hand[:, :, WRIST : WRIST + 1, :2]) * (hand[..., 2:] >= MIN_CONF)
    known_BT = (shape_BTH3.abs().amax(dim=(2, 3)) > 0).float() * (hand[:, :, WRIST, 2] >= MIN_CONF)
    seen_B, told_B = (
        (part.square().sum(dim=(2, 3)) * known_BT).sum(dim=1).sqrt() for part in (off_BTH2, shape_BTH3[..., :2])
    )
    palm_BT = torch.linalg.vector_norm(off_BTH2[:, :, MIDDLE_KNUCKLE], dim=-1) * (hand[:, :, WRIST, 2] >= MIN_CONF)
    palm_B = torch.where(told_B > 0, seen_B / told_B.clamp_min(1e-6), palm_BT.amax(dim=1))
    radii: Tensor = palm_B[:, None] * torch.tensor(HAND_RADII, device=hand.device)
    return radii


def nearer(world_BTJ3: Tensor, bones: Sequence[tuple[int, int]]) -> Tensor:
    """(B, T, L): weights of bones that cross, larger where nearer to the camera; all alike without depth."""
    starts, ends = (torch.tensor([bone[end] for bone in bones], device=world_BTJ3.device) for end in (0, 1))
    depth_BTL = (world_BTJ3[..., starts, 2] + world_BTJ3[..., ends, 2]).float() / 2
    return torch.exp(-OCCLUSION * depth_BTL.clamp(-2, 2))


def with_round_head(body_BTJ3: Tensor) -> Tensor:
    """Nose and ears drawn together to their middle, so that bones of a head's radius between them are a disc."""
    head = list(HEAD)
    rounded = body_BTJ3.clone()
    middle = body_BTJ3[:, :, head, :2].mean(dim=2, keepdim=True)
    rounded[:, :, head, :2] = middle + HEAD_SPREAD * (body_BTJ3[:, :, head, :2] - middle)
    return rounded


class Painting:
    """Parts in their colours, mixed by weight where they cross; a part whose colour nobody saw paints nothing.

    One part after the other: all of them at once are a hundred pictures' memory, and slower for it.
    """

    def __init__(self, batch: int, frames: int, cells_hw: tuple[int, int], device: torch.device) -> None:
        self._mixed_BT3hw = torch.zeros(batch, frames, 3, *cells_hw, device=device)
        self._weight_BThw = torch.zeros(batch, frames, *cells_hw, device=device)
        self._much_BThw = torch.zeros(batch, frames, *cells_hw, device=device)

    def add(self, cover_BThw: Tensor, colour_BT4hw: Tensor, weight_BT: Tensor) -> None:
        """The colour's fourth number is how well it is known; it may be (B, 1, 4, 1, 1), the same everywhere."""
        much_BThw = cover_BThw * colour_BT4hw[:, :, 3]
        weight_BThw = much_BThw * weight_BT[..., None, None]
        self._mixed_BT3hw = self._mixed_BT3hw + weight_BThw.unsqueeze(2) * colour_BT4hw[:, :, :3]
        self._weight_BThw = self._weight_BThw + weight_BThw
        self._much_BThw = torch.maximum(self._much_BThw, much_BThw)

    def picture(self) -> Tensor:
        """(B, T, 4, h, w): colours times how much is painted, and how much is, in [0, 1]."""
        share_BThw = self._much_BThw / self._weight_BThw.clamp_min(1e-6)
        return torch.cat((self._mixed_BT3hw * share_BThw.unsqueeze(2), self._much_BThw.unsqueeze(2)), dim=2)


def plain(colour_B4: Tensor) -> Tensor:
    """A colour that is the same everywhere, as `Painting` takes it: (B, 1, 4, 1, 1)."""
    return colour_B4[:, None, :, None, None]


def painted_hands(
    hands_BT2H3: Tensor,
    shape_BT2F: Tensor,
    colours_B24: Tensor,
    cells_hw: tuple[int, int],
    cover_of: SegmentsCover = segments_cover,
) -> Tensor:
    """Both hands as `Painting` gives them, (B, T, 4, h, w), as thick as hands are. shape_BT2F: see `hand_radii`."""
    batch, frames = hands_BT2H3.shape[:2]
    painting = Painting(batch, frames, cells_hw, hands_BT2H3.device)
    alike_BT = torch.ones(batch, frames, device=hands_BT2H3.device)
    each = (hands_BT2H3.unbind(dim=2), shape_BT2F.unbind(dim=2), colours_B24.unbind(dim=1))
    for hand_BTH3, shape_BTF, colour_B4 in zip(*each, strict=True):
        radii_BL = hand_radii(hand_BTH3, shape_BTF)
        covers = (
            one_limb(hand_BTH3, bone, cells_hw, radii_BL[:, index], cover_of) for index, bone in enumerate(HAND_BONES)
        )
        painting.add(reduce(torch.maximum, covers), plain(colour_B4), alike_BT)
    return painting.picture()


def finger_cover(cover_BTLhw: Tensor) -> Tensor:
    """(B, T, 5, h, w): how much of each finger, of either hand, is where.

    cover_BTLhw: HAND_BONES of the left hand, then of the right one; the four bones of a finger follow each other.
    """
    batch, frames, _, h, w = cover_BTLhw.shape
    return cover_BTLhw.reshape(batch, frames, 2, 5, 4, h, w).amax(dim=(2, 4))


def over(upper_BT4hw: Tensor, lower_BT4hw: Tensor) -> Tensor:
    """One picture of two, both with colours times their share: the upper one hides the lower one."""
    return upper_BT4hw + lower_BT4hw * (1.0 - upper_BT4hw[:, :, 3:])


def cover_tokens(cover_BTLhw: Tensor, grid_thw: tuple[int, int, int]) -> Tensor:
    """The cells of every patch as its features: (B, N, pt * L * cells * cells), N in (t, y, x) order."""
    batch, frames, bones, h, w = cover_BTLhw.shape
    f, rows, columns = grid_thw
    cut = cover_BTLhw.reshape(batch, f, frames // f, bones, rows, h // rows, columns, w // columns)
    return cut.permute(0, 1, 4, 6, 2, 3, 5, 7).reshape(batch, f * rows * columns, -1)


def limb_picture(body_BTJ3: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """(B, T, H, W, 3) in [0, 1], on black: every bone in a colour of its own; where bones cross the brighter stays."""
    coarse = max(1, min(size_hw) // PICTURE_CELLS)
    cells_hw = (size_hw[0] // coarse, size_hw[1] // coarse)
    colours_L3 = torch.tensor(BODY_COLOURS_L3, device=body_BTJ3.device)[..., None, None]
    pictures = []
    # One frame after the other: sixteen bones of a long video at this size are gigabytes.
    for joints_BJ3 in body_BTJ3.unbind(dim=1):
        cover_BLhw = limb_cover(joints_BJ3.unsqueeze(1), BODY_BONES, cells_hw)[:, 0]
        picture = (cover_BLhw.unsqueeze(2) * colours_L3).amax(dim=1)
        pictures.append(F.interpolate(picture, size=size_hw, mode="bilinear") if coarse > 1 else picture)
    return torch.stack(pictures, dim=1).permute(0, 1, 3, 4, 2)
