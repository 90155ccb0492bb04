from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from model.codec.base import grid_of, patchify
from model.codec.catalog import CODEC_FILE, CodecRecipe, codec_bytes, codec_hash, load_codec, make_codec, read_codec
from model.codec.pixel import PixelCodec
from schemas.errors import DataError, RecipeError
from schemas.recipe import parse_recipe

PATCH = (2, 4, 4)
NUMBERS = 2 * 4 * 4 * 3


def video(seed: int = 0, batch: int = 40) -> torch.Tensor:
    return torch.rand(batch, 4, 8, 8, 3, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_pixel_round_trip_is_exact() -> None:
    codec = PixelCodec(PATCH)
    rgb = video()
    tokens = codec.encode(rgb)
    assert tokens.shape == (40, 8, codec.token_dim)
    assert torch.equal(codec.decode(tokens, (2, 2, 2)), rgb)


def test_patches_keep_their_place() -> None:
    rgb = torch.zeros(1, 4, 8, 8, 3)
    rgb[0, 2, 4, 0] = 1.0  # second latent frame, second row, first column
    assert patchify(rgb, PATCH)[0].abs().sum(dim=1).nonzero().flatten().tolist() == [6]


def test_klt_with_all_channels_loses_nothing() -> None:
    rgb = video()
    codec = make_codec(CodecRecipe(name="klt", patch_thw=PATCH, channels=NUMBERS), rgb)
    assert (codec.decode(codec.encode(rgb), (2, 2, 2)) - rgb).abs().max() < 1e-4


def test_klt_keeps_the_strong_direction_of_unseen_data() -> None:
    def shaded(seed: int) -> torch.Tensor:
        """Each video is one random grey, so a patch has one direction of variance."""
        grey = torch.rand(50, 1, 1, 1, 1, generator=torch.Generator().manual_seed(seed))
        return grey.expand(50, 4, 8, 8, 3).contiguous()

    codec = make_codec(CodecRecipe(name="klt", patch_thw=PATCH, channels=1), shaded(0))
    unseen = shaded(1)
    assert (codec.decode(codec.encode(unseen), (2, 2, 2)) - unseen).abs().max() < 1e-4


def test_klt_counts_mirror_images() -> None:
    """Fitted on a ramp that rises to the right, it holds the same ramp falling, and one that rises in time."""
    rise = torch.linspace(-1, 1, 8).reshape(1, 1, 1, 8, 1).expand(1, 4, 8, 8, 3)
    gains = torch.linspace(-0.2, 1, 40).reshape(-1, 1, 1, 1, 1)
    codec = make_codec(CodecRecipe(name="klt", patch_thw=PATCH, channels=2), gains * rise)
    assert codec.tensors()["mean_P"].abs().max() < 0.5 * gains.mean()
    one_sided, mirrored = gains * rise, (gains * rise).flip(3)
    for rgb in (one_sided, mirrored):
        assert (codec.decode(codec.encode(rgb), (2, 2, 2)) - rgb).abs().max() < 1e-4


def test_klt_fit_is_repeatable_and_hash_follows_the_data() -> None:
    recipe = CodecRecipe(name="klt", patch_thw=PATCH, channels=8)
    same, again, other = make_codec(recipe, video(0)), make_codec(recipe, video(0)), make_codec(recipe, video(1))
    assert codec_hash(same) == codec_hash(again)
    assert codec_hash(same) != codec_hash(other)


def test_a_codec_of_another_run_is_refused(tmp_path: Path) -> None:
    recipe = CodecRecipe(name="klt", patch_thw=PATCH, channels=8)
    mine, other = make_codec(recipe, video(0)), make_codec(recipe, video(1))
    (tmp_path / CODEC_FILE).write_bytes(codec_bytes(mine))
    loaded = load_codec(tmp_path, "klt", PATCH, codec_hash(mine))
    assert torch.equal(loaded.encode(video(3)), mine.encode(video(3)))
    with pytest.raises(RecipeError, match="trained with codec"):
        load_codec(tmp_path, "klt", PATCH, codec_hash(other))
    (tmp_path / CODEC_FILE).write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot read the codec"):
        load_codec(tmp_path, "klt", PATCH, codec_hash(mine))


@pytest.mark.parametrize("name", ["pixel", "klt"])
def test_later_frames_do_not_reach_earlier_tokens(name: str) -> None:
    """First-frame causality, exactly: what windows, segments and stills rely on."""
    rgb = video()
    codec = make_codec(parse_recipe(CodecRecipe, {"name": name, "patch_thw": PATCH, "channels": 8}, "test"), rgb)
    changed = rgb.clone()
    changed[:, 2:] = 0.3
    difference = (codec.encode(rgb) - codec.encode(changed)).reshape(len(rgb), 2, -1).abs().amax(dim=(0, 2))
    assert difference[0] == 0.0
    assert difference[1] > 0.0


def test_a_codec_file_says_what_it_is(tmp_path: Path) -> None:
    codec = make_codec(CodecRecipe(name="klt", patch_thw=PATCH, channels=8), video())
    (tmp_path / CODEC_FILE).write_bytes(codec_bytes(codec))
    again = read_codec(tmp_path)
    assert (again.name, again.patch_thw, codec_hash(again)) == ("klt", PATCH, codec_hash(codec))
    with pytest.raises(RecipeError, match="the codec 'other' is not known; known: pixel, klt, causal_vae, wan_vae"):
        load_codec(tmp_path, "other", PATCH, codec_hash(codec))
    (tmp_path / CODEC_FILE).write_bytes(save(dict(codec.tensors())))
    with pytest.raises(DataError, match="the header does not describe a codec"):
        read_codec(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "causal_vae"}, "causal_vae needs weights: the folder that holds it"),
        ({"name": "klt", "weights": "x"}, "klt is not read from weights"),
        ({"name": "causal_vae", "weights": "x", "patch_thw": [2, 8, 8]}, "patch_thw: fixed by the weights"),
        ({"name": "jpeg"}, "'pixel', 'klt', 'causal_vae' or 'wan_vae'"),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)):
        parse_recipe(CodecRecipe, values, "test")


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(RecipeError, match="height 9 is not a positive multiple of the codec patch 4"):
        grid_of((4, 9, 8), PATCH)
    with pytest.raises(RecipeError, match="has 96 numbers"):
        make_codec(CodecRecipe(name="klt", patch_thw=PATCH, channels=97), video())
