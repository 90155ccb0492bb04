"""The one training loop. It knows players, losses and steps; what is learned is the objective's business.

A run is a list of stages. A later stage starts from the averaged weights of the one before, with a new optimiser.
Everything random is drawn from the step number, and the state is saved whole, so a killed run that is resumed ends
with the same bits as an unbroken one (same machine, same thread count).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor, nn

from model.conditions import Batch
from model.dit.attention import AttentionKernel
from model.dit.net import VideoDit
from model.objectives.base import PRIMARY, Losses, Objective
from model.parallel.shards import full, spread
from model.parallel.world import ParallelRecipe, World
from model.rng import StepRng
from model.store import EMA_FILE, MODEL_FILE, SAMPLES_DIR, TrainedWith, fill, weights_bytes, write_atomically
from model.train.ahead import Ahead
from model.train.checkpoint import Player, below, cut_metrics, load_step, save_step, saved_step, stage_file, sweep
from model.train.ema import Ema
from model.train.metrics import Metrics, step_row
from model.train.muon import Muon
from model.video import png_bytes
from schemas.errors import DataError, RecipeError
from schemas.recipe import StrictModel

ADAMW, MUON = "adamw", "muon"
ALONE = World()
_NetT = TypeVar("_NetT", bound=nn.Module)


class LoopRecipe(StrictModel):
    """Optimisation: Muon for matrices inside the transformer blocks and for convolutions, AdamW for everything else.

    Both rates warm up, stay flat, and fall linearly to 5 % over the last part of a stage.
    """

    batch_size: int = Field(default=8, gt=0)
    adamw_rate: float = Field(default=2e-3, gt=0)
    muon_rate: float = Field(default=0.02, gt=0)
    warmup_steps: int = Field(default=20, ge=0)
    decay_from: float = Field(default=0.5, ge=0, le=1)
    weight_decay: float = Field(default=0.01, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    ema_decay: float = Field(default=0.995, ge=0, lt=1)
    checkpoint_every: int = Field(default=100, gt=0)
    seed: int = 0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16: matrix products in bfloat16, weights and moments in fp32. fp32: everything, Muon's iteration too.
    auto: bf16 where the device multiplies it (`multiplies_bf16`), else fp32."""
    parallel: ParallelRecipe = ParallelRecipe()
    readers: int = Field(default=1, ge=1)
    """Threads that read batches ahead, and how many batches."""
    tensorboard: bool = False
    """Event files beside metrics.jsonl; needs the package tensorboard."""
    compile: bool = False
    """torch.compile for the transformer's blocks: minutes at the start, faster steps afterwards (native backbone)."""
    attention: AttentionKernel = "sdpa"
    """Kernel of the video tokens' attention; flex skips what nobody looks at and needs CUDA (native backbone)."""
    samples_every: int | None = Field(default=None, gt=0)
    """Steps between pictures samples/step-XXXXXXXX.png of what was learnt; none when empty."""


@dataclass(frozen=True)
class Stage:
    """`make` gets the file with the previous stage's averaged weights (None for the first stage).

    read_batch is a pure function of the step's random numbers. rate_scale multiplies both learning rates for this
    stage. trains: beginnings of the names of the weights that learn; all of them when empty. decay_from: share of the
    stage after which the rates fall, instead of the recipe's.
    """

    name: str
    steps: int
    rate_scale: float
    make: Callable[[Path | None], Objective]
    read_batch: Callable[[StepRng], Batch]
    trains: tuple[str, ...] = ()
    decay_from: float | None = None


@dataclass(frozen=True, slots=True)
class StepReport:
    """What the loop tells its caller after every step."""

    step: int
    total_steps: int
    stage: str
    loss: float


