"""What gpu_300m.py measures: a training step and its parts, generation and its parts, FLOPs, a matrix product."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from model.codec.base import Triple, codec_grid
from model.codec.pixel import PixelCodec
from model.conditions import Batch, Conditions, stack_conditions
from model.data.reader import DataRecipe
from model.dit.config import NetConfig, TransformerRecipe
from model.dit.net import VideoDit
from model.motion.limb_maps import PAINTED_BONES
from model.motion.looks import PARTS, TEXELS
from model.objectives.flow import FlowMatching, FlowRecipe
from model.rng import StepRng
from model.text.encoder import HashedBytesText
from model.train.configs import input_dims
from model.train.loop import LoopRecipe, clipped, make_players, take_step
from tests.builders import EXPRESSION_NAMES

DATASHEET_FLOPS = 989e12
"""H100 SXM and H200 SXM, bf16 without sparsity (NVIDIA's datasheets)."""
CODEC = PixelCodec((2, 8, 8))
WORDS = "a person in a red coat turns around and waves, the camera follows slowly from the left"


class Size(NamedTuple):
    """A network, the side of its windows in px, and what is tried."""

    transformer: TransformerRecipe
    size_px: int
    batches: tuple[int, ...]
    steps: int
    teacher_steps: int
    student_steps: int
    frames: tuple[int, ...]


LARGE = Size(TransformerRecipe(width=1024, depth=24, heads=8, rope_theta=1000.0), 256, (8, 16, 4), 10, 20, 4, (24, 96))
TOY = Size(TransformerRecipe(), 64, (2,), 3, 4, 2, (8, 24))


class Variant(NamedTuple):
    name: str
    compiled: bool
    attention: Any


EAGER = Variant("eager, sdpa", False, "sdpa")
COMPILED = Variant("compiled, sdpa", True, "sdpa")
FLEX = Variant("compiled, flex", True, "flex")


BEGAN_S = time.perf_counter()


def since_s() -> float:
    """Seconds since the imports were done."""
    return time.perf_counter() - BEGAN_S


def say(line: str) -> None:
    print(f"[{since_s():6.1f} s] {line}", flush=True)


def tried(what: str, action: Callable[[], Any]) -> Any:
    """The result, or None after the error's last lines: out of memory in one variant must not hide the others."""
    try:
        return action()
    except Exception as error:  # noqa: BLE001
        lines = "".join(traceback.format_exception(error)).strip().splitlines()
        say(f"{what}: FAILED\n    " + "\n    ".join(line[:300] for line in lines[-6:]))
        # Tracebacks hold the frames, and with them the memory.
        link: BaseException | None = error
        while link is not None:
            link.__traceback__, link = None, link.__context__
        return None
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def timed(device: torch.device, action: Callable[[], Any], repeats: int) -> float:
    """Median seconds of `repeats` calls after one."""
    action()
    taken = []
    for _ in range(repeats):
        wait(device)
        began_s = time.perf_counter()
        action()
        wait(device)
        taken.append(time.perf_counter() - began_s)
    return float(np.median(taken))


def net_config(size: Size, guidance_embedding: bool = False) -> NetConfig:
    dims = input_dims(HashedBytesText(), EXPRESSION_NAMES)
    return NetConfig(
        transformer=size.transformer, patch_thw=CODEC.patch_thw, token_dim=CODEC.token_dim,
        guidance_embedding=guidance_embedding, **dims.model_dump(),
    )  # fmt: skip


def random_net(config: NetConfig, device: torch.device) -> VideoDit:
    """Fresh weights, and small random ones where a fresh network starts at zero, so that no product is of zeros."""
    torch.manual_seed(0)
    net = VideoDit(config).to(device)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(torch.randn_like(weight) * 0.01)
    return net


def random_conditions(config: NetConfig, grid: Triple, device: torch.device, seed: int) -> Conditions:
    """One window with three references, all of them real, and 24 words: nothing of it is padding."""
    torch.manual_seed(seed)
    references, words, frames = DataRecipe().max_references, 24, grid[0] * config.patch_thw[0]

    def normal(*shape: int) -> Tensor:
        return torch.randn(1, *shape, device=device)

    def joints(*shape: int) -> Tensor:
        place = torch.rand(1, *shape, 2, device=device)
        return torch.cat((place, torch.full((1, *shape, 1), 0.9, device=device)), dim=-1)

    def yes(*shape: int) -> Tensor:
        return torch.ones(1, *shape, dtype=torch.bool, device=device)

    return Conditions(
        time_s_BT=torch.arange(frames, device=device)[None] / 25.0,
        reference_BKNC=normal(references, grid[1] * grid[2], config.token_dim).clamp(-1, 1),
        reference_mask_BK=yes(references),
        reference_body_BKJ3=joints(references, 33),
        reference_looks_BKP4UV=torch.rand(1, references, PARTS, 4, TEXELS, TEXELS, device=device),
        limb_colours_BL4=torch.rand(1, len(PAINTED_BONES), 4, device=device),
        body_BTJ3=joints(frames, 33),
        body_world_BTJ3=normal(frames, 33, 3),
        face_BTF=normal(frames, config.face_dim),
        face_place_BT7=torch.rand(1, frames, 7, device=device),
        face_present_BT=yes(frames),
        hands_BT2H3=joints(frames, 2, 21),
        hands_shape_BT2F=normal(frames, 2, config.hand_dim),
        semantic_BSF=normal(config.semantic_moments, config.semantic_dim),
        actions_BD=normal(config.text_dim),
        text_BLD=normal(words, config.text_dim),
        text_mask_BL=yes(words),
        text_pooled_BD=normal(config.text_dim),
        directions_BTF=normal(frames, config.direction_dim),
        camera_BTF=normal(frames, config.camera_dim) * 0.05,
    )


def random_batch(size: Size, windows: int, device: torch.device) -> Batch:
    config, grid = net_config(size), grid_of_size(size)
    conditions = stack_conditions([random_conditions(config, grid, device, seed) for seed in range(windows)])
    cells = grid[0] * grid[1] * grid[2]
    tokens = torch.randn(windows, cells, config.token_dim, device=device).clamp(-1, 1)
    keys = tuple(f"window {slot}" for slot in range(windows))
    return Batch(tokens, grid, torch.zeros(windows, cells, device=device), conditions, keys)


def grid_of_size(size: Size) -> Triple:
    return codec_grid(CODEC, (DataRecipe().frames, size.size_px, size.size_px))


def product_flops(device: torch.device, side: int) -> float:
    """FLOP/s of a bf16 matrix product of side x side x side."""
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in (0, 1))
    out = torch.empty_like(left)
    return 2.0 * side**3 / timed(device, lambda: torch.mm(left, right, out=out), 20 if device.type == "cuda" else 2)


