"""The networks a recipe can ask for, behind one interface: our own, and public Wan transformers.

state = net.encode(conditions, keep_BG, grid_thw)      x_hat = net(noisy_BNC, t_B, state)
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from model.codec.base import VideoCodec
from model.codec.pixel import PixelCodec
from model.dit.config import InputDims, NetConfig, TransformerRecipe, WanConfig
from model.dit.net import VideoDit
from model.dit.state import ConditionState
from model.dit.wan import WanBackbone, WanState, wan_from_folder
from schemas.recipe import StrictModel

Backbone = VideoDit | WanBackbone
BackboneState = ConditionState | WanState


class BackboneRecipe(StrictModel):
    """`native` is our own network. `wan` and `wan_animate` begin from public weights: `weights` is a folder with a
    diffusers WanTransformer3DModel or WanAnimateTransformer3DModel."""

    name: Literal["native", "wan", "wan_animate"] = "native"
    weights: Path | None = None

    @model_validator(mode="after")
    def _check(self) -> BackboneRecipe:
        if self.name != "native" and self.weights is None:
            raise ValueError(f"{self.name} needs weights: the folder that holds it")
        if self.name == "native" and self.weights is not None:
            raise ValueError("native is not read from weights; leave weights out")
        return self


def first_net(recipe: BackboneRecipe, transformer: TransformerRecipe, codec: VideoCodec, dims: InputDims) -> Backbone:
    """The network that a training begins with: fresh, or with public weights.

    Raises: RecipeError when the weights are of another network or do not fit the codec; DataError when their files are
            broken; ResourceError without diffusers.
    """
    if recipe.name != "native":
        assert recipe.weights is not None  # checked by the recipe
        return wan_from_folder(recipe.weights, recipe.name, codec, dims)
    config = NetConfig(
        transformer=transformer,
        patch_thw=codec.patch_thw,
        token_dim=codec.token_dim,
        pixels=isinstance(codec, PixelCodec),
        **dims.model_dump(),
    )
    return VideoDit(config)


def make_net(config: NetConfig | WanConfig, codec: VideoCodec) -> Backbone:
    """The network of a config, its weights still to be filled in. Raises: ResourceError without diffusers."""
    return VideoDit(config) if isinstance(config, NetConfig) else WanBackbone(config, codec)
