"""Records of the curation run: what an input is, what a clip is, what went wrong."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

VideoStatus = Literal["ok", "partial"]


@dataclass(frozen=True, slots=True)
class SourceNote:
    """What a manifest beside the footage says of one file; None where it says nothing."""

    licence: str | None = None
    consent: str | None = None
    source: str | None = None
    style: str | None = None


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """One readable input. Sizes are as presented (after rotation); time starts at the first presented frame.

    status "partial" means that decoding broke off; `status_message` says where, the clips cover what was readable.
    """

    video_id: str
    uri: str
    size_bytes: int
    codec: str
    pixel_format: str
    width_px: int
    height_px: int
    fps: float
    duration_s: float
    rotation_deg: int
    frames: int
    status: VideoStatus
    status_message: str | None
    licence: str | None
    consent: str | None
    source: str | None
    style: str | None

    def row(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ClipSpan:
    """A half-open interval [start_s, end_s) of one video, in its presentation time."""

    clip_id: str
    video_id: str
    uri: str
    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    def row(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """An input or clip that could not be processed, with the stage and the reason."""

    uri: str
    clip_id: str | None
    stage: str
    error_class: str
    message: str

    def row(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of(error: Exception, uri: str, stage: str, clip_id: str | None = None) -> FailureRecord:
        return FailureRecord(uri, clip_id, stage, type(error).__name__, str(error))
