from __future__ import annotations

from pathlib import Path

import pytest
import torch

from model.codec.base import grid_of, patchify
from model.codec.catalog import CODEC_FILE, CodecRecipe, codec_bytes, codec_hash, load_codec, make_codec
from model.codec.pixel import PixelCodec
from schemas.errors import DataError, RecipeError

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


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(RecipeError, match="height 9 is not a positive multiple of the codec patch 4"):
        grid_of((4, 9, 8), PATCH)
    with pytest.raises(RecipeError, match="has 96 numbers"):
        make_codec(CodecRecipe(name="klt", patch_thw=PATCH, channels=97), video())
