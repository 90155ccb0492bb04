"""Train a causal_vae on a DATASET into a CODEC folder, by the loop that trains the model.

    CODEC/codec.json  codec.safetensors  model.safetensors  ema.safetensors  metrics.jsonl  trainer/
`codec.safetensors` is what a training recipe's `codec: {name: causal_vae, weights: CODEC}` reads.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from safetensors.torch import load_file

from model.codec.base import Triple, VideoCodec, grid_of, patchify
from model.codec.catalog import CODEC_FILE, codec_bytes, codec_hash
from model.codec.causal_vae import CausalVae, CausalVaeCodec, fit_token_scale
from model.codec.klt import fit_klt
from model.codec.pixel import PixelCodec
from model.conditions import Batch
from model.data.reader import Clips, DataRecipe, StageData, WindowReader, dataset_fingerprint, expression_names_of
from model.data.references import ReferenceRecipe
from model.objectives.reconstruction import Reconstruction, ReconstructionRecipe
from model.rng import StepRng, seed_from
from model.store import EMA_FILE, METRICS_FILE, fill, write_atomically
from model.text.encoder import HashedBytesText
from model.train.checkpoint import saved_step
from model.train.loop import LoopRecipe, Stage, run_stages
from model.train.runs import Report
from model.train.start import one_process_only, start_torch
from schemas.errors import RecipeError
from schemas.fingerprint import fingerprint
from schemas.recipe import StrictModel
from schemas.storage import Location

CONFIG_FILE = "codec.json"
FIT_WINDOWS = 128
"""Windows for the KLT it starts from, and again for the scale of the tokens."""


class CausalVaeRecipe(StrictModel):
    """Sizes of the autoencoder; `channels` numbers per patch of patch_thw pixels."""

    patch_thw: Triple = (4, 8, 8)
    channels: int = Field(default=64, gt=0)
    width: int = Field(default=96, gt=0)
    depth: int = Field(default=2, gt=0)
    gamma: float = 0.5
    """Of the KLT it starts from (CodecRecipe)."""


class CodecTrainRecipe(StrictModel):
    """motionloom train-codec. loop.precision is fp32 unless given: what the KLT leaves out is as small as bf16's
    rounding."""

    steps: int = Field(default=1500, gt=0)
    data: DataRecipe = DataRecipe()
    codec: CausalVaeRecipe = CausalVaeRecipe()
    loss: ReconstructionRecipe = ReconstructionRecipe()
    loop: LoopRecipe = LoopRecipe()
    threads: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _precise(cls, values: dict[str, Any]) -> dict[str, Any]:
        loop = values.get("loop", {})
        return {**values, "loop": {"precision": "fp32", **loop}} if isinstance(loop, dict) else values


@dataclass(frozen=True, slots=True)
class CodecSummary:
    """What a codec's training says at its end. PSNR over 128 training windows (not held aside), in dB."""

    folder: str
    codec_hash: str
    parameters: int
    steps: int
    resumed_from_step: int
    klt_psnr_db: float
    psnr_db: float
    seconds: float


@dataclass(frozen=True, slots=True)
class CodecStart:
    """Stands in the headers of the weights: the codec that training began from, and no text encoder."""

    codec_hash: str
    text_encoder: str = "none"


