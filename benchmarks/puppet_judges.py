"""Judges of puppet videos: small networks that read joints, faces, fingers and actions from pixels.

They are trained on true frames of puppets (never those that are judged), with noise, blur and colour shifts, so that
a generated frame is read and not refused. Their own error on true frames is printed beside every metric.
Axis legend: M frames, T frames of a window, J points, H W pixels; points are px of the 64 px picture.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from puppets import ACTIONS
from torch import Tensor, nn

from model.data.clips import Clip
from model.data.framing import View
from model.data.motion_inputs import motion_inputs
from model.data.reader import Clips, DataRecipe
from model.motion.encoders import BODY_JOINTS

SIZE_PX = 64
SHIFT_PX = 5
BATCH = 48
NAMES = ("jawOpen", "mouthSmileLeft")
HAND_POINTS = (0, 4, 8, 12, 16, 20)
"""Wrist and fingertips."""
MAX_CLOSE_PX = 75.0
"""A close view larger than this (of 192 px) shows its part too small to judge."""
JUDGE_VIEWS = ("subject", "face", "hand")
FACE_NUMBERS = ("mouth", "smile", "gaze_x", "gaze_y", "yaw", "pitch")


def _layer(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class PointJudge(nn.Module):
    """A small U-Net: heatmaps of 32 x 32 to points, the coarsest features to a few numbers."""

    def __init__(self, points: int, numbers: int) -> None:
        super().__init__()
        self.fine = _layer(3, 32, 5, 2)
        self.middle = nn.Sequential(_layer(32, 64, 3, 2), _layer(64, 64))
        self.coarse = nn.Sequential(_layer(64, 96, 3, 2), _layer(96, 96), _layer(96, 96))
        self.to_middle = _layer(96 + 64, 64)
        self.to_fine = _layer(64 + 32, 32)
        self.heat = nn.Conv2d(32, points, 1)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.numbers = nn.Sequential(nn.Linear(1536, 64), nn.ReLU(), nn.Linear(64, numbers))

    def features(self, rgb_M3HW: Tensor) -> Tensor:
        """(M, 1536): what a Frechet distance is taken over."""
        return self.pool(self.coarse(self.middle(self.fine(rgb_M3HW))))  # type: ignore[no-any-return]

    def forward(self, rgb_M3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Points (M, J, 2) in px and numbers (M, K)."""
        fine = self.fine(rgb_M3HW)
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        hidden = self.to_middle(torch.cat((F.interpolate(coarse, scale_factor=2), middle), dim=1))
        hidden = self.to_fine(torch.cat((F.interpolate(hidden, scale_factor=2), fine), dim=1))
        heat = self.heat(hidden).float()
        count, points, h, w = heat.shape
        share = torch.softmax(heat.reshape(count, points, -1), dim=-1).reshape(count, points, h, w)
        x = (torch.arange(w, device=heat.device) + 0.5) * (SIZE_PX / w)
        y = (torch.arange(h, device=heat.device) + 0.5) * (SIZE_PX / h)
        at = torch.stack(((share.sum(dim=2) * x).sum(dim=-1), (share.sum(dim=3) * y).sum(dim=-1)), dim=-1)
        return at, self.numbers(self.pool(coarse))


