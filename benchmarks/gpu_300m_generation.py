"""Generation in gpu_300m.py: a teacher and a student from pictures and tracks to the marked file, and its parts."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from gpu_300m_parts import CODEC, WORDS, Size, Variant, net_config, random_net, say, wait

import model.generate
from model.data.reader import DataRecipe
from model.generate import DrivingMotion, animate, reference_of
from model.guidance import GuidanceRecipe
from model.store import LoadedModel, ModelConfig, SamplingRecipe
from model.text.encoder import HashedBytesText
from model.video import write_mp4
from model.watermark import PUBLIC_KEY, embed
from tests.builders import EXPRESSION_NAMES, body_track, camera_track, clock, face_track, hands_track


def loaded(size: Size, kind: str, variant: Variant, device: torch.device) -> LoadedModel:
    teacher = kind == "teacher"
    config = net_config(size, guidance_embedding=not teacher)
    sampling = SamplingRecipe(
        steps=size.teacher_steps if teacher else size.student_steps,
        guidance=GuidanceRecipe() if teacher else None,
        strength=None if teacher else 2.0,
    )
    text = HashedBytesText()
    described = ModelConfig(
        kind="teacher" if teacher else "student", net=config, codec_name=CODEC.name, codec_patch_thw=CODEC.patch_thw,
        codec_hash="", text_encoder=text.name, data=DataRecipe(size_px=size.size_px), expression_names=EXPRESSION_NAMES,
        sampling=sampling, recipe={}, recipe_fingerprint="", dataset_fingerprint="",
    )  # fmt: skip
    net = random_net(config, device).eval()
    net.speed_up(variant.compiled, variant.attention)
    return LoadedModel(described, net, CODEC, text)


class Shares:
    """Seconds spent in named functions of model.generate while it works; the outermost named one counts."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = {}
        self._device, self._inside = device, False

    def counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if self._inside:
                return function(*given, **named)
            self._inside = True
            wait(self._device)
            began_s = time.perf_counter()
            try:
                return function(*given, **named)
            finally:
                wait(self._device)
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began_s
                self._inside = False

        return call


PARTS = {
    "sample": "denoising", "make_predictor": "condition stream", "window_conditions": "conditions", "to_rgb": "pixels",
    "motion_inputs": "conditions", "semantic_motion": "conditions", "encode_references": "references",
    "crop_resized": "references", "segment_noise": "noise",
}  # fmt: skip


@contextmanager
def watched(device: torch.device) -> Iterator[Shares]:
    shares = Shares(device)
    with mock.patch.multiple(
        model.generate, **{name: shares.counted(part, getattr(model.generate, name)) for name, part in PARTS.items()}
    ):
        yield shares


def generate(made_by: LoadedModel, frames: int, device: torch.device) -> tuple[float, dict[str, float], Any]:
    """Seconds from pictures and tracks to the marked file, the share of each part, and what animate says."""
    driving = DrivingMotion(
        (64, 96), clock(frames, 25.0), body_track(frames), face_track(frames), hands_track(frames), camera_track(frames)
    )
    still = np.random.default_rng(0).integers(0, 256, (64, 96, 3)).astype(np.uint8)
    with watched(device) as shares, tempfile.TemporaryDirectory() as folder:
        wait(device)
        began_s = time.perf_counter()
        references = [reference_of(still, body_track(1), face_track(1))] * DataRecipe().max_references
        with torch.autocast(device.type, torch.bfloat16):
            made = animate(made_by, references, driving, WORDS)
        marked = shares.counted("watermark", embed)(made.rgb_THWC, PUBLIC_KEY, 1)
        shares.counted("h264", write_mp4)(Path(folder) / "made.mp4", marked, made.pts_s_T)
        whole_s = time.perf_counter() - began_s
    shares.seconds["everything else"] = whole_s - sum(shares.seconds.values())
    return whole_s, shares.seconds, made.stats


def sampling(
    size: Size, variant: Variant, frames: Sequence[int], device: torch.device, left_s: Callable[[], float]
) -> None:
    torch._dynamo.reset()
    models = {kind: loaded(size, kind, variant, device) for kind in ("student", "teacher")}
    for kind, made_by in models.items():
        began_s = time.perf_counter()
        generate(made_by, DataRecipe().frames, device)
        say(f"  {variant.name}, {kind}: first window {time.perf_counter() - began_s:.1f} s")
    for length in frames:
        whole: dict[str, float] = {}
        denoising: dict[str, float] = {}
        for kind, made_by in models.items():
            if left_s() < 0:
                say(f"SAMPLE {variant.name}, {kind}, {length} frames: left out, the time is over")
                continue
            seconds, shares, stats = generate(made_by, length, device)
            whole[kind], denoising[kind] = seconds, shares["denoising"]
            listed = ", ".join(
                f"{name} {part / seconds:.1%}" for name, part in sorted(shares.items(), key=lambda p: -p[1])
            )
            say(
                f"SAMPLE {variant.name}, {kind}, {length} frames: {seconds:.3f} s, {length / seconds:.1f} frames/s, "
                f"{stats.segments} windows, {stats.evaluations} evaluations, "
                f"{shares['denoising'] / stats.evaluations * 1e3:.1f} ms each; {listed}"
            )
        if len(whole) == 2:
            ratio, of_network = (part["teacher"] / part["student"] for part in (whole, denoising))
            say(f"RATIO {variant.name}, {length} frames: teacher over student {ratio:.1f}, denoising {of_network:.1f}")
