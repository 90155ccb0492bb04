"""Weights of the real formats, tiny and random: what is loaded is what was saved, and what does not fit is named."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.backends.clip_images import checkpoint_files, find_clip
from curation.ops.styles import STYLE_PROMPTS, STYLES, style_probabilities, style_vectors
from curation.scorers.aesthetic import Aesthetic, weight_files
from schemas.errors import ResourceError
from schemas.frames import FrameBatch
from schemas.scores import Fact, FrameFacts
from schemas.weights import CLIP_PATTERNS, first_match, weights_folder
from tests.curation.footage import coloured, texture
from tests.curation.tiny_weights import (
    PREPROCESS,
    WIDTH,
    Weights,
    head_arrays,
    random_clip,
    save_head,
    save_hub_folder,
    tiny_config,
)

PICTURE = coloured(texture(2, (36, 50)), 30)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOTIONLOOM_WEIGHTS", str(tmp_path))
    return tmp_path


def rated(arrays: Weights, image_D: np.ndarray) -> float:
    values = image_D.astype(np.float64)
    for index in (0, 2, 4, 6, 7):
        weight_OI, bias_O = (arrays[f"layers.{index}.{part}"].double().numpy() for part in ("weight", "bias"))
        values = weight_OI @ values + bias_O
    return float(values[0])


def frames_of(*pictures: np.ndarray) -> FrameBatch:
    return FrameBatch(np.stack(pictures), 2.0 * np.arange(len(pictures)))


def measured(frames: FrameBatch) -> FrameFacts:
    scorer = Aesthetic()
    return FrameFacts(frames.pts_s_T, 2.0 * len(frames), scorer.open().measure(frames))


def test_everything_is_null_without_weights(weights: Path) -> None:
    facts = measured(frames_of(PICTURE, PICTURE))
    assert set(facts.facts) == set(Aesthetic.fact_names)
    assert not any(fact.present_T.any() for fact in facts.facts.values())
    assert Aesthetic().reduce(facts) == {"aesthetic": None, "style_estimate": None, "style_confidence": None}
    assert weight_files() == ()


def test_scores_are_means_within_the_scale_and_the_likeliest_style() -> None:
    shares = {style: Fact.full(np.array([0.1, 0.2])) for style in STYLES} | {"doll": Fact.full(np.array([0.6, 0.2]))}
    for ratings, expected in (([5.0, 6.0], 5.5), ([0.0, 0.5], 1.0), ([20.0, 20.0], 10.0)):
        facts = {f"style_{style}": fact for style, fact in shares.items()}
        facts["aesthetic_raw"] = Fact.full(np.array(ratings))
        scores = Aesthetic().reduce(FrameFacts(np.array([0.0, 2.0]), 4.0, facts))
        assert (scores["aesthetic"], scores["style_estimate"]) == (expected, "doll")
        assert scores["style_confidence"] == pytest.approx(0.4)


def test_a_style_is_the_mean_direction_of_its_prompts_and_its_probability_a_softmax() -> None:
    axes = dict(zip(STYLES, np.eye(len(STYLES), WIDTH, dtype=np.float32), strict=True))
    style_of = {prompt: style for style, prompts in STYLE_PROMPTS.items() for prompt in prompts}
    # Prompts lie to both sides of their style's axis, so that only their mean is on it.
    extra = np.eye(1, WIDTH, WIDTH - 1, dtype=np.float32)[0]

    def embed(texts: Any) -> np.ndarray:
        return np.stack([axes[style_of[text]] + (i - 1) * extra for i, text in enumerate(texts)])

    vectors_SD = style_vectors(embed)
    assert vectors_SD == pytest.approx(np.stack(list(axes.values())))
    shares_S = style_probabilities(axes["3d"], vectors_SD, logit_scale=2.0)
    assert shares_S == pytest.approx([np.exp(2.0 * (style == "3d")) / (4 + np.exp(2.0)) for style in STYLES])


def test_the_weights_folder_is_the_given_one_and_earlier_patterns_are_preferred(weights: Path) -> None:
    assert weights_folder() == weights
    assert first_match(CLIP_PATTERNS, weights / "absent") is None
    for name in ("b/open_clip-ViT-B-32.pt", "a/clip.pt", "c/open_clip-ViT-L-14.safetensors", "b/open_clip-RN50.pt"):
        (weights / name).parent.mkdir(exist_ok=True)
        (weights / name).touch()
    (weights / "open_clip_config.json").symlink_to(weights / "gone")
    assert first_match(CLIP_PATTERNS, weights) == weights / "c/open_clip-ViT-L-14.safetensors"
    assert first_match(CLIP_PATTERNS[2:], weights) == weights / "b/open_clip-RN50.pt"


def test_a_hub_folder_without_its_weights_is_refused(weights: Path) -> None:
    config = weights / "open_clip_config.json"
    config.write_text(json.dumps({"model_cfg": tiny_config()}), encoding="utf-8")
    with pytest.raises(ResourceError, match="has no weights beside it"):
        checkpoint_files(config)
    with pytest.raises(ResourceError, match="has no weights beside it"):
        find_clip()


@pytest.mark.slow
def test_vectors_are_those_of_open_clip_itself(weights: Path) -> None:
    import open_clip
    import torch
    from PIL import Image

    model = save_hub_folder(weights / "deep" / "tiny")
    clip = find_clip()
    assert clip is not None
    assert find_clip() is clip, "one model per process"
    # The picture is 50 x 36: its shorter side becomes 32 px, then the middle 32 columns are taken.
    small = np.asarray(Image.fromarray(PICTURE).resize((44, 32), Image.Resampling.BILINEAR))[:, 6:38]
    pixels = (small / 255.0 - np.array(PREPROCESS["mean"])) / np.array(PREPROCESS["std"])
    with torch.no_grad():
        image_1D = model.encode_image(torch.from_numpy(pixels).float().permute(2, 0, 1)[None], normalize=True)
        texts_ND = model.encode_text(open_clip.tokenize(["a doll", "an animal"], context_length=16), normalize=True)
    assert clip.embed_image(PICTURE) == pytest.approx(image_1D[0].numpy(), abs=1e-5)
    assert clip.embed_texts(["a doll", "an animal"]) == pytest.approx(texts_ND.numpy(), abs=1e-5)
    assert np.linalg.norm(clip.embed_image(PICTURE)) == pytest.approx(1)
    assert clip.logit_scale == pytest.approx(1 / 0.07)
    assert clip.width == WIDTH


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_single_file_is_loaded_by_the_name_in_its_name(weights: Path, suffix: str) -> None:
    import open_clip
    import torch

    (weights / "tiny-for-tests.json").write_text(json.dumps(tiny_config()), encoding="utf-8")
    open_clip.add_model_config(weights / "tiny-for-tests.json")
    model = random_clip()
    save_head(weights / f"open_clip-tiny-for-tests{suffix}", model.state_dict())
    clip = find_clip()
    assert clip is not None
    with torch.no_grad():
        texts_ND = model.encode_text(open_clip.tokenize(["a doll"], context_length=16), normalize=True)
    assert clip.embed_texts(["a doll"]) == pytest.approx(texts_ND.numpy(), abs=1e-5)


class Payload:
    """Leaves a trace when a loader runs what is pickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.trace,)


