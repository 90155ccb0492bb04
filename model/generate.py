"""Animate a character: reference pictures and driving motion in, a video of the driving clip's length out.

Axis legend: T frames of the driving clip, H W pixels, B batch, N tokens, C channels.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.backdrop import OneBackdrop
from model.codec.base import Triple, codec_grid
from model.conditions import GROUPS, Conditions
from model.data.camera_path import followed_path
from model.data.framing import Square, choose_square, crop_resized, subject_box_px
from model.data.motion_inputs import body_in, face_place_in, motion_inputs, with_neutral_face
from model.data.reader import WindowReader
from model.data.retarget import Proportions, driving_square, limb_factors, proportions_in, retargeted
from model.data.semantic import semantic_motion
from model.data.turned import turned
from model.data.windows import ReferenceInputs, Words, encode_references, reference_inputs, to_rgb, window_conditions
from model.dit.config import NetConfig
from model.guidance import DualBranch, Predictor, SingleBranch
from model.noise import starting_noise
from model.rng import StepRng
from model.sampler import Pinned, sample, segment_frames, time_grid
from model.store import SAMPLES_DIR, LoadedModel, load_model, write_atomically
from model.subject_noise import calmed
from model.text.directions import direction_features
from model.text.stage_directions import parse_directions
from model.video import png_bytes, write_mp4
from model.watermark import PUBLIC_KEY, embed, model_payload
from schemas.errors import DataError
from schemas.fingerprint import fingerprint
from schemas.tracks import BodyTrack, CameraTrack, FaceTrack, HandsTrack

SAMPLES_FPS = 8.0
"""Windows are short; slowed down one can see what moves."""


@dataclass(frozen=True, slots=True)
class DrivingMotion:
    """Tracks of the driving clip in px of its frames, the times of the frames to make, and its action labels."""

    size_hw: tuple[int, int]
    pts_s_T: NDArray[np.float64]
    body: BodyTrack
    face: FaceTrack
    hands: HandsTrack
    camera: CameraTrack
    actions: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """A picture of the character, the square of it to show, and the body's joints there (J, 3) in crop units.

    face_place_7: the face there (`face_place_in`). proportions: of its limbs; None where nobody measured them.
    """

    rgb_HWC: NDArray[np.uint8]
    square: Square
    body_J3: NDArray[np.float32]
    face_place_7: NDArray[np.float32]
    proportions: Proportions | None = None

    def seen(self, size_px: int) -> ReferenceInputs:
        """What the model is shown of it."""
        view_HWC = crop_resized(self.rgb_HWC[None], self.square, size_px)[0]
        return reference_inputs(self.rgb_HWC, self.square, self.body_J3, self.face_place_7, view_HWC, self.body_J3)


@dataclass(frozen=True, slots=True)
class AnimateStats:
    """Cost of one animation: network evaluations in all, windows sampled, Euler steps per window, seconds."""

    evaluations: int
    segments: int
    steps_per_segment: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Animation:
    """One frame per driving frame, square, at the model's size.

    limb_factors: how much longer the driver's arms and legs were made; what is not named stayed as it was.
    """

    rgb_THWC: NDArray[np.uint8]
    pts_s_T: NDArray[np.float64]
    stats: AnimateStats
    limb_factors: Mapping[str, float]


def reference_of(rgb_HWC: NDArray[np.uint8], body: BodyTrack, face: FaceTrack) -> Reference:
    """A picture whose tracks (of its single frame) are known; without anybody in it, its central square."""
    size_hw = (rgb_HWC.shape[0], rgb_HWC.shape[1])
    square = choose_square(size_hw, subject_box_px(body, face, size_hw))
    return Reference(rgb_HWC, square, body_in(square, body), face_place_in(square, face), proportions_in(body))


def animate(
    model_dir: Path | LoadedModel,
    references: Sequence[Reference],
    driving: DrivingMotion,
    caption: str = "",
    seed: int = 0,
    on_segment: Callable[[int, int], None] | None = None,
    keep_proportions: bool = False,
) -> Animation:
    """Generate the driving clip's frames with the references' character, by a teacher or a student MODEL.

    A camera that the caption states takes the place of the driving clip's own (model/data/camera_path.py). A driver who
    faces another way than the caption states is turned (model/data/turned.py). The driver's arms and legs
    get the character's proportions where both are known (model/data/retarget.py), unless keep_proportions.
    Beyond the model's max_references pictures are left out, the last first. on_segment(done, total) is called after
    each window.

    Raises: RecipeError or DataError from load_model; DataError when there is no driving frame or no reference.
    """
    began_s = time.perf_counter()
    model = model_dir if isinstance(model_dir, LoadedModel) else load_model(model_dir)
    config, device = model.config, next(model.net.parameters()).device
    if len(driving.pts_s_T) == 0:
        raise DataError("the driving clip has no frame; nothing to animate")
    if not references:
        raise DataError("no reference picture; nothing says who is to move")
    size_px = config.data.size_px
    stills = [still.seen(size_px) for still in references]
    encoded = encode_references(stills, model.codec, config.data.max_references)
    pts_s_T = driving.pts_s_T - driving.pts_s_T[0]
    length_s = max(float(pts_s_T[-1]), 1e-3)
    stated = parse_directions(caption)
    filmed = with_neutral_face(*turned(driving.body, driving.face, driving.hands, stated.orientation), driving.camera)
    known = [] if keep_proportions else [still.proportions for still in references if still.proportions is not None]
    factors = limb_factors(proportions_in(filmed.body), known)
    tracks = retargeted(filmed, factors)
    square = driving_square(driving.size_hw, filmed, tracks)

    window, lead_in = config.data.frames, model.codec.lead_in_frames
    overlap = whole_latents(config.sampling.overlap_frames, config.net.patch_thw[0], lead_in)
    grid = window_grid(model)
    plan = segment_frames(len(pts_s_T), window, overlap)
    made: list[NDArray[np.uint8]] = []
    evaluations = 0
    tail: Tensor | None = None
    for number, frame_T in enumerate(plan):
        frame_s_T = pts_s_T[frame_T] + driving.pts_s_T[0]
        motion = motion_inputs(frame_s_T, square, config.expression_names, tracks)
        start_s, end_s = float(frame_s_T.min()), float(frame_s_T.max())
        actions = tuple(
            dict.fromkeys(label for label, begins, ends in driving.actions if begins <= end_s and ends >= start_s)
        )
        first_s, last_s = float(pts_s_T[frame_T].min()), float(pts_s_T[frame_T].max())
        shown = (first_s / length_s, max(last_s, first_s + 1e-3) / length_s)
        words = Words(caption, direction_features(stated, len(frame_T), shown), actions)
        followed = followed_path(stated, words.directions_TF, frame_s_T, motion.camera_TF)
        motion = replace(motion, camera_TF=followed)
        conditions = window_conditions(
            motion, window_times(pts_s_T, frame_T), encoded, semantic_motion(filmed.body, (start_s + end_s) / 2),
            words, model.text, lead_in,
        ).to(device)  # fmt: skip
        predictor = make_predictor(model, conditions, grid)
        # The same noise in every window: what the motion leaves open is then decided alike, and joins flicker less.
        noise = segment_noise(model, conditions, seed, 0)
        result = sample(predictor, noise, sampling_times(model), pin_start(tail, noise), config.sampling.solver)
        evaluations += result.evaluations
        pixels_THW3 = model.codec.decode(result.tokens_BNC.cpu(), grid)[0]
        if overlap:
            tail = model.codec.encode(pixels_THW3[-overlap:].unsqueeze(0)).to(device)
        made.append(to_rgb(pixels_THW3 if number == 0 else pixels_THW3[overlap:]))
        if on_segment is not None:
            on_segment(number + 1, len(plan))
    rgb_THWC = np.concatenate(made)[: len(pts_s_T)]
    seconds = time.perf_counter() - began_s
    stats = AnimateStats(evaluations, len(plan), config.sampling.steps, round(seconds, 3))
    return Animation(rgb_THWC, driving.pts_s_T.copy(), stats, factors)


def make_predictor(
    model: LoadedModel, conditions: Conditions, grid_thw: Triple, given: Sequence[str] = GROUPS
) -> Predictor:
    """Two guided branches for a teacher, one branch for a student. given: the groups that there are at all."""
    with torch.no_grad():
        sampling = model.config.sampling
        if sampling.guidance is not None:
            guided = DualBranch(model.net, conditions, grid_thw, sampling.guidance, given)
            return with_one_backdrop(model, guided, conditions, given)
        single = SingleBranch(model.net, conditions, grid_thw, sampling.strength, given)
        return with_one_backdrop(model, single, conditions, given)


def with_one_backdrop(
    model: LoadedModel, predictor: Predictor, conditions: Conditions, given: Sequence[str] = GROUPS
) -> Predictor:
    """The predictor, made to agree on a backdrop (model/backdrop.py) where the model's sampling says so.

    Without the body nothing says where the backdrop is. Codecs of anything but pixels are left alone.
    """
    config = model.config
    pixels = isinstance(config.net, NetConfig) and config.net.pixels
    if not (pixels and config.sampling.one_backdrop_until and "body" in given):
        return predictor
    until_t = config.sampling.one_backdrop_until
    return OneBackdrop(predictor, conditions, window_grid(model), config.net.patch_thw, until_t)


def sampling_times(model: LoadedModel) -> list[float]:
    return time_grid(model.config.sampling.steps, model.config.sampling.shift)


def segment_noise(
    model: LoadedModel, conditions: Conditions, seed: int, first: int, given: Sequence[str] = GROUPS
) -> Tensor:
    """Starting noise of windows number first, first + 1, ...: of the seed, the number and the camera's path only, and
    less where the subject is if the model's sampling says so. given: the groups that there are at all."""
    grid = window_grid(model)
    rows = []
    for row in range(conditions.batch_size):
        own = conditions.map(lambda value, row=row: value[row : row + 1])  # type: ignore[misc]
        rows.append(starting_noise(model.config.net, own, grid, StepRng(seed, first + row), "sample"))
    return calmed(torch.cat(rows), model.config.sampling.subject_noise, model.config.net, conditions, grid, given)


