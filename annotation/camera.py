"""Camera motion from the background: one homography per frame, people masked out. Axes as in schemas/tracks.

While frames go by, corners of a key picture are followed through the frames after it. When the clip ends and the body
track says where people are, points on people are dropped, the motion from the key picture to each frame is fitted to
the others, and a frame's own motion is the difference between it and the frame before. Signs: docs/annotation.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.base import DENSE, ClipFrame
from annotation.ops.alignment import KeyPicture, pyramid, similar
from annotation.ops.background import (
    IDENTITY,
    FittedMotion,
    Stretch,
    fit_stretch,
    rotation_and_zoom,
    still_frame,
)
from annotation.ops.follow import Followed, PointFollower
from annotation.ops.person_mask import person_mask
from annotation.ops.smoothing import runs
from schemas.frames import FrameBatch, FrameRequest
from schemas.tracks import BodyTrack, CameraTrack, Track

# Following costs time by the pixel, and some hundred points together know the motion to a hundredth of a pixel.
_SHORT_SIDE_PX = 240
# Kept of every frame for clips in which corners fail: 25 kB each at 16:9. Longer clips go without in what follows.
_THUMB_SIDE_PX = 120
_MOST_THUMBS = 3000
_THUMB_REACH = 0.1
# What was not measured for up to this long, without a cut, is filled in; its inlier fraction says so.
_LONGEST_GAP_S = 0.5
_FILLED = 0.05
# Of the background's edges, so many must agree; of all edges more, because a body that moves is edges too.
_ENOUGH = 0.5
_ENOUGH_WITH_PEOPLE = 0.7
# After so many frames of one key picture that its background does not explain, it is not asked again.
_FAILURES_A_KEY = 3
# Share of its confidence that is left to a motion which people alone show; annotation/camera_moves asks more of it.
_BY_PEOPLE = 0.25
# How long one key picture serves at most: a slow move needs about a second to stand out of the noise.
_KEY_S = 1.0


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
        self._follower = PointFollower(round(_KEY_S * clip.fps))
        self._followed: list[Followed] = []
        self._native_per_seen_2 = np.ones(2, np.float32)
        self._native_per_thumb_2 = np.ones(2)
        self._thumbs: list[NDArray[np.uint8]] = []
        self._pts_s: list[float] = []

    def observe(self, frames: FrameBatch) -> None:
        for rgb_HWC in frames.rgb_THWC:
            whole_HW = np.asarray(cv2.cvtColor(np.ascontiguousarray(rgb_HWC), cv2.COLOR_RGB2GRAY), np.uint8)
            gray_HW, whole_per_seen_2 = _shrunk(whole_HW, _SHORT_SIDE_PX)
            followed = self._follower.follow(gray_HW)
            thumb_HW, seen_per_thumb_2 = _shrunk(gray_HW, _THUMB_SIDE_PX)
            if len(self._thumbs) < _MOST_THUMBS:
                self._thumbs.append(thumb_HW)
            if followed is not None:
                self._followed.append(followed)
            native_per_whole_2 = np.array([self._clip.width_px, self._clip.height_px]) / whole_HW.shape[::-1]
            self._native_per_seen_2 = (native_per_whole_2 * whole_per_seen_2).astype(np.float32)
            self._native_per_thumb_2 = native_per_whole_2 * whole_per_seen_2 * seen_per_thumb_2
        self._pts_s.extend(frames.pts_s_T.tolist())

    def finish(self, earlier: Mapping[str, Track]) -> CameraTrack:
        body = earlier.get("body")
        T = len(self._pts_s)
        steps = [FittedMotion(IDENTITY, 0.0)] * T
        for _, group in groupby(self._followed, key=lambda each: each.key):
            followed = list(group)
            stretch = self._stretch(followed, body if isinstance(body, BodyTrack) else None)
            motions = fit_stretch(stretch)
            from_key_33: NDArray[np.float64] | None = IDENTITY
            for s, (each, motion) in enumerate(zip(followed, motions, strict=True)):
                if motion.inlier_fraction > 0:
                    if from_key_33 is not None:
                        step_33 = motion.homography_33 @ np.linalg.inv(from_key_33)
                        step_33 = step_33 / step_33[2, 2]
                        steps[each.frame] = FittedMotion(step_33, motion.inlier_fraction, motion.support)
                    from_key_33 = motion.homography_33
                else:
                    steps[each.frame] = self._still_step(stretch, s)
                    from_key_33 = from_key_33 if steps[each.frame].inlier_fraction > 0 else None
        self._align_poor_steps(steps, body if isinstance(body, BodyTrack) else None)
        self._fill_gaps(steps)
        homography_T33 = np.array([step.homography_33 for step in steps], np.float64).reshape(T, 3, 3)
        angles_rad_T3, zoom_T = rotation_and_zoom(homography_T33, self._clip.width_px, self._clip.height_px)
        return CameraTrack(
            frame_from_previous_T33=homography_T33.astype(np.float32),
            pan_tilt_roll_rad_T3=angles_rad_T3.astype(np.float32),
            zoom_T=zoom_T.astype(np.float32),
            inlier_fraction_T=np.array([step.inlier_fraction for step in steps], np.float32),
            pts_s_T=np.array(self._pts_s, np.float64),
        )

    def _stretch(self, followed: list[Followed], body: BodyTrack | None) -> Stretch:
        """Frames compared with one key picture, in native px, with the points on people in that picture marked."""
        N = followed[0].key_points
        before_px_N2 = np.zeros((N, 2), np.float32)
        after_px_SN2 = np.zeros((len(followed), N, 2), np.float32)
        found_SN = np.zeros((len(followed), N), np.bool_)
        for s, each in enumerate(followed):
            # From OpenCV's coordinates (pixel centres at whole numbers) to the tracks' (at halves).
            before_px_N2[each.index_N] = (each.before_px_N2 + 0.5) * self._native_per_seen_2
            after_px_SN2[s, each.index_N] = (each.after_px_N2 + 0.5) * self._native_per_seen_2
            found_SN[s, each.index_N] = True
        candidate_N = np.ones(N, np.bool_)
        for person in range(0 if body is None else body.present_PT.shape[0]):
            assert body is not None
            key = followed[0].key
            if body.present_PT[person, key]:
                mask = person_mask(body.joints_px_PTJ2[person, key], self._clip.width_px, self._clip.height_px)
                candidate_N &= ~mask.at(before_px_N2)
        size_wh = np.array([self._clip.width_px, self._clip.height_px], np.float64)
        return Stretch(
            before_px_N2, after_px_SN2, found_SN, candidate_N, size_wh, float(self._native_per_seen_2.mean())
        )

    def _still_step(self, stretch: Stretch, s: int) -> FittedMotion:
        """From the frame before frame s, by all points, people's included."""
        last_px_N2 = stretch.after_px_SN2[s - 1] if s else stretch.before_px_N2
        both = np.flatnonzero(stretch.found_SN[s] & (stretch.found_SN[s - 1] if s else True))
        before_N2, after_N2 = last_px_N2[both], stretch.after_px_SN2[s, both]
        return still_frame(before_N2, after_N2, stretch.size_wh, stretch.native_per_seen)

    def _align_poor_steps(self, steps: list[FittedMotion], body: BodyTrack | None) -> None:
        """Replaces steps that points tell poorly by those that the edges of the picture tell, where these do."""
        poor_T = np.array([step.poor for step in steps[: len(self._thumbs)]], np.bool_)
        poor_T[:1] = False
        for start, stop in runs(poor_T):
            key, from_key_33, failures = start - 1, IDENTITY, 0
            picture = pyramid(self._thumbs[key])
            background, everything = self._background(key, picture, body), None
            for t in range(start, stop):
                other = pyramid(self._thumbs[t])
                share, found = 1.0, None
                if failures < _FAILURES_A_KEY:
                    found = background.align(other, from_key_33)
                if found is None or found.explained < _ENOUGH or not found.spread:
                    failures += 1
                    everything = everything or KeyPicture(picture, np.ones(self._thumbs[key].shape, np.uint8))
                    share, found = _BY_PEOPLE, everything.align(other, from_key_33)
                    if found is not None and (found.explained < _ENOUGH_WITH_PEOPLE or not found.spread):
                        found = None
                if found is not None:
                    step_33 = found.motion_33 @ np.linalg.inv(from_key_33)
                    steps[t] = FittedMotion(self._thumb_to_native(step_33), share * found.explained)
                    from_key_33 = found.motion_33
                    if t - key < _KEY_S * self._clip.fps and found.reach_px < _THUMB_REACH * _THUMB_SIDE_PX:
                        continue
                key, from_key_33, failures = t, IDENTITY, 0
                picture = other
                background, everything = self._background(key, picture, body), None

    def _background(self, t: int, picture: list[NDArray[np.float32]], body: BodyTrack | None) -> KeyPicture:
        """Frame t without people."""
        counts_HW = np.ones(self._thumbs[t].shape, np.uint8)
        for person in range(0 if body is None else body.present_PT.shape[0]):
            assert body is not None
            if body.present_PT[person, t]:
                mask = person_mask(body.joints_px_PTJ2[person, t], self._clip.width_px, self._clip.height_px)
                covered_HW = cv2.resize(mask.covered_HW, counts_HW.shape[::-1], interpolation=cv2.INTER_AREA)
                counts_HW[covered_HW > 0] = 0
        return KeyPicture(picture, counts_HW)

    def _fill_gaps(self, steps: list[FittedMotion]) -> None:
        """Steps that were not measured within one view go on as their neighbours do; those at a cut stay."""
        fps = self._clip.fps
        T = min(len(steps), len(self._thumbs))
        missing_T = np.array([step.inlier_fraction <= 0 for step in steps[:T]], np.bool_)
        missing_T[:1] = False
        for start, stop in runs(missing_T):
            if stop - start > _LONGEST_GAP_S * fps or start < 2 or stop >= T:
                continue
            if all(similar(self._thumbs[t - 1], self._thumbs[t]) for t in range(start, stop)):
                between_33 = (steps[start - 1].homography_33 + steps[stop].homography_33) / 2
                steps[start:stop] = [FittedMotion(between_33, _FILLED)] * (stop - start)

    def _thumb_to_native(self, step_33: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = self._native_per_thumb_2
        native_from_thumb_33 = np.array([[x, 0, 0.5 * x], [0, y, 0.5 * y], [0, 0, 1]])
        return np.asarray(native_from_thumb_33 @ step_33 @ np.linalg.inv(native_from_thumb_33))


def _shrunk(gray_HW: NDArray[np.uint8], short_side_px: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The picture, no larger than this, and how many of its former px go into one of the new (x, y)."""
    shrink = short_side_px / min(gray_HW.shape)
    if shrink >= 1:
        return gray_HW, np.ones(2)
    size_wh = np.maximum(1, np.round(np.array(gray_HW.shape[::-1]) * shrink)).astype(int)
    if shrink == 0.5:
        # Whole pixels are averaged many times faster; an odd row or column at the end of the long side is left out.
        gray_HW = gray_HW[: gray_HW.shape[0] // 2 * 2, : gray_HW.shape[1] // 2 * 2]
        size_wh = np.array(gray_HW.shape[::-1]) // 2
    # Down to a half, four neighbours are all that a pixel covers, and many times cheaper than exact areas.
    how = cv2.INTER_LINEAR if shrink > 0.5 else cv2.INTER_AREA
    small_HW = np.asarray(cv2.resize(gray_HW, size_wh.tolist(), interpolation=how), np.uint8)
    return small_HW, np.array(gray_HW.shape[::-1]) / size_wh