@pytest.mark.slow
def test_a_program_is_refused(weights: Path) -> None:
    import torch

    with warnings.catch_warnings():
        # Newer versions of torch call TorchScript deprecated; OpenAI's files remain.
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(weights / "open_clip-ViT-B-32.pt"))
        with pytest.raises(ResourceError, match=r"RuntimeError: .*TorchScript"):
            find_clip()


@pytest.mark.slow
def test_a_file_that_would_run_code_is_refused_unrun(weights: Path) -> None:
    import torch

    for name in ("open_clip-ViT-B-32.pt", "aesthetic.pth"):
        torch.save({"state_dict": Payload(weights / "trace")}, weights / name)
    with pytest.raises(ResourceError, match=r"open_clip-ViT-B-32\.pt cannot be loaded.*code in files is not run"):
        find_clip()
    (weights / "open_clip-ViT-B-32.pt").unlink()
    save_hub_folder(weights)
    with pytest.raises(ResourceError, match=r"aesthetic\.pth cannot be loaded.*code in files is not run"):
        measured(frames_of(PICTURE))
    assert not (weights / "trace").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "open_clip-ViT-L-14-quikgelu.pt",
            r"did you mean open_clip-ViT-L-14-quickgelu\.pt",
        ),
        ("open_clip-roberta-ViT-B-32.pt", "text tower would be downloaded"),
        ("open_clip-ViT-B-16-SigLIP.pt", "tokenizer would be downloaded"),
        ("open_clip-ViT-B-32.safetensors", r"open_clip-ViT-B-32\.safetensors cannot be loaded"),
        ("open_clip-RN50.pt", r"open_clip-RN50\.pt cannot be loaded"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_named(weights: Path, name: str, message: str) -> None:
    (weights / name).write_bytes(b"")
    with pytest.raises(ResourceError, match=message):
        find_clip()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aesthetic.safetensors", "sac+logos+ava1-l14-linearMSE.pth"])
def test_frames_are_rated_and_compared_with_styles(weights: Path, name: str) -> None:
    save_hub_folder(weights)
    arrays = head_arrays()
    save_head(weights / name, arrays)
    other = coloured(texture(9, (36, 50)), 90)
    facts = measured(frames_of(PICTURE, other))
    clip = find_clip()
    assert clip is not None
    images = [clip.embed_image(picture) for picture in (PICTURE, other)]
    assert facts.values("aesthetic_raw") == pytest.approx([rated(arrays, image_D) for image_D in images], abs=1e-4)
    expected = [style_probabilities(i, style_vectors(clip.embed_texts), clip.logit_scale) for i in images]
    found_TS = np.stack([facts.values(f"style_{style}") for style in STYLES], axis=1)
    assert found_TS == pytest.approx(np.stack(expected), abs=1e-6)
    assert measured(frames_of(other)).values("aesthetic_raw")[0] == facts.values("aesthetic_raw")[1], "bit for bit"
    scores = Aesthetic().reduce(facts)
    assert scores["style_estimate"] == STYLES[int(found_TS.mean(axis=0).argmax())]
    assert {path.name for path in weight_files()} == {"open_clip_config.json", "open_clip_model.safetensors", name}


@pytest.mark.slow
def test_style_needs_no_head_and_a_head_alone_does_nothing(weights: Path) -> None:
    save_head(weights / "aesthetic.pth", head_arrays())
    assert Aesthetic().reduce(measured(frames_of(PICTURE)))["style_estimate"] is None
    (weights / "aesthetic.pth").unlink()
    save_hub_folder(weights)
    scores = Aesthetic().reduce(measured(frames_of(PICTURE)))
    assert scores["aesthetic"] is None
    assert scores["style_estimate"] in STYLES


def chain_broken(arrays: Weights) -> Weights:
    return {**arrays, "layers.2.weight": arrays["layers.2.weight"][:, :-1].contiguous()}


def with_activations(arrays: Weights) -> Weights:
    return {key.replace("layers.2.", "layers.3."): value for key, value in arrays.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "change", "message"),
    [
        (WIDTH + 1, dict, f"rates vectors of {WIDTH + 1} numbers, but the open_clip model makes {WIDTH}"),
        (WIDTH, chain_broken, "a layer has shape"),
        (WIDTH, with_activations, "is not LAION's linear predictor"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(
    weights: Path, width: int, change: Callable[[Weights], Weights], message: str
) -> None:
    save_hub_folder(weights)
    save_head(weights / "aesthetic.safetensors", change(head_arrays(width)))
    with pytest.raises(ResourceError, match=message):
        measured(frames_of(PICTURE))
