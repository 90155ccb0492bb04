"""What is settled before a run begins: the device, and what the loop would otherwise meet after hours."""

from __future__ import annotations

import os

import torch

from model.codec.base import VideoCodec, codec_grid
from model.dit.config import NetConfig, WanConfig
from model.parallel.context import check_divides
from model.parallel.world import World
from model.store import ModelConfig
from model.train.metrics import check_tensorboard
from model.train.recipes import DistillRecipe, TrainRecipe
from schemas.errors import RecipeError, ResourceError


def check_loop(recipe: TrainRecipe | DistillRecipe, device: torch.device) -> None:
    """Raises: RecipeError or ResourceError for what the loop would otherwise meet after hours."""
    if recipe.loop.attention == "flex" and device.type != "cuda":
        raise RecipeError(f"loop.attention: flex learns on CUDA only, this run is on the {device.type}; set it to sdpa")
    if recipe.loop.samples_every is not None and recipe.samples == 0:
        raise RecipeError("loop.samples_every draws `samples` windows, which is 0; set samples to at least 1")
    if recipe.loop.tensorboard:
        check_tensorboard()


def check_windows(recipe: TrainRecipe | DistillRecipe, config: ModelConfig, codec: VideoCodec, world: World) -> None:
    """Raises: RecipeError when a window size is no multiple of the codec's patch, or when its tokens or the heads
    cannot be shared by the context group."""
    if isinstance(config.net, WanConfig) and (world.context is not None or world.shards is not None):
        raise RecipeError("loop.parallel: shard and context know the native network only; set both to 1 for Wan")
    if isinstance(config.net, WanConfig) and (recipe.loop.compile or recipe.loop.attention != "sdpa"):
        raise RecipeError("loop.compile and loop.attention know the native network only; leave them out for Wan")
    stages = [stage.data for stage in recipe.stages] if isinstance(recipe, TrainRecipe) else [recipe.data]
    own = (config.data.frames, config.data.size_px)
    sizes = {own} | {(bucket.frames, bucket.size_px) for stage in stages for bucket in stage.buckets}
    for frames, size_px in sorted(sizes):
        grid = codec_grid(codec, (frames, size_px, size_px))
        what = f"windows of {frames} frames at {size_px} px"
        if world.context is not None and isinstance(config.net, NetConfig):
            check_divides(world.context.size, config.net.transformer.heads, grid[0] * grid[1] * grid[2], what)


def start_torch(threads: int | None, device: str) -> torch.device:
    """Apply thread count and pick the device. Raises: ResourceError when CUDA is asked for and absent."""
    if threads is not None:
        torch.set_num_threads(threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise ResourceError("device: cuda was asked for, but torch sees no CUDA device; set device=cpu")
    if device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if "LOCAL_RANK" not in os.environ:
        return torch.device("cuda")
    chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    if chosen.index >= torch.cuda.device_count():
        raise ResourceError(
            f"process {chosen.index} of this machine finds {torch.cuda.device_count()} CUDA devices; "
            "start as many processes as there are devices"
        )
    torch.cuda.set_device(chosen)
    return chosen


def one_process_only(what: str) -> None:
    """Raises: ResourceError under torchrun with more than one process."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size > 1:
        raise ResourceError(f"WORLD_SIZE is {size}, but {what} runs in one process; use --nproc-per-node 1")
