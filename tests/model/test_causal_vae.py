"""The causal autoencoder: it starts as the KLT, never looks ahead, learns in our loop and is kept like any codec."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from model.codec.base import patchify
from model.codec.catalog import CODEC_FILE, CodecRecipe, codec_hash, make_codec, read_codec
from model.codec.causal_vae import CausalVae, CausalVaeCodec, fit_token_scale
from model.codec.klt import TARGET_STD, KltCodec, fit_klt
from model.conditions import Batch
from model.data.windows import ReferenceInputs, encode_references
from model.objectives.reconstruction import Reconstruction, ReconstructionRecipe
from model.rng import StepRng
from model.store import read_config
from model.train.codec_run import CodecTrainRecipe, train_codec
from model.train.loop import StepReport
from model.train.recipes import TrainRecipe
from model.train.runs import train_teacher
from pipelines.cli import main
from schemas.errors import DataError, RecipeError
from schemas.recipe import parse_recipe
from tests.builders import dataset
from tests.model.tiny import random_conditions

PATCH, GRID = (2, 4, 4), (3, 2, 4)
CHANNELS = 5
TINY = {
    "steps": 30,
    "data": {"size_px": 16, "frames": 4, "strides": [1]},
    "codec": {"patch_thw": [2, 4, 4], "channels": 4, "width": 16, "depth": 1},
    "loop": {"batch_size": 2, "checkpoint_every": 10, "warmup_steps": 2, "adamw_rate": 0.003},
    "threads": 1,
    "device": "cpu",
}


def video(batch: int = 3, seed: int = 0) -> torch.Tensor:
    """Smooth noise, so that few channels already hold something."""
    source = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, 3, 4, 8, generator=source) * 2 - 1
    fine = torch.nn.functional.interpolate(coarse, size=(6, 8, 16), mode="trilinear")
    return fine.permute(0, 2, 3, 4, 1).contiguous()


def untrained() -> tuple[CausalVae, KltCodec]:
    patches = patchify(video(40), PATCH).flatten(0, 1)
    klt = fit_klt(patches, PATCH, CHANNELS)
    torch.manual_seed(0)
    return CausalVae(klt, width=12, depth=2), klt


def opened() -> CausalVae:
    """Every weight random: nothing is hidden behind a zero."""
    vae, _ = untrained()
    with torch.no_grad():
        for weight in vae.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return vae


def test_before_training_it_is_the_klt() -> None:
    vae, klt = untrained()
    codec, rgb = CausalVaeCodec(vae), video()
    assert (codec.patch_thw, codec.token_dim) == (PATCH, CHANNELS)
    assert torch.equal(codec.encode(rgb), klt.encode(rgb))
    assert torch.equal(codec.decode(klt.encode(rgb), GRID), klt.decode(klt.encode(rgb), GRID))


@pytest.mark.parametrize("later", [1, 2])
def test_later_frames_reach_neither_earlier_tokens_nor_earlier_pixels(later: int) -> None:
    codec, rgb = CausalVaeCodec(opened()), video()
    changed = rgb.clone()
    changed[:, later * PATCH[0] :] += 0.7
    cells = GRID[1] * GRID[2]
    tokens, others = codec.encode(rgb), codec.encode(changed)
    assert torch.equal(tokens[:, : later * cells], others[:, : later * cells])
    assert (tokens - others)[:, later * cells :].abs().amin() > 0
    tokens[:, later * cells :] += 0.7
    before, after = codec.decode(codec.encode(rgb), GRID), codec.decode(tokens, GRID)
    assert torch.equal(before[:, : later * PATCH[0]], after[:, : later * PATCH[0]])
    assert (before - after)[:, later * PATCH[0] :].abs().amax() > 0


def test_a_token_sees_its_neighbours_and_the_frames_before() -> None:
    """What the patch-wise KLT cannot."""
    codec, rgb = CausalVaeCodec(opened()), video()
    changed = rgb.clone()
    changed[:, 0, 0, 0] += 1.0
    moved = (codec.encode(rgb) - codec.encode(changed)).abs().amax(dim=(0, 2)).reshape(GRID)
    assert moved[0, 0, 1] > 0
    assert moved[1, 0, 0] > 0


def test_a_still_is_one_latent_frame_of_equal_frames() -> None:
    codec = CausalVaeCodec(opened())
    picture = ((video(1)[0, 0] + 1) * 127.5).round().to(torch.uint8).numpy()
    unknown = (np.zeros((33, 3), np.float32), np.zeros((18, 4), np.float32), np.zeros((12, 4, 12, 12), np.float32))
    still = ReferenceInputs(picture, *unknown)
    assert encode_references([still], codec, 1).tokens_1KNC.shape == (1, 1, GRID[1] * GRID[2], CHANNELS)


def test_tokens_are_centred_and_have_the_common_scale() -> None:
    vae, rgb = opened(), video(20)
    plain = CausalVaeCodec(vae).decode(CausalVaeCodec(vae).encode(rgb), GRID)
    fit_token_scale(vae, rgb)
    codec = CausalVaeCodec(vae)
    tokens = codec.encode(rgb)
    assert tokens.mean(dim=(0, 1)).abs().max() < 1e-5
    assert float(tokens.square().mean().sqrt()) == pytest.approx(TARGET_STD, rel=1e-5)
    assert (codec.decode(tokens, GRID) - plain).abs().max() < 1e-4


def test_the_loss_is_zero_only_for_the_same_pixels_and_flips_keep_it_fair() -> None:
    """With all channels the untrained autoencoder loses nothing but the posterior's own noise."""
    patches = patchify(video(40), PATCH)
    klt = fit_klt(patches.flatten(0, 1) + 0.1 * torch.randn(40 * 24, 96), PATCH, 96)
    vae = CausalVae(klt, width=8, depth=1)
    pixels = patchify(video(2), PATCH)
    batch = Batch(pixels, GRID, torch.zeros(pixels.shape[:2]), random_conditions(), ("a", "b"))
    with torch.no_grad():
        vae.encoder_out.bias[96:] = -100.0  # no noise
        lossless = Reconstruction(vae, GRID, ReconstructionRecipe(kl=0.0)).losses(batch, 0, StepRng(0, 0))
        assert lossless.per_sample_B.max() < 2e-2
        narrow = Reconstruction(opened(), GRID, ReconstructionRecipe(kl=0.0)).losses(batch, 0, StepRng(0, 0))
        assert narrow.per_sample_B.min() > 5 * lossless.per_sample_B.max()


