"""What the condition stream leaves for the video stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from model.codec.base import Triple
from model.dit.block import KeyValue
from model.dit.detail import Painted
from model.dit.render import Rendering

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask


class ConditionStream(NamedTuple):
    """The condition tokens with their rotary places, which are real, and the latent frame each belongs to."""

    tokens_BND: Tensor
    coordinates_BN3: Tensor
    visible_BN: Tensor
    frame_N: Tensor
    pooled_BD: Tensor


@dataclass(frozen=True)
class ConditionState:
    """What the video stream needs of the conditions; independent of noise and timestep, so reusable."""

    grid_thw: Triple
    layers: tuple[KeyValue, ...]
    rope_video: tuple[Tensor, Tensor]
    mask_video: Tensor | BlockMask
    pooled_BD: Tensor
    semantic_BMD: Tensor
    """Tokens of what the motion means."""
    added_BND: Tensor
    reference_BNC: Tensor
    painted: Painted | None
    canvas_BfChw: Tensor | None
    """Limbs and hands in the reference's colours for the detail head, if there is one."""
    rendering: Rendering | None
    """What a renderer made of what is painted, for its own loss, if there is one."""
