"""Sizes of the network. A checkpoint stores them; they are all that is needed to rebuild it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from model.codec.base import Triple
from schemas.recipe import StrictModel


class TransformerRecipe(StrictModel):
    """The part a person chooses. The defaults are the toy: about 4 M parameters at 64 px."""

    width: int = Field(default=192, gt=0)
    depth: int = Field(default=6, gt=0)
    heads: int = Field(default=3, gt=0)
    mlp_ratio: float = Field(default=4.0, gt=0)
    face_bottleneck: int = Field(default=16, gt=0)
    noise_follows_camera: float = Field(default=0.0, ge=0, lt=1)
    """Share of the starting noise's variance that moves with the camera (model/noise.py), where tokens are pixels."""
    detail_channels: int = Field(default=48, ge=0)
    """Of the convolution over the picture at the end (model/dit/detail.py), where tokens are pixels; 0 is none."""
    render_channels: int = Field(default=48, ge=0)
    """Of the network that redraws what is painted (model/dit/render.py), where that convolution is; 0 is none."""
    rope_theta: float = Field(default=100.0, gt=1)
    """Base of the rotary frequencies; 100 suits grids of 8 cells, 10000 the grids of large models."""
    rope_units_per_s: float = Field(default=12.5, gt=0)
    """Temporal rotary coordinate per second: one latent frame of two pixel frames at 25 fps is one unit."""

    @model_validator(mode="after")
    def _check(self) -> TransformerRecipe:
        if self.width % self.heads or (self.width // self.heads) % 8:
            raise ValueError(f"width {self.width} must give each of {self.heads} heads a multiple of 8 channels")
        return self


class InputDims(StrictModel):
    """What text encoder and data fix: widths of the conditions."""

    text_dim: int
    face_dim: int
    hand_dim: int
    camera_dim: int
    direction_dim: int
    semantic_dim: int
    semantic_moments: int


class NetConfig(InputDims):
    """TransformerRecipe plus what the codec, the text encoder and the data fix."""

    transformer: TransformerRecipe
    patch_thw: Triple
    token_dim: int
    pixels: bool = False
    """Whether tokens are patches of pixels."""
    guidance_embedding: bool = False
    """True for a distilled student: the guidance strength is an input instead of a second branch."""


WanKind = Literal["wan", "wan_animate"]


class WanConfig(InputDims):
    """A public Wan transformer and its adapters (model/dit/wan.py); `transformer` is diffusers' own config."""

    kind: WanKind
    patch_thw: Triple
    token_dim: int
    guidance_embedding: bool = False
    transformer: dict[str, Any]
