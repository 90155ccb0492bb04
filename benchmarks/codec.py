"""How well the codecs bring back clips they were not fitted on: PSNR on held-aside clips.

    python benchmarks/codec.py tables  CLIPS_FOLDER [--seeds 0 1 2 3 4] [--sizes 64 128]
    python benchmarks/codec.py windows CLIPS_FOLDER [--seeds ...]      more or fewer windows to fit on
    python benchmarks/codec.py vae     CLIPS_FOLDER --channels 16 --steps 500 [--seeds ...]
                                       causal VAE (4x8x8, trained by the loop on the fit's windows) beside KLT

Every clip that decodes with at least 8 frames and 64 px on its short side gives up to 12 windows of 8 consecutive
frames, evenly spaced over the clip, its central square scaled to the size. A seed shuffles the clips by source (two
clips of one source fall on one side); a third is held aside, nothing of it is seen by the fit. Encoding is per window.
PSNR is over [0, 255], against the uint8 frames. `mean` is the mean over held-aside clips of the clip's PSNR (its MSE
pooled over windows); `pooled` is the PSNR of the MSE pooled over all held-aside windows; `uint8` is `mean` after
rounding to uint8 (what a player shows); `worst` is the lowest clip. Figures are means over seeds, with their range.
"""

from __future__ import annotations

import argparse
import csv
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.codec.base import Triple, VideoCodec, grid_of, patchify
from model.codec.catalog import CodecRecipe, make_codec
from model.codec.causal_vae import CausalVae, CausalVaeCodec, fit_token_scale
from model.codec.klt import KltCodec
from model.conditions import Batch, Conditions
from model.data.framing import choose_square, crop_resized
from model.data.windows import to_model_range, to_rgb
from model.objectives.reconstruction import Reconstruction
from model.rng import StepRng
from model.train.codec_run import CausalVaeRecipe, CodecStart, CodecTrainRecipe, starting_vae
from model.train.loop import LoopRecipe, Stage, run_stages
from model.video import iterate_mp4
from schemas.errors import DataError

FRAMES, WINDOWS, LEAST_SIDE_PX = 8, 12, 64
COLOUR_STEPS = 4.0
VAE_WIDTH, VAE_DEPTH = 96, 2
SETTINGS: tuple[tuple[Triple, int], ...] = (((2, 8, 8), 32), ((2, 8, 8), 64), ((2, 8, 8), 128), ((4, 8, 8), 64))


@dataclass(frozen=True)
class Clip:
    """Windows (M, T, size, size, 3) uint8 of one clip, by size; `source` says where the clip comes from."""

    name: str
    source: str
    windows: Mapping[int, NDArray[np.uint8]]

    def rgb(self, size_px: int) -> Tensor:
        return to_model_range(self.windows[size_px])


def read_clips(folder: Path, sizes: Sequence[int]) -> list[Clip]:
    """Every usable clip of the folder, sorted by name; what is left out is printed with its reason."""
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        sources = {row["file"]: row["source_repo"] for row in csv.DictReader(file)}
    clips = []
    for path in sorted(path for path in folder.iterdir() if path.suffix in {".mp4", ".avi", ".mov", ".webm"}):
        try:
            windows = read_windows(path, sizes)
        except DataError as error:
            print(f"left out: {path.name}: {error}")
            continue
        clips.append(Clip(path.name, sources.get(path.name, path.name), windows))
    return clips


