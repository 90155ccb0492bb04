"""What two processes compute, beside what one computes: started by torchrun, read by test_processes.

    torchrun --nproc-per-node 2 -m tests.model.two_processes FOLDER      writes FOLDER/RANK.json
    torchrun --nproc-per-node 2 -m tests.model.two_processes broken      ends with an error
Every number is a largest absolute difference; those of losses, which are about 30 here, are divided by the loss, those
of a weight's gradient by the largest of it where that is above 1.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

from model.conditions import Batch, keep_mask
from model.dit import block
from model.dit.net import VideoDit
from model.objectives.flow import FlowMatching, FlowRecipe
from model.parallel.context import ContextGroup
from model.parallel.world import ParallelRecipe, World, joined
from model.rng import StepRng
from model.train.checkpoint import Player
from model.train.loop import LoopRecipe, in_bf16, make_players, take_step
from schemas.errors import DataError, MotionloomError
from tests.model.tiny import GRID, random_batch, random_conditions, random_tokens, tiny_net

CPU = torch.device("cpu")
WINDOWS, STEPS = 3, 5


def net_of() -> VideoDit:
    return tiny_net(width=32, heads=4)


def share(batch: Batch, world: World) -> Batch:
    """The windows that a process reads: one and two of three."""
    slots = slice(world.data_rank * WINDOWS // world.data_size, (world.data_rank + 1) * WINDOWS // world.data_size)
    return Batch(
        batch.tokens_BNC[slots],
        batch.grid_thw,
        batch.detail_BN[slots],
        batch.conditions.map(lambda value: value[slots]),
        batch.keys[slots],
        slots.start,
    )


def trained(world: World, recipe: LoopRecipe) -> tuple[list[float], dict[str, Tensor], Player]:
    """Losses of some steps, all tensors of the player afterwards, the player."""
    objective = FlowMatching(net_of(), FlowRecipe())
    players = make_players(objective, recipe, CPU, (), world)
    losses = []
    for step in range(STEPS):
        batch = share(random_batch(WINDOWS, seed=step), world)
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16(recipe, torch.device("cpu"))):
            made = objective.losses(batch, step, StepRng(0, step, batch.first_slot))
        losses.append(take_step(players, made, batch, step, 0.1, recipe, world).loss)
    return losses, players["model"].tensors(), players["model"]


def apart(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def beside_one(world: World, precision: Any = "fp32", compiled: bool = False) -> dict[str, Any]:
    """compiled: what the processes compute together; the one process never compiles."""
    recipe = LoopRecipe(precision=precision)
    expected, tensors, _ = trained(World(), recipe)
    recipe = recipe.model_copy(update={"compile": compiled})
    losses, made, player = trained(world, recipe)
    out = {
        "loss": max(abs(one - other) / abs(one) for one, other in zip(expected, losses, strict=True)),
        "tensors": apart(tensors, made),
        "names": sorted(tensors) == sorted(made),
    }
    fresh = make_players(FlowMatching(net_of(), FlowRecipe()), recipe, CPU, (), world)["model"]
    fresh.restore(made, player.ema.updates, Path("here"))
    return out | {"restored": apart(fresh.tensors(), made)}


def context_beside_one(world: World) -> dict[str, float]:
    noisy, conditions, t_B = random_tokens(), random_conditions(), torch.tensor([0.3, 0.8])
    target = random_tokens(seed=9)
    results = []
    for context in (None, world.context):
        net = net_of()
        net.context = context
        predicted = net(noisy, t_B, net.encode(conditions, keep_mask(2), GRID))
        (predicted - target).square().mean().backward()  # type: ignore[no-untyped-call]
        results.append((predicted.detach(), net))
    (plain, one), (shared, parts) = results
    world.sum_gradients(list(parts.parameters()))
    pairs = [(a.grad, b.grad) for a, b in zip(one.parameters(), parts.parameters(), strict=True) if a.grad is not None]
    return {
        "forward": float((plain - shared).abs().max()),
        "gradient": max(float((a - b).abs().max() / a.abs().max().clamp_min(1.0)) for a, b in pairs if b is not None),
        "without_gradient": float(sum(b is None for _, b in pairs)),
    }


def told(action: Callable[[], Any]) -> list[Any]:
    try:
        action()
    except MotionloomError as error:
        return [type(error).__name__, str(error), error.elsewhere]
    return ["nothing"]


def not_finite_in_the_second(world: World) -> list[Any]:
    recipe = LoopRecipe(precision="fp32")
    objective = FlowMatching(net_of(), FlowRecipe())
    players = make_players(objective, recipe, CPU, (), world)
    batch = share(random_batch(WINDOWS), world)
    if world.rank == 1:
        tokens = batch.tokens_BNC.clone()
        tokens[-1] = torch.nan
        batch = replace(batch, tokens_BNC=tokens)
    losses = objective.losses(batch, 0, StepRng(0, 0, batch.first_slot))
    return told(lambda: take_step(players, losses, batch, 0, 1.0, recipe, world))


def bad_clip_in_the_second(world: World) -> list[Any]:
    def read() -> None:
        if world.rank == 1:
            raise DataError("clip 7 is bad")

    return told(lambda: world.together(read))


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    # Traced as for a GPU, without the C++ compiler.
    block.COMPILER = "aot_eager"
    with joined(ParallelRecipe(), CPU) as world:
        spread_world = replace(world, shards=init_device_mesh("cpu", (2,), mesh_dim_names=("shard",)))
        assert dist.group.WORLD is not None
        context_world = World(world.rank, 2, 0, 1, ContextGroup(dist.group.WORLD))
        out = {
            "replicas": beside_one(world),
            "replicas_bf16": beside_one(world, "bf16"),
            "shards": beside_one(spread_world),
            "shards_bf16": beside_one(spread_world, "bf16"),
            "context_steps": beside_one(context_world),
            "shards_compiled": beside_one(spread_world, compiled=True),
            "context_compiled": beside_one(context_world, compiled=True),
            "context": context_beside_one(context_world),
            "not_finite": not_finite_in_the_second(world),
            "bad_clip": bad_clip_in_the_second(world),
            "first": told(lambda: world.first(lambda: bad_first())),
            "first_value": world.first(lambda: world.rank),
        }
        (folder / f"{world.rank}.json").write_text(json.dumps(out))


def bad_first() -> None:
    raise DataError("no such dataset")


def broken() -> None:
    """A bug in the second process, met by the first in its next message."""
    with joined(ParallelRecipe(), CPU) as world:
        if world.rank == 1:
            raise ValueError("a bug")
        world.total([1.0])


if __name__ == "__main__":
    if sys.argv[1] == "broken":
        broken()
    else:
        main(Path(sys.argv[1]))