def window_grid(model: LoadedModel) -> Triple:
    """Token grid of the model's own window size."""
    data = model.config.data
    return codec_grid(model.codec, (data.frames, data.size_px, data.size_px))


def whole_latents(frames: int, patch_frames: int, lead_in_frames: int = 0) -> int:
    """The overlap rounded down to whole latent frames: a latent frame cannot be half known.

    Where the first frame stands alone (lead_in_frames), those are 1, pt + 1, 2 pt + 1, ... frames.
    """
    return max(0, (frames + lead_in_frames) // patch_frames * patch_frames - lead_in_frames)


def pin_start(tail: Tensor | None, noise_BNC: Tensor) -> Pinned | None:
    """The previous window's last tokens, put at this window's start."""
    if tail is None:
        return None
    held = torch.zeros_like(noise_BNC)
    held[:, : tail.shape[1]] = tail
    return Pinned(held, torch.arange(noise_BNC.shape[1], device=noise_BNC.device) < tail.shape[1])


def window_times(pts_s_T: NDArray[np.float64], frame_T: NDArray[np.int64]) -> NDArray[np.float64]:
    """Times of a window's frames. Where the window plays back beyond the end, the clock still runs forward."""
    steps_s: NDArray[np.float64] = np.abs(np.diff(pts_s_T[frame_T], prepend=pts_s_T[frame_T[0]]))
    times_s: NDArray[np.float64] = np.cumsum(steps_s) + pts_s_T[frame_T[0]]
    return times_s


@dataclass(frozen=True, slots=True)
class SampledWindows:
    """Data windows beside what the model makes of their conditions, uint8; evaluations and seconds for all of them."""

    reference_BHWC: NDArray[np.uint8]
    truth_BTHWC: NDArray[np.uint8]
    made_BTHWC: NDArray[np.uint8]
    psnr_db: float
    evaluations: int
    seconds: float

    def sheet(self) -> NDArray[np.uint8]:
        """Two rows per window: the reference and the true frames, below them the made frames."""
        rows = []
        for reference_HWC, truth_THWC, made_THWC in zip(
            self.reference_BHWC, self.truth_BTHWC, self.made_BTHWC, strict=True
        ):
            rows.append(np.concatenate([reference_HWC, *truth_THWC], axis=1))
            rows.append(np.concatenate([np.zeros_like(reference_HWC), *made_THWC], axis=1))
        return np.concatenate(rows)


def sample_windows(model: LoadedModel, reader: WindowReader, count: int, seed: int) -> SampledWindows:
    """Sample `count` data windows, always the same ones with the same noise.

    psnr_db compares the made pixels with the true ones; these are training windows, so it says what was learnt, not how
    well the model carries over.
    """
    batch = reader.sampling_batch(count, seed, model.codec, model.text)
    device = next(model.net.parameters()).device
    began_s = time.perf_counter()
    conditions = batch.conditions.to(device)
    noise = segment_noise(model, conditions, seed, 0)
    predictor = make_predictor(model, conditions, batch.grid_thw)
    result = sample(predictor, noise, sampling_times(model), solver=model.config.sampling.solver)
    grid = batch.grid_thw
    made = model.codec.decode(result.tokens_BNC.cpu(), grid)
    seconds = time.perf_counter() - began_s
    truth = model.codec.decode(batch.tokens_BNC, grid)
    mse_B = (made.clamp(-1, 1) - truth).square().mean(dim=(1, 2, 3, 4)) / 4.0
    still_grid = (1, grid[1], grid[2])
    return SampledWindows(
        reference_BHWC=to_rgb(model.codec.decode(batch.conditions.reference_BKNC[:, 0], still_grid)[:, 0]),
        truth_BTHWC=to_rgb(truth),
        made_BTHWC=to_rgb(made),
        psnr_db=float((-10.0 * mse_B.clamp_min(1e-10).log10()).mean()),
        evaluations=result.evaluations,
        seconds=seconds,
    )


def write_samples(folder: Path, model: LoadedModel, reader: WindowReader, count: int, seed: int) -> Sequence[Path]:
    """Sample `count` data windows into samples/: samples.png, samples.mp4 and their cost in samples.json."""
    windows = sample_windows(model, reader, count, seed)
    cost = {
        "windows": count,
        "steps_per_window": model.config.sampling.steps,
        "evaluations_per_window": windows.evaluations,
        "seconds_per_window": round(windows.seconds / count, 4),
        "psnr_db": round(windows.psnr_db, 2),
    }
    write_atomically(folder / SAMPLES_DIR / "samples.json", (json.dumps(cost, indent=1) + "\n").encode())
    payload = model_payload(fingerprint(model.config.model_dump(mode="json")))
    sheet = folder / SAMPLES_DIR / "samples.png"
    write_atomically(sheet, png_bytes(windows.sheet()))
    pairs = [
        np.concatenate([truth, made], axis=1)
        for truth, made in zip(windows.truth_BTHWC, windows.made_BTHWC, strict=True)
    ]
    wall_THWC = np.concatenate(pairs, axis=2)
    clip = folder / SAMPLES_DIR / "samples.mp4"
    # True and made frames lie in one picture: the mark covers both.
    marked_THWC = embed(wall_THWC, PUBLIC_KEY, payload)
    write_mp4(clip, marked_THWC, np.arange(len(wall_THWC)) / SAMPLES_FPS)
    return sheet, clip
