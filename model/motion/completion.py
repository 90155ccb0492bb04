"""Joints that nobody saw, from those that were seen and from what the motion means.

Half of a body that claps has its arms in places that the other half and the word tell. A small network says where; what
it says is painted and given as a guess, with a confidence of its own, so that the rest of the network trusts it less.
It learns by hiding joints that were seen, in every step. Of a body that is not there at all it says nothing.
Source: filling in what is masked is BERT's and, for motion, MDM's (Tevet et al., 2023).
Axis legend: B batch, T frames, J joints (of BODY_JOINTS, or all 33), M semantic tokens, D width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.motion.encoders import BODY_JOINTS, perceptron
from model.motion.limb_maps import MIN_CONF

MIN_SEEN = 6
"""With fewer joints in a frame nothing is completed: there is no body to go by."""
GUESSED_CONF = 0.6
"""Enough to be drawn (MIN_CONF), less than what was seen."""
FAR = 8.0
"""Guesses are kept within this many radii of what was seen."""


class Placed(NamedTuple):
    """Joints from the middle of what was seen of them, in its RMS radii; 0 unseen. enough_BT: whether that is known."""

    joints_BTJ2: Tensor
    world_BTJ3: Tensor
    seen_BTJ: Tensor
    middle_BT12: Tensor
    radius_BT11: Tensor
    enough_BT: Tensor


def placed(body_BTJ3: Tensor, world_BTJ3: Tensor, seen_BTJ: Tensor) -> Placed:
    """body_BTJ3, world_BTJ3 of BODY_JOINTS alone."""
    shown = seen_BTJ.unsqueeze(-1).float()
    count = shown.sum(dim=2, keepdim=True).clamp_min(1.0)
    middle = (body_BTJ3[..., :2].float() * shown).sum(dim=2, keepdim=True) / count
    off = (body_BTJ3[..., :2].float() - middle) * shown
    radius = (off.square().sum(dim=(2, 3), keepdim=True) / count).sqrt().clamp_min(1e-4)
    enough = seen_BTJ.sum(dim=2) >= MIN_SEEN
    return Placed(off / radius, world_BTJ3.float() * shown, seen_BTJ, middle, radius, enough)


class JointCompletion(nn.Module):
    """Where every joint of a frame is, (B, T, J, 5): x, y as `Placed` has them, then x, y, z in space."""

    def __init__(self, semantic_tokens: int, width: int) -> None:
        super().__init__()
        self.meaning = nn.Linear(semantic_tokens * width, width)
        self.joints = perceptron(len(BODY_JOINTS) * 6 + width, 2 * width, len(BODY_JOINTS) * 5)

    def forward(self, seen: Placed, semantic_BMD: Tensor) -> Tensor:
        meaning_BD = self.meaning(semantic_BMD.flatten(1))
        features = torch.cat((seen.joints_BTJ2, seen.world_BTJ3, seen.seen_BTJ.unsqueeze(-1).float()), dim=-1)
        told = meaning_BD.unsqueeze(1).expand(-1, features.shape[1], -1)
        made: Tensor = self.joints(torch.cat((features.flatten(2).to(told.dtype), told), dim=-1))
        return made.reshape(*made.shape[:2], len(BODY_JOINTS), 5).float()

    def loss_B(self, body_BTJ3: Tensor, world_BTJ3: Tensor, hidden_BJ: Tensor, semantic_BMD: Tensor) -> Tensor:
        """Mean squared error per sample on joints that were seen and that hidden_BJ (of BODY_JOINTS) hides."""
        joints = list(BODY_JOINTS)
        body, world = body_BTJ3[:, :, joints], world_BTJ3[:, :, joints]
        true_BTJ = body[..., 2] >= MIN_CONF
        left = placed(body, world, true_BTJ & ~hidden_BJ[:, None])
        made = self(left, semantic_BMD)
        truth = torch.cat(((body[..., :2].float() - left.middle_BT12) / left.radius_BT11, world.float()), dim=-1)
        # A limb that runs far out of a close view must not be all that is learnt.
        error_BTJ = (made - truth.clamp(-FAR, FAR)).square().mean(dim=-1)
        asked_BTJ = (true_BTJ & hidden_BJ[:, None] & left.enough_BT.unsqueeze(-1)).float()
        total_B: Tensor = (error_BTJ * asked_BTJ).sum(dim=(1, 2))
        return total_B / asked_BTJ.sum(dim=(1, 2)).clamp_min(1.0)

    @torch.no_grad()
    def completed(self, body_BTJ3: Tensor, world_BTJ3: Tensor, semantic_BMD: Tensor) -> tuple[Tensor, Tensor]:
        """All 33 joints with guesses of GUESSED_CONF where one of BODY_JOINTS was not seen and enough others were."""
        joints = list(BODY_JOINTS)
        body, world = body_BTJ3[:, :, joints], world_BTJ3[:, :, joints]
        seen = placed(body, world, body[..., 2] >= MIN_CONF)
        made = self(seen, semantic_BMD)
        at = made[..., :2].clamp(-FAR, FAR) * seen.radius_BT11 + seen.middle_BT12
        guess = torch.cat((at, torch.full_like(at[..., :1], GUESSED_CONF)), dim=-1).to(body.dtype)
        wanted = (~seen.seen_BTJ & seen.enough_BT.unsqueeze(-1)).unsqueeze(-1)
        full_body, full_world = body_BTJ3.clone(), world_BTJ3.clone()
        full_body[:, :, joints] = torch.where(wanted, guess, body)
        full_world[:, :, joints] = torch.where(wanted, made[..., 2:].clamp(-4, 4).to(world.dtype), world)
        return full_body, full_world