def window_flops(size: Size, device: torch.device) -> float:
    """FLOPs of one window's forward pass, condition stream included, beside a count of the blocks by hand."""
    net, batch = random_net(net_config(size), device), random_batch(size, 1, device)
    objective = FlowMatching(net, FlowRecipe(drop={}, drop_each=0.0, drop_motion=0.0, drop_all=0.0))
    with FlopCounterMode(display=False) as counter, torch.autocast(device.type, torch.bfloat16):
        objective.losses(batch, 0, StepRng(0, 0))
    counted = float(counter.get_total_flops())
    keep = torch.ones(1, 7, dtype=torch.bool, device=device)
    with torch.no_grad():
        mask = net.encode(batch.conditions, keep, batch.grid_thw).mask_video
    assert isinstance(mask, Tensor)
    video, width, depth = mask.shape[2], size.transformer.width, size.transformer.depth
    cond = mask.shape[3] - video
    linear = 24 * width**2 * (video + cond)
    attention = 4 * width * (video * (video + cond) + cond**2)
    by_hand = depth * (linear + attention)
    say(
        f"{sum(weight.numel() for weight in net.parameters()) / 1e6:.1f} M parameters; a window has {video} video and "
        f"{cond} condition tokens; forward {counted / 1e12:.3f} TFLOP, of which attention "
        f"{depth * attention / counted:.0%}; blocks by hand {by_hand / 1e12:.3f} ({by_hand / counted:.1%} of it)"
    )
    return counted


def train(
    size: Size, windows: int, variant: Variant, flops_per_window: float, peak: float, device: torch.device, parts: bool
) -> None:
    torch._dynamo.reset()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    recipe = LoopRecipe(batch_size=windows, compile=variant.compiled, attention=variant.attention)
    objective = FlowMatching(random_net(net_config(size), device), FlowRecipe())
    players = make_players(objective, recipe, device)
    batch = random_batch(size, windows, device)
    step = 0

    def whole() -> None:
        nonlocal step
        with torch.autocast(device.type, torch.bfloat16):
            losses = objective.losses(batch, step, StepRng(0, step))
        take_step(players, losses, batch, step, 0.01, recipe)
        step += 1

    began_s = time.perf_counter()
    whole()
    wait(device)
    first_s = time.perf_counter() - began_s
    seconds = timed(device, whole, size.steps)
    rate = 3.0 * flops_per_window * windows / seconds
    memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0
    say(
        f"TRAIN {variant.name}, {windows} windows: {seconds * 1e3:.1f} ms a step, {windows / seconds:.2f} windows/s, "
        f"{rate / 1e12:.1f} TFLOP/s, MFU {rate / DATASHEET_FLOPS:.1%} of 989, {rate / peak:.1%} of the product, "
        f"{memory:.1f} GiB, first step {first_s:.1f} s"
    )
    if parts:
        say_parts(objective, players["model"], batch, recipe, device, seconds)


def say_parts(
    objective: FlowMatching, player: Any, batch: Batch, recipe: LoopRecipe, device: torch.device, whole_s: float
) -> None:
    """Each part of a step alone; gradients are those of the last step."""
    weights = list(player.net.parameters())
    taken = {
        "noise": timed(device, lambda: StepRng(0, 1).normal_like(batch.tokens_BNC, "noise"), 3),
        "clipping": timed(device, lambda: clipped(weights, recipe.clip_norm), 3),
        "adamw": timed(device, player.optimisers["adamw"].step, 3),
        "muon": timed(device, player.optimisers["muon"].step, 3),
        "average": timed(device, lambda: player.ema.update(player.net), 3),
    }
    rest = whole_s - sum(taken.values())
    listed = ", ".join(f"{name} {seconds * 1e3:.1f} ms" for name, seconds in taken.items())
    say(f"  of it alone: {listed}; the rest (forward and backward) {rest * 1e3:.1f} ms")
