from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.content_filter import (
    RECIPES_DIR,
    BlockedPictures,
    ContentRecipe,
    LikelyPictures,
    Picture,
    PictureTexts,
    Refusal,
    make_filters,
    picture_hash,
    read_blocked,
    read_picture,
    refuse,
)
from pipelines.prompt_rules import PromptRule, broken_rules, plain_text
from schemas.errors import RecipeError, ResourceError
from schemas.recipe import load_recipe
from tests.curation.tiny_weights import save_hub_folder

RULES = load_recipe(ContentRecipe, "default", (), RECIPES_DIR, "content").prompt


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No weights but those that a test puts there."""
    monkeypatch.setenv("MOTIONLOOM_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def portrait(seed: int = 0, size_hw: tuple[int, int] = (180, 160)) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 8, 3)).astype(np.uint8)
    picture: NDArray[np.uint8] = cv2.resize(coarse, size_hw[::-1], interpolation=cv2.INTER_CUBIC)
    return picture


def named(name: str, rgb_HWC: NDArray[np.uint8]) -> Picture:
    return Picture(name, rgb_HWC, "")


def broken(prompt: str) -> set[str]:
    return {rule.name for rule in broken_rules(prompt, RULES)}


@pytest.mark.parametrize(
    ("prompt", "rule"),
    [
        ("a nude child dancing", "minors_sexual"),
        ("a sexy 13-year-old girl", "minors_sexual"),
        ("seductive dance, 15 yo", "minors_sexual"),
        ("teenagers in lingerie", "minors_sexual"),
        ("undress her slowly", "nonconsensual_nudity"),
        ("topless, filmed by hidden camera", "nonconsensual_nudity"),
        ("she is having sex on a sofa", "sexual_likeness"),
        ("deepfake of the president declaring war", "deceptive_impersonation"),
        ("a fake confession to blackmail him", "deceptive_impersonation"),
        ("turns the head, to bypass face recognition", "deceptive_impersonation"),
        # disguised
        ("a NUDE  Child", "minors_sexual"),
        ("n u d e child", "minors_sexual"),
        ("n.u.d.e. c-h-i-l-d", "minors_sexual"),
        ("n_u_d_e  c h i l d", "minors_sexual"),
        ("nud3 ch1ld", "minors_sexual"),
        ("nuuuude childd child", "minors_sexual"),
        ("nu\u200bde chi\u00adld", "minors_sexual"),
        ("n\u0301ude child", "minors_sexual"),
        ("nudе сhild", "minors_sexual"),  # е and с are Cyrillic
        ("ｎｕｄｅ ｃｈｉｌｄ", "minors_sexual"),
        ("P0RN", "sexual_likeness"),
    ],
)
def test_what_is_refused(prompt: str, rule: str) -> None:
    assert rule in broken(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a person waves at the camera",
        "a child dances in a classroom",
        "a teenager plays football, camera pans left",
        "an 18-year-old ballet dancer in a nude-coloured dress",
        "a woman in Essex sings; the middle of a sextet",
        "two nudges, then a step back",
        "the president of the club gives a speech",
        "a girl in Scunthorpe picks up a cup",
        "a person undresses a doll",
        "naked eye astronomy lecture",
        "a girl posing as a queen, later as a judge",
        "15 years old whisky, a sip",
    ],
)
def test_what_is_let_pass(prompt: str) -> None:
    assert broken(prompt) == set()


def test_words_are_whole_and_accents_do_not_matter() -> None:
    rule = PromptRule(name="x", reason="y", all_of=(("café noir",),))
    assert broken_rules("two Cafe-Noirs", [rule])
    assert not broken_rules("scafe noir", [rule])
    assert plain_text("  A,B\u200b!c_d ") == "a b c d"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt: [{name: x, reason: y, all_of: [[]]}]", "a group without terms"),
        ("prompt: [{name: x, reason: y, all_of: [['re:(']]}]", "not a regular expression"),
        ("prompt: [{name: x, reason: y, all_of: [['?!']]}]", "no letter or digit"),
        ("prompt: [{name: x, reason: y, any_of: [[a]]}]", "any_of"),
        ("prompts: []", "did you mean prompt"),
    ],
)
def test_a_wrong_rule_is_refused_before_work(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        make_filters([tmp_path / "rules.yaml"])


def test_a_file_adds_rules_and_takes_none_away(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("prompt: [{name: mascot, reason: ours, all_of: [[loomy]]}]")
    filters, absent = make_filters([tmp_path / "rules.yaml"])
    assert absent == ["open_clip_pictures"]
    with pytest.raises(RecipeError, match="mascot: ours"):
        refuse(filters, "Loomy waves", ())
    with pytest.raises(RecipeError, match="minors_sexual"):
        refuse(filters, "a nude child", ())
    refuse(filters, "a person waves", ())


def test_a_blocked_picture_is_known_again_resized_recoded_and_mirrored(tmp_path: Path) -> None:
    rgb_HWC = portrait()
    (tmp_path / "list.txt").write_text(f"# faces\n{picture_hash(rgb_HWC):016x}  # somebody\n")
    blocked = BlockedPictures(read_blocked(tmp_path / "list.txt"))
    _, jpeg = cv2.imencode(".jpg", rgb_HWC, [cv2.IMWRITE_JPEG_QUALITY, 40])
    copies = {
        "same": rgb_HWC,
        "small": cv2.resize(rgb_HWC, (70, 80), interpolation=cv2.INTER_AREA),
        "jpeg": cv2.imdecode(jpeg, cv2.IMREAD_COLOR),
        "mirrored": np.ascontiguousarray(rgb_HWC[:, ::-1]),
        "brighter": np.clip(rgb_HWC * 0.8 + 30, 0, 255).astype(np.uint8),
    }
    for name, copy in copies.items():
        (refusal,) = blocked.check("", [named(name, copy)])
        assert refusal == Refusal("blocked_pictures", f"{name} looks like a blocked picture (list.txt line 2)")
    assert not any(blocked.check("", [named("other", portrait(seed))]) for seed in range(1, 40))


def test_a_block_list_may_name_pictures_and_says_which_line_is_wrong(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), portrait())
    listed = tmp_path / "list.txt"
    listed.write_text("face.png\n\n")
    ((value, line),) = read_blocked(listed)
    assert value == picture_hash(read_picture(tmp_path / "face.png").rgb_HWC)
    assert line == "list.txt line 1"
    listed.write_text("face.png\nno-such-thing\n")
    with pytest.raises(RecipeError, match="line 2: no-such-thing is neither"):
        read_blocked(listed)
    with pytest.raises(RecipeError, match="cannot be read"):
        read_blocked(tmp_path / "gone.txt")


class LikeMeans:
    """A model whose vectors are (mean red, mean blue) of a picture; of a text, what its last word says."""

    logit_scale = 10.0

    def embed_image(self, rgb_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        vector = rgb_HWC.mean(axis=(0, 1))[[0, 2]].astype(np.float32)
        unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
        return unit

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        return np.array([[1, 0] if text.endswith("red") else [0, 1] for text in texts], dtype=np.float32)


def test_pictures_nearer_to_refused_texts_are_refused() -> None:
    texts = PictureTexts(refuse=("all red",), accept=("all blue",), at_least=0.9)
    likely = LikelyPictures(LikeMeans(), texts)  # type: ignore[arg-type]
    red, blue = np.zeros((2, 8, 8, 3), np.uint8)
    red[..., 0], blue[..., 2] = 200, 200
    (refusal,) = likely.check("", [named("red.png", red), named("blue.png", blue)])
    assert refusal.rule == "open_clip_pictures"
    assert refusal.reason.startswith("red.png looks like what is refused (1.00")
    between = np.full((8, 8, 3), 90, np.uint8)
    assert likely.check("", [named("grey.png", between)]) == []


@pytest.mark.slow
def test_a_model_of_the_weights_folder_is_asked(weights: Path, tmp_path: Path) -> None:
    save_hub_folder(weights)
    (tmp_path / "rules.yaml").write_text("pictures: {refuse: [anything], at_least: 1.0}")
    filters, absent = make_filters([tmp_path / "rules.yaml"])
    assert absent == []
    assert [each.name for each in filters] == ["prompt_rules", "open_clip_pictures", "open_clip_pictures"]
    with pytest.raises(RecipeError, match="open_clip_pictures"):
        refuse(filters[2:], "", [named("a.png", portrait())])
    share = LikelyPictures(filters[1]._clip, filters[1]._texts)  # type: ignore[attr-defined]
    assert len(share.check("", [named("a.png", portrait())])) in (0, 1)
    (weights / "open_clip_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ResourceError, match="cannot be loaded"):
        make_filters()
