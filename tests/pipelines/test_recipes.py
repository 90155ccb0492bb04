from __future__ import annotations

import argparse

import pyarrow as pa
import pytest

from curation.decide import decide
from curation.findings import check_policy
from pipelines import curate, redecide
from pipelines.recipe_models import RECIPES_DIR, curate_recipe
from pipelines.run_tables import clips_schema
from schemas.errors import RecipeError
from schemas.recipe import builtin_names

NAMES = builtin_names(RECIPES_DIR, "curate")


def test_the_built_in_policies_are_there() -> None:
    wanted = {"keep_all", "default", "demo", "portrait", "full_body", "hands_objects", "stylised"}
    assert wanted <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_recipe_names_only_columns_that_runs_have(name: str) -> None:
    check_policy(curate_recipe(name).policy, {field.name: field.type for field in clips_schema()})


@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_recipe_says_what_it_is_for(name: str) -> None:
    assert (RECIPES_DIR / f"curate_{name}.yaml").read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("command", [curate, redecide])
def test_help_names_every_built_in_recipe(command: object) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)  # type: ignore[attr-defined]
    words = " ".join(parser.format_help().split())
    assert f"built-in name ({', '.join(NAMES)}) or YAML file" in words


# A clean, moving, consistent clip of one real person, everything measured.
GOOD: dict[str, object] = {
    **{field.name: 0.0 for field in clips_schema() if pa.types.is_floating(field.type)},
    "clip_id": "c",
    "duration_s": 5.0,
    "short_side_px": 720,
    "style": "real",
    "quality": 0.9,
    "motion_fluency": 0.9,
    "motion_amplitude_diag_per_s": 0.05,
    "subject_consistency": 0.95,
    "person_fraction": 1.0,
    "face_fraction": 1.0,
    "hand_fraction": 1.0,
    "people_max": 1.0,
    "subject_area_fraction": 0.3,
    "shot_scale": "half_body",
}


@pytest.mark.parametrize(
    ("name", "scores", "reasons"),
    [
        ("portrait", {}, []),
        ("portrait", {"face_fraction": 0.2, "people_max": 2.0}, ["face_fraction", "people_max"]),
        ("full_body", {}, ["shot_scale"]),
        ("hands_objects", {"face_fraction": 0.0, "person_fraction": 0.0, "subject_consistency": None}, []),
        ("hands_objects", {"hand_fraction": 0.1}, ["hand_fraction"]),
        ("full_body", {"shot_scale": "full_body"}, []),
        ("stylised", {"person_fraction": 0.0}, ["style"]),
        ("stylised", {"person_fraction": 0.0, "style": "anime"}, []),
        ("stylised", {"style": None}, ["style"]),
    ],
)
def test_a_built_in_policy_keeps_what_it_is_for(name: str, scores: dict[str, object], reasons: list[str]) -> None:
    clip = {**GOOD, **scores}
    table = pa.table({field.name: pa.array([clip.get(field.name)], field.type) for field in clips_schema()})
    found = decide(table, curate_recipe(name).policy).column("reasons")[0].as_py()
    assert [text.split()[0] for text in found] == reasons


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean portrait"):
        curate_recipe("potrait")