@dataclass
class Judges:
    """One judge per view, and who does what from a window's joints."""

    nets: dict[str, PointJudge]
    action: nn.Module

    @property
    def device(self) -> torch.device:
        return next(self.action.parameters()).device

    @torch.no_grad()
    def read(self, view: str, rgb_MHW3: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Points (M, J, 2) and numbers (M, K)."""
        parts = _planes(rgb_MHW3).to(self.device).split(256)
        points, numbers = zip(*(self.nets[view](part) for part in parts), strict=True)
        return torch.cat(points).cpu().numpy(), torch.cat(numbers).cpu().numpy()

    @torch.no_grad()
    def features(self, view: str, rgb_MHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = _planes(rgb_MHW3).to(self.device).split(256)
        return torch.cat([self.nets[view].features(part) for part in parts]).cpu().numpy()

    @torch.no_grad()
    def actions(self, points_WTJ2: NDArray[np.float32]) -> NDArray[np.int64]:
        """The action of every window, from the joints that the subject judge reads."""
        features = torch.from_numpy(_window_features(points_WTJ2)).to(self.device)
        return np.asarray(self.action(features).argmax(dim=1).cpu().numpy())


def _planes(rgb_MHW3: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(rgb_MHW3)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def _window_features(points_WTJ2: NDArray[np.float32]) -> NDArray[np.float32]:
    """Joints from the middle of the hips in torso lengths, with their speed."""
    hips = points_WTJ2[:, :, 9:11].mean(axis=2, keepdims=True)
    shoulders = points_WTJ2[:, :, 3:5].mean(axis=2, keepdims=True)
    torso = np.linalg.norm(shoulders - hips, axis=-1, keepdims=True).mean(axis=1, keepdims=True).clip(2)
    placed = (points_WTJ2 - hips) / torso
    speed = np.diff(placed, axis=1)
    place = np.diff(hips / torso, axis=1)
    parts = [part.reshape(len(placed), -1) for part in (placed, speed, place)]
    return np.concatenate(parts, axis=1).astype(np.float32)


@dataclass(frozen=True)
class Truth:
    """What is true of the frames of one window in its view: points and numbers as the view's judge gives them."""

    points_TJ2: NDArray[np.float32]
    numbers_TK: NDArray[np.float32]


def truth_of(clip: Clip, frame_T: NDArray[np.int64], view: View) -> Truth:
    time_s_T = clip.pts_s_T[frame_T]
    square = clip.square_of(view, float(time_s_T.min()), float(time_s_T.max()))
    motion = motion_inputs(time_s_T, square, NAMES, clip.tracks)
    if view == "subject":
        world = clip.tracks.body.joints_world_m_PTJ3[0][frame_T]
        across = world[:, 11] - world[:, 12]
        heading = np.stack([across[:, 2], across[:, 0]], axis=1)
        heading /= np.linalg.norm(heading, axis=1, keepdims=True).clip(1e-6)
        return Truth(motion.body_TJ3[:, list(BODY_JOINTS), :2] * SIZE_PX, heading.astype(np.float32))
    if view == "face":
        rotation = clip.tracks.face.head_rotation_T33[frame_T]
        gaze = clip.tracks.face.gaze_T2[frame_T]
        turn = np.stack([rotation[:, 0, 2], rotation[:, 1, 2]], axis=1)
        return Truth(
            motion.face_place_T7[:, None, 1::-1] * SIZE_PX,
            np.concatenate((motion.face_TF[:, :2], gaze, turn), axis=1).astype(np.float32),
        )
    side = 0 if view == "left_hand" else 1
    return Truth(
        motion.hands_T2H3[:, side][:, list(HAND_POINTS), :2] * SIZE_PX, np.zeros((len(frame_T), 1), np.float32)
    )


def judge_view(view: View) -> str:
    return "hand" if view.endswith("hand") else view


def _material(clips: Clips, view: View, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    pictures, points, numbers = [], [], []
    while len(pictures) < count:
        clip = clips.get(int(rng.integers(len(clips.entries))))
        length = len(clip.pts_s_T)
        for _ in range(3):
            start, stride = int(rng.integers(length - 8)), 1
            frame_T = start + stride * np.arange(8)
            time_s_T = clip.pts_s_T[frame_T]
            square = clip.square_of(view, float(time_s_T[0]), float(time_s_T[-1]))
            if view != "subject" and (square == clip.square or square.side_px > MAX_CLOSE_PX):
                continue
            if view.endswith("hand") and not hand_is_seen(clip, frame_T):
                continue
            truth = truth_of(clip, frame_T, view)
            rgb = clip.seen(frame_T, square, SIZE_PX)
            for t in rng.choice(8, 3, replace=False):
                pictures.append(rgb[t])
                points.append(truth.points_TJ2[t])
                numbers.append(truth.numbers_TK[t])
    return _planes(np.stack(pictures)), torch.from_numpy(np.stack(points)), torch.from_numpy(np.stack(numbers))


def _shifted(pictures: Tensor, points: Tensor, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """The batch moved by up to SHIFT_PX, the edges repeated: joints are found wherever a figure stands."""
    x, y = (int(v) for v in torch.randint(-SHIFT_PX, SHIFT_PX + 1, (2,), generator=source, device=source.device))
    padded = F.pad(pictures, (SHIFT_PX,) * 4, mode="replicate")
    moved = padded[:, :, SHIFT_PX - y : SHIFT_PX - y + SIZE_PX, SHIFT_PX - x : SHIFT_PX - x + SIZE_PX]
    return moved, points + torch.tensor([x, y], dtype=points.dtype, device=points.device)


def _spoilt(rgb_M3HW: Tensor, source: torch.Generator) -> Tensor:
    """What a generator may do to a picture without changing what it shows."""
    count = len(rgb_M3HW)
    normal = partial(torch.randn, generator=source, device=source.device)
    even = partial(torch.rand, generator=source, device=source.device)
    out = rgb_M3HW * (1 + 0.15 * normal(count, 3, 1, 1)) + 0.1 * normal(count, 3, 1, 1)
    out = out + even(count, 1, 1, 1) * 0.12 * normal(*rgb_M3HW.shape)
    soft = F.avg_pool2d(F.pad(out, (1, 1, 1, 1), mode="replicate"), 3, 1)
    share = even(count, 1, 1, 1) * (even(count, 1, 1, 1) < 0.5)
    return out * (1 - share) + soft * share


def train_judges(
    dataset: Path, folder: Path, steps: int = 2400, frames: int = 16000, seed: int = 11, device: str = "cpu"
) -> Judges:
    """Each is trained once and kept in `folder`."""
    torch.manual_seed(seed)
    sizes = {"subject": (len(BODY_JOINTS), 2), "face": (1, len(FACE_NUMBERS)), "hand": (len(HAND_POINTS), 1)}
    nets = {view: PointJudge(*sizes[view]) for view in JUDGE_VIEWS}
    # Channels last: a step on a CPU takes two thirds of the time.
    placed = {view: net.to(device, memory_format=torch.channels_last) for view, net in nets.items()}  # type: ignore[call-overload]
    judges = Judges(placed, _action_net().to(device))
    clips = Clips(dataset, DataRecipe(size_px=SIZE_PX, cache_mib=4096))
    folder.mkdir(parents=True, exist_ok=True)
    for view in (*JUDGE_VIEWS, "action"):
        net = judges.action if view == "action" else judges.nets[view]
        path = folder / f"{view}-{seed}.pt"
        if not path.is_file():
            began, rng = time.perf_counter(), np.random.default_rng((seed, len(view)))
            if view == "action":
                loss = _fit_action(judges, clips, rng)
            else:
                material = _material(clips, "right_hand" if view == "hand" else view, frames, rng)  # type: ignore[arg-type]
                loss = _fit(judges.nets[view], *material, steps, seed)
            print(f"judge of {view}: loss {loss:.3f} after {time.perf_counter() - began:.0f} s", flush=True)
            torch.save(net.state_dict(), path)
        net.load_state_dict(torch.load(path, weights_only=True, map_location=device))
        net.eval()
    return judges


def hand_is_seen(clip: Clip, frame_T: NDArray[np.int64]) -> bool:
    """Whether the puppet faces the camera enough for its right hand not to be behind the body."""
    world = clip.tracks.body.joints_world_m_PTJ3[0][frame_T]
    across_m = world[:, 11, 0] - world[:, 12, 0]
    behind = world[:, 16, 2] - world[:, [11, 12, 23, 24], 2].mean(axis=1)
    return bool((across_m > 0.2).all() and (behind < 0.05).all())


def _fit(net: PointJudge, pictures: Tensor, points: Tensor, numbers: Tensor, steps: int, seed: int) -> float:
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps)
    device = next(net.parameters()).device
    source = torch.Generator(device).manual_seed(seed)
    pictures, points, numbers = pictures.to(device), points.to(device), numbers.to(device)
    inside = ((points > -2) & (points < SIZE_PX + 2)).all(dim=-1)
    loss = torch.tensor(0.0)
    for _ in range(steps):
        index = torch.randint(len(pictures), (BATCH,), generator=source, device=device)
        with torch.autocast(device.type, torch.bfloat16):
            shifted, moved = _shifted(pictures[index], points[index], source)
            at, values = net(_spoilt(shifted, source).contiguous(memory_format=torch.channels_last))
        off = F.smooth_l1_loss(at.float(), moved, reduction="none", beta=1.0).mean(dim=-1)
        loss = (off * inside[index]).sum() / inside[index].sum().clamp_min(1)
        loss = loss + 4 * F.smooth_l1_loss(values.float()[:, : numbers.shape[1]], numbers[index], beta=0.1)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    net.eval()
    return float(loss.detach())


def _action_net() -> nn.Module:
    width = 8 * 38 + 7 * 38 + 7 * 2
    return nn.Sequential(nn.Linear(width, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, len(ACTIONS)))


def _fit_action(judges: Judges, clips: Clips, rng: np.random.Generator) -> float:
    """From the subject judge's own reading of true windows, as it will read generated ones."""
    windows, labels = [], []
    for index in range(min(len(clips.entries), 700)):
        clip = clips.get(index)
        for _ in range(2):
            frame_T = int(rng.integers(len(clip.pts_s_T) - 14)) + 2 * np.arange(8)
            rgb = clip.seen(frame_T, clip.square, SIZE_PX)
            windows.append(judges.read("subject", rgb)[0])
            labels.append(ACTIONS.index(clip.actions[0][0]))
    net, device = judges.action, judges.device
    features = torch.from_numpy(_window_features(np.stack(windows))).to(device)
    target = torch.tensor(labels, device=device)
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.02)
    net.train()
    loss = torch.tensor(0.0)
    for _ in range(600):
        pick = torch.randint(len(features), (128,), device=device)
        spread = 0.05 * torch.randn(128, features.shape[1], device=device)
        loss = F.cross_entropy(net(features[pick] + spread), target[pick])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    net.eval()
    return float(loss.detach())


def frechet(one_MF: NDArray[np.float32], other_MF: NDArray[np.float32]) -> float:
    """Between Gaussians with diagonal covariances fitted to the features."""
    mean, spread = one_MF.mean(0) - other_MF.mean(0), one_MF.std(0) - other_MF.std(0)
    return float((mean**2).sum() + (spread**2).sum())


def mean_of(values: Sequence[float]) -> float:
    found = [value for value in values if np.isfinite(value)]
    return float(np.mean(found)) if found else float("nan")
