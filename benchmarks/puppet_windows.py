"""Puppet windows of all views, sampled together in large batches, and what the judges say of them.

Axis legend: W windows (all views one after the other), B a part of them, N tokens, C channels.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from puppet_figures import Case, Pictures, anchors_of, cases_of, metrics_of, truth_pictures
from puppet_judges import Judges
from torch import Tensor

from model.conditions import Conditions, stack_conditions
from model.data.framing import View
from model.data.reader import Clips
from model.data.windows import to_rgb
from model.generate import segment_noise, window_grid
from model.guidance import Predictor
from model.sampler import Solver, sample, time_grid
from model.store import LoadedModel

VIEWS: tuple[View, ...] = ("subject", "face", "right_hand")
PredictorOf = Callable[[Conditions], Predictor]
Row = dict[str, float]
Rows = dict[str, dict[View, Row]]
"""Metrics by label and view."""


@dataclass(frozen=True)
class Windows:
    """The cases of every view and, in the same order, their conditions on the device that samples them."""

    cases: Mapping[View, list[Case]]
    conditions: Conditions
    part: int

    @property
    def count(self) -> int:
        return self.conditions.batch_size

    def by_view(self, made: Pictures) -> dict[View, Pictures]:
        ends = np.cumsum([len(chosen) for chosen in self.cases.values()])[:-1]
        return dict(zip(self.cases, np.split(made, ends), strict=True))


def windows_of(clips: Clips, model: LoadedModel, count: int, device: torch.device) -> Windows:
    """`count` held-aside windows of each view, always the same ones."""
    cases = {view: cases_of(clips, model, view, count, 0) for view in VIEWS}
    stacked = stack_conditions([case.conditions for chosen in cases.values() for case in chosen])
    return Windows(cases, stacked.to(device), 144 if device.type == "cuda" else 16)


def noise_of(model: LoadedModel, windows: Windows, seed: int) -> Tensor:
    """Starting noise (W, N, C): the same for every way of sampling."""
    return segment_noise(model, windows.conditions, seed, 0)


@torch.no_grad()
def sampled(
    model: LoadedModel,
    conditions: Conditions,
    noise_WNC: Tensor,
    predictor: PredictorOf,
    times: list[float],
    solver: Solver = "euler",
    part: int = 144,
) -> Pictures:
    """(W, T, size, size, 3) from the noise, `part` windows at a time."""
    made = []
    for start in range(0, len(noise_WNC), part):
        rows = slice(start, start + part)
        chosen = conditions.map(lambda value, rows=rows: value[rows])  # type: ignore[misc]
        with torch.autocast(noise_WNC.device.type, torch.bfloat16):
            tokens = sample(predictor(chosen), noise_WNC[rows], times, solver=solver).tokens_BNC
        made.append(to_rgb(model.codec.decode(tokens.float().cpu(), window_grid(model))))
    return np.concatenate(made)


def drawn(
    model: LoadedModel, windows: Windows, noise_WNC: Tensor, predictor: PredictorOf, steps: int,
    solver: Solver = "euler",
) -> Pictures:  # fmt: skip
    """All windows in `steps` steps of the model's own time shift."""
    times = time_grid(steps, model.config.sampling.shift)
    return sampled(model, windows.conditions, noise_WNC, predictor, times, solver, windows.part)


def judged(judges: Judges, windows: Windows, made: Pictures) -> dict[View, Row]:
    return {view: metrics_of(judges, windows.cases[view], part) for view, part in windows.by_view(made).items()}


def anchor_pictures(windows: Windows) -> dict[str, Pictures]:
    """What puppet_figures' anchors are, all views one after the other."""
    by_view = [anchors_of(chosen) for chosen in windows.cases.values()]
    return {f"anchor: {name}": np.concatenate([made[name] for made in by_view]) for name in by_view[0]}


def true_pictures(windows: Windows) -> Pictures:
    return np.concatenate([truth_pictures(chosen) for chosen in windows.cases.values()])


def distance_db(one: Pictures, other: Pictures) -> float:
    """Mean over windows of the PSNR of one against the other, at most 78 dB (equal)."""
    mse_W = ((one.astype(np.float32) - other.astype(np.float32)) ** 2).mean(axis=(1, 2, 3, 4))
    return float((10 * np.log10(255**2 / np.maximum(mse_W, 1e-3))).mean())


def mean_row(rows: Sequence[Mapping[str, float]]) -> Row:
    return {name: statistics.fmean(row[name] for row in rows) for name in rows[0]}


def median_seconds(work: Callable[[], object], device: torch.device, repeats: int = 5) -> float:
    """Wall seconds, median of `repeats` after one run that does not count."""
    seconds = []
    for number in range(repeats + 1):
        began_s = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number:
            seconds.append(time.perf_counter() - began_s)
    return statistics.median(seconds)
