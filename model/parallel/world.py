"""The processes of a run (torchrun starts them), what each is for, and how they agree.

    rank = (data_rank) * context + context_rank
    data_rank      which share of a step's windows a process reads; replicate * shard of them
    context_rank   which part of every window's tokens it works on (Ulysses)
Weights are whole in every process, or with shard > 1 spread over shard * context processes (FSDP2).
A run of one process is World(): nothing is sent, and its numbers are those of a program without any of this.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeVar

import torch
import torch.distributed as dist
from pydantic import Field
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from model.parallel.context import ContextGroup
from schemas.errors import MotionloomError, RecipeError, ResourceError
from schemas.recipe import StrictModel

_T = TypeVar("_T")
BUCKET_VALUES = 1 << 24
"""Gradients are summed in pieces of at most this many numbers (64 MiB in fp32), beyond a single larger tensor."""
LOST = re.compile(r"gloo|NCCL|Connection (closed|reset|refused)", re.IGNORECASE)
"""How the backends' errors are known when a process is gone; gloo raises plain RuntimeErrors."""
PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others: reading a first batch may take long, a dead process is noticed at once."""


class ParallelRecipe(StrictModel):
    """How processes share the work: replicate * shard * context of them.

    shard: processes that hold a part of the weights, moments and averages each (FSDP2). context: processes that share
    every window's tokens (Ulysses: heads and tokens must be divisible by it). replicate: copies of that; auto takes
    what the number of processes gives.
    """

    replicate: int | Literal["auto"] = "auto"
    shard: int = Field(default=1, ge=1)
    context: int = Field(default=1, ge=1)


@dataclass(frozen=True)
class World:
    """This process among the others. shards is the mesh over which weights are spread, None where they are whole."""

    rank: int = 0
    size: int = 1
    data_rank: int = 0
    data_size: int = 1
    context: ContextGroup | None = None
    shards: DeviceMesh | None = None

    @property
    def writes(self) -> bool:
        """Whether this process writes files and talks to people."""
        return self.rank == 0

    def first(self, action: Callable[[], _T]) -> _T:
        """What `action` returns in the first process, in all of them; what it raises there is raised in all.

        Nobody goes on before it is done. Its result is pickled between processes of the same run.
        """
        if self.size == 1:
            return action()
        said: list[tuple[_T | None, MotionloomError | None]] = [(None, None)]
        if self.rank == 0:
            try:
                said = [(action(), None)]
            except MotionloomError as error:
                said = [(None, error)]
        dist.broadcast_object_list(said, src=0)
        result, problem = said[0]
        if problem is not None:
            problem.elsewhere = self.rank != 0
            raise problem
        return result  # type: ignore[return-value]

    def together(self, action: Callable[[], _T]) -> _T:
        """The process's own result of `action`; an error in any process is raised in all of them.

        Only the process that had it tells the user (`elsewhere` is set in the others).
        """
        if self.size == 1:
            return action()
        result: _T | None = None
        own: MotionloomError | None = None
        try:
            result = action()
        except MotionloomError as error:
            own = error
        if self.total([float(own is not None)])[0]:
            told = self.gathered(own)
            first = next(rank for rank, error in enumerate(told) if error is not None)
            problem = told[first]
            assert problem is not None
            problem.elsewhere = first != self.rank
            raise problem
        return result  # type: ignore[return-value]

    def total(self, values: Sequence[float]) -> list[float]:
        """Sums over all processes."""
        if self.size == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(sums)
        return [float(value) for value in sums]

    def gathered(self, item: _T) -> list[_T]:
        """`item` of every process, in the order of ranks."""
        if self.size == 1:
            return [item]
        items: list[_T | None] = [None] * self.size
        dist.all_gather_object(items, item)
        return items  # type: ignore[return-value]

    def sum_gradients(self, weights: Sequence[Tensor]) -> None:
        """Add up the gradients of whole weights over all processes. A weight that got none anywhere keeps none."""
        if self.size == 1 or self.shards is not None:
            return  # one process has nothing to add; FSDP2 has added already
        learning = [weight for weight in weights if weight.requires_grad]
        has = torch.tensor([float(weight.grad is not None) for weight in learning])
        dist.all_reduce(has)
        pending: list[Tensor] = []
        for weight, count in zip(learning, has.tolist(), strict=True):
            if count and weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            if count and weight.grad is not None:
                if pending and sum(grad.numel() for grad in pending) + weight.numel() > BUCKET_VALUES:
                    _sum_bucket(pending)
                    pending = []
                pending.append(weight.grad)
        if pending:
            _sum_bucket(pending)


def _sum_bucket(grads: Sequence[Tensor]) -> None:
    flat = torch.cat([grad.reshape(-1) for grad in grads])
    dist.all_reduce(flat)
    for grad, part in zip(grads, torch.split(flat, [grad.numel() for grad in grads]), strict=True):
        grad.copy_(part.view_as(grad))


@contextmanager
def joined(recipe: ParallelRecipe, device: torch.device) -> Iterator[World]:
    """The world that torchrun's environment describes; a world of one without it.

    Raises: RecipeError when the recipe's numbers do not make the number of processes.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    group = recipe.shard * recipe.context
    wanted = size if recipe.replicate == "auto" else recipe.replicate * group
    if size % group or wanted != size:
        raise RecipeError(
            f"loop.parallel: replicate {recipe.replicate} x shard {recipe.shard} x context {recipe.context} does not "
            f"make {size} process{'' if size == 1 else 'es'}; start torchrun with another --nproc-per-node "
            "or change loop.parallel"
        )
    if size == 1:
        yield World()
        return
    # Control messages are CPU tensors, so both kinds of tensors need a backend.
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        context = None
        if recipe.context > 1:
            pairs = init_device_mesh(
                device.type, (size // recipe.context, recipe.context), mesh_dim_names=("data", "context")
            )
            context = ContextGroup(pairs.get_group("context"))
        shards = None
        if recipe.shard > 1:
            copies = size // group
            mesh = init_device_mesh(device.type, (copies, group), mesh_dim_names=("replicate", "shard"))
            shards = mesh if copies > 1 else mesh["shard"]
        yield World(rank, size, rank // recipe.context, size // recipe.context, context, shards)
    except RuntimeError as error:
        if not LOST.search(str(error)):
            raise
        message = f"process {rank}: another process of this run ended or cannot be reached; its own message says why"
        raise ResourceError(message) from error
    finally:
        dist.destroy_process_group()
