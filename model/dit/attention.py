"""Attention of video tokens over themselves and the conditions: one function, the kernel chosen by device.

Axis legend: B batch, H heads, N queries, M keys, D head channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def attend(query_BHND: Tensor, key_BHMD: Tensor, value_BHMD: Tensor, mask: Tensor) -> Tensor:
    """softmax(q k / sqrt(D)) v where mask (bool, broadcast to (B, H, N, M)) is True; every query must see a key.

    Training on a CPU writes the product out: measured on 256 queries and 400 keys in bfloat16, forward and backward
    take 22 ms, PyTorch's fused CPU kernel 42 ms (its backward pass is slow there).
    """
    if query_BHND.device.type == "cpu" and torch.is_grad_enabled():
        scores = (query_BHND * query_BHND.shape[-1] ** -0.5) @ key_BHMD.transpose(-1, -2)
        return torch.softmax(scores.masked_fill(~mask, float("-inf")), dim=-1).to(value_BHMD.dtype) @ value_BHMD
    return F.scaled_dot_product_attention(query_BHND, key_BHMD, value_BHMD, attn_mask=mask)
