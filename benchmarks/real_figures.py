"""Errors of a teacher on windows of real clips, beside what pictures that stand still would score.

Axis legend: W windows, L noise levels, N tokens, C channels, T frames, H W pixels, F features; pictures are uint8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.codec.base import VideoCodec
from model.conditions import GROUPS, Conditions, stack_conditions
from model.data.framing import View
from model.data.reader import Clips, StageData, WindowReader
from model.data.windows import to_model_range, to_rgb
from model.generate import segment_noise, window_grid, with_one_backdrop
from model.guidance import DualBranch, GuidanceRecipe, SingleBranch
from model.objectives.base import MIN_NOISE, noised
from model.rng import StepRng
from model.sampler import sample, time_grid
from model.store import LoadedModel

Pictures = NDArray[np.uint8]
Errors = NDArray[np.float64]
LEVELS = (0.0, 0.1, 0.3, 0.5, 0.7)
BATCH = 8
LEAST_SPREAD = 0.1
"""In units of a feature: 3 grey levels of a mean colour, a tenth of the energy of detail or change."""
COPY, FIRST, MEAN, TRAINED = "copy of the reference", "first frame", "mean frame", "mean training picture"
PLAIN = StageData.model_validate(
    {
        "augment": {"limbs": 0, "missing": 0, "unsure": 0},
        "references": {"counts": [1], "other_clip": 0.0, "same_view": 1.0},
    }
)
"""One reference from the window's own clip, half a second or more away, in the same square; nothing augmented."""


@dataclass(frozen=True)
class Window:
    """True frames, the reference's picture, and what the network gets."""

    key: str
    rgb_THW3: Pictures
    reference_HW3: Pictures
    tokens_1NC: Tensor
    conditions: Conditions


def windows_of(clips: Clips, model: LoadedModel, view: View, per_clip: int, seed: int) -> list[Window]:
    """`per_clip` windows of every clip, evenly spaced, every other one at the second stride if it fits; close views
    only where their part is seen."""
    reader, frames = WindowReader(clips, PLAIN, model.config.expression_names, seed), model.config.data.frames
    size_px, strides = model.config.data.size_px, model.config.data.strides
    found = []
    for index in range(len(clips.entries)):
        clip = clips.get(index)
        length = len(clip.pts_s_T)
        for number in range(per_clip):
            fitting = [stride for stride in strides if (frames - 1) * stride < length]
            if not fitting:
                continue
            stride = fitting[number % len(fitting)]
            start = round((number + 0.5) / per_clip * (length - 1 - (frames - 1) * stride))
            frame_T = start + stride * np.arange(frames)
            time_s_T = clip.pts_s_T[frame_T]
            square = clip.square_of(view, float(time_s_T[0]), float(time_s_T[-1]))
            if view != "subject" and square == clip.square:
                continue
            rng = StepRng(seed, index).numpy(number, f"window of {view}")
            tokens, _, conditions, key = reader.made(clip, frame_T, view, rng, size_px, model.codec, model.text)
            still_grid = (1, *window_grid(model)[1:])
            reference = model.codec.decode(conditions.reference_BKNC[:, 0], still_grid)[0, 0]
            rgb = clip.seen(frame_T, square, size_px)
            found.append(Window(key, rgb, to_rgb(reference), tokens, conditions))
    return found


def tokens_of(windows: Sequence[Window]) -> Tensor:
    return torch.cat([window.tokens_1NC for window in windows])


def truth_of(windows: Sequence[Window]) -> Pictures:
    return np.stack([window.rgb_THW3 for window in windows])


def stills_of(windows: Sequence[Window], codec: VideoCodec, trained: Sequence[Window]) -> dict[str, Tensor]:
    """(W, N, C) by name: one picture each, held over the window, in the tokens that the network predicts.

    The reference is what the network sees as well, the mean training picture is known beforehand. The first frame is
    part of the answer, and the window's mean frame is the best of all stills in squared error: anchors, not rivals.
    """
    frames = windows[0].rgb_THW3.shape[0]
    truth = to_model_range(truth_of(windows))

    def held(rgb_WHW3: Tensor) -> Tensor:
        return codec.encode(rgb_WHW3.unsqueeze(1).expand(-1, frames, -1, -1, -1))

    references = to_model_range(np.stack([window.reference_HW3 for window in windows]))
    mean = to_model_range(truth_of(trained)).mean(dim=(0, 1))
    return {
        COPY: held(references),
        TRAINED: held(mean.expand(len(windows), -1, -1, -1)),
        FIRST: held(truth[:, 0]),
        MEAN: held(truth.mean(dim=1)),
    }


def still_errors_W(stills_WNC: Tensor, windows: Sequence[Window]) -> Errors:
    return (stills_WNC - tokens_of(windows)).square().mean(dim=(1, 2)).double().numpy()


