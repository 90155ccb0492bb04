"""The camera of puppet windows as our own camera annotator reads it, without MediaPipe: the puppet's place is known.

Axis legend: T frames, J joints, H W pixels, W windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.backends.selfie_mask import SIDE_PX as MASK_SIDE_PX
from annotation.backends.selfie_mask import PeopleSegmenter
from annotation.base import ClipFrame
from annotation.camera import CameraSession
from annotation.camera_moves import Interval, camera_moves
from schemas.frames import FrameBatch
from schemas.tracks import CameraTrack

Pictures = NDArray[np.uint8]
ENLARGED = 4
"""The annotator follows patches of 15 px and looks at 240 px; a blob of the backdrop spans 4 px of 64."""


@dataclass(frozen=True)
class Reading:
    """label: the move that holds longest ("none" where nothing was measured); the totals are rad and log scale."""

    label: str
    pan: float
    tilt: float
    roll: float
    zoom: float
    measured: float


class KnownPeople(PeopleSegmenter):
    """Says where the puppet is from its stated joints, frame by frame; needs no network."""

    def __init__(self, covered_THW: NDArray[np.uint8]) -> None:
        super().__init__()
        self._covered_THW = covered_THW
        self.frame = 0

    def covered(self, rgb_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        side = (MASK_SIDE_PX, MASK_SIDE_PX)
        return np.asarray(cv2.resize(self._covered_THW[self.frame], side, interpolation=cv2.INTER_NEAREST), np.uint8)


def camera_of(rgb_THW3: Pictures, people_THW: NDArray[np.bool_], fps: float, enlarged: int = ENLARGED) -> CameraTrack:
    """The annotator's track of a window of small pictures. people_THW: where the puppet stands."""
    side_px = rgb_THW3.shape[1] * enlarged
    large = [cv2.resize(frame, (side_px, side_px), interpolation=cv2.INTER_CUBIC) for frame in rgb_THW3]
    people = KnownPeople(people_THW.astype(np.uint8))
    session = CameraSession(ClipFrame(side_px, side_px, fps), people)
    for t, frame in enumerate(large):
        people.frame = t
        session.observe(FrameBatch(frame[None], np.array([t / fps])))
    return session.finish({})


def reading_of(track: CameraTrack) -> Reading:
    pan, tilt, roll = (float(value) for value in track.pan_tilt_roll_rad_T3[1:].sum(axis=0))
    zoom = float(np.log(np.maximum(track.zoom_T[1:], 1e-6)).sum())
    return Reading(
        dominant(camera_moves(track)), pan, tilt, roll, zoom, float((track.inlier_fraction_T[1:] > 0).mean())
    )


def dominant(moves: Sequence[Interval]) -> str:
    """The label that holds longest; between equals the surer one (as in camera_truth.py)."""
    seconds: dict[str, float] = {}
    sure: dict[str, float] = {}
    for move in moves:
        seconds[move.label] = seconds.get(move.label, 0.0) + move.end_s - move.start_s
        sure[move.label] = max(sure.get(move.label, 0.0), move.confidence)
    return max(seconds, key=lambda label: (round(seconds[label], 2), sure[label]), default="none")


def _read(job: tuple[Pictures, NDArray[np.bool_], float]) -> Reading:
    cv2.setNumThreads(1)
    return reading_of(camera_of(*job))


def readings(
    windows: Sequence[tuple[Pictures, NDArray[np.bool_], float]], pool: Executor | None = None
) -> list[Reading]:
    """The camera of every (pictures, people, fps), in the pool's processes where there is one."""
    if pool is None:
        return [_read(window) for window in windows]
    return list(pool.map(_read, windows, chunksize=2))


def warmed(pool: Executor | None) -> None:
    """Starts the pool's processes now."""
    if pool is not None:
        pool.submit(int).result()