def train_codec(data: Location, output: Path, recipe: CodecTrainRecipe, resume: bool, report: Report) -> CodecSummary:
    """Fit the KLT, then learn what it leaves out; `resume` continues a killed run exactly.

    Raises: RecipeError before any work when the folder holds a codec and `resume` is not given, or when its recipe or
            dataset is another one; DataError for a bad sample.
    """
    one_process_only("train-codec")
    if recipe.loop.samples_every is not None:
        raise RecipeError("loop.samples_every draws what a model makes; a codec makes nothing of its own, leave it out")
    if recipe.loop.compile or recipe.loop.attention != "sdpa":
        raise RecipeError("loop.compile and loop.attention are for the transformer's blocks; a codec has none")
    device = start_torch(recipe.threads, recipe.device)
    prints = {"recipe": fingerprint(recipe.model_dump(mode="json")), "dataset": dataset_fingerprint(data)}
    check_codec_output(output, resume, prints)
    # One reference from the window's own clip: nobody looks at it, so it shall cost nothing.
    seen = StageData(references=ReferenceRecipe(counts=(1.0,), other_clip=0.0))
    reader = WindowReader(Clips(data, recipe.data), seen, expression_names_of(data), recipe.loop.seed)
    # Nobody looks at the words; these cost nothing.
    text, began_from = HashedBytesText(), saved_step(output)
    grid = grid_of((recipe.data.frames, recipe.data.size_px, recipe.data.size_px), recipe.codec.patch_thw)
    windows = reader.training_windows(FIT_WINDOWS)
    vae, klt = starting_vae(recipe, windows)
    pixels = PixelCodec(recipe.codec.patch_thw)
    if not (output / CONFIG_FILE).is_file():
        document = {**prints, "trained_with": recipe.model_dump(mode="json")}
        write_atomically(output / CONFIG_FILE, (json.dumps(document, indent=1, sort_keys=True) + "\n").encode())

    def read_batch(rng: StepRng) -> Batch:
        return reader.batch(rng, pixels, text, recipe.loop.batch_size)

    stage = Stage("reconstruction", recipe.steps, 1.0, lambda _: Reconstruction(vae, grid, recipe.loss), read_batch)
    trained_with = CodecStart(codec_hash(klt))
    run_stages([stage], recipe.loop, trained_with, output, report, device)
    fill(vae, load_file(str(output / EMA_FILE)), output / EMA_FILE)
    vae.requires_grad_(False)
    fit_token_scale(vae, windows)
    codec = CausalVaeCodec(vae)
    write_atomically(output / CODEC_FILE, codec_bytes(codec))
    rows = [json.loads(line) for line in (output / METRICS_FILE).read_text(encoding="utf-8").splitlines()]
    return CodecSummary(
        folder=str(output),
        codec_hash=codec_hash(codec),
        parameters=sum(weight.numel() for weight in vae.parameters()),
        steps=len(rows),
        resumed_from_step=began_from,
        klt_psnr_db=round(psnr_db(klt, windows), 2),
        psnr_db=round(psnr_db(codec, windows), 2),
        seconds=round(sum(row["seconds"] for row in rows), 2),
    )


def starting_vae(recipe: CodecTrainRecipe, windows_BTHW3: torch.Tensor) -> tuple[CausalVae, VideoCodec]:
    """The untrained autoencoder, and the KLT codec that it equals."""
    sizes = recipe.codec
    patches = patchify(windows_BTHW3, sizes.patch_thw).flatten(0, 1)
    klt = fit_klt(patches, sizes.patch_thw, sizes.channels, sizes.gamma)
    torch.manual_seed(seed_from(recipe.loop.seed, "init"))
    return CausalVae(klt, sizes.width, sizes.depth), klt


def psnr_db(codec: VideoCodec, windows_BTHW3: torch.Tensor) -> float:
    """Of all windows together, over the range [-1, 1], not rounded to uint8."""
    _, frames, height, width, _ = windows_BTHW3.shape
    grid = grid_of((frames, height, width), codec.patch_thw)
    parts = torch.split(windows_BTHW3, 8)
    squared = [(codec.decode(codec.encode(part), grid) - part).square().mean() for part in parts]
    return -10.0 * math.log10(max(float(torch.stack(squared).mean()) / 4.0, 1e-10))


def check_codec_output(output: Path, resume: bool, prints: dict[str, str]) -> None:
    """Raises: RecipeError when going on would overwrite a codec or mix two recipes or datasets."""
    path = output / CONFIG_FILE
    if not path.is_file():
        if output.exists() and any(item.suffix != ".part" for item in output.iterdir()):
            raise RecipeError(f"--output {output} is not empty and holds no {CONFIG_FILE}; give a new folder")
        return
    if not resume:
        raise RecipeError(f"--output {output} already holds a codec; add --resume to continue it, or give a new folder")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RecipeError(f"{path} is no JSON ({error}); give a new folder") from error
    for what, wanted in prints.items():
        if found.get(what) != wanted:
            raise RecipeError(
                f"--output {output} belongs to another {what} ({found.get(what)}, not {wanted}); give a new folder"
            )
