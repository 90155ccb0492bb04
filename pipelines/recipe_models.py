"""What may stand in a curation or annotation recipe. The built-in ones lie in pipelines/recipes/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from curation.cuts import CutRules
from schemas.policy import Policy
from schemas.recipe import StrictModel, builtin_names, load_recipe

RECIPES_DIR = Path(__file__).parent / "recipes"


class CurateRecipe(StrictModel):
    """How footage is cut and judged.

    failure_budget: share of the inputs that may fail before the run counts as failed (exit 1). 0 tolerates none.
    cpus_per_worker: what one worker asks of Ray; lowered where workers would leave no processor for reading.
    """

    clips: CutRules = CutRules()
    policy: Policy = Policy()
    failure_budget: float = Field(default=0.5, ge=0, le=1)
    cpus_per_worker: float = Field(default=1.0, gt=0)


class VideoEncoding(StrictModel):
    """How kept clips are written: H.264 at a constant rate factor (0 lossless - 51).

    time: the clock of clips and tracks: the file's, or real time where the manifest states another capture rate.
    max_fps: with real time, frames beyond this rate are left out.
    """

    crf: int = Field(default=16, ge=0, le=51)
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"] = (
        "veryfast"
    )
    time: Literal["playback", "real"] = "playback"
    max_fps: float = Field(default=60.0, gt=0)


class ShardSize(StrictModel):
    """A shard is closed at whichever bound it reaches first."""

    max_samples: int = Field(default=1000, ge=1)
    max_bytes: int = Field(default=1 << 30, ge=1 << 16)


class AnnotateRecipe(StrictModel):
    """How kept clips become samples."""

    video: VideoEncoding = VideoEncoding()
    shards: ShardSize = ShardSize()
    failure_budget: float = Field(default=0.2, ge=0, le=1)
    cpus_per_worker: float = Field(default=1.0, gt=0)


def recipe_help(kind: str) -> str:
    """What --recipe takes, for a command's help: the built-in names are those that lie in the folder."""
    return f"built-in name ({', '.join(builtin_names(RECIPES_DIR, kind))}) or YAML file"


def curate_recipe(source: str, overrides: Sequence[str] = ()) -> CurateRecipe:
    """Raises: RecipeError."""
    return load_recipe(CurateRecipe, source, overrides, RECIPES_DIR, "curate")


def annotate_recipe(source: str, overrides: Sequence[str] = ()) -> AnnotateRecipe:
    """Raises: RecipeError."""
    return load_recipe(AnnotateRecipe, source, overrides, RECIPES_DIR, "annotate")
