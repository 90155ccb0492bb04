"""Records of the curation run: what an input is, what a clip is, what went wrong."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

VideoStatus = Literal["ok", "partial"]


@dataclass(frozen=True, slots=True)
class SourceNote:
    """What a manifest beside the footage says of one file; None where it says nothing.

    style:        one word (`curation.styles`); style_stated has the manifest's own.
    take_id:      one performance seen by several cameras; view_id names the camera.
    offset_s:     time in this file at which the clock of its take is 0; None is 0.
    camera:       camera parameters as JSON text, or a description in words.
    ground_truth: absolute path of a side file with joints, camera, … of rendered footage.
    capture_fps:  frames per second at which the camera ran, where playback differs (high-speed, time-lapse).
    split:        train, val or another name, where the source has its own split.
    subject:      who is shown: the same word in other files means the same person or character.
    """

    licence: str | None = None
    consent: str | None = None
    source: str | None = None
    style: str | None = None
    take_id: str | None = None
    view_id: str | None = None
    camera: str | None = None
    ground_truth: str | None = None
    capture_fps: float | None = None
    split: str | None = None
    style_stated: str | None = None
    offset_s: float | None = None
    subject: str | None = None


NOTE_FIELDS = tuple(each.name for each in fields(SourceNote))


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """One readable input. Sizes are as presented (in square pixels, after rotation); time starts at the first frame.

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
    take_id: str | None = None
    view_id: str | None = None
    camera: str | None = None
    ground_truth: str | None = None
    capture_fps: float | None = None
    split: str | None = None
    ground_truth_sha256: str | None = None
    split_key: str | None = None
    real_time_factor: float = 1.0
    subject: str | None = None
    pixel_aspect: float = 1.0
    field_order: str = "unknown"
    bits_per_component: int | None = None
    transfer: str = "unknown"
    is_hdr: bool = False
    start_s: float = 0.0
    header_fps: float | None = None
    header_duration_s: float | None = None
    header_frames: int | None = None
    header_wrong: bool = False
    vfr: bool = False
    frame_interval_min_s: float | None = None
    frame_interval_max_s: float | None = None
    frame_interval_cv: float | None = None
    style_stated: str | None = None
    offset_s: float | None = None

    def row(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ClipSpan:
    """A half-open interval [start_s, end_s) of one video, in its presentation time.

    take_clip: shared by the clips that show the same interval of a take; None where no other view shows it.
    """

    clip_id: str
    video_id: str
    uri: str
    start_s: float
    end_s: float
    take_clip: str | None = None

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
