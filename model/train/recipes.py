"""What a person writes to train a teacher or distil a student."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from model.codec.catalog import CodecRecipe
from model.data.reader import DataRecipe, StageData
from model.dit.backbone import BackboneRecipe
from model.dit.config import TransformerRecipe
from model.guidance import GuidanceRecipe
from model.objectives.flow import FlowRecipe
from model.objectives.guidance_merge import MergeRecipe
from model.objectives.walking import StepRecipe
from model.sampler import Solver
from model.text.encoder import TextRecipe
from model.train.loop import LoopRecipe
from schemas.recipe import StrictModel


class TeacherSampling(StrictModel):
    """How the teacher is sampled: Euler steps, time shift, guidance, frames shared by neighbouring windows, and until
    which t frames share their guesses of the backdrop (model/backdrop.py; 0 for never)."""

    steps: int = Field(default=20, gt=0)
    shift: float = Field(default=2.0, gt=0)
    solver: Solver = "euler"
    guidance: GuidanceRecipe = GuidanceRecipe()
    overlap_frames: int = Field(default=2, ge=0)
    one_backdrop_until: float = Field(default=0.0, ge=0, le=1)


class TrainStage(StrictModel):
    """One stage of a teacher: what it looks at, which conditions it gets, what learns.

    rate_scale multiplies the learning rates of `loop`. trains: beginnings of the names of the weights that learn
    (`hands.`, `face.`, `blocks.`); all when empty. decay_from: share of the stage after which the rates fall to 5 %
    (1: never, for a stage that another one continues); None takes that of `loop`.
    """

    name: str = Field(default="flow", pattern=r"^[a-z0-9_]+$")
    steps: int = Field(gt=0)
    rate_scale: float = Field(default=1.0, gt=0)
    data: StageData = StageData()
    flow: FlowRecipe = FlowRecipe()
    trains: tuple[str, ...] = ()
    decay_from: float | None = Field(default=None, ge=0, le=1)


WAN_DROPPED = ("face", "hands", "semantic", "text")
"""What guidance drops on a public Wan unless the recipe says otherwise: it never saw a video without a reference and a
pose, and where the camera goes is not a matter of more or less."""


class TrainRecipe(StrictModel):
    """motionloom train. `stages` follow each other, each from the averaged weights of the one before.

    transformer: sizes of the `native` backbone. A Wan backbone takes one reference picture: data.max_references is 1.
    """

    stages: tuple[TrainStage, ...] = Field(default=(TrainStage(steps=1500),), min_length=1)
    data: DataRecipe = DataRecipe()
    codec: CodecRecipe = CodecRecipe()
    text: TextRecipe = TextRecipe()
    backbone: BackboneRecipe = BackboneRecipe()
    transformer: TransformerRecipe = TransformerRecipe()
    loop: LoopRecipe = LoopRecipe()
    sampling: TeacherSampling = TeacherSampling()
    samples: int = Field(default=4, ge=0)
    """Windows drawn into samples/ at the end."""
    threads: int | None = None
    """CPU threads of torch; None leaves torch's choice."""
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="after")
    def _check(self) -> TrainRecipe:
        name = self.backbone.name
        if name != "native" and "transformer" in self.model_fields_set:
            raise ValueError(f"transformer: fixed by the weights of {name}; leave it out")
        if name != "native" and self.data.max_references != 1:
            raise ValueError(f"data.max_references is {self.data.max_references}, but {name} takes 1 picture; set it")
        return self

    @property
    def guidance(self) -> GuidanceRecipe:
        """The teacher's guidance, with what fits the backbone where the recipe names no dropped groups."""
        chosen = self.sampling.guidance
        if self.backbone.name == "native" or "dropped" in chosen.model_fields_set:
            return chosen
        return chosen.model_copy(update={"dropped": WAN_DROPPED})


class DistillStage(StrictModel):
    """One stage of the student: `merge` guidance into one branch, then few large steps by one of the others.

    steps: progressive (each large step copies the teacher's small ones); consistency (phased); reflow (straight lines
    to the teacher's own videos); matching (distribution matching with a second player).
    """

    objective: Literal["merge", "steps", "consistency", "reflow", "matching"]
    steps: int = Field(gt=0)
    rate_scale: float = Field(default=0.05, gt=0)
    """The stage's learning rates over those of `loop`: it starts from trained weights."""


class DistillRecipe(StrictModel):
    """motionloom distill. `sampler` holds the student's number of steps and the guidance strength it imitates."""

    stages: tuple[DistillStage, ...] = Field(
        (DistillStage(objective="merge", steps=200), DistillStage(objective="steps", steps=300)), min_length=1
    )
    merge: MergeRecipe = MergeRecipe()
    sampler: StepRecipe = StepRecipe()
    data: StageData = StageData()
    loop: LoopRecipe = LoopRecipe()
    samples: int = Field(default=4, ge=0)
    threads: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="after")
    def _check(self) -> DistillRecipe:
        wanted, first = self.sampler.strength, self.stages[0].objective
        merges = any(stage.objective == "merge" for stage in self.stages)
        if merges and wanted > self.merge.max_strength:
            raise ValueError(
                f"sampler.strength is {wanted}, but merge teaches strengths up to {self.merge.max_strength}; "
                "raise merge.max_strength"
            )
        if first != "merge" and wanted != 1.0:
            raise ValueError(
                f"sampler.strength is {wanted}, but {first} would learn from the teacher without guidance; "
                "put a merge stage first, or set sampler.strength to 1"
            )
        return self


HOW_NOT_WHAT: dict[str, set[str]] = {
    "loop": {"parallel", "readers", "tensorboard", "samples_every", "compile", "attention"}
}
"""Keys that change how fast a run goes and what it shows, not what it learns: a run may be resumed with others."""


def meaning_of(recipe: TrainRecipe | DistillRecipe) -> dict[str, Any]:
    """The recipe as it counts for what is learnt."""
    document: dict[str, Any] = recipe.model_dump(mode="json", exclude=HOW_NOT_WHAT)
    if "cache_mib" in document.get("data", {}):
        document["data"]["cache_mib"] = DataRecipe().cache_mib
    return document
