"""What steers a generated window: one value that crosses every boundary of the model.

Axis legend: B batch, T pixel frames, K reference images, N tokens of one reference image, C codec channels,
J body joints (33), H hand joints (21), S moments of the whole driving clip, L text tokens, D text width, F features,
G condition groups; the 2 in T2 is the hand (left, right).
Positions are crop units: (x, y) of joints, (y, x) of anchors, in [0, 1] of the square picture. Times are seconds from
the window's first frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

GROUPS = ("reference", "body", "face", "hands", "semantic", "text", "camera")
"""Condition groups that can be kept or dropped as a whole; the order is the G axis of every keep mask.

`text` owns the caption and what is parsed from it (stated camera moves and orientation); `camera` is a measured path.
"""
TEXT_ROUND = 8
"""Few different lengths: every new one is a shape to compile for."""
MOTION_GROUPS = ("body", "face", "hands")


@dataclass(frozen=True)
class Conditions:
    """Inputs of every condition group for a batch of windows; a group's absence is said by a keep mask, not here.

    reference_mask_BK: which references are real; the first always is.
    reference_body_BKJ3, body_BTJ3: x, y in crop units and confidence; 0 where not seen.
    reference_looks_BKP4UV: textures of the parts of the body (model/motion/looks.py), and whether they are seen.
    limb_colours_BL4:  red, green, blue in [-1, 1] of each of PAINTED_BONES in the references, and whether it was seen.
    body_world_BTJ3:   x, y, z from the middle of the hips in torso lengths.
    face_place_BT7:    (y, x) of the landmarks' middle, their RMS distance from it, and where that far down and right on
                      the face leads, (x, y) each; in crop units.
    hands_BT2H3:       x, y in crop units and confidence; hands_shape_BT2F the same hand without place, size and tilt.
    semantic_BSF:      bone directions at S moments of the whole clip; actions_BD the mean text state of its labels.
    directions_BTF:    what the text states of camera and orientation (model/text), zero where it states nothing.
    camera_BTF:        backdrop's path since the window's first frame (model/data/camera_path.py).
    """

    time_s_BT: Tensor
    reference_BKNC: Tensor
    reference_mask_BK: Tensor
    reference_body_BKJ3: Tensor
    reference_looks_BKP4UV: Tensor
    limb_colours_BL4: Tensor
    body_BTJ3: Tensor
    body_world_BTJ3: Tensor
    face_BTF: Tensor
    face_place_BT7: Tensor
    face_present_BT: Tensor
    hands_BT2H3: Tensor
    hands_shape_BT2F: Tensor
    semantic_BSF: Tensor
    actions_BD: Tensor
    text_BLD: Tensor
    text_mask_BL: Tensor
    text_pooled_BD: Tensor
    directions_BTF: Tensor
    camera_BTF: Tensor

    @property
    def batch_size(self) -> int:
        return int(self.time_s_BT.shape[0])

    def map(self, change: Callable[[Tensor], Tensor]) -> Conditions:
        """The same conditions with `change` applied to every tensor."""
        return Conditions(**{field.name: change(getattr(self, field.name)) for field in fields(self)})

    def to(self, device: torch.device) -> Conditions:
        return self.map(lambda value: value.to(device))


def stack_conditions(items: Sequence[Conditions]) -> Conditions:
    """Concatenate along the batch axis. Text is cut after the longest caption, rounded up to TEXT_ROUND tokens,
    references after the most that any has: what is masked everywhere costs the same as what is seen."""
    names = [field.name for field in fields(Conditions)]
    joined = Conditions(**{name: torch.cat([getattr(item, name) for item in items]) for name in names})
    longest = int(joined.text_mask_BL.sum(dim=1).max())
    length = max(TEXT_ROUND, -(-longest // TEXT_ROUND) * TEXT_ROUND)
    most = int(joined.reference_mask_BK.sum(dim=1).max())
    return replace(
        joined,
        text_BLD=joined.text_BLD[:, :length],
        text_mask_BL=joined.text_mask_BL[:, :length],
        reference_BKNC=joined.reference_BKNC[:, :most],
        reference_mask_BK=joined.reference_mask_BK[:, :most],
        reference_body_BKJ3=joined.reference_body_BKJ3[:, :most],
        reference_looks_BKP4UV=joined.reference_looks_BKP4UV[:, :most],
    )


def keep_mask(batch: int, kept: Sequence[str] = GROUPS, device: torch.device | None = None) -> Tensor:
    """keep_BG: True for every group named in `kept`, the same for the whole batch.

    Raises: ValueError for a name that is not in GROUPS.
    """
    unknown = sorted(set(kept) - set(GROUPS))
    if unknown:
        raise ValueError(f"unknown condition groups {unknown}; known: {', '.join(GROUPS)}")
    row = torch.tensor([name in kept for name in GROUPS], dtype=torch.bool, device=device)
    return row.expand(batch, -1).clone()


@dataclass(frozen=True)
class Batch:
    """One training batch: clean codec tokens of the windows, what steers them, and where they come from.

    grid_thw is the token grid of every window of the batch; detail_BN is 1 where a face or a hand is seen, else 0.
    first_slot: place of the first window in the whole step's batch, of which this may be one process's share.
    """

    tokens_BNC: Tensor
    grid_thw: tuple[int, int, int]
    detail_BN: Tensor
    conditions: Conditions
    keys: tuple[str, ...]
    first_slot: int = 0

    def to(self, device: torch.device) -> Batch:
        return replace(
            self,
            tokens_BNC=self.tokens_BNC.to(device),
            detail_BN=self.detail_BN.to(device),
            conditions=self.conditions.to(device),
        )
