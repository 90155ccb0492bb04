from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import RecipeError
from schemas.policy import Policy
from schemas.recipe import StrictModel, load_recipe, parse_recipe


class Clips(StrictModel):
    min_s: float = 1.0
    max_s: float = 10.0


class Recipe(StrictModel):
    clips: Clips = Clips()
    policy: Policy = Policy()
    workers: int = 2


@pytest.fixture
def builtin(tmp_path: Path) -> Path:
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "curate_default.yaml").write_text("clips: {min_s: 2}\n")
    (folder / "curate_strict.yaml").write_text("clips: {min_s: 3}\n")
    (folder / "train_tiny.yaml").write_text("{}\n")
    return folder


def load(source: str | Path, builtin: Path, *overrides: str) -> Recipe:
    return load_recipe(Recipe, source, overrides, builtin, "curate")


def test_builtin_recipe_by_name(builtin: Path) -> None:
    assert load("default", builtin).clips == Clips(min_s=2, max_s=10)


def test_recipe_from_a_file(builtin: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("workers: 7\n")
    assert load(file, builtin).workers == 7


def test_overrides_replace_single_values(builtin: Path) -> None:
    recipe = load("default", builtin, "clips.max_s=4", "workers=1")
    assert recipe == Recipe(clips=Clips(min_s=2, max_s=4), workers=1)


def test_the_last_override_wins(builtin: Path) -> None:
    assert load("default", builtin, "workers=1", "workers=5").workers == 5


def test_an_override_can_be_a_list(builtin: Path) -> None:
    recipe = load("default", builtin, "policy.rules=[{score: quality, at_least: 0.0}]")
    assert recipe.policy.rules[0].at_least == 0.0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("clips.min_seconds=1", "unknown key clips.min_seconds; did you mean min_s?"),
        ("clip.min_s=1", "unknown key clip; did you mean clips?"),
        ("policy.rules=[{scroe: quality, at_least: 1}]", "unknown key policy.rules.0.scroe; did you mean score?"),
        ("zzz=1", "unknown key zzz; known keys: clips, policy, workers"),
        ("workers=many", "workers: Input should be a valid integer"),
        ("clips.min_s.x=1", "min_s is a value, not a group of keys"),
        ("workers", "expected key=value"),
        ("=3", "expected key=value"),
        ("workers=[", "the value is not YAML"),
    ],
)
def test_a_wrong_override_names_the_key_and_the_nearest_known_one(builtin: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load("default", builtin, override)
    assert message in str(caught.value)


def test_a_misspelt_recipe_name_names_the_nearest(builtin: Path) -> None:
    with pytest.raises(RecipeError, match=r"did you mean default\?"):
        load("defualt", builtin)


def test_an_unknown_recipe_lists_only_recipes_of_this_kind(builtin: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load("nowhere.yaml", builtin)
    assert "default, strict" in str(caught.value)
    assert "tiny" not in str(caught.value)


@pytest.mark.parametrize("text", [b"- 1\n", b"3\n", b"a: [\n", b"\xff\xfe\n", b"!!python/object/apply:os.getcwd []\n"])
def test_a_file_that_is_no_mapping_is_refused(builtin: Path, tmp_path: Path, text: bytes) -> None:
    (tmp_path / "bad.yaml").write_bytes(text)
    with pytest.raises(RecipeError, match="recipe"):
        load(tmp_path / "bad.yaml", builtin)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(RecipeError, match=r"clips\.min_s: .*; workers: "):
        parse_recipe(Recipe, {"clips": {"min_s": "x"}, "workers": []}, "test")


def test_recipes_cannot_be_changed_after_loading(builtin: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load("default", builtin).workers = 3  # type: ignore[misc]


@pytest.mark.parametrize(("text", "why"), [("", "is empty"), ("a: 1\nb: 2\na: 3\n", "key a stands twice")])
def test_an_empty_recipe_and_a_key_given_twice_are_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=why):
        load_recipe(StrictModel, str(path), (), tmp_path, "curate")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: &a [x, x]\n" + "".join(f"k{n}: *a\n" for n in range(70)), "more than 64 aliases"),
        ("[" * 5000, "cannot be read"),
        ("a: !!int x", "invalid literal"),
        ("a: !!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("? [1, 2]\n: 3", "unhashable|no scalar"),
        ("#" * ((1 << 20) + 1), "more than 1024 KiB"),
    ],
)
def test_a_recipe_that_is_made_to_hurt_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=why):
        load_recipe(Policy, path, (), tmp_path, "curate")
