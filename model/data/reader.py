"""Training batches as a function of the step number: the reader's whole state is the step, so resume is exact.

A stage of training has a reader of its own. Each epoch visits every sample once, in an order of its own. A decoded
clip serves `windows_per_clip` batches in a row (one window in each), which divides the cost of decoding.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from model.codec.base import Triple, VideoCodec, codec_grid
from model.conditions import Batch, Conditions, stack_conditions
from model.data.augment import AugmentRecipe, augmented
from model.data.clips import WORKING_SIZE_RATIO, Clip, ClipCache, load_clip, member
from model.data.framing import View
from model.data.motion_inputs import motion_inputs
from model.data.references import ReferenceRecipe, References
from model.data.semantic import semantic_motion
from model.data.windows import (
    Words,
    detail_cells,
    draw_window,
    encode_references,
    lead_in_rows,
    to_model_range,
    window_conditions,
)
from model.rng import StepRng, seed_from
from model.text.directions import direction_features, directions_of_moves
from model.text.encoder import TextEncoder
from model.text.stage_directions import parse_directions
from schemas.errors import DataError, RecipeError, SchemaError
from schemas.fingerprint import fingerprint
from schemas.index import SampleEntry, load_overlays, load_samples, load_shards
from schemas.recipe import StrictModel
from schemas.shard import read_sample
from schemas.storage import Location
from schemas.tracks import FaceTrack

log = logging.getLogger(__name__)


class DataRecipe(StrictModel):
    """Windows of `frames` frames at `size_px`, drawn with one of `strides` (in video frames)."""

    size_px: int = Field(default=64, gt=0)
    frames: int = Field(default=8, gt=0)
    strides: tuple[int, ...] = (1, 2)
    cache_mib: int = Field(default=1024, gt=0)
    windows_per_clip: int = Field(default=2, gt=0)
    max_references: int = Field(default=3, gt=0)


class Bucket(StrictModel):
    """A window size of its own, drawn with `weight`; the batch is scaled to about the same number of tokens."""

    frames: int = Field(gt=0)
    size_px: int = Field(gt=0)
    weight: float = Field(default=1.0, gt=0)


class StageData(StrictModel):
    """What a stage of training looks at. Shares of close views fall back to the subject where nothing is seen.

    buckets: other window sizes than the data recipe's own; none means only that one.
    """

    face_views: float = Field(default=0.2, ge=0, le=1)
    hand_views: float = Field(default=0.25, ge=0, le=1)
    buckets: tuple[Bucket, ...] = ()
    augment: AugmentRecipe = AugmentRecipe()
    references: ReferenceRecipe = ReferenceRecipe()


class Clips:
    """All samples of a DATASET, decoded on demand. Raises: RecipeError for a dataset without samples."""

    def __init__(self, dataset: Location, recipe: DataRecipe) -> None:
        self.dataset = dataset
        self.recipe = recipe
        self.entries: list[SampleEntry] = load_samples(dataset)
        if not self.entries:
            raise RecipeError(f"{dataset} holds no sample; curate with a milder policy, then annotate again")
        self._cache = ClipCache(self._load, recipe.cache_mib << 20)

    def _load(self, index: int) -> Clip:
        return load_clip(self.dataset, self.entries[index], self.recipe.size_px)

    def get(self, index: int) -> Clip:
        return self._cache.get(index)


class WindowReader:
    """Shuffled windows for one stage. batch() raises DataError for a bad sample."""

    def __init__(
        self, clips: Clips, stage: StageData, expression_names: Sequence[str], seed: int, first_step: int = 0
    ) -> None:
        self.clips = clips
        self.stage = stage
        self.expression_names = tuple(expression_names)
        self.seed = seed
        self._first_step = first_step
        self._starts: dict[int, list[int]] = {}
        self._lock = Lock()
        self._references = References(clips.entries, stage.references)

    def bucket(self, step: int) -> Bucket:
        """The window size of a step: a draw of its own, the same for every process."""
        own = Bucket(frames=self.clips.recipe.frames, size_px=self.clips.recipe.size_px)
        buckets = self.stage.buckets or (own,)
        total = sum(bucket.weight for bucket in buckets)
        pick = StepRng(self.seed, step).numpy(0, "bucket").random() * total
        for bucket in buckets:
            pick -= bucket.weight
            if pick < 0:
                return bucket
        return buckets[-1]

    def batch_size(self, step: int, nominal: int) -> int:
        """Windows of a step: `nominal` of the data recipe's own size, as many more or fewer as tokens allow."""
        return self._size_of(self.bucket(step), nominal)

    def _size_of(self, bucket: Bucket, nominal: int) -> int:
        own = self.clips.recipe.frames * self.clips.recipe.size_px**2
        return max(1, round(nominal * own / (bucket.frames * bucket.size_px**2)))

    def check(self, nominal: int, processes: int) -> None:
        """Warn of window sizes that no clip fills.

        Raises: RecipeError when a step has fewer windows than processes that read.
        """
        recipe, entries = self.clips.recipe, self.clips.entries
        own = Bucket(frames=recipe.frames, size_px=recipe.size_px)
        longest = max(entry.frames for entry in entries)
        largest = max(min(entry.height_px, entry.width_px) for entry in entries)
        for bucket in self.stage.buckets or (own,):
            what, size = f"{bucket.frames} frames at {bucket.size_px} px", self._size_of(bucket, nominal)
            if size < processes:
                raise RecipeError(
                    f"loop.batch_size {nominal} makes {size} window{'s' * (size > 1)} of {what} a step, too few for "
                    f"{processes} processes; raise it or start fewer processes"
                )
            if bucket.frames > longest:
                log.warning(
                    "windows of %s: no clip has so many frames (at most %d), they go back and forth", what, longest
                )
            if bucket.size_px > min(largest, WORKING_SIZE_RATIO * recipe.size_px):
                log.warning("windows of %s: no clip is kept so large, they are enlarged", what)

    def _start(self, step: int, nominal: int) -> int:
        """How many windows the stage had before this step."""
        done = step - self._first_step
        # By batch size: fitting a codec asks for single windows, which must not shift the batches of a fresh run.
        with self._lock:
            starts = self._starts.setdefault(nominal, [0])
            while len(starts) <= done:
                starts.append(starts[-1] + self.batch_size(self._first_step + len(starts) - 1, nominal))
            return starts[done]

    def sample_index(self, step: int, slot: int, nominal: int) -> int:
        """Which sample a slot of a step's batch shows: the same for `windows_per_clip` steps in a row."""
        per_clip = self.clips.recipe.windows_per_clip
        held = self._first_step + (step - self._first_step) // per_clip * per_clip
        # Counted in visits: a held step stands for all the steps that show the same clips.
        place = self._start(held, nominal) // per_clip + slot if per_clip > 1 else self._start(step, nominal) + slot
        epoch, position = divmod(place, len(self.clips.entries))
        order = np.random.Generator(np.random.Philox(key=seed_from(self.seed, "epoch", epoch)))
        return int(order.permutation(len(self.clips.entries))[position])

    def view(self, rng: np.random.Generator) -> View:
        pick, hand = rng.random(2)
        if pick < self.stage.face_views:
            return "face"
        if pick < self.stage.face_views + self.stage.hand_views:
            return "left_hand" if hand < 0.5 else "right_hand"
        return "subject"

    def batch(
        self, rng: StepRng, codec: VideoCodec, text: TextEncoder, nominal: int, processes: int = 1, process: int = 0
    ) -> Batch:
        """This process's share of step `rng.step`: an equal part of the step's windows, the rest to the first ones."""
        bucket, size = self.bucket(rng.step), self.batch_size(rng.step, nominal)
        slots = range(process * size // processes, (process + 1) * size // processes)
        rows = [self.window(rng, slot, bucket, nominal, codec, text) for slot in slots]
        tokens, details, conditions, keys = zip(*rows, strict=True)
        grid = codec_grid(codec, (bucket.frames, bucket.size_px, bucket.size_px))
        return Batch(torch.cat(tokens), grid, torch.stack(details), stack_conditions(conditions), keys, slots.start)

    def window(
        self, rng: StepRng, slot: int, bucket: Bucket, nominal: int, codec: VideoCodec, text: TextEncoder
    ) -> tuple[Tensor, Tensor, Conditions, str]:
        """Tokens (1, N, C), detail (N,), conditions and key of one window of a step."""
        clip = self.clips.get(self.sample_index(rng.step, slot, nominal))
        draw = rng.numpy(slot, "window")
        frame_T = draw_window(clip.pts_s_T, bucket.frames, self.clips.recipe.strides, draw)
        return self.made(clip, frame_T, self.view(draw), draw, bucket.size_px, codec, text)

    def made(
        self,
        clip: Clip,
        frame_T: NDArray[np.int64],
        view: View,
        draw: np.random.Generator,
        size_px: int,
        codec: VideoCodec,
        text: TextEncoder,
    ) -> tuple[Tensor, Tensor, Conditions, str]:
        """A stated window: frames and view given, augmentation and references drawn."""
        time_s_T = clip.pts_s_T[frame_T]
        start_s, end_s = float(time_s_T.min()), float(time_s_T.max())
        square = clip.square_of(view, start_s, end_s)
        motion = motion_inputs(time_s_T, square, self.expression_names, clip.tracks)
        motion = augmented(motion, self.stage.augment, draw)
        stills = self._references.draw(
            self.clips.get, clip, frame_T, view, draw, size_px, self.clips.recipe.max_references
        )
        tokens = codec.encode(to_model_range(clip.seen(frame_T, square, size_px)).unsqueeze(0))
        grid: Triple = codec_grid(codec, (len(frame_T), size_px, size_px))
        conditions = window_conditions(
            motion,
            time_s_T,
            encode_references(stills, codec, self.clips.recipe.max_references),
            semantic_motion(clip.tracks.body, (start_s + end_s) / 2),
            words_of(clip, time_s_T),
            text,
            codec.lead_in_frames,
        )
        boxes_TN4 = motion.detail_boxes_TN4[lead_in_rows(len(frame_T), codec.lead_in_frames)]
        return tokens, detail_cells(boxes_TN4, grid), conditions, clip.key

    def sampling_batch(self, count: int, seed: int, codec: VideoCodec, text: TextEncoder) -> Batch:
        """`count` windows of the data recipe's own size, to look at what was learnt."""
        recipe = self.clips.recipe
        own = Bucket(frames=recipe.frames, size_px=recipe.size_px)
        rng = StepRng(seed, self._first_step)
        rows = [self.window(rng, slot, own, count, codec, text) for slot in range(count)]
        tokens, details, conditions, keys = zip(*rows, strict=True)
        grid = codec_grid(codec, (own.frames, own.size_px, own.size_px))
        return Batch(torch.cat(tokens), grid, torch.stack(details), stack_conditions(conditions), keys)

    def training_windows(self, count: int) -> Tensor:
        """`count` random windows of pixels in [-1, 1], (M, T, H, W, 3), to fit a codec on."""
        windows = []
        recipe = self.clips.recipe
        for position in range(count):
            draw = StepRng(self.seed, -1, position).numpy(0, "codec")
            clip = self.clips.get(self.sample_index(self._first_step + position, 0, 1))
            frame_T = draw_window(clip.pts_s_T, recipe.frames, recipe.strides, draw)
            time_s_T = clip.pts_s_T[frame_T]
            square = clip.square_of(self.view(draw), float(time_s_T.min()), float(time_s_T.max()))
            windows.append(to_model_range(clip.seen(frame_T, square, recipe.size_px)))
        return torch.stack(windows)


def words_of(clip: Clip, time_s_T: NDArray[np.float64]) -> Words:
    """Caption, stated directions and the labels of actions that overlap the window."""
    start_s, end_s = float(time_s_T.min()), float(time_s_T.max())
    length_s = max(float(clip.pts_s_T[-1]), 1e-3)
    actions = tuple(dict.fromkeys(label for label, begins, ends in clip.actions if begins <= end_s and ends >= start_s))
    directions = parse_directions(clip.caption)
    if not directions.camera:
        directions = replace(directions, camera=directions_of_moves(clip.moves, length_s, clip.tracks.camera).camera)
    window = (start_s / length_s, max(end_s, start_s + 1e-3) / length_s)
    return Words(clip.caption, direction_features(directions, len(time_s_T), window), actions)


def dataset_fingerprint(dataset: Location) -> str:
    """Changes when any byte of any shard changes, or an overlay is put on or off (by the hashes in index.json)."""
    parts = [[shard.name, shard.sha256] for shard in load_shards(dataset)]
    return fingerprint(parts + [[overlay.name, overlay.sha256] for overlay in load_overlays(dataset)])


def expression_names_of(dataset: Location) -> tuple[str, ...]:
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
