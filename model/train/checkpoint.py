"""Exact-resume state under MODEL/trainer: one folder per saved step, and `latest` naming the newest whole one.

    trainer/latest                     "step-00000120"
    trainer/step-00000120/…            weights, averages and optimiser moments of every player; state.json
    trainer/stage_0.safetensors        averages at the end of a finished stage, the next stage's frozen teacher
All in safetensors and JSON: nothing here can execute code when loaded.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from model.parallel.shards import full, like
from model.store import METRICS_FILE, TRAINER_DIR, fill, write_atomically
from model.train.ema import Ema
from schemas.errors import DataError

LATEST, STATE_FILE = "latest", "state.json"


@dataclass
class Player:
    """A learning network with its average and its optimisers, by name."""

    net: nn.Module
    ema: Ema
    optimisers: Mapping[str, torch.optim.Optimizer]

    def tensors(self) -> dict[str, Tensor]:
        """Weights, averages and moments under prefixed names, whole: all processes must ask."""
        out = {f"net.{name}": tensor for name, tensor in self.net.state_dict().items()}
        out |= {f"ema.{name}": tensor for name, tensor in self.ema.tensors.items()}
        for kind, optimiser in self.optimisers.items():
            for index, moments in optimiser.state_dict()["state"].items():
                out |= {f"{kind}.{index}.{name}": tensor for name, tensor in moments.items()}
        return {name: full(tensor).detach().cpu() for name, tensor in out.items()}

    def restore(self, tensors: Mapping[str, Tensor], ema_updates: int, path: Path) -> None:
        fill(self.net, below(tensors, "net."), path)
        weights = self.net.state_dict()
        averages = {name: like(tensor, weights[name]) for name, tensor in below(tensors, "ema.").items()}
        self.ema = Ema(averages, self.ema.decay, ema_updates)
        for kind, optimiser in self.optimisers.items():
            learning = [weight for group in optimiser.param_groups for weight in group["params"]]
            moments: dict[int, dict[str, Tensor]] = {}
            for name, tensor in below(tensors, f"{kind}.").items():
                index, _, moment = name.partition(".")
                moments.setdefault(int(index), {})[moment] = like(tensor, learning[int(index)])
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": moments, "param_groups": groups})


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def save_step(
    folder: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]], ema_updates: Mapping[str, int]
) -> None:
    """Write the state after `step` finished steps: the tensors of every player, and how often its average was updated.

    Older states go once the new one is named by `latest`.
    """
    trainer = folder / TRAINER_DIR
    name = f"step-{step:08d}"
    part = trainer / f".{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    for player_name, own in tensors.items():
        write_atomically(part / f"{player_name}.safetensors", save({key: own[key].contiguous() for key in own}))
    state = {"step": step, "ema_updates": dict(ema_updates)}
    write_atomically(part / STATE_FILE, json.dumps(state).encode())
    if (trainer / name).exists():
        shutil.rmtree(trainer / name)
    part.replace(trainer / name)
    write_atomically(trainer / LATEST, name.encode())
    for old in trainer.glob("step-*"):
        if old.name != name:
            shutil.rmtree(old)


def saved_step(folder: Path) -> int:
    """How many steps the newest whole state has behind it; 0 when none was saved yet."""
    latest = folder / TRAINER_DIR / LATEST
    return int(latest.read_text().removeprefix("step-")) if latest.is_file() else 0


def load_step(folder: Path, players: Mapping[str, Player]) -> None:
    """Restore every player from the newest state. Raises: DataError naming the file that does not load."""
    path = folder / TRAINER_DIR / f"step-{saved_step(folder):08d}"
    try:
        state = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
        for name, player in players.items():
            file = path / f"{name}.safetensors"
            player.restore(load_file(str(file)), int(state["ema_updates"][name]), file)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise DataError(f"{path}: the trainer state cannot be read ({error}); train into a new folder") from error


def stage_file(folder: Path, stage: int) -> Path:
    return folder / TRAINER_DIR / f"stage_{stage}.safetensors"


def sweep(folder: Path) -> None:
    """Remove what a kill left half written."""
    for part in sorted(folder.rglob(".*.part")):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


def cut_metrics(folder: Path, step: int) -> None:
    """Drop lines of steps that will be taken again, and a line that a kill left half written."""
    path = folder / METRICS_FILE
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["step"] < step:
            kept.append(line)
    write_atomically(path, "".join(f"{line}\n" for line in kept).encode())
