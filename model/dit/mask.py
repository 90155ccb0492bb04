"""Which condition tokens a video token may look at: as a dense mask, or as the blocks that flex attention works on.

Video sees all video, references, semantics and text; a motion token is seen by the video of its own latent frame only,
an invisible token (a reference that is not there, padding of the text) by nobody.
Axis legend: B batch, V video tokens, N condition tokens, M = V + N keys, K blocks of keys, Q blocks of queries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from model.codec.base import Triple

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

EVERY_FRAME = -1
"""Frame number of a token that all frames may look at."""
NO_FRAME = -2
BLOCK = 128
"""Keys and queries of a block; what flex attention's kernels work on by default."""


def key_frames(visible_BN: Tensor, frame_N: Tensor, cells: int) -> Tensor:
    """(B, M) int32: the latent frame whose video tokens see this key, EVERY_FRAME or NO_FRAME."""
    cond_BN = torch.where(visible_BN, frame_N, torch.full_like(frame_N, NO_FRAME)).int()
    return F.pad(cond_BN, (cells, 0), value=EVERY_FRAME)


def query_frames(grid_thw: Triple, device: torch.device) -> Tensor:
    """(V,) int32: the latent frame of every video token."""
    return torch.arange(grid_thw[0], dtype=torch.int32, device=device).repeat_interleave(grid_thw[1] * grid_thw[2])


def video_mask(visible_BN: Tensor, frame_N: Tensor, grid_thw: Triple) -> Tensor:
    """(B, 1, V, M), True where a video token sees a key."""
    own_V = query_frames(grid_thw, frame_N.device)
    key_BM = key_frames(visible_BN, frame_N, len(own_V))[:, None, None, :]
    return (key_BM == EVERY_FRAME) | (key_BM == own_V[:, None])


def video_block_mask(visible_BN: Tensor, frame_N: Tensor, grid_thw: Triple) -> BlockMask:
    """The same mask for flex attention: blocks of keys that all see, that some see, and that nobody has to look at.

    Built from one row per sample, so that the dense mask never exists (at 256 px it has 20 million entries a window).
    """
    from torch.nn.attention.flex_attention import BlockMask

    own_V = query_frames(grid_thw, frame_N.device)
    cells = len(own_V)
    key_BM = key_frames(visible_BN, frame_N, cells)
    keys = key_BM.shape[1]
    blocks_BKk = F.pad(key_BM, (0, -keys % BLOCK), value=NO_FRAME).reshape(len(key_BM), -1, BLOCK)
    full_BK = (blocks_BKk == EVERY_FRAME).all(dim=2)
    part_BK = (blocks_BKk != NO_FRAME).any(dim=2) & ~full_BK

    def sees(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        frame = key_BM[batch, key]
        return (frame == EVERY_FRAME) | (frame == own_V[query])

    rows = -(-cells // BLOCK)
    return BlockMask.from_kv_blocks(
        *_listed(part_BK, rows), *_listed(full_BK, rows), BLOCK_SIZE=BLOCK, mask_mod=sees, seq_lengths=(cells, keys)
    )


def _listed(chosen_BK: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """How many blocks of keys are chosen, (B, 1, Q), and which, those first, (B, 1, Q, K); alike for all queries."""
    count_B = chosen_BK.sum(dim=1, dtype=torch.int32)
    order_BK = chosen_BK.int().argsort(dim=1, descending=True, stable=True).int()
    return (
        count_B[:, None, None].expand(-1, 1, rows).contiguous(),
        order_BK[:, None, None, :].expand(-1, 1, rows, -1).contiguous(),
    )
