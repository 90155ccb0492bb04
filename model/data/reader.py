"""Training batches as a function of the step number: the reader's whole state is the step, so resume is exact."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from model.codec.base import VideoCodec
from model.conditions import Batch, stack_conditions
from model.data.clips import Clip, ClipCache, load_clip, member
from model.data.windows import draw_window, encode_reference, to_model_range, window_conditions
from model.rng import StepRng, seed_from
from model.text.encoder import TextEncoder
from schemas.errors import DataError, RecipeError, SchemaError
from schemas.fingerprint import fingerprint
from schemas.index import SampleEntry, load_overlays, load_samples, load_shards
from schemas.recipe import StrictModel
from schemas.shard import read_sample
from schemas.tracks import FaceTrack


class DataRecipe(StrictModel):
    """Windows of `frames` frames at `size_px`, drawn with one of `strides` (in video frames)."""

    size_px: int = Field(default=64, gt=0)
    frames: int = Field(default=8, gt=0)
    strides: tuple[int, ...] = (1, 2)
    cache_mib: int = Field(default=512, gt=0)


class WindowReader:
    """Shuffled windows over all samples: each epoch visits every sample once, in an order of its own.

    Raises: RecipeError for a dataset without samples; batch() raises DataError for a bad sample.
    """

    def __init__(self, dataset: Path, recipe: DataRecipe, expression_names: Sequence[str], seed: int) -> None:
        self.dataset = dataset
        self.recipe = recipe
        self.expression_names = tuple(expression_names)
        self.seed = seed
        self.entries: list[SampleEntry] = load_samples(dataset)
        if not self.entries:
            raise RecipeError(f"{dataset} holds no sample; curate with a milder policy, then annotate again")
        self._cache = ClipCache(self._load, recipe.cache_mib << 20)

    def _load(self, index: int) -> Clip:
        return load_clip(self.dataset, self.entries[index], self.recipe.size_px, self.expression_names)

    def clip(self, index: int) -> Clip:
        return self._cache.get(index)

    def sample_index(self, position: int) -> int:
        """Which sample the global position (step * batch + slot) shows."""
        epoch, place = divmod(position, len(self.entries))
        order = np.random.Generator(np.random.Philox(key=seed_from(self.seed, "epoch", epoch)))
        return int(order.permutation(len(self.entries))[place])

    def batch(self, rng: StepRng, local_size: int, global_size: int, codec: VideoCodec, text: TextEncoder) -> Batch:
        """This process's `local_size` windows of step `rng.step`, from slot `rng.first_slot` of `global_size`."""
        tokens, conditions, keys = [], [], []
        for slot in range(local_size):
            clip = self.clip(self.sample_index(rng.step * global_size + rng.first_slot + slot))
            window = draw_window(clip.pts_s_T, self.recipe.frames, self.recipe.strides, rng.numpy(slot, "window"))
            tokens.append(codec.encode(to_model_range(clip.rgb_THWC[window.frame_T]).unsqueeze(0)))
            conditions.append(
                window_conditions(
                    clip.motion,
                    clip.pts_s_T[window.frame_T],
                    window.frame_T,
                    encode_reference(clip.rgb_THWC[window.reference], codec),
                    clip.caption,
                    text,
                    codec.lead_in_frames,
                )
            )
            keys.append(clip.key)
        return Batch(torch.cat(tokens), stack_conditions(conditions), tuple(keys))

    def training_windows(self, count: int) -> Tensor:
        """`count` random windows of pixels in [-1, 1], (M, T, H, W, 3), to fit a codec on."""
        windows = []
        for position in range(count):
            rng = StepRng(self.seed, -1, position).numpy(0, "codec")
            clip = self.clip(self.sample_index(position))
            window = draw_window(clip.pts_s_T, self.recipe.frames, self.recipe.strides, rng)
            windows.append(to_model_range(clip.rgb_THWC[window.frame_T]))
        return torch.stack(windows)


def dataset_fingerprint(dataset: Path) -> str:
    """Changes when any byte of any shard changes, or an overlay is put on or off (by the hashes in index.json)."""
    parts = [[shard.name, shard.sha256] for shard in load_shards(dataset)]
    return fingerprint(parts + [[overlay.name, overlay.sha256] for overlay in load_overlays(dataset)])


def expression_names_of(dataset: Path) -> tuple[str, ...]:
    """Names of the face coefficients, from the first sample; other samples are matched by name.

    Raises: DataError naming key and shard when that sample has no readable face track.
    """
    entries = load_samples(dataset)
    if not entries:
        raise RecipeError(f"{dataset} holds no sample; curate with a milder policy, then annotate again")
    entry = entries[0]
    where = f"sample {entry.key} [shard {entry.shard}]"
    try:
        return FaceTrack.from_npz(member(read_sample(dataset, entry), "face.npz", where)).expression_names
    except SchemaError as error:
        raise DataError(f"{where}: {error}; run motionloom shards verify") from error
