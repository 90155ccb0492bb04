"""What every annotator is: it asks for frames, watches them go by once, and returns a track.

An annotator is opened once per clip. Frames arrive in windows, so that memory does not grow with the clip; what depends
on other tracks (people masked out of the camera's background) is computed in `finish`, when those tracks exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from schemas.frames import FrameBatch, FrameRequest
from schemas.tracks import Track

# Every frame, short side 480 px: what the networks see. All annotators share this one request, so that the decoder
# resizes each frame once; tracks are stated in pixels of the native frame all the same.
DENSE = FrameRequest("dense", fps=None, short_side_px=480)


@dataclass(frozen=True, slots=True)
class ClipFrame:
    """The clip as its frames are: native size in pixels and nominal rate. Tracks are stated in these pixels."""

    width_px: int
    height_px: int
    fps: float


class AnnotatorSession(Protocol):
    """One annotator at work on one clip."""

    def observe(self, frames: FrameBatch) -> None:
        """Takes the next window of the frames it asked for; pts_s_T is clip time, from 0."""

    def finish(self, earlier: Mapping[str, Track]) -> Track:
        """The track of the whole clip. `earlier` holds the tracks named in `after`, by annotator name."""


class Annotator(Protocol):
    """Names itself, says which frames it needs and which tracks must exist before it finishes."""

    name: ClassVar[str]
    suffix: ClassVar[str]
    needs: ClassVar[FrameRequest]
    after: ClassVar[tuple[str, ...]]

    @property
    def version(self) -> str:
        """Changes whenever the numbers do; names the networks and, where weights are given, their file."""

    def open(self, clip: ClipFrame) -> AnnotatorSession:
        """Starts a clip. State of the clip before must not change the result."""
