"""One backdrop for all frames of a window, seen by a camera on its path, while it is still being decided.

A network predicts the clean picture of every frame; early on, what a random backdrop becomes is a guess that each
frame makes for itself, patch by patch, and a stated pan is drowned in it. Where the camera says which places of two
frames show the same wall, the guesses of both are averaged, so that every frame grows the same one. Later the network
is left alone: an average of resampled pictures is soft.
Source: averaging predictions of the clean picture where views overlap is synchronised sampling (Kim et al.,
SyncTweedies, 2024), here over the frames of one video.
Axis legend: B batch, T frames, H W pixels, F path features; pictures (B, T, 3, H, W).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from model.codec.base import Triple, patchify, unpatchify
from model.conditions import Conditions
from model.guidance import Predictor
from model.motion.limb_maps import BODY_BONES, HAND_BONES, limb_cover, limb_radii, with_round_head
from model.noise import steps_to_plane

BROADER = 1.6
"""Around limbs so much broader than they are, nothing is taken for backdrop."""
DIAGONALS = ((11, 24), (12, 23))
"""Of the torso, as thick as its sides: between its sides alone a chest would be a wall."""
SIDE = BODY_BONES.index((11, 23))
FADES_OVER = 0.2
"""Of t, before the end of the interval."""


class OneBackdrop:
    """A predictor whose backdrop is averaged along the camera's path until `until_t`, fading out before."""

    def __init__(
        self, inner: Predictor, conditions: Conditions, grid_thw: Triple, patch_thw: Triple, until_t: float
    ) -> None:
        self._inner, self._grid, self._patch, self._until = inner, grid_thw, patch_thw, until_t
        size_hw = (grid_thw[1] * patch_thw[1], grid_thw[2] * patch_thw[2])
        self._camera_BTF = conditions.camera_BTF
        self._backdrop_BT1HW = backdrop_share(conditions, size_hw)

    @property
    def evaluations(self) -> int:
        return self._inner.evaluations

    def predict(self, noisy_BNC: Tensor, t: float) -> Tensor:
        clean_BNC = self._inner.predict(noisy_BNC, t)
        strength = min(1.0, (self._until - t) / FADES_OVER)
        if strength <= 0.0:
            return clean_BNC
        picture = unpatchify(clean_BNC, self._patch, self._grid).permute(0, 1, 4, 2, 3)
        shared = shared_backdrop(picture, self._backdrop_BT1HW, self._camera_BTF)
        mixed = picture + strength * self._backdrop_BT1HW * (shared - picture)
        return patchify(mixed.permute(0, 1, 3, 4, 2), self._patch)


def backdrop_share(conditions: Conditions, size_hw: tuple[int, int]) -> Tensor:
    """(B, T, 1, H, W) in [0, 1]: 0 where the driver's body or hands are."""
    body = conditions.body_BTJ3
    radii_BL = limb_radii(body) * BROADER
    covers = [
        limb_cover(with_round_head(body), BODY_BONES, size_hw, radii_BL),
        limb_cover(body, DIAGONALS, size_hw, radii_BL[:, [SIDE, SIDE]]),
    ]
    covers += [limb_cover(conditions.hands_BT2H3[:, :, hand], HAND_BONES, size_hw) for hand in (0, 1)]
    covered = torch.cat(covers, dim=2).gt(0).float().amax(dim=2, keepdim=True)
    return 1.0 - covered


def shared_backdrop(picture_BT3HW: Tensor, share_BT1HW: Tensor, camera_BTF: Tensor) -> Tensor:
    """(B, T, 3, H, W): for every frame the mean of what all frames show of the same place of the backdrop."""
    frames, (height, width) = picture_BT3HW.shape[1], picture_BT3HW.shape[-2:]
    turn_BT22, shift_BT2 = steps_to_plane(camera_BTF)
    known = torch.cat((picture_BT3HW * share_BT1HW, share_BT1HW), dim=2)
    y = (torch.arange(height, device=known.device) + 0.5) / height - 0.5
    x = (torch.arange(width, device=known.device) + 0.5) / width - 0.5
    at_HW2 = torch.stack((x.expand(height, width), y[:, None].expand(height, width)), dim=-1)
    back_BT22 = torch.linalg.inv(turn_BT22)
    out = []
    for frame in range(frames):
        plane = torch.einsum("bij,bhwj->bhwi", turn_BT22[:, frame], at_HW2 + shift_BT2[:, frame, None, None])
        seen = torch.einsum("btij,bhwj->bthwi", back_BT22, plane) - shift_BT2[:, :, None, None]
        sampled = F.grid_sample(
            known.flatten(0, 1), 2.0 * seen.flatten(0, 1), mode="bilinear", padding_mode="zeros", align_corners=False
        )
        total = sampled.reshape(known.shape).sum(dim=1)
        own = picture_BT3HW[:, frame]
        mean = total[:, :3] / total[:, 3:].clamp_min(1e-3)
        out.append(torch.where(total[:, 3:] > 1e-2, mean, own))
    return torch.stack(out, dim=1)
