"""Camera motion from the background: one homography per frame, people masked out. Axes as in schemas/tracks.

While frames go by, corners of a key picture are followed through the frames after it. When the clip ends and the body
track says where people are, points on people are dropped, the motion from the key picture to each frame is fitted to
the others, and a frame's own motion is the difference between it and the frame before. Signs: docs/annotation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from itertools import groupby
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_solutions import NETWORKS_VERSION
from annotation.backends.selfie_mask import PeopleSegmenter
from annotation.base import DENSE, ClipFrame
from annotation.camera_people import PeopleInView
from annotation.camera_travel import TravelEvidence
from annotation.ops.alignment import EdgePath, pyramid, similar
from annotation.ops.background import (
    IDENTITY,
    FittedMotion,
    Stretch,
    fit_stretch,
    rotation_and_zoom,
    still_frame,
)
from annotation.ops.follow import Followed, PointFollower
from annotation.ops.person_mask import PersonMask
from annotation.ops.smoothing import runs
from schemas.frames import FrameBatch, FrameRequest
from schemas.tracks import BodyTrack, CameraTrack, Track

# Following costs time by the pixel, and some hundred points together know the motion to a hundredth of a pixel.
_SHORT_SIDE_PX = 240
# Kept of every frame for clips in which corners fail: 25 kB each at 16:9. Longer clips go without in what follows.
_THUMB_SIDE_PX = 120
_MOST_THUMBS = 3000
# What was not measured for up to this long, without a cut, is filled in; its inlier fraction says so.
_LONGEST_GAP_S = 0.5
_FILLED = 0.05
# Share of its confidence that is left to a motion which people alone show; annotation/camera_moves asks more of it.
_BY_PEOPLE = 0.25
# How long one key picture serves at most: a slow move needs about a second to stand out of the noise.
_KEY_S = 1.0


class CameraAnnotator:
    name: ClassVar[str] = "camera"
    version: ClassVar[str] = f"3+opencv-{cv2.__version__}+{NETWORKS_VERSION}-selfie-parallax"
    suffix: ClassVar[str] = "camera.npz"
    needs: ClassVar[FrameRequest] = DENSE
    after: ClassVar[tuple[str, ...]] = ("body",)

    def __init__(self) -> None:
        self._segmenter = PeopleSegmenter()

    def open(self, clip: ClipFrame) -> CameraSession:
        return CameraSession(clip, self._segmenter)


class CameraSession:
    def __init__(self, clip: ClipFrame, segmenter: PeopleSegmenter) -> None:
        self._clip = clip
        self._people = PeopleInView(segmenter, clip)
        self._follower = PointFollower(round(_KEY_S * clip.fps))
        self._followed: list[Followed] = []
        self._native_per_seen_2 = np.ones(2, np.float32)
        self._native_per_thumb_2 = np.ones(2)
        self._thumbs: list[NDArray[np.uint8]] = []
        self._travel = TravelEvidence()
        self._frames = 0
        self._pts_s: list[float] = []

    def observe(self, frames: FrameBatch) -> None:
        for rgb_HWC in frames.rgb_THWC:
            whole_HW = np.asarray(cv2.cvtColor(np.ascontiguousarray(rgb_HWC), cv2.COLOR_RGB2GRAY), np.uint8)
            gray_HW, whole_per_seen_2 = _shrunk(whole_HW, _SHORT_SIDE_PX)
            followed = self._follower.follow(
                gray_HW, partial(self._people.background_now, self._frames, rgb_HWC, gray_HW.shape[::-1])
            )
            self._frames += 1
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
        self._people.body = body if isinstance(body, BodyTrack) else None
        T = len(self._pts_s)
        steps = [FittedMotion(IDENTITY, 0.0)] * T
        for _, group in groupby(self._followed, key=lambda each: each.key):
            followed = list(group)
            before = steps[followed[0].key]
            step_33 = before.homography_33 if before.inlier_fraction > _FILLED else IDENTITY
            for each, step in zip(followed, self._steps(followed, step_33), strict=True):
                steps[each.frame] = step
        self._fill_gaps(steps)
        homography_T33 = np.array([step.homography_33 for step in steps], np.float64).reshape(T, 3, 3)
        angles_rad_T3, zoom_T = rotation_and_zoom(homography_T33, self._clip.width_px, self._clip.height_px)
        return CameraTrack(
            frame_from_previous_T33=homography_T33.astype(np.float32),
            pan_tilt_roll_rad_T3=self._travel.turned(angles_rad_T3).astype(np.float32),
            zoom_T=zoom_T.astype(np.float32),
            inlier_fraction_T=np.array([step.inlier_fraction for step in steps], np.float32),
            pts_s_T=np.array(self._pts_s, np.float64),
            **self._travel.arrays(T),
        )

    def _steps(self, followed: list[Followed], step_33: NDArray[np.float64]) -> list[FittedMotion]:
        """Each frame's motion from the one before, over one key picture; step_33: that of the key picture."""
        stretch = self._stretch(followed, self._people.mask(followed[0].key))
        motions = fit_stretch(stretch)
        if _measured(motions) < 0.5:
            # A network that takes half the room for a person leaves nothing to go by: joints know better.
            stretch_of_joints = self._stretch(followed, self._people.drawn(followed[0].key))
            by_joints = fit_stretch(stretch_of_joints)
            if _measured(by_joints) > _measured(motions):
                stretch, motions = stretch_of_joints, by_joints
        self._travel.add(followed, stretch)
        from_key = self._edges_where_poor(followed, motions, step_33)
        from_key = _interpolated(from_key, _LONGEST_GAP_S * self._clip.fps)
        steps: list[FittedMotion] = []
        last_33: NDArray[np.float64] | None = IDENTITY
        for s, motion in enumerate(from_key):
            if motion.inlier_fraction > 0:
                if last_33 is not None:
                    step_33 = motion.homography_33 @ np.linalg.inv(last_33)
                    steps.append(FittedMotion(step_33 / step_33[2, 2], motion.inlier_fraction, motion.support))
                else:
                    steps.append(FittedMotion(IDENTITY, 0.0))
                last_33 = motion.homography_33
            else:
                steps.append(self._still_step(stretch, s))
                last_33 = last_33 if steps[-1].inlier_fraction > 0 else None
        return steps

    def _edges_where_poor(
        self,
        followed: list[Followed],
        motions: list[FittedMotion],
        step_33: NDArray[np.float64],
    ) -> list[FittedMotion]:
        """Motions from the key picture; those that points tell poorly are replaced by what edges tell."""
        # While the camera moves nothing stands still: points that rest, few as they are, are not overruled by edges.
        poor_S = [motion.poor and not motion.resting for motion in motions]
        key = followed[0].key
        if not any(poor_S) or followed[-1].frame >= len(self._thumbs):
            return motions
        # Points and edges err differently: where points fail for most of the time, they are not mixed.
        all_by_edges = sum(poor_S) > 0.5 * len(poor_S)

        def background_at(t: int) -> Callable[[], NDArray[np.uint8]]:
            return lambda: self._background(t)

        path = EdgePath(pyramid(self._thumbs[key]), background_at(key), self._native_to_thumb(step_33))
        told = []
        for each, motion, poor in zip(followed, motions, poor_S, strict=True):
            picture = pyramid(self._thumbs[each.frame])
            found = path.look(picture) if poor or all_by_edges else None
            if found is not None:
                share = _BY_PEOPLE if found.people else 1.0
                motion = FittedMotion(self._thumb_to_native(found.motion_33), share * found.explained)
            measured_33 = self._native_to_thumb(motion.homography_33) if motion.inlier_fraction > 0 else None
            path.go_on(picture, background_at(each.frame), measured_33)
            told.append(motion)
        return told

    def _stretch(self, followed: list[Followed], people: PersonMask) -> Stretch:
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
        size_wh = np.array([self._clip.width_px, self._clip.height_px], np.float64)
        candidate_N = ~people.at(before_px_N2)
        return Stretch(
            before_px_N2, after_px_SN2, found_SN, candidate_N, size_wh, float(self._native_per_seen_2.mean())
        )

    def _still_step(self, stretch: Stretch, s: int) -> FittedMotion:
        """From the frame before frame s, by all points, people's included."""
        last_px_N2 = stretch.after_px_SN2[s - 1] if s else stretch.before_px_N2
        both = np.flatnonzero(stretch.found_SN[s] & (stretch.found_SN[s - 1] if s else True))
        before_N2, after_N2 = last_px_N2[both], stretch.after_px_SN2[s, both]
        return still_frame(before_N2, after_N2, stretch.size_wh, stretch.native_per_seen)

    def _fill_gaps(self, steps: list[FittedMotion]) -> None:
        """Steps that were not measured within one view go on as their neighbours do; those at a cut stay."""
        fps = self._clip.fps
        T = min(len(steps), len(self._thumbs))
        missing_T = np.array([step.inlier_fraction <= 0 for step in steps[:T]], np.bool_)
        missing_T[:1] = False
        for start, stop in runs(missing_T):
            if stop - start > _LONGEST_GAP_S * fps or start < 2 or stop >= T:
                continue
            if all(self._same_view(t) for t in range(start, stop + 1)):
                between_33 = (steps[start - 1].homography_33 + steps[stop].homography_33) / 2
                steps[start:stop] = [FittedMotion(between_33, _FILLED)] * (stop - start)

    def _same_view(self, t: int) -> bool:
        """Whether no cut lies between frame t and the one before."""
        background_HW = self._background(t) & self._background(t - 1)
        return similar(self._thumbs[t - 1], self._thumbs[t], background_HW)

    def _background(self, t: int) -> NDArray[np.uint8]:
        """Where frame t's thumb shows no people, 1 or 0."""
        return self._people.background(t, self._thumbs[t].shape[::-1])

    def _thumb_to_native(self, motion_33: NDArray[np.float64]) -> NDArray[np.float64]:
        native_from_thumb_33 = self._native_from_thumb()
        return np.asarray(native_from_thumb_33 @ motion_33 @ np.linalg.inv(native_from_thumb_33))

    def _native_to_thumb(self, motion_33: NDArray[np.float64]) -> NDArray[np.float64]:
        native_from_thumb_33 = self._native_from_thumb()
        thumb_33 = np.linalg.inv(native_from_thumb_33) @ motion_33 @ native_from_thumb_33
        return np.asarray(thumb_33 / thumb_33[2, 2])

    def _native_from_thumb(self) -> NDArray[np.float64]:
        x, y = self._native_per_thumb_2
        return np.array([[x, 0, 0.5 * x], [0, y, 0.5 * y], [0, 0, 1]])


def _measured(motions: list[FittedMotion]) -> float:
    """Share of the frames."""
    return sum(motion.inlier_fraction > 0 for motion in motions) / max(1, len(motions))


def _interpolated(from_key: list[FittedMotion], longest: float) -> list[FittedMotion]:
    """Frames that were not measured, between two that were compared with the same key picture, lie between these."""
    known = [-1, *(s for s, motion in enumerate(from_key) if motion.inlier_fraction > 0)]
    filled = list(from_key)
    for before, after in itertools.pairwise(known):
        if 1 < after - before <= longest + 1:
            start_33 = from_key[before].homography_33 if before >= 0 else IDENTITY
            for s in range(before + 1, after):
                share = (s - before) / (after - before)
                between_33 = (1 - share) * start_33 + share * from_key[after].homography_33
                filled[s] = FittedMotion(between_33, _FILLED)
    return filled


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
