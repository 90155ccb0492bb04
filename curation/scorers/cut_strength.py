"""How much the picture changes from each frame to the next: the fact that cuts are decided on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from scenedetect.common import FrameTimecode
from scenedetect.detectors import ContentDetector
from scenedetect.stats_manager import StatsManager

from curation.scorers.base import ClipValue
from schemas.frames import FrameBatch, FrameRequest
from schemas.scores import Fact, FrameFacts, ScoreSpec

# PySceneDetect counts in frames of a nominal rate; we use its frame index only, the rate never enters.
_INDEX_FPS = 25.0


class CutStrength:
    """PySceneDetect's content value (mean HSV change, 0-255) of every frame against the one before."""

    name: ClassVar[str] = "cut_strength"
    version: ClassVar[int] = 1
    needs: ClassVar[FrameRequest] = FrameRequest("cut_strength", fps=None, short_side_px=144)
    fact_names: ClassVar[tuple[str, ...]] = ("content_change",)
    specs: ClassVar[tuple[ScoreSpec, ...]] = ()

    def open(self) -> _CutStrengthSession:
        return _CutStrengthSession()

    def reduce(self, facts: FrameFacts) -> Mapping[str, ClipValue]:
        return {}


class _CutStrengthSession:
    def __init__(self) -> None:
        # One equally wide kernel for every size: the detector would otherwise vary with resolution.
        self._detector = ContentDetector(kernel_size=5)
        self._index = 0

    def measure(self, frames: FrameBatch) -> Mapping[str, Fact]:
        changes = []
        for rgb_HWC in frames.rgb_THWC:
            # Fresh statistics per frame: the detector would otherwise keep those of the whole video.
            stats = StatsManager()
            self._detector.stats_manager = stats
            timecode = FrameTimecode(self._index, _INDEX_FPS)
            self._detector.process_frame(timecode, np.ascontiguousarray(rgb_HWC[..., ::-1]))
            known = stats.metrics_exist(timecode, [ContentDetector.FRAME_SCORE_KEY])
            # The first frame has nothing before it to differ from.
            changes.append(stats.get_metrics(timecode, [ContentDetector.FRAME_SCORE_KEY])[0] if known else 0.0)
            self._index += 1
        return {"content_change": Fact.full(np.asarray(changes))}
