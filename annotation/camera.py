"""Camera motion from the background: one homography per frame, people masked out. Axes as in schemas/tracks.

While frames go by, corners of each frame are followed into the next (Lucas and Kanade 1981, forward and backward).
When the clip ends and the body track says where the subject is, points on the subject are dropped and a homography is
fitted to the others. Signs are the camera's: DESIGN, docs/annotation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.base import DENSE, ClipFrame
from annotation.ops.background import (
    IDENTITY,
    FittedMotion,
    fit_background_motion,
    person_mask,
    rotation_and_zoom,
    still_frame,
)
from schemas.frames import FrameBatch, FrameRequest
from schemas.tracks import BodyTrack, CameraTrack, Track

MAX_POINTS = 400
# Following costs time by the pixel, and some hundred points together know the motion to a hundredth of a pixel.
_SHORT_SIDE_PX = 240
# Corners as weak as 0.2% of the strongest are still followed: one bright title must not hide a soft background.
_CORNER_QUALITY = 0.002
_MIN_SIDE_PX = 16
_LK_WINDOW_WH = (15, 15)
_LK_LEVELS = 4
# A point that does not come back to within this is lost, occluded or on a repeating texture.
_ROUND_TRIP_PX = 0.5


@dataclass(frozen=True, slots=True)
class _Matches:
    """Points of frame t-1 and where they went in frame t, in px of the clip's native frame."""

    before_px_N2: NDArray[np.float32]
    after_px_N2: NDArray[np.float32]


class CameraAnnotator:
    name: ClassVar[str] = "camera"
    version: ClassVar[str] = f"1+opencv-{cv2.__version__}"
    suffix: ClassVar[str] = "camera.npz"
    needs: ClassVar[FrameRequest] = DENSE
    after: ClassVar[tuple[str, ...]] = ("body",)

    def open(self, clip: ClipFrame) -> CameraSession:
        return CameraSession(clip)


class CameraSession:
    def __init__(self, clip: ClipFrame) -> None:
        self._clip = clip
        self._last_gray_HW: NDArray[np.uint8] | None = None
        self._matches: list[_Matches] = []
        self._native_per_seen = 1.0
        self._pts_s: list[float] = []

    def observe(self, frames: FrameBatch) -> None:
        for rgb_HWC in frames.rgb_THWC:
            gray_HW = _small_gray(rgb_HWC)
            if self._last_gray_HW is not None:
                before_N2, after_N2 = follow_points(self._last_gray_HW, gray_HW)
                scale_xy = np.array([self._clip.width_px, self._clip.height_px], np.float32) / gray_HW.shape[::-1]
                # From OpenCV's coordinates (pixel centres at whole numbers) to the tracks' (at halves).
                to_native = scale_xy.astype(np.float32)
                self._native_per_seen = float(scale_xy.mean())
                self._matches.append(_Matches((before_N2 + 0.5) * to_native, (after_N2 + 0.5) * to_native))
            self._last_gray_HW = gray_HW
        self._pts_s.extend(frames.pts_s_T.tolist())

    def finish(self, earlier: Mapping[str, Track]) -> CameraTrack:
        body = earlier.get("body")
        T = len(self._pts_s)
        motions = [FittedMotion(IDENTITY, 0.0)] * T
        for t, matches in enumerate(self._matches, start=1):
            motions[t] = self._background_motion(matches, body if isinstance(body, BodyTrack) else None, t - 1)
        homography_T33 = np.array([motion.homography_33 for motion in motions], np.float64).reshape(T, 3, 3)
        angles_rad_T3, zoom_T = rotation_and_zoom(homography_T33, self._clip.width_px, self._clip.height_px)
        return CameraTrack(
            frame_from_previous_T33=homography_T33.astype(np.float32),
            pan_tilt_roll_rad_T3=angles_rad_T3.astype(np.float32),
            zoom_T=zoom_T.astype(np.float32),
            inlier_fraction_T=np.array([motion.inlier_fraction for motion in motions], np.float32),
            pts_s_T=np.array(self._pts_s, np.float64),
        )

    def _background_motion(self, matches: _Matches, body: BodyTrack | None, t: int) -> FittedMotion:
        keep_N = np.ones(len(matches.before_px_N2), np.bool_)
        for person in range(0 if body is None else body.present_PT.shape[0]):
            assert body is not None
            if body.present_PT[person, t]:
                mask_HW = person_mask(body.joints_px_PTJ2[person, t], self._clip.width_px, self._clip.height_px)
                keep_N &= ~mask_HW.at(matches.before_px_N2)
        size_wh = np.array([self._clip.width_px, self._clip.height_px], np.float64)
        before_px_N2, after_px_N2 = matches.before_px_N2, matches.after_px_N2
        motion = fit_background_motion(before_px_N2[keep_N], after_px_N2[keep_N], size_wh, self._native_per_seen)
        if motion.inlier_fraction > 0:
            return motion
        return still_frame(before_px_N2, after_px_N2, size_wh, self._native_per_seen)


def follow_points(
    before_HW: NDArray[np.uint8], after_HW: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Corners of one grey frame and where they are in the next, (N, 2) each in px, at most MAX_POINTS.

    Returns: empty arrays when the frames have no texture or are too small to follow anything in.
    """
    none = np.zeros((0, 2), np.float32)
    if min(before_HW.shape) < _MIN_SIDE_PX or before_HW.shape != after_HW.shape:
        return none, none
    height_px, width_px = before_HW.shape
    spacing_px = max(2.0, 0.8 * float(np.sqrt(width_px * height_px / MAX_POINTS)))
    start_N12 = cv2.goodFeaturesToTrack(before_HW, MAX_POINTS, _CORNER_QUALITY, spacing_px)
    if start_N12 is None:
        return none, none
    start_N12 = np.asarray(start_N12, np.float32)
    there_N12, found_N1 = _follow(before_HW, after_HW, start_N12)
    back_N12, found_back_N1 = _follow(after_HW, before_HW, there_N12)
    round_trip_N = np.linalg.norm((back_N12 - start_N12)[:, 0], axis=1)
    good_N = (found_N1[:, 0] == 1) & (found_back_N1[:, 0] == 1) & (round_trip_N < _ROUND_TRIP_PX)
    return start_N12[good_N, 0], there_N12[good_N, 0]


def _small_gray(rgb_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    gray_HW = cv2.cvtColor(np.ascontiguousarray(rgb_HWC), cv2.COLOR_RGB2GRAY)
    shrink = _SHORT_SIDE_PX / min(gray_HW.shape)
    if shrink < 1:
        size_wh = (max(1, round(gray_HW.shape[1] * shrink)), max(1, round(gray_HW.shape[0] * shrink)))
        gray_HW = cv2.resize(gray_HW, size_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(gray_HW, np.uint8)


def _follow(
    from_HW: NDArray[np.uint8], to_HW: NDArray[np.uint8], start_N12: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    end_N12 = np.zeros_like(start_N12)
    end_N12, found_N1, _ = cv2.calcOpticalFlowPyrLK(
        from_HW, to_HW, start_N12, end_N12, winSize=_LK_WINDOW_WH, maxLevel=_LK_LEVELS
    )
    return np.asarray(end_N12, np.float32), np.asarray(found_N1, np.uint8)
