"""One transformer block, applied to two streams with shared weights.

The condition stream (reference, motion, text, camera tokens) attends only to itself and is modulated by a constant,
so it never sees noise nor the timestep: its keys and values are computed once and reused by every sampling step.
The video stream attends to itself and to the condition stream.
Source: adaLN-single and query/key normalisation as in public video DiTs (Wan); the one-way mask is that of
Wan-Animate-2's condition stream; the channel shift before the MLP is a parameter-free temporal and spatial mixing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.codec.base import Triple
from model.dit.attention import attend
from model.dit.rope import rotate
from model.parallel.context import ContextGroup

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

Table = tuple[Tensor, Tensor]
COMPILER = "inductor"


class KeyValue(NamedTuple):
    """Rotated keys and values of the condition stream in one block, (B, heads, N, head_dim)."""

    key: Tensor
    value: Tensor


def shift_neighbours(video_BND: Tensor, grid_thw: Triple) -> Tensor:
    """Move six groups of a twelfth of the channels (rounded down) one cell along -t, +t, -y, +y, -x, +x.

    Cells shifted in from beyond the edge are zero.
    """
    group = video_BND.shape[-1] // 12
    return torch.cat((_shifted(video_BND[..., : 6 * group], grid_thw), video_BND[..., 6 * group :]), dim=-1)


def shift_own_neighbours(own_BnD: Tensor, grid_thw: Triple, context: ContextGroup) -> Tensor:
    """`shift_neighbours` for a process that holds a part of the tokens: half of the channels are sent to all."""
    group = own_BnD.shape[-1] // 12
    moved_BND = _shifted(context.shared(own_BnD[..., : 6 * group], dim=1), grid_thw)
    return torch.cat((context.part(moved_BND, dim=1), own_BnD[..., 6 * group :]), dim=-1)


def _shifted(moving_BNC: Tensor, grid_thw: Triple) -> Tensor:
    """Six groups of channels, each moved its own way."""
    batch, _, width = moving_BNC.shape
    group = width // 6
    grid = moving_BNC.reshape(batch, *grid_thw, width)
    parts = []
    for index in range(6):
        axis = 1 + index // 2
        part = grid[..., index * group : (index + 1) * group]
        length = part.shape[axis]
        empty = torch.zeros_like(part.narrow(axis, 0, 1))
        if index % 2 == 0:
            parts.append(torch.cat((part.narrow(axis, 1, length - 1), empty), dim=axis))
        else:
            parts.append(torch.cat((empty, part.narrow(axis, 0, length - 1)), dim=axis))
    return torch.cat(parts, dim=-1).reshape(batch, -1, width)


class Block(nn.Module):
    """Attention and MLP, each gated and modulated by six vectors of the shared adaLN."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.compiled = False
        """Whether torch.compile works on the two streams; set by the network's `speed_up`."""
        self.heads = heads
        hidden = int(width * mlp_ratio)
        self.qkv = nn.Linear(width, 3 * width)
        self.query_norm = nn.RMSNorm(width // heads)
        self.key_norm = nn.RMSNorm(width // heads)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        table = torch.zeros(6, width)
        # Gates start half open: at toy size fully closed gates cost the first hundred steps.
        table[2] = table[5] = 0.5
        self.table = nn.Parameter(table)

    def _modulation(self, shared_B6D: Tensor) -> list[Tensor]:
        return list((shared_B6D + self.table).unsqueeze(2).unbind(dim=1))

    def _heads(self, normed_BND: Tensor, rope: Table) -> tuple[Tensor, Tensor, Tensor]:
        batch, count, width = normed_BND.shape
        qkv = self.qkv(normed_BND).reshape(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        # Norms and rotations in fp32, what attention multiplies in the precision of the values.
        query, key = (
            rotate(F.rms_norm(heads.float(), heads.shape[-1:], norm.weight.float(), norm.eps), rope).to(value.dtype)
            for norm, heads in ((self.query_norm, query), (self.key_norm, key))
        )
        return query, key, value

    def condition(self, cond_BND: Tensor, shared_B6D: Tensor, rope: Table, mask: Tensor) -> tuple[Tensor, KeyValue]:
        """The condition stream: its next state, and what the video stream may look at."""
        # Chosen here, under the name that FSDP2 wraps, and not in an attribute of the block, which a copy would share.
        stream: Callable[..., Any] = _compiled("_condition") if self.compiled else Block._condition
        made: tuple[Tensor, KeyValue] = stream(self, cond_BND, shared_B6D, rope, mask)
        return made

    def video(
        self,
        video_BND: Tensor,
        shared_B6D: Tensor,
        rope: Table,
        seen: KeyValue,
        mask: Tensor | BlockMask,
        grid_thw: Triple,
        context: ContextGroup | None = None,
    ) -> Tensor:
        """The video stream, looking at itself and at the condition stream's keys and values.

        With a context group, video_BND and rope are those of this process's tokens; mask and grid stay the whole's.
        """
        # What processes send each other cannot be traced: with a context group only the condition stream is compiled.
        stream: Callable[..., Any] = _compiled("_video") if self.compiled and context is None else Block._video
        made: Tensor = stream(self, video_BND, shared_B6D, rope, seen, mask, grid_thw, context)
        return made

    def _condition(self, cond_BND: Tensor, shared_B6D: Tensor, rope: Table, mask: Tensor) -> tuple[Tensor, KeyValue]:
        width = cond_BND.shape[-1]
        shift1, scale1, gate1, shift2, scale2, gate2 = self._modulation(shared_B6D)
        query, key, value = self._heads(F.layer_norm(cond_BND, (width,)) * (1 + scale1) + shift1, rope)
        mixed = attend(query, key, value, mask)
        cond = cond_BND + gate1 * self.out(mixed.transpose(1, 2).flatten(2))
        normed = F.layer_norm(cond, (width,)) * (1 + scale2) + shift2
        return cond + gate2 * self.down(F.gelu(self.up(normed), approximate="tanh")), KeyValue(key, value)

    def _video(
        self,
        video_BND: Tensor,
        shared_B6D: Tensor,
        rope: Table,
        seen: KeyValue,
        mask: Tensor | BlockMask,
        grid_thw: Triple,
        context: ContextGroup | None,
    ) -> Tensor:
        width = video_BND.shape[-1]
        shift1, scale1, gate1, shift2, scale2, gate2 = self._modulation(shared_B6D)
        query, key, value = self._heads(F.layer_norm(video_BND, (width,)) * (1 + scale1) + shift1, rope)
        if context is not None:
            query, key, value = context.to_heads(torch.cat((query, key, value))).chunk(3)
            seen = KeyValue(context.part(seen.key, dim=1), context.part(seen.value, dim=1))
        keys, values = torch.cat((key, seen.key), dim=2), torch.cat((value, seen.value), dim=2)
        mixed = attend(query, keys, values, mask)
        if context is not None:
            mixed = context.to_tokens(mixed)
        video = video_BND + gate1 * self.out(mixed.transpose(1, 2).flatten(2))
        normed = F.layer_norm(video, (width,)) * (1 + scale2) + shift2
        if context is None:
            normed = shift_neighbours(normed, grid_thw)
        else:
            normed = shift_own_neighbours(normed, grid_thw, context)
        return video + gate2 * self.down(F.gelu(self.up(normed), approximate="tanh"))  # type: ignore[no-any-return]


@cache
def _compiled(method: str) -> Callable[..., Any]:
    """One compiled function for all blocks of all networks: their weights are inputs, so once per shape is enough."""
    compiled: Callable[..., Any] = torch.compile(getattr(Block, method), backend=COMPILER)
    return compiled
