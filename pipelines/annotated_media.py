"""Tracks of media that belong to no dataset: a whole video, or a single picture."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.base import Annotator, ClipFrame
from annotation.catalog import ClipAnnotation, annotator_versions, make_annotators
from curation.decode import decode_for
from curation.probe import probe
from pipelines.progress import bar
from schemas.errors import DecodeError, ProbeError
from schemas.frames import FrameBatch
from schemas.tracks import BodyTrack, CameraTrack, FaceTrack, HandsTrack

log = logging.getLogger(__name__)


@functools.cache
def _annotators() -> tuple[Annotator, ...]:
    """Once per process: networks take longer to load than a picture takes to annotate."""
    return make_annotators()


class SubjectTracks:
    """Tracks by their type, where annotators hand them out by member suffix."""

    def __init__(self, by_suffix: dict[str, Any]) -> None:
        self.by_suffix = by_suffix
        self.body: BodyTrack = by_suffix["body.npz"]
        self.face: FaceTrack = by_suffix["face.npz"]
        self.hands: HandsTrack = by_suffix["hands.npz"]
        self.camera: CameraTrack = by_suffix["camera.npz"]


def annotated_video(path: Path, what: str) -> tuple[SubjectTracks, ClipFrame, dict[str, dict[str, str]]]:
    """Tracks of a whole video in one decode, its shape, and the annotators' versions.

    what: how messages call the file, for example "--driving dance.mp4".
    Raises: ProbeError or DecodeError when it is no video or not one frame can be decoded.
    """
    try:
        header = probe(path)
    except ProbeError as error:
        raise ProbeError(f"{what} is not a readable video: {error}") from error
    annotators = _annotators()
    shape = ClipFrame(header.width_px, header.height_px, header.fps or 25.0)
    annotation = ClipAnnotation(annotators, shape)
    with bar() as progress:
        task = progress.add_task("motion", total=None)
        try:
            result = decode_for(
                path,
                annotation.requests(),
                annotation.observe,
                header.rotation_deg,
                on_frame=lambda _pts_s, _frame: progress.advance(task),
            )
        except DecodeError as error:
            raise DecodeError(f"{what}: {error}") from error
    if result.error is not None:
        log.warning("%s: %s; it is used up to there", what, result.error)
    return SubjectTracks(annotation.finish()), shape, annotator_versions(annotators)


def is_picture(path: Path) -> bool:
    """Whether the file's first bytes are those of a picture format."""
    return bool(cv2.haveImageReader(str(path)))


def annotated_picture(path: Path, what: str) -> tuple[NDArray[np.uint8], SubjectTracks]:
    """A picture as RGB (H, W, 3), and the tracks of its single frame. Raises: DecodeError when it is no picture."""
    try:
        bgr = cv2.imdecode(np.frombuffer(path.read_bytes() or b"\0", dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise DecodeError(f"{what} is not a readable picture: {error.err}") from error
    if bgr is None:
        raise DecodeError(f"{what} is not a readable picture")
    rgb_HWC = np.ascontiguousarray(bgr[..., ::-1])
    annotation = ClipAnnotation(_annotators(), ClipFrame(rgb_HWC.shape[1], rgb_HWC.shape[0], 25.0))
    for request in annotation.requests():
        side = request.short_side_px
        factor = min(1.0, side / min(rgb_HWC.shape[:2])) if side else 1.0
        small = cv2.resize(rgb_HWC, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        annotation.observe(request.name, FrameBatch(small[None], np.zeros(1)))
    return rgb_HWC, SubjectTracks(annotation.finish())
