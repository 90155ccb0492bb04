"""Metrics of generated puppet windows against the truth, with anchors that show what each metric rewards.

Axis legend: W windows, T frames, H W pixels; pictures are uint8, 64 px. Every metric is an error (lower is better)
unless its name ends in `ratio`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from puppet_judges import MAX_CLOSE_PX, SIZE_PX, Judges, Truth, frechet, hand_is_seen, judge_view, mean_of, truth_of

from model.conditions import GROUPS, Conditions, stack_conditions
from model.data.clips import Clip
from model.data.framing import View
from model.data.reader import Clips, DataRecipe, StageData, WindowReader
from model.data.windows import to_rgb
from model.generate import segment_noise, window_grid, with_one_backdrop
from model.guidance import DualBranch, GuidanceRecipe, Predictor, SingleBranch
from model.sampler import sample, time_grid
from model.store import LoadedModel

Pictures = NDArray[np.uint8]
# Midpoints of these parts show the colours that make an identity: upper arms, thighs, chest, head.
PARTS = ((3, 5), (4, 6), (9, 11), (10, 12))
PLAIN = StageData.model_validate(
    {
        "augment": {"limbs": 0, "missing": 0, "unsure": 0},
        "references": {"counts": [1], "other_clip": 1.0, "same_view": 1.0},
    }
)
"""One reference, of the same subject in another clip; nothing augmented."""
EYES = {"subject": 60, "face": 40, "left_hand": 20, "right_hand": 20}


@dataclass(frozen=True)
class Case:
    """One window to generate: its truth and what steers it."""

    clip: Clip
    frame_T: NDArray[np.int64]
    view: View
    rgb_THW3: Pictures
    truth: Truth
    conditions: Conditions


def cases_of(
    clips: Clips, model: LoadedModel, view: View, count: int, seed: int, stage: StageData | None = None
) -> list[Case]:
    """Windows of held-aside clips in one view; the reference shows the same subject in another clip."""
    reader = WindowReader(clips, stage or PLAIN, model.config.expression_names, seed)
    frames, rng = model.config.data.frames, np.random.default_rng((seed, EYES[view]))
    cases: list[Case] = []
    while len(cases) < count:
        clip = clips.get(int(rng.integers(len(clips.entries))))
        stride = int(rng.integers(1, 3)) if view == "subject" else 1
        start = int(rng.integers(len(clip.pts_s_T) - stride * (frames - 1)))
        frame_T = start + stride * np.arange(frames)
        time_s_T = clip.pts_s_T[frame_T]
        square = clip.square_of(view, float(time_s_T[0]), float(time_s_T[-1]))
        if view != "subject" and (square == clip.square or square.side_px > MAX_CLOSE_PX):
            continue
        if view.endswith("hand") and not hand_is_seen(clip, frame_T):
            continue
        conditions = reader.made(clip, frame_T, view, rng, SIZE_PX, model.codec, model.text)[2]
        cases.append(
            Case(clip, frame_T, view, clip.seen(frame_T, square, SIZE_PX), truth_of(clip, frame_T, view), conditions)
        )
    return cases


@torch.no_grad()
def generated(
    model: LoadedModel,
    conditions: Conditions,
    predictor: Callable[[Conditions], Predictor],
    steps: int,
    seed: int = 0,
    given: Sequence[str] = GROUPS,
) -> Pictures:
    """(W, T, 64, 64, 3), at the model's own time shift. given: the groups that the predictor is given.

    Noise depends on seed and place alone: every way of sampling gets the same.
    """
    device = next(model.net.parameters()).device
    noise = segment_noise(model, conditions.to(device), seed, 0, given)
    with torch.autocast(device.type, torch.bfloat16):
        tokens = sample(
            predictor(conditions.to(device)), noise, time_grid(steps, model.config.sampling.shift)
        ).tokens_BNC
    return to_rgb(model.codec.decode(tokens.float().cpu(), window_grid(model)))


def single(model: LoadedModel, given: Sequence[str] = GROUPS) -> Callable[[Conditions], Predictor]:
    def made(conditions: Conditions) -> Predictor:
        strength = model.config.sampling.strength
        branch = SingleBranch(model.net, conditions, window_grid(model), strength, given)
        return with_one_backdrop(model, branch, conditions, given)

    return made


def dual(
    model: LoadedModel, recipe: GuidanceRecipe, given: Sequence[str] = GROUPS
) -> Callable[[Conditions], Predictor]:
    def made(conditions: Conditions) -> Predictor:
        branches = DualBranch(model.net, conditions, window_grid(model), recipe, given)
        return with_one_backdrop(model, branches, conditions, given)

    return made


def in_batches(
    model: LoadedModel, cases: Sequence[Case], predictor: Callable[[Conditions], Predictor], steps: int, seed: int = 0,
    size: int = 16, given: Sequence[str] = GROUPS,
) -> Pictures:  # fmt: skip
    made = []
    for start in range(0, len(cases), size):
        batch = stack_conditions([case.conditions for case in cases[start : start + size]])
        made.append(generated(model, batch, predictor, steps, seed + start, given))
    return np.concatenate(made)


def truth_pictures(cases: Sequence[Case]) -> Pictures:
    return np.stack([case.rgb_THW3 for case in cases])


def anchors_of(cases: Sequence[Case]) -> dict[str, Pictures]:
    """What each metric says of things that are no animation."""
    truth = truth_pictures(cases)
    rng = np.random.default_rng(0)
    blurred = np.stack([[cv2.blur(frame, (5, 5)) for frame in window] for window in truth])
    noisy = np.clip(truth + rng.normal(0, 40, truth.shape), 0, 255).astype(np.uint8)
    return {
        "ground truth": truth,
        "shuffled": np.roll(truth, 1, axis=0),
        "static": np.repeat(truth[:, :1], truth.shape[1], axis=1),
        "blurred": blurred,
        "noise": noisy,
    }


def metrics_of(judges: Judges, cases: Sequence[Case], made: Pictures) -> dict[str, float]:
    """Every metric that the cases' view has.

    pose_px and fingers_px (tips from the wrist) compare what the judge reads in the made and in the true frames, the
    average keypoint distance of the field (Siarohin et al. 2019); joints_px and hand_px compare with where the joints
    are: in the row of the ground truth they are the judge's own error. identity compares the colours of parts, in made
    frames where the judge sees them: a figure that stands elsewhere is not another figure.
    """
    view = judge_view(cases[0].view)
    windows, frames = made.shape[:2]
    truth = truth_pictures(cases)

    def read(pictures: Pictures) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        points, numbers = judges.read(view, pictures.reshape(-1, *pictures.shape[2:]))
        return points.reshape(windows, frames, *points.shape[1:]), numbers.reshape(windows, frames, -1)

    (points, numbers), (read_points, _) = read(made), read(truth)
    true_points = np.stack([case.truth.points_TJ2 for case in cases])
    true_numbers = np.stack([case.truth.numbers_TK for case in cases])
    inside = ((true_points > 0) & (true_points < SIZE_PX)).all(axis=-1)
    out: dict[str, float] = {}
    if view == "subject":
        out["pose_px"] = float(np.linalg.norm(points - read_points, axis=-1)[inside].mean())
        out["joints_px"] = float(np.linalg.norm(points - true_points, axis=-1)[inside].mean())
        pairs = zip(made, points, truth, true_points, strict=True)
        out["identity"] = mean_of([identity_error(m, seen, t, there) for m, seen, t, there in pairs])
        masks = [backdrop_mask(each) for each in true_points]
        # Neither the true puppet nor one that stands elsewhere is backdrop.
        free = [mask & backdrop_mask(each) for mask, each in zip(masks, points, strict=True)]
        out["backdrop_colour"] = mean_of([_colour_error(m, t, k) for m, t, k in zip(made, truth, free, strict=True)])
        out["texture_ratio"] = _texture(made, masks) / _texture(truth, masks)
    elif view == "face":
        seen = np.stack([case.conditions.face_present_BT[0].numpy() for case in cases])
        off = np.abs(numbers - true_numbers)
        out["mouth"] = float(off[..., 0][seen].mean())
        out["smile"] = float(off[..., 1][seen].mean())
        out["gaze"] = float(off[..., 2:4][seen].mean())
        out["turn"] = float(off[..., 4:][seen].mean())
    else:
        own, read_own = points[:, :, 1:] - points[:, :, :1], read_points[:, :, 1:] - read_points[:, :, :1]
        out["fingers_px"] = float(np.linalg.norm(own - read_own, axis=-1)[inside[:, :, 1:]].mean())
        out["hand_px"] = float(np.linalg.norm(points - true_points, axis=-1)[inside].mean())
    mse = ((made.astype(np.float32) - truth.astype(np.float32)) ** 2).mean(axis=(1, 2, 3, 4))
    out["psnr_db"] = float((10 * np.log10(255**2 / np.maximum(mse, 1e-3))).mean())
    flat = made.reshape(-1, *made.shape[2:])
    out["frechet"] = frechet(judges.features(view, flat), judges.features(view, truth.reshape(flat.shape)))
    out["sharpness_ratio"] = _sharpness(made) / _sharpness(truth)
    return out


def identity_error(
    made: Pictures, seen_TJ2: NDArray[np.float32], truth: Pictures, true_TJ2: NDArray[np.float32]
) -> float:
    """Mean absolute colour difference (0-255) in the middle of arms, thighs, chest and head, each in its own pose."""
    return float(np.abs(part_colours(made, seen_TJ2) - part_colours(truth, true_TJ2)).mean())


def part_colours(rgb_THW3: Pictures, points_TJ2: NDArray[np.float32]) -> NDArray[np.float32]:
    """(parts, 3): mean colour over the window of each part that makes an identity."""
    places = [(points_TJ2[:, a] + points_TJ2[:, b]) / 2 for a, b in PARTS]
    shoulders, hips = points_TJ2[:, 3:5].mean(axis=1), points_TJ2[:, 9:11].mean(axis=1)
    ears = points_TJ2[:, 1:3].mean(axis=1)
    up = (ears - shoulders) / np.linalg.norm(ears - shoulders, axis=1, keepdims=True).clip(1)
    places += [shoulders + 0.42 * (hips - shoulders), ears + 3.2 * up]
    colours = []
    for place_T2 in places:
        x, y = (np.clip(np.round(place_T2[:, axis] - 0.5), 1, SIZE_PX - 2).astype(int) for axis in (0, 1))
        patches = [
            frame[j - 1 : j + 2, i - 1 : i + 2].reshape(-1, 3) for frame, i, j in zip(rgb_THW3, x, y, strict=True)
        ]
        colours.append(np.concatenate(patches).astype(np.float32).mean(axis=0))
    return np.stack(colours)


def backdrop_mask(points_TJ2: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(T, 64, 64): pixels well away from the puppet."""
    order = [(3, 4), (3, 9), (4, 10), (9, 10), (3, 5), (5, 7), (4, 6), (6, 8), (9, 11), (11, 13), (10, 12), (12, 14),
             (1, 2), (13, 17), (14, 18)]  # fmt: skip
    masks = []
    for points_J2 in points_TJ2:
        body = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
        for a, b in order:
            ends = [tuple(int(v) for v in np.clip(points_J2[j], -200, 200)) for j in (a, b)]
            cv2.line(body, ends[0], ends[1], 255, 9)
        cv2.circle(body, tuple(int(v) for v in np.clip(points_J2[0], -200, 200)), 9, 255, -1)
        masks.append(body == 0)
    return np.stack(masks)


def _colour_error(made: Pictures, truth: Pictures, mask: NDArray[np.bool_]) -> float:
    return float(np.abs(made[mask].mean(axis=0) - truth[mask].mean(axis=0)).mean())


def _texture(windows: Pictures, masks: Sequence[NDArray[np.bool_]]) -> float:
    """Mean standard deviation of the backdrop's luma within a window."""
    return mean_of([float(window.mean(axis=-1)[mask].std()) for window, mask in zip(windows, masks, strict=True)])


def _sharpness(windows: Pictures) -> float:
    """Mean absolute Laplacian of the luma: what blur takes away first."""
    luma = windows.astype(np.float32).mean(axis=-1)
    return float(
        np.mean([np.abs(cv2.Laplacian(frame, cv2.CV_32F)).mean() for frame in luma.reshape(-1, *luma.shape[2:])])
    )


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown, one line per row."""
    names = list(next(iter(rows.values())))
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {label} | " + " | ".join(f"{row[name]:.3f}" for name in names) + " |" for label, row in rows.items()]
    return "\n".join(lines)


def held_clips(dataset: str) -> Clips:
    return Clips(Path(dataset), DataRecipe(size_px=SIZE_PX, cache_mib=4096))