def noisy_of(windows: Sequence[Window], first: int, times: Sequence[float], level: int, seed: int) -> Tensor:
    """z = t x + (1 - t) noise; the noise depends on seed, window and level only, so that all see the same."""
    tokens = tokens_of(windows)
    noise = StepRng(seed, level, first).normal_like(tokens, "noise of a held-aside window")
    return noised(tokens, noise, torch.full((len(windows),), times[level]))


@torch.no_grad()
def network_errors_LW(
    model: LoadedModel, windows: Sequence[Window], times: Sequence[float], seed: int, given: Sequence[str] = GROUPS
) -> Errors:
    """Squared error of the predicted tokens, mean over a window, at every noise level."""
    device = next(model.net.parameters()).device
    columns = []
    for first in range(0, len(windows), BATCH):
        part = windows[first : first + BATCH]
        conditions = stack_conditions([window.conditions for window in part]).to(device)
        clean, rows = tokens_of(part), []
        with torch.autocast(device.type, torch.bfloat16):
            branch = SingleBranch(model.net, conditions, window_grid(model), None, given)
            for level, t in enumerate(times):
                made = branch.predict(noisy_of(part, first, times, level, seed).to(device), t).float().cpu()
                rows.append((made - clean).square().mean(dim=(1, 2)).double().numpy())
        columns.append(np.stack(rows))
    return np.concatenate(columns, axis=1)


def corrected_errors_LW(
    stills_WNC: Tensor, variance: float, windows: Sequence[Window], times: Sequence[float], seed: int
) -> Errors:
    """A still corrected by the noisy tokens as far as these can be trusted: the best linear guess for a truth that
    differs from the still by white noise of `variance` (measured on training clips). Source: the Wiener filter."""
    rows = []
    for level, t in enumerate(times):
        noisy = noisy_of(windows, 0, times, level, seed)
        gain = t * variance / (t * t * variance + (1 - t) ** 2)
        made = stills_WNC + gain * (noisy - t * stills_WNC)
        rows.append((made - tokens_of(windows)).square().mean(dim=(1, 2)).double().numpy())
    return np.stack(rows)


def by_clip(
    model: LoadedModel, windows: Sequence[Window], names: Mapping[str, str], seed: int
) -> dict[str, dict[str, float]]:
    """Error of the clean tokens from pure noise, over that of copying the reference, for each clip."""
    network_W = network_errors_LW(model, windows, (0.0,), seed)[0]
    stills = stills_of(windows, model.codec, windows)
    copy_W, first_W = (still_errors_W(stills[name], windows) for name in (COPY, FIRST))
    rows = {}
    for key in dict.fromkeys(window.key for window in windows):
        own = np.array([window.key == key for window in windows])
        unit = copy_W[own].mean()
        rows[names[key]] = {
            "copy: mean squared error x 1000": 1000 * float(unit),
            "network / copy": float(network_W[own].mean() / unit),
            "first frame / copy": float(first_W[own].mean() / unit),
        }
    return rows


def without(model: LoadedModel, windows: Sequence[Window], seed: int) -> dict[str, dict[str, float]]:
    """Error of the clean tokens near noise, over that with all conditions."""
    times, rows = LEVELS[:3], {}
    whole = network_errors_LW(model, windows, times, seed).mean(axis=1)
    for group in GROUPS:
        given = [name for name in GROUPS if name != group]
        found = network_errors_LW(model, windows, times, seed, given).mean(axis=1)
        rows[f"without {group}"] = {f"t = {t}": float(found[level] / whole[level]) for level, t in enumerate(times)}
    return rows


def loss_weights_L(times: Sequence[float]) -> Errors:
    """What turns an error of tokens into one of velocities, as in training."""
    return 1.0 / np.maximum(1.0 - np.array(times), MIN_NOISE) ** 2


@torch.no_grad()
def generated(model: LoadedModel, windows: Sequence[Window], steps: int, strength: float, seed: int) -> Pictures:
    """(W, T, H, W, 3) from noise in `steps` steps; noise depends on seed and place alone."""
    device, grid, made = next(model.net.parameters()).device, window_grid(model), []
    for first in range(0, len(windows), BATCH):
        part = windows[first : first + BATCH]
        conditions = stack_conditions([window.conditions for window in part]).to(device)
        noise = segment_noise(model, conditions, seed, first)
        with torch.autocast(device.type, torch.bfloat16):
            branch = DualBranch(model.net, conditions, grid, GuidanceRecipe(strength=strength))
            predictor = with_one_backdrop(model, branch, conditions)
            tokens = sample(predictor, noise, time_grid(steps, model.config.sampling.shift)).tokens_BNC
        made.append(to_rgb(model.codec.decode(tokens.float().cpu(), grid)))
    return np.concatenate(made)


