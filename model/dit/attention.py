"""Attention of video tokens over themselves and the conditions: one function, the kernel chosen by mask and device.

Axis legend: B batch, H heads, N queries, M keys, D head channels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

AttentionKernel = Literal["sdpa", "flex"]
"""sdpa: torch's scaled_dot_product_attention with a dense mask. flex: flex attention over blocks, for CUDA."""


def attend(query_BHND: Tensor, key_BHMD: Tensor, value_BHMD: Tensor, mask: Tensor | BlockMask) -> Tensor:
    """softmax(q k / sqrt(D)) v where mask is True; every query must see a key.

    mask: bool, broadcast to (B, H, N, M), or the blocks of model/dit/mask.py, which are calculated by flex attention.
    Training on a CPU writes the product out: measured on 256 queries and 400 keys in bfloat16, forward and backward
    take 22 ms, PyTorch's fused CPU kernel 42 ms (its backward pass is slow there).
    """
    if not isinstance(mask, Tensor):
        return _flex(query_BHND.device)(query_BHND, key_BHMD, value_BHMD, block_mask=mask)  # type: ignore[no-any-return]
    if query_BHND.device.type == "cpu" and torch.is_grad_enabled():
        scores = (query_BHND * query_BHND.shape[-1] ** -0.5) @ key_BHMD.transpose(-1, -2)
        return torch.softmax(scores.masked_fill(~mask, float("-inf")), dim=-1).to(value_BHMD.dtype) @ value_BHMD
    return F.scaled_dot_product_attention(query_BHND, key_BHMD, value_BHMD, attn_mask=mask)


def _flex(device: torch.device) -> Callable[..., Any]:
    # Imported where it is wanted: it takes a second, because it brings the compiler along.
    from torch.nn.attention.flex_attention import flex_attention

    # Not compiled, it writes the whole product out: on a CPU that is what the tests compare with.
    plain: Callable[..., Any] = flex_attention
    return plain if torch.compiler.is_compiling() or device.type == "cpu" else _compiled_flex()


@cache
def _compiled_flex() -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    compiled: Callable[..., Any] = torch.compile(flex_attention)
    return compiled
