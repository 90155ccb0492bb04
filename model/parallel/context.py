"""Context parallelism after Ulysses: between blocks every process holds a part of the tokens, inside attention all the
tokens of some heads.

    to_heads    (B, H, n, D) -> (B, H / c, N, D)      all-to-all
    to_tokens   (B, H / c, N, D) -> (B, H, n, D)      its inverse
Every process computes what is small (conditions, time) for itself and uses it for its own tokens and heads only, so the
sum of all processes' gradients is the gradient of a single process.
Source: Jacobs et al., DeepSpeed Ulysses (2023).
Axis legend: B batch, H heads, N tokens, n = N / c own tokens, D channels, c processes.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from schemas.errors import RecipeError


class ContextGroup:
    """The processes that share the tokens of a window, in the order of their parts."""

    def __init__(self, group: dist.ProcessGroup) -> None:
        self.group = group
        self.size = dist.get_world_size(group)
        self.rank = dist.get_rank(group)

    def part(self, values: Tensor, dim: int) -> Tensor:
        """This process's part along `dim`."""
        length = values.shape[dim] // self.size
        return values.narrow(dim, self.rank * length, length)

    def whole(self, part: Tensor, dim: int) -> Tensor:
        """All parts along `dim`, for what every process then computes alike: each gets its own gradient only."""
        return _Whole.apply(part, dim, self)  # type: ignore[no-any-return]

    def shared(self, part: Tensor, dim: int) -> Tensor:
        """All parts along `dim`, for what every process uses differently: gradients come back from all of them."""
        return _Shared.apply(part, dim, self)  # type: ignore[no-any-return]

    def alike(self, values: Tensor) -> Tensor:
        """What every process computes in the same way and whole: the same numbers, each with its share of the gradient,
        so that the sum over all is a single process's."""
        share = values / self.size
        return values.detach() + (share - share.detach())

    def to_heads(self, own_BHnD: Tensor) -> Tensor:
        batch, heads, count, width = own_BHnD.shape
        sent = own_BHnD.reshape(batch, self.size, heads // self.size, count, width).movedim(1, 0)
        got_cBhnD = _AllToAll.apply(sent, self)
        return got_cBhnD.movedim(0, 2).reshape(batch, heads // self.size, -1, width)  # type: ignore[no-any-return]

    def to_tokens(self, mixed_BhND: Tensor) -> Tensor:
        batch, heads, count, width = mixed_BhND.shape
        sent = mixed_BhND.reshape(batch, heads, self.size, count // self.size, width).movedim(2, 0)
        got_cBhnD = _AllToAll.apply(sent, self)
        return got_cBhnD.movedim(0, 1).reshape(batch, -1, count // self.size, width)  # type: ignore[no-any-return]


def check_divides(context: int, heads: int, tokens: int, what: str) -> None:
    """Raises: RecipeError when heads or tokens cannot be shared by `context` processes."""
    for name, count in (("heads", heads), ("tokens", tokens)):
        if count % context:
            raise RecipeError(
                f"loop.parallel.context {context} does not divide the {count} {name} of {what}; "
                "choose one that divides both heads and tokens"
            )


def _exchanged(sent_c: Tensor, context: ContextGroup) -> Tensor:
    """Entry i of axis 0 goes to process i; entry i of the result came from process i."""
    sent_c = sent_c.contiguous()
    got_c = torch.empty_like(sent_c)
    dist.all_to_all_single(got_c, sent_c, group=context.group)
    return got_c


def _gathered(part: Tensor, dim: int, context: ContextGroup) -> Tensor:
    parts = [torch.empty_like(part) for _ in range(context.size)]
    dist.all_gather(parts, part.contiguous(), group=context.group)
    return torch.cat(parts, dim=dim)


class _AllToAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, sent_c: Tensor, context: ContextGroup) -> Tensor:
        ctx.context = context
        return _exchanged(sent_c, context)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _exchanged(grads[0], ctx.context), None


class _Whole(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, dim: int, context: ContextGroup) -> Tensor:
        ctx.dim, ctx.context = dim, context
        return _gathered(part.contiguous(), dim, context)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return ctx.context.part(grads[0], ctx.dim).contiguous(), None, None


class _Shared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, dim: int, context: ContextGroup) -> Tensor:
        ctx.dim, ctx.context = dim, context
        return _gathered(part.contiguous(), dim, context)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        pieces = torch.stack(grads[0].chunk(ctx.context.size, dim=ctx.dim))
        return _exchanged(pieces, ctx.context).sum(dim=0), None, None
