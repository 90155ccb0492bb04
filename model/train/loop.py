"""The one training loop. It knows players, losses and steps; what is learned is the objective's business.

A run is a list of stages. A later stage starts from the averaged weights of the one before, with a new optimiser.
Everything random is drawn from the step number, and the state is saved whole, so a killed run that is resumed ends
with the same bits as an unbroken one (same machine, same thread count).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from safetensors.torch import load_file
from torch import nn

from model.conditions import Batch
from model.objectives.base import PRIMARY, Losses, Objective
from model.rng import StepRng
from model.store import EMA_FILE, METRICS_FILE, MODEL_FILE, TrainedWith, fill, weights_bytes, write_atomically
from model.train.ahead import Ahead
from model.train.checkpoint import Player, cut_metrics, load_step, save_step, saved_step, stage_file
from model.train.ema import Ema
from model.train.muon import Muon
from schemas.errors import DataError, RecipeError
from schemas.recipe import StrictModel

ADAMW, MUON = "adamw", "muon"


class LoopRecipe(StrictModel):
    """Optimisation: Muon for the matrices inside the transformer blocks, AdamW for everything else.

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
    precision: Literal["bf16", "fp32"] = "bf16"
    """bf16: matrix products in bfloat16, weights and moments in fp32."""


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
) -> nn.Module:
    """Train, from the newest saved state if there is one. Returns: the primary network with its averaged weights.

    Raises: DataError naming the samples when a loss is not finite.
    """
    total = sum(stage.steps for stage in stages)
    step = saved_step(folder)
    cut_metrics(folder, step)
    before = 0
    players: dict[str, Player] = {}
    for number, stage in enumerate(stages):
        start, before = before, before + stage.steps
        if step > before or (step == before and number + 1 < len(stages) and stage_file(folder, number).is_file()):
            continue
        previous = stage_file(folder, number - 1) if number else None
        objective = stage.make(previous)
        if previous is not None:
            fill(objective.players()[PRIMARY], load_file(str(previous)), previous)
        players = make_players(objective, recipe, device, stage.trains)
        if start < step:
            load_step(folder, players)
        with (
            (folder / METRICS_FILE).open("a", encoding="utf-8", buffering=1) as metrics,
            Ahead(stage.read_batch, recipe.seed, step, before) as ahead,
        ):
            while step < before:
                rate = stage.rate_scale * rate_factor(step - start, stage.steps, recipe, stage.decay_from)
                began_s = time.perf_counter()
                rng = StepRng(recipe.seed, step)
                batch = ahead.next().to(device)
                waited_s = time.perf_counter() - began_s
                with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
                    losses = objective.losses(batch, step, rng)
                norm = take_step(players, losses, batch, step, rate, recipe)
                loss = float(losses.per_player[PRIMARY].detach())
                row = {
                    "step": step,
                    "stage": stage.name,
                    "loss": loss,
                    "rate": round(rate, 6),
                    "gradient_norm": norm,
                    "seconds": round(time.perf_counter() - began_s, 4),
                    "waited_s": round(waited_s, 4),
                }
                metrics.write(json.dumps(row) + "\n")
                step += 1
                report(StepReport(step, total, stage.name, loss))
                if step % recipe.checkpoint_every == 0 or step == before:
                    save(folder, step, players, config)
        if number + 1 < len(stages):
            write_atomically(stage_file(folder, number), weights_bytes(players[PRIMARY].ema.tensors, config))
    primary = players[PRIMARY]
    fill(primary.net, primary.ema.tensors, folder / EMA_FILE)
    return primary.net.eval()


def make_players(
    objective: Objective, recipe: LoopRecipe, device: torch.device, trains: tuple[str, ...] = ()
) -> dict[str, Player]:
    """Optimisers and average for everyone who learns. Weight decay is for matrices only.

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
        inner = {key: weight for key, weight in net.named_parameters() if is_block_matrix(key, weight)}
        outer = [weight for key, weight in net.named_parameters() if key not in inner]
        groups = [
            {"params": [weight for weight in outer if weight.ndim >= 2], "weight_decay": recipe.weight_decay},
            {"params": [weight for weight in outer if weight.ndim < 2], "weight_decay": 0.0},
        ]
        optimisers = {
            ADAMW: torch.optim.AdamW(groups, lr=recipe.adamw_rate, betas=(0.9, 0.95), fused=True),
            # As a group: a network without transformer blocks leaves it empty, which a bare list may not be.
            MUON: Muon([{"params": list(inner.values())}], recipe.muon_rate, weight_decay=recipe.weight_decay),
        }
        players[name] = Player(net, Ema(net.state_dict(), recipe.ema_decay), optimisers)
    return players


def is_block_matrix(name: str, weight: torch.Tensor) -> bool:
    """Weights of linear layers inside transformer blocks, which Muon is made for."""
    return name.startswith("blocks.") and name.endswith(".weight") and weight.ndim == 2


def rate_factor(step: int, steps: int, recipe: LoopRecipe, decay_from: float | None = None) -> float:
    """Warm-up, flat, then linear to 5 %; `step` counts from the stage's start."""
    warm = min(1.0, (step + 1) / max(1, min(recipe.warmup_steps, steps)))
    flat_until = (recipe.decay_from if decay_from is None else decay_from) * steps
    fall = 1.0 if step < flat_until else 1.0 - 0.95 * (step - flat_until) / max(1.0, steps - flat_until)
    return warm * fall


def take_step(
    players: Mapping[str, Player], losses: Losses, batch: Batch, step: int, rate: float, recipe: LoopRecipe
) -> float:
    """Backward, clip, update, average. Returns: the primary player's gradient norm before clipping."""
    bad = [key for key, loss in zip(batch.keys, losses.per_sample_B.tolist(), strict=True) if not math.isfinite(loss)]
    if bad or not all(bool(torch.isfinite(loss)) for loss in losses.per_player.values()):
        raise DataError(
            f"step {step}: the loss is not finite on samples {', '.join(bad or batch.keys)}; "
            "lower loop.adamw_rate and loop.muon_rate, or look at those samples with motionloom shards view"
        )
    norms = {}
    for name, player in players.items():
        player.net.zero_grad(set_to_none=True)
        losses.per_player[name].backward()  # type: ignore[no-untyped-call]
        norms[name] = float(torch.nn.utils.clip_grad_norm_(player.net.parameters(), recipe.clip_norm))
        for kind, base in ((ADAMW, recipe.adamw_rate), (MUON, recipe.muon_rate)):
            for group in player.optimisers[kind].param_groups:
                group["lr"] = base * rate
            player.optimisers[kind].step()
        player.ema.update(player.net)
    return norms[PRIMARY]


def save(folder: Path, step: int, players: Mapping[str, Player], config: TrainedWith) -> None:
    """The resume state first, then the two files that other programs read."""
    save_step(folder, step, players)
    primary = players[PRIMARY]
    write_atomically(folder / MODEL_FILE, weights_bytes(primary.net.state_dict(), config))
    write_atomically(folder / EMA_FILE, weights_bytes(primary.ema.tensors, config))
