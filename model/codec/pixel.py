"""The lossless codec: a token is a patch of pixels. The network predicts clean pixels (x-prediction).

Source: x-prediction on raw patches works where velocity prediction fails once a patch has more numbers than the
network is wide; the claim of "Back to Basics: Let Denoising Generative Models Denoise" (JiT), confirmed at toy size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from model.codec.base import Triple, patchify, unpatchify


@dataclass(frozen=True)
class PixelCodec:
    patch_thw: Triple = (2, 8, 8)
    name: str = "pixel"
    lead_in_frames: int = 0

    @property
    def token_dim(self) -> int:
        pt, ph, pw = self.patch_thw
        return pt * ph * pw * 3

    def encode(self, rgb_BTHW3: Tensor) -> Tensor:
        return patchify(rgb_BTHW3, self.patch_thw)

    def decode(self, tokens_BNC: Tensor, grid_thw: Triple) -> Tensor:
        return unpatchify(tokens_BNC, self.patch_thw, grid_thw)

    def tensors(self) -> Mapping[str, Tensor]:
        return {}

    def facts(self) -> Mapping[str, object]:
        return {}