def run_stages(
    stages: Sequence[Stage],
    recipe: LoopRecipe,
    config: TrainedWith,
    folder: Path,
    report: Callable[[StepReport], None],
    device: torch.device,
    world: World = ALONE,
    draw: Callable[[Mapping[str, Tensor]], NDArray[np.uint8]] | None = None,
) -> None:
    """Train, from the newest saved state if there is one; the result lies in the folder.

    draw makes a picture of what the averaged weights have learnt; it is called in the first process only.
    Raises: DataError naming the samples when a loss is not finite.
    """
    total = sum(stage.steps for stage in stages)
    step = world.first(lambda: _start_from(folder))
    before = 0
    for number, stage in enumerate(stages):
        start, before = before, before + stage.steps
        if step > before or (step == before and (number + 1 == len(stages) or stage_file(folder, number).is_file())):
            continue
        previous = stage_file(folder, number - 1) if number else None
        objective = stage.make(previous)
        if previous is not None:
            fill(objective.players()[PRIMARY], load_file(str(previous)), previous)
        players = make_players(objective, recipe, device, stage.trains, world)
        if start < step:
            load_step(folder, players)
        with (
            Metrics(folder, step, world.writes, recipe.tensorboard) as metrics,
            Ahead(stage.read_batch, recipe.seed, step, before, recipe.readers) as ahead,
        ):
            while step < before:
                rate = stage.rate_scale * rate_factor(step - start, stage.steps, recipe, stage.decay_from)
                began_s = time.perf_counter()
                batch = world.together(ahead.next).to(device)
                waited_s = time.perf_counter() - began_s
                with torch.autocast(device.type, torch.bfloat16, enabled=in_bf16(recipe, device)):
                    losses = objective.losses(batch, step, StepRng(recipe.seed, step, batch.first_slot))
                done = take_step(players, losses, batch, step, rate, recipe, world)
                seconds = time.perf_counter() - began_s
                metrics.add(step_row(step, stage.name, done.loss, rate, done.norm, seconds, waited_s, done.windows))
                step += 1
                if world.writes:
                    report(StepReport(step, total, stage.name, done.loss))
                if draw is not None and recipe.samples_every is not None and step % recipe.samples_every == 0:
                    averages = {name: full(tensor) for name, tensor in players[PRIMARY].ema.tensors.items()}
                    if world.writes:
                        picture = draw(averages)
                        write_atomically(folder / SAMPLES_DIR / f"step-{step:08d}.png", png_bytes(picture))
                        metrics.picture(step - 1, picture)
                # After the picture: a run that is resumed here has drawn it.
                if step % recipe.checkpoint_every == 0 or step == before:
                    save(folder, step, players, config, world)
        if number + 1 < len(stages):
            averages = {name: full(tensor) for name, tensor in players[PRIMARY].ema.tensors.items()}
            # Nobody reads the file before it is written.
            world.first(partial(write_atomically, stage_file(folder, number), weights_bytes(averages, config)))


def _start_from(folder: Path) -> int:
    sweep(folder)
    step = saved_step(folder)
    cut_metrics(folder, step)
    return step


def make_players(
    objective: Objective,
    recipe: LoopRecipe,
    device: torch.device,
    trains: tuple[str, ...] = (),
    world: World = ALONE,
) -> dict[str, Player]:
    """Optimisers and average for everyone who learns, spread as the world says. Weight decay is for matrices only.

    Raises: RecipeError when `trains` fits no weight of the primary player.
    """
    players = {}
    for name, net in objective.players().items():
        net.to(device).train().requires_grad_(True)
        if trains and name == PRIMARY:
            for key, weight in net.named_parameters():
                weight.requires_grad_(key.startswith(trains))
            if not any(weight.requires_grad for weight in net.parameters()):
                raise RecipeError(f"trains: no weight of the network begins with {', '.join(trains)}")
        if isinstance(net, VideoDit):
            net.context = world.context
        speed_up(net, recipe)
        if world.shards is not None:
            spread(net, world.shards, in_bf16(recipe, device))
        inner = {key: weight for key, weight in net.named_parameters() if is_inner_matrix(key, weight)}
        outer = [weight for key, weight in net.named_parameters() if key not in inner]
        groups = [
            {"params": [weight for weight in outer if weight.ndim >= 2], "weight_decay": recipe.weight_decay},
            {"params": [weight for weight in outer if weight.ndim < 2], "weight_decay": 0.0},
        ]
        optimisers = {
            ADAMW: torch.optim.AdamW(
                groups, lr=recipe.adamw_rate, betas=(0.9, 0.95), fused=world.shards is None or None
            ),
            MUON: Muon(
                # As a group: a network without transformer blocks leaves it empty, which a bare list may not be.
                [{"params": list(inner.values())}],
                recipe.muon_rate,
                weight_decay=recipe.weight_decay,
                in_bf16=in_bf16(recipe, device),
            ),
        }
        players[name] = Player(net, Ema(net.state_dict(), recipe.ema_decay), optimisers)
    return players


def in_bf16(recipe: LoopRecipe, device: torch.device) -> bool:
    """Whether matrix products are in bfloat16."""
    return recipe.precision == "bf16" or (recipe.precision == "auto" and multiplies_bf16(device))


