"""What a codec is, and the patch arithmetic all of them share.

Axis legend: B batch, T frames, H W pixels, N tokens = (T/pt)(H/ph)(W/pw) in (t, y, x) order, C channels of a token.
Pixel values inside the model are floats in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from schemas.errors import RecipeError

Triple = tuple[int, int, int]


class VideoCodec(Protocol):
    """`decode(encode(rgb))` is `rgb`, exactly or as well as the codec's channels allow."""

    @property
    def name(self) -> str: ...

    @property
    def patch_thw(self) -> Triple: ...

    @property
    def token_dim(self) -> int: ...

    @property
    def lead_in_frames(self) -> int:
        """How many frames of its first latent frame a codec leaves out: 0, or pt - 1 where the first frame stands
        alone (T = pt n + 1). What is given per frame repeats its first frame so often to line up with the tokens."""
        ...

    def encode(self, rgb_BTHW3: Tensor) -> Tensor: ...

    def decode(self, tokens_BNC: Tensor, grid_thw: Triple) -> Tensor: ...

    def tensors(self) -> Mapping[str, Tensor]:
        """Everything fitted; empty for a codec without parameters. The codec's hash is taken over these."""
        ...

    def facts(self) -> Mapping[str, object]:
        """What the tensors do not tell and is needed to build the codec again; plain JSON values."""
        ...


def grid_of(size_thw: Triple, patch_thw: Triple) -> Triple:
    """Token grid of a clip.

    Raises: RecipeError when a side is not a multiple of its patch, naming both.
    """
    for axis, size, patch in zip(("frames", "height", "width"), size_thw, patch_thw, strict=True):
        if size % patch or size <= 0:
            raise RecipeError(f"{axis} {size} is not a positive multiple of the codec patch {patch}; change either")
    return size_thw[0] // patch_thw[0], size_thw[1] // patch_thw[1], size_thw[2] // patch_thw[2]


def codec_grid(codec: VideoCodec, size_thw: Triple) -> Triple:
    """Token grid of a clip of this codec.

    Raises: RecipeError for a size the codec cannot take, naming the number of frames it could.
    """
    frames, height, width = size_thw
    patch, lead = codec.patch_thw[0], codec.lead_in_frames
    if lead and (frames <= 0 or (frames + lead) % patch):
        fitting = max(1, (frames - 1) // patch * patch + 1)
        raise RecipeError(f"frames {frames}: the codec {codec.name} takes {patch} n + 1 frames, such as {fitting}")
    return grid_of((frames + lead, height, width), codec.patch_thw)


def patchify(rgb_BTHW3: Tensor, patch_thw: Triple) -> Tensor:
    """Cut a video into non-overlapping patches: (B,T,H,W,Ch) -> (B,N,pt*ph*pw*Ch). Lossless."""
    batch, frames, height, width, channels = rgb_BTHW3.shape
    t, h, w = grid_of((frames, height, width), patch_thw)
    pt, ph, pw = patch_thw
    cut = rgb_BTHW3.reshape(batch, t, pt, h, ph, w, pw, channels).permute(0, 1, 3, 5, 2, 4, 6, 7)
    return cut.reshape(batch, t * h * w, pt * ph * pw * channels)


def unpatchify(tokens_BNC: Tensor, patch_thw: Triple, grid_thw: Triple, channels: int = 3) -> Tensor:
    """The inverse of `patchify`."""
    t, h, w = grid_thw
    pt, ph, pw = patch_thw
    cut = tokens_BNC.reshape(-1, t, h, w, pt, ph, pw, channels).permute(0, 1, 4, 2, 5, 3, 6, 7)
    return cut.reshape(-1, t * pt, h * ph, w * pw, channels)