def ignore(_: StepReport) -> None:
    pass


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("data"), n=2)


@pytest.fixture(scope="module")
def trained(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "codec"
    summary = train_codec(shards, folder, parse_recipe(CodecTrainRecipe, TINY, "tiny"), False, ignore)
    assert summary.codec_hash == codec_hash(read_codec(folder))
    return folder


@pytest.mark.slow
def test_it_learns_what_the_klt_leaves_out(shards: Path, tmp_path: Path) -> None:
    learning = {
        **TINY,
        "steps": 200,
        "codec": {"patch_thw": [2, 4, 4], "channels": 2, "width": 24, "depth": 1},
        "loop": {"batch_size": 4, "adamw_rate": 0.002},
    }
    summary = train_codec(shards, tmp_path / "c", parse_recipe(CodecTrainRecipe, learning, "tiny"), False, ignore)
    assert summary.psnr_db > summary.klt_psnr_db + 0.2


def test_a_killed_run_that_goes_on_ends_with_the_same_codec(shards: Path, trained: Path, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(report: StepReport) -> None:
        if report.step == 13:
            raise Killed

    recipe = parse_recipe(CodecTrainRecipe, TINY, "tiny")
    with pytest.raises(Killed):
        train_codec(shards, tmp_path / "c", recipe, False, kill)
    with pytest.raises(RecipeError, match="already holds a codec; add --resume"):
        train_codec(shards, tmp_path / "c", recipe, False, ignore)
    other = parse_recipe(CodecTrainRecipe, {**TINY, "steps": 31}, "other")
    with pytest.raises(RecipeError, match="belongs to another recipe"):
        train_codec(shards, tmp_path / "c", other, True, ignore)
    summary = train_codec(shards, tmp_path / "c", recipe, True, ignore)
    assert summary.resumed_from_step == 10
    assert (tmp_path / "c" / CODEC_FILE).read_bytes() == (trained / CODEC_FILE).read_bytes()


def test_a_teacher_is_trained_with_it_and_refuses_another(shards: Path, trained: Path, tmp_path: Path) -> None:
    document = {
        "stages": [{"name": "flow", "steps": 2}],
        "data": TINY["data"],
        "codec": {"name": "causal_vae", "weights": str(trained)},
        "transformer": {"width": 24, "depth": 1, "heads": 3},
        "loop": {"batch_size": 2},
        "sampling": {"steps": 2},
        "samples": 1,
        "threads": 1,
        "device": "cpu",
    }
    train_teacher(shards, tmp_path / "m", parse_recipe(TrainRecipe, document, "tiny"), False, ignore)
    config = read_config(tmp_path / "m")
    assert (config.codec_name, config.codec_hash) == ("causal_vae", codec_hash(read_codec(trained)))
    assert (config.net.patch_thw, config.net.token_dim) == ((2, 4, 4), 4)
    assert codec_hash(read_codec(tmp_path / "m")) == config.codec_hash


def test_a_folder_without_a_whole_codec_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"holds no codec\.safetensors; motionloom train-codec writes"):
        make_codec(CodecRecipe(name="causal_vae", weights=tmp_path), torch.zeros(0))
    (tmp_path / CODEC_FILE).write_bytes((trained / CODEC_FILE).read_bytes()[:-5])
    with pytest.raises(DataError, match="cannot read the codec"):
        make_codec(CodecRecipe(name="causal_vae", weights=tmp_path), torch.zeros(0))


def test_the_command_writes_a_codec(shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(json.dumps({**TINY, "steps": 2}))
    arguments = ["train-codec", "--data", str(shards), "--output", str(tmp_path / "c"), "--recipe", str(recipe)]
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 2
    assert main(arguments) == 2
    assert "add --resume" in capsys.readouterr().err