def multiplies_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16. An x86 processor without them emulates each product: measured
    on an Intel of 2019, a step takes 1.6 times as long as in fp32."""
    if device.type != "cpu":
        return True
    # PyTorch tells of these two by private names only.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def speed_up(net: _NetT, recipe: LoopRecipe) -> _NetT:
    """The same network, calculating in the way that the recipe asks for; only our own knows another."""
    if isinstance(net, VideoDit):
        net.speed_up(recipe.compile, recipe.attention)
    return net


def is_inner_matrix(name: str, weight: torch.Tensor) -> bool:
    """Weights of linear layers inside transformer blocks, which Muon is made for, and of convolutions over pictures.

    AdamW at a rate that suits the rest held those back: 240 steps of Muon taught the renderer of the first guess
    what 1,000 of AdamW did not.
    """
    if weight.ndim == 4:
        return True
    return name.startswith("blocks.") and name.endswith(".weight") and weight.ndim == 2


def rate_factor(step: int, steps: int, recipe: LoopRecipe, decay_from: float | None = None) -> float:
    """Warm-up, flat, then linear to 5 %; `step` counts from the stage's start."""
    warm = min(1.0, (step + 1) / max(1, min(recipe.warmup_steps, steps)))
    flat_until = (recipe.decay_from if decay_from is None else decay_from) * steps
    fall = 1.0 if step < flat_until else 1.0 - 0.95 * (step - flat_until) / max(1.0, steps - flat_until)
    return warm * fall


class StepDone(NamedTuple):
    """Over all processes: the primary player's loss and gradient norm before clipping, and the windows seen."""

    loss: float
    norm: float
    windows: int


def take_step(
    players: Mapping[str, Player],
    losses: Losses,
    batch: Batch,
    step: int,
    rate: float,
    recipe: LoopRecipe,
    world: World = ALONE,
) -> StepDone:
    """Backward, clip, update, average. A process counts by its windows; with a context group each has a part of the
    gradient of its windows' loss. Raises: DataError, in all processes, when a loss is not finite in one."""
    # Read at once: every look at a number makes the host wait for the device.
    of_players = torch.stack([loss.detach().float() for loss in losses.per_player.values()])
    read = torch.cat((losses.per_sample_B.detach().float(), of_players)).tolist()
    own = len(batch.keys)
    bad = [key for key, value in zip(batch.keys, read[:own], strict=True) if not math.isfinite(value)]
    if not bad and not all(math.isfinite(value) for value in read[own:]):
        bad = list(batch.keys)
    loss = dict(zip(losses.per_player, read[own:], strict=True))[PRIMARY]
    failed, seen, summed = world.total([float(bool(bad)), float(own), 0.0 if bad else loss * own])
    if failed:
        keys = dict.fromkeys(key for some in world.gathered(bad) for key in some)
        problem = DataError(
            f"step {step}: the loss is not finite on samples {', '.join(keys)}; "
            "lower loop.adamw_rate and loop.muon_rate, or look at those samples with motionloom shards view"
        )
        problem.elsewhere = not world.writes
        raise problem
    windows = round(seen * world.data_size / world.size)
    norms = {}
    for name, player in players.items():
        for optimiser in player.optimisers.values():
            # Not the network's: between forward and backward FSDP2 shows it other parameters than those that are kept.
            optimiser.zero_grad(set_to_none=True)
        part = losses.per_player[name]
        if world.size > 1:
            # FSDP2 averages over its processes; a sum is what the parts make.
            part = part * (own / windows * (world.size if world.shards is not None else 1))
        part.backward()  # type: ignore[no-untyped-call]
        weights = list(player.net.parameters())
        world.sum_gradients(weights)
        norms[name] = clipped(weights, recipe.clip_norm)
        for kind, base in ((ADAMW, recipe.adamw_rate), (MUON, recipe.muon_rate)):
            for group in player.optimisers[kind].param_groups:
                group["lr"] = base * rate
            player.optimisers[kind].step()
        player.ema.update(player.net)
    return StepDone(loss if world.size == 1 else summed / seen, float(norms[PRIMARY]), windows)


def clipped(weights: Sequence[Tensor], limit: float) -> Tensor:
    """Scale the gradients down to a common norm of at most `limit`. Returns: the norm before."""
    grads = [weight.grad for weight in weights if weight.grad is not None]
    norm = full(torch.nn.utils.get_total_norm(grads))
    torch.nn.utils.clip_grads_with_norm_(weights, limit, norm)
    return norm


def save(folder: Path, step: int, players: Mapping[str, Player], config: TrainedWith, world: World) -> None:
    """The resume state first, then the two files that other programs read; the first process writes."""
    tensors = {}
    for name, player in players.items():
        whole = player.tensors()
        tensors[name] = whole if world.writes else {}
    if not world.writes:
        return
    save_step(folder, step, tensors, {name: player.ema.updates for name, player in players.items()})
    for file, prefix in ((MODEL_FILE, "net."), (EMA_FILE, "ema.")):
        write_atomically(folder / file, weights_bytes(below(tensors[PRIMARY], prefix), config))
