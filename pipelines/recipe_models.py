"""What may stand in a curation or annotation recipe. The built-in ones lie in pipelines/recipes/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from curation.cuts import CutRules
from pipelines.stages import STALLED_S
from schemas.policy import Policy
from schemas.recipe import StrictModel, builtin_names, load_recipe

RECIPES_DIR = Path(__file__).parent / "recipes"
# x264's, from the quickest to the smallest files.
Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]


class VideoEncoding(StrictModel):
    """How a clip is written: H.264 at a constant rate factor (0 lossless - 51)."""

    crf: int = Field(default=16, ge=0, le=51)
    preset: Preset = "veryfast"


class SampleVideo(VideoEncoding):
    """How a sample's clip is written.

    time: the clock of clip and tracks: the file's, or real time where the manifest states another capture rate.
    max_fps: with real time, frames beyond this rate are left out.
    """

    time: Literal["playback", "real"] = "playback"
    max_fps: float = Field(default=60.0, gt=0)


class WriteClips(VideoEncoding):
    """Whether the kept clips also become files, RUN/clip_files/CLIP_ID.mp4 (pictures only, no sound).

    none: they do not. encode: H.264, all alike. copy_or_encode: where an interval begins with a keyframe and nothing in
    it needs a frame outside, its packets are copied as they are, in the codec of the source; the others are encoded.
    """

    mode: Literal["none", "encode", "copy_or_encode"] = "none"
    crf: int = Field(default=18, ge=0, le=51)
    # A bit over a third of medium's processor time for the same size, 46 dB of luma against 48.
    preset: Preset = "veryfast"


class CurateRecipe(StrictModel):
    """How footage is cut and judged.

    scorers: names of the scorers that measure (docs/scores.md), beside the one that the cuts need; scores of the others
    are null. Left out: all of them.
    failure_budget: share of the inputs, and of the clips to be written, that may fail before the run counts as failed
    (exit 1). 0 tolerates none.
    cpus_per_worker: what one worker asks of Ray; lowered where workers would leave no processor for reading.
    stalled_s: on Ray, seconds without a decoded frame or a finished step after which an input counts as hung.
    """

    clips: CutRules = CutRules()
    scorers: tuple[str, ...] | None = None
    policy: Policy = Policy()
    write_clips: WriteClips = WriteClips()
    failure_budget: float = Field(default=0.5, ge=0, le=1)
    cpus_per_worker: float = Field(default=1.0, gt=0)
    stalled_s: float = Field(default=STALLED_S, gt=0)


HOW_NOT_WHAT = frozenset({"failure_budget", "cpus_per_worker", "stalled_s"})
"""Keys that say how a recipe is worked on: other values give the same results, so a folder takes them all."""


class ShardSize(StrictModel):
    """A shard is closed at whichever bound it reaches first."""

    max_samples: int = Field(default=1000, ge=1)
    max_bytes: int = Field(default=1 << 30, ge=1 << 16)


class LanguageModel(StrictModel):
    """A model behind an OpenAI-compatible endpoint that improves labels and captions. Without url none is asked.

    url: its base, such as http://host:8000/v1. key_variable: the environment variable with the key, if one is needed.
    paraphrase: reword captions. look: show `pictures` frames or more of each clip, for actions, appearance and scene.
    """

    url: str | None = Field(default=None, pattern=r"^https?://")
    model: str = ""
    key_variable: str = "MOTIONLOOM_ENDPOINT_KEY"
    timeout_s: float = Field(default=60.0, gt=0)
    attempts: int = Field(default=3, ge=1)
    at_once: int = Field(default=4, ge=1)
    paraphrase: bool = False
    look: bool = False
    pictures: int = Field(default=6, ge=1, le=32)

    @model_validator(mode="after")
    def _complete(self) -> LanguageModel:
        if self.url is not None and not self.model:
            raise ValueError("url without model: name the model that the endpoint serves")
        if (self.paraphrase or self.look) and self.url is None:
            raise ValueError("paraphrase and look need url")
        return self


class AnnotateRecipe(StrictModel):
    """How kept clips become samples.

    zero_shot: the weights folder's open_clip model weighs the actions on a few frames of every clip.
    failure_budget, cpus_per_worker, stalled_s: as in a curation recipe, of clips.
    """

    video: SampleVideo = SampleVideo()
    shards: ShardSize = ShardSize()
    language_model: LanguageModel = LanguageModel()
    zero_shot: bool = False
    failure_budget: float = Field(default=0.2, ge=0, le=1)
    cpus_per_worker: float = Field(default=1.0, gt=0)
    stalled_s: float = Field(default=STALLED_S, gt=0)


def recipe_help(kind: str) -> str:
    """What --recipe takes, for a command's help: the built-in names are those that lie in the folder."""
    return f"built-in name ({', '.join(builtin_names(RECIPES_DIR, kind))}) or YAML file"


def curate_recipe(source: str, overrides: Sequence[str] = ()) -> CurateRecipe:
    """Raises: RecipeError."""
    return load_recipe(CurateRecipe, source, overrides, RECIPES_DIR, "curate")


def annotate_recipe(source: str, overrides: Sequence[str] = ()) -> AnnotateRecipe:
    """Raises: RecipeError."""
    return load_recipe(AnnotateRecipe, source, overrides, RECIPES_DIR, "annotate")
