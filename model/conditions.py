"""What steers a generated window: one value that crosses every boundary of the model.

Axis legend: B batch, T pixel frames, K reference images, N tokens of one reference image, C codec channels,
J body joints, L text tokens, D text width, F features, G condition groups; the 2 in T2 is the hand (left, right).
Positions are crop units: (y, x) in [0, 1] of the square picture. Times are seconds from the window's first frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

GROUPS = ("reference", "body", "face", "hands", "text", "camera")
"""Condition groups that can be kept or dropped as a whole; the order is the G axis of every keep mask."""


@dataclass(frozen=True)
class Conditions:
    """Inputs of every condition group for a batch of windows; a group's absence is said by a keep mask, not here."""

    time_s_BT: Tensor
    reference_BKNC: Tensor
    body_map_BTHW3: Tensor
    body_BTJ3: Tensor
    face_BTF: Tensor
    face_anchor_BT2: Tensor
    face_present_BT: Tensor
    hands_BT2F: Tensor
    hands_anchor_BT22: Tensor
    hands_present_BT2: Tensor
    text_BLD: Tensor
    text_mask_BL: Tensor
    text_pooled_BD: Tensor
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
    """Concatenate along the batch axis."""
    names = [field.name for field in fields(Conditions)]
    return Conditions(**{name: torch.cat([getattr(item, name) for item in items]) for name in names})


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
    """One training batch: clean codec tokens of the windows, what steers them, and where they come from."""

    tokens_BNC: Tensor
    conditions: Conditions
    keys: tuple[str, ...]

    def to(self, device: torch.device) -> Batch:
        return Batch(self.tokens_BNC.to(device), self.conditions.to(device), self.keys)