def read_windows(path: Path, sizes: Sequence[int]) -> dict[int, NDArray[np.uint8]]:
    """Raises: DataError for a clip that does not decode, is too short or too small."""
    frames: dict[int, list[NDArray[np.uint8]]] = {size: [] for size in sizes}
    for rgb_HWC, _ in iterate_mp4(path.read_bytes(), path.name):
        size_hw = (rgb_HWC.shape[0], rgb_HWC.shape[1])
        if min(size_hw) < LEAST_SIDE_PX:
            raise DataError(f"{size_hw[1]}x{size_hw[0]} px")
        square = choose_square(size_hw, None)
        for size in sizes:
            frames[size].append(crop_resized(rgb_HWC, square, size))
    count = len(frames[sizes[0]])
    if count < FRAMES:
        raise DataError(f"{count} frames")
    starts = np.unique(np.linspace(0, count - FRAMES, min(WINDOWS, count // FRAMES)).astype(int))
    return {size: np.stack([np.stack(frames[size][at : at + FRAMES]) for at in starts]) for size in sizes}


def split(clips: Sequence[Clip], seed: int) -> tuple[list[Clip], list[Clip]]:
    """Clips to fit on and clips held aside (a third), by source."""
    sources = sorted({clip.source for clip in clips})
    order = np.random.default_rng(seed).permutation(len(sources))
    held_sources: set[str] = set()
    for index in order:
        if sum(clip.source in held_sources for clip in clips) >= len(clips) / 3:
            break
        held_sources.add(sources[int(index)])
    held = [clip for clip in clips if clip.source in held_sources]
    return [clip for clip in clips if clip.source not in held_sources], held


def dct_codec(patch_thw: Triple, channels: int, colour_steps: float) -> KltCodec:
    """The separable orthonormal DCT-II of a patch, keeping the lowest frequencies (by their sum over t, y and x).

    With colour_steps 0, R, G and B keep equally many frequencies. Else the colour axes are the DCT of (R, G, B), whose
    first row is luma, and a frequency of the other two counts as so many steps (of 8 over a patch side) higher.
    """

    def basis(size: int) -> Tensor:
        n, k = torch.arange(size).double(), torch.arange(size).double()[:, None]
        rows = torch.cos(math.pi / size * (n + 0.5) * k) * math.sqrt(2 / size)
        rows[0] /= math.sqrt(2)
        return rows

    pt, ph, pw = patch_thw
    colour = basis(3) if colour_steps else torch.eye(3).double()
    full = torch.einsum("at,by,cx,dk->abcdtyxk", basis(pt), basis(ph), basis(pw), colour)
    full = full.reshape(pt * ph * pw * 3, -1)
    a, b, c, d = torch.meshgrid(*(torch.arange(n) for n in (pt, ph, pw, 3)), indexing="ij")
    cost = a * (8 / pt) + b * (8 / ph) + c * (8 / pw) + colour_steps * (d > 0)
    order = torch.argsort(cost.flatten(), stable=True)[:channels]
    numbers = full.shape[1]
    return KltCodec(patch_thw, torch.zeros(numbers), full[order].T.float().contiguous(), torch.ones(channels))


@dataclass(frozen=True)
class Score:
    mean_db: float
    pooled_db: float
    uint8_db: float
    worst_db: float
    per_clip_db: Mapping[str, float]


def decibel(squared_255: float) -> float:
    return 10.0 * math.log10(255.0**2 / max(squared_255, 1e-12))


@torch.no_grad()
def score(codec: VideoCodec, held: Sequence[Clip], size_px: int) -> Score:
    exact, rounded, weights = {}, [], []
    for clip in held:
        rgb = clip.rgb(size_px)
        grid = grid_of((FRAMES, size_px, size_px), codec.patch_thw)
        made = codec.decode(codec.encode(rgb), grid)
        exact[clip.name] = float((made - rgb).double().square().mean()) * 127.5**2
        shown = to_rgb(made).astype(np.float64) - clip.windows[size_px]
        rounded.append(decibel(float(np.square(shown).mean())))
        weights.append(len(rgb))
    per_clip = {name: decibel(value) for name, value in exact.items()}
    pooled = float(np.average(list(exact.values()), weights=weights))
    return Score(
        float(np.mean(list(per_clip.values()))),
        decibel(pooled),
        float(np.mean(rounded)),
        min(per_clip.values()),
        per_clip,
    )


def training_rgb(fit: Sequence[Clip], size_px: int) -> Tensor:
    """All windows of the clips to fit on."""
    return torch.cat([clip.rgb(size_px) for clip in fit])


def line(scores: Sequence[Score]) -> str:
    """Mean over seeds (lowest to highest seed) of `mean`; the other columns as means."""
    means = [each.mean_db for each in scores]
    return (
        f"{np.mean(means):5.1f} ({min(means):.1f}-{max(means):.1f}) | {np.mean([s.pooled_db for s in scores]):5.1f} | "
        f"{np.mean([s.uint8_db for s in scores]):5.1f} | {np.mean([s.worst_db for s in scores]):5.1f}"
    )


def tables(clips: Sequence[Clip], sizes: Sequence[int], seeds: Sequence[int]) -> None:
    print("| px | patch | channels | codec | mean dB (seeds) | pooled | uint8 | worst | fit s |\n|" + "---|" * 9)
    for size in sizes:
        for patch, channels in SETTINGS:
            fitted, plain, colour, seconds = [], [], [], []
            for seed in seeds:
                fit, held = split(clips, seed)
                rgb = training_rgb(fit, size)
                began = time.perf_counter()
                codec = make_codec(CodecRecipe(name="klt", patch_thw=patch, channels=channels), rgb)
                seconds.append(time.perf_counter() - began)
                fitted.append(score(codec, held, size))
                plain.append(score(dct_codec(patch, channels, 0.0), held, size))
                colour.append(score(dct_codec(patch, channels, COLOUR_STEPS), held, size))
            where = f"| {size} | {'x'.join(map(str, patch))} | {channels} |"
            print(f"{where} DCT of R, G, B | {line(plain)} | - |")
            print(f"{where} DCT, luma first | {line(colour)} | - |")
            print(f"{where} KLT | {line(fitted)} | {np.mean(seconds):.1f} |", flush=True)
            if (patch, channels) == ((2, 8, 8), 64):
                print_clips(fitted)


def print_clips(scores: Sequence[Score]) -> None:
    found: dict[str, list[float]] = {}
    for each in scores:
        for name, value in each.per_clip_db.items():
            found.setdefault(name, []).append(value)
    for name, values in sorted(found.items(), key=lambda item: np.mean(item[1])):
        print(f"    {np.mean(values):5.1f} dB  {name} (held aside in {len(values)} seeds)")


def windows(clips: Sequence[Clip], seeds: Sequence[int]) -> None:
    """2x8x8 -> 64 channels at 64 px, fitted on N windows drawn in turn from all clips to fit on."""
    print("| windows to fit on | mean dB (seeds) | pooled | uint8 | worst |\n|" + "---|" * 5)
    for count in (8, 16, 32, 64, 128, 256, 10_000):
        scores = []
        for seed in seeds:
            fit, held = split(clips, seed)
            rgb = torch.stack(list(in_turn(fit, 64, count, seed)))
            scores.append(score(make_codec(CodecRecipe(name="klt", channels=64), rgb), held, 64))
        print(f"| {min(count, len(rgb))} | {line(scores)} |", flush=True)


def vae(clips: Sequence[Clip], seeds: Sequence[int], channels: int, steps: int) -> None:
    """4x8x8 at 64 px: the same windows fit the KLT and train the autoencoder that starts from it."""
    print("| seed | channels | codec | on fitted clips dB | mean dB | pooled | uint8 | worst | CPU s |\n|" + "---|" * 9)
    for seed in seeds:
        fit, held = split(clips, seed)
        rgb = training_rgb(fit, 64)
        sizes = CausalVaeRecipe(channels=channels, width=VAE_WIDTH, depth=VAE_DEPTH)
        loop = LoopRecipe(adamw_rate=2e-3, checkpoint_every=steps, seed=seed, precision="fp32")
        recipe = CodecTrainRecipe(steps=steps, codec=sizes, loop=loop)
        net, klt = starting_vae(recipe, rgb)
        began = time.process_time()
        trained = trained_vae(net, rgb, recipe)
        seconds = time.process_time() - began
        for name, codec, spent in (("KLT", klt, "-"), ("causal VAE", trained, f"{seconds:.0f}")):
            found = score(codec, held, 64)
            values = f"{found.mean_db:.2f} | {found.pooled_db:.2f} | {found.uint8_db:.2f} | {found.worst_db:.2f}"
            seen = score(codec, fit, 64).mean_db
            print(f"| {seed} | {channels} | {name} | {seen:.2f} | {values} | {spent} |", flush=True)


def trained_vae(net: CausalVae, rgb_BTHW3: Tensor, recipe: CodecTrainRecipe) -> CausalVaeCodec:
    """Train on windows drawn at random (mirrored by the objective); the conditions of a batch are not looked at."""
    patches = patchify(rgb_BTHW3, net.patch_thw)
    grid = grid_of((FRAMES, rgb_BTHW3.shape[2], rgb_BTHW3.shape[3]), net.patch_thw)
    size = recipe.loop.batch_size
    nothing = Conditions(**{field.name: torch.zeros(size) for field in fields(Conditions)})

    def read_batch(rng: StepRng) -> Batch:
        index = rng.numpy(0, "windows").integers(0, len(patches), size)
        return Batch(patches[index], grid, torch.zeros(size, 1), nothing, tuple(map(str, index)))

    stage = Stage("reconstruction", recipe.steps, 1.0, lambda _: Reconstruction(net, grid, recipe.loss), read_batch)
    with tempfile.TemporaryDirectory() as folder:
        begin = CodecStart(codec_hash="0" * 16)
        run_stages([stage], recipe.loop, begin, Path(folder), lambda _: None, torch.device("cpu"))
    fit_token_scale(net.requires_grad_(False), rgb_BTHW3)
    return CausalVaeCodec(net)


def in_turn(fit: Sequence[Clip], size_px: int, count: int, seed: int) -> Iterator[Tensor]:
    """One window of every clip, then another of every clip, until there are `count` or no more."""
    rng = np.random.default_rng(seed)
    left = [list(rng.permutation(len(clip.windows[size_px]))) for clip in fit]
    given = 0
    while given < count and any(left):
        for clip, rest in zip(fit, left, strict=True):
            if rest and given < count:
                yield clip.rgb(size_px)[rest.pop()]
                given += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tables", "windows", "vae"])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--without", nargs="*", default=[], help="clips to leave out, by file name")
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--steps", type=int, default=500)
    args = parser.parse_args()
    clips = [clip for clip in read_clips(args.clips, args.sizes) if clip.name not in args.without]
    held = {seed: len(split(clips, seed)[1]) for seed in args.seeds}
    count = sum(len(clip.windows[args.sizes[0]]) for clip in clips)
    print(f"{len(clips)} clips, {count} windows; held aside by seed: {held}")
    if args.what == "tables":
        tables(clips, args.sizes, args.seeds)
    elif args.what == "vae":
        vae(clips, args.seeds, args.channels, args.steps)
    else:
        windows(clips, args.seeds)


if __name__ == "__main__":
    main()
