"""Who else looks at a clip before its labels stand: a language model, an image-text model; pictures for both."""

from __future__ import annotations

from dataclasses import dataclass

from annotation.backends.chat_endpoint import ChatEndpoint, EndpointSettings
from annotation.pictures import Pictures
from annotation.refine import Refiner
from annotation.zero_shot import ZeroShot
from curation.backends.clip_images import find_checkpoint, find_clip
from pipelines.recipe_models import LanguageModel
from schemas.errors import RecipeError
from schemas.weights import weights_folder


@dataclass(frozen=True, slots=True)
class Judges:
    """Who looks at a clip's pictures, and how many pictures they are shown at least."""

    refiner: Refiner | None
    zero_shot: ZeroShot | None
    pictures: int

    def make_pictures(self) -> Pictures | None:
        looks = self.zero_shot is not None or (self.refiner is not None and self.refiner.look)
        return Pictures(self.pictures) if looks else None


def make_judges(model: LanguageModel, zero_shot: bool) -> Judges:
    clip_model = find_clip() if zero_shot else None
    return Judges(_refiner(model), ZeroShot(clip_model) if clip_model is not None else None, model.pictures)


def check_zero_shot(wanted: bool) -> None:
    """Raises: RecipeError when an image-text model is asked for and none is there."""
    if wanted and find_checkpoint() is None:
        raise RecipeError(f"zero_shot needs an open_clip model in {weights_folder()}; motionloom doctor says which")


def _refiner(model: LanguageModel) -> Refiner | None:
    if model.url is None:
        return None
    settings = EndpointSettings(
        model.url, model.model, model.key_variable, model.timeout_s, model.attempts, at_once=model.at_once
    )
    return Refiner(ChatEndpoint(settings), model.paraphrase, model.look)