def anchors_of(windows: Sequence[Window]) -> dict[str, Pictures]:
    """What each metric says of things that are no animation; `shuffled` gives every window another clip's frames."""
    truth, rng = truth_of(windows), np.random.default_rng(0)
    keys = [window.key for window in windows]
    following = [[*range(index + 1, len(keys)), *range(index + 1)] for index in range(len(keys))]
    others = [
        next((at for at in order if keys[at] != key), order[0]) for key, order in zip(keys, following, strict=True)
    ]
    return {
        "ground truth": truth,
        "shuffled": truth[others],
        "static (first frame)": np.repeat(truth[:, :1], truth.shape[1], axis=1),
        "copy of the reference": np.repeat(
            np.stack([window.reference_HW3 for window in windows])[:, None], truth.shape[1], axis=1
        ),
        "blurred": np.stack([[cv2.blur(frame, (5, 5)) for frame in window] for window in truth]),
        "noise": np.clip(truth + rng.normal(0, 40, truth.shape), 0, 255).astype(np.uint8),
    }


def metrics_of(made: Pictures, truth: Pictures, scale_F: NDArray[np.float64]) -> dict[str, float]:
    """psnr_db: mean over windows. frechet: below. sharpness_ratio: mean absolute Laplacian over the truth's.
    motion_ratio: mean change between frames over the truth's. motion_r: correlation of what changes within a window
    (differences to the window's mean frame) with what changes in truth; 0 for a still."""
    off = made.astype(np.float64) - truth
    mse_W = np.square(off).mean(axis=(1, 2, 3, 4))
    moving, true_moving = (each - each.mean(axis=1, keepdims=True) for each in (made.astype(np.float64), truth))
    both = (moving * true_moving).sum(axis=(1, 2, 3, 4))
    size = np.sqrt(np.square(moving).sum(axis=(1, 2, 3, 4)) * np.square(true_moving).sum(axis=(1, 2, 3, 4)))
    changes = [np.abs(np.diff(each.astype(np.float64), axis=1)).mean() for each in (made, truth)]
    return {
        "psnr_db": float((10 * np.log10(255**2 / np.maximum(mse_W, 0.1))).mean()),
        "frechet": frechet(features_MF(made), features_MF(truth), scale_F),
        "sharpness_ratio": _sharpness(made) / _sharpness(truth),
        "motion_ratio": changes[0] / changes[1],
        "motion_r": float((both / np.maximum(size, 1.0)).mean()),
    }


def features_MF(rgb_WTHW3: Pictures) -> NDArray[np.float64]:
    """A row per frame: mean colours in 4 x 4 cells, and there the log energy of three octaves and of the change to the
    next frame. Made by hand, because no network that knows real pictures comes with the packages."""
    rows = []
    for window in rgb_WTHW3:
        luma = window.astype(np.float32).mean(axis=-1)
        change = np.abs(np.diff(luma, axis=0, append=luma[-2:-1]))
        for rgb, grey, moved in zip(window, luma, change, strict=True):
            row, level = [_cells(rgb.astype(np.float32) / 32).ravel()], grey
            for _ in range(3):
                lower = cv2.pyrDown(level)
                detail = level - cv2.resize(lower, level.shape[::-1], interpolation=cv2.INTER_LINEAR)
                row.append(np.log(1 + _cells(np.abs(detail))).ravel())
                level = lower
            row.append(np.log(1 + _cells(moved)).ravel())
            rows.append(np.concatenate(row))
    return np.stack(rows).astype(np.float64)


def feature_scale_F(rgb_WTHW3: Pictures) -> NDArray[np.float64]:
    """Spread of the features over training frames; what hardly varies there must not count beyond all others."""
    return np.maximum(features_MF(rgb_WTHW3).std(axis=0), LEAST_SPREAD)


def _cells(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(plane, (4, 4), interpolation=cv2.INTER_AREA))


def frechet(one_MF: NDArray[np.float64], other_MF: NDArray[np.float64], scale_F: NDArray[np.float64]) -> float:
    """Between Gaussians with diagonal covariances, features in units of `scale_F`, mean over features."""
    mean, spread = one_MF.mean(0) - other_MF.mean(0), one_MF.std(0) - other_MF.std(0)
    return float((np.square(mean / scale_F) + np.square(spread / scale_F)).mean())


def _sharpness(rgb_WTHW3: Pictures) -> float:
    luma = rgb_WTHW3.astype(np.float32).mean(axis=-1)
    flat = luma.reshape(-1, *luma.shape[2:])
    return float(np.mean([np.abs(cv2.Laplacian(frame, cv2.CV_32F)).mean() for frame in flat]))


def sheet_of(windows: Sequence[Window], made: Pictures, enlarge: int = 2) -> Pictures:
    """Two rows per window: the reference and the true frames, below them the made frames."""
    rows = []
    for window, frames in zip(windows, made, strict=True):
        rows.append(np.concatenate([window.reference_HW3, *window.rgb_THW3], axis=1))
        rows.append(np.concatenate([np.zeros_like(window.reference_HW3), *frames], axis=1))
    return np.concatenate(rows).repeat(enlarge, axis=0).repeat(enlarge, axis=1)


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown, one line per row."""
    names = list(next(iter(rows.values())))
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {label} | " + " | ".join(f"{row[name]:.3f}" for name in names) + " |" for label, row in rows.items()]
    return "\n".join(lines)
