"""What a picture model sees of whole frames; only where an open_clip model lies in the weights folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from curation.backends.clip_images import find_clip
from curation.scorers.base import ClipValue
from schemas.frames import FrameBatch, FrameRequest
from schemas.scores import Fact, FrameFacts, ScoreSpec


class FrameLooks:
    """The model's vector, of length 1, of two frames a second; absent without weights."""

    name: ClassVar[str] = "frame_looks"
    version: ClassVar[int] = 1
    needs: ClassVar[FrameRequest] = FrameRequest("frame_looks", fps=2.0, short_side_px=288)
    fact_names: ClassVar[tuple[str, ...]] = ("frame_embedding",)
    specs: ClassVar[tuple[ScoreSpec, ...]] = ()

    def open(self) -> FrameLooks:
        return self

    def measure(self, frames: FrameBatch) -> Mapping[str, Fact]:
        """Raises: ResourceError when weights are given and cannot be used."""
        clip = find_clip()
        vectors_TD = np.zeros((len(frames), 0 if clip is None else clip.width), np.float32)
        if clip is not None:
            for t, rgb_HWC in enumerate(frames.rgb_THWC):
                vectors_TD[t] = clip.embed_image(rgb_HWC)
        return {"frame_embedding": Fact(vectors_TD, np.full(len(frames), clip is not None))}

    def reduce(self, facts: FrameFacts) -> Mapping[str, ClipValue]:
        """Nothing: vectors are compared by metrics."""
        return {}
