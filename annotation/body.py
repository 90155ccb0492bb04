"""Bodies of everyone in the clip: 33 joints in pixels and metres. Axes as in schemas/tracks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_solutions import NETWORKS_VERSION
from annotation.base import DENSE, ClipFrame
from annotation.ops.skeleton import exchange, exchanged_sides, steady_limbs
from annotation.ops.smoothing import between_reads, fill_short_gaps, smooth_present
from annotation.people import PeopleNetworks, PeopleWatch
from annotation.recalled_bodies import RecalledBodies
from schemas.frames import FrameBatch, FrameRequest
from schemas.tracks import BODY_JOINTS, BodyTrack, Track

NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR = 0, 2, 5, 7, 8
LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ELBOW, RIGHT_ELBOW, LEFT_WRIST, RIGHT_WRIST = 11, 12, 13, 14, 15, 16
LEFT_HIP, RIGHT_HIP, LEFT_KNEE, RIGHT_KNEE, LEFT_ANKLE, RIGHT_ANKLE = 23, 24, 25, 26, 27, 28
HEAD_JOINTS = tuple(range(11))
# Gaps between two measured frames up to so long are filled and marked.
FILL_S = 0.25


class BodyAnnotator:
    """Everyone in the clip; a clip without a person has P=1 and nothing present."""

    name: ClassVar[str] = "body"
    version: ClassVar[str] = f"4+{NETWORKS_VERSION}"
    suffix: ClassVar[str] = "body.npz"
    needs: ClassVar[FrameRequest] = DENSE
    after: ClassVar[tuple[str, ...]] = ()

    def __init__(self, networks: PeopleNetworks | None = None) -> None:
        self._networks = networks or PeopleNetworks()

    def open(self, clip: ClipFrame) -> BodySession:
        return BodySession(self._networks.open(), clip)

    def recall(self, track: BodyTrack, clip: ClipFrame) -> RecalledBodies:
        """A session that reads nothing, for annotators that look through it at where the bodies of a track are."""
        return self._networks.recall(track, clip)


class BodySession:
    def __init__(self, watch: PeopleWatch, clip: ClipFrame) -> None:
        self._watch = watch
        self._clip = clip
        self._native_per_seen_2 = np.ones(2, np.float32)
        self._pts_s: list[float] = []

    def observe(self, frames: FrameBatch) -> None:
        height_px, width_px = frames.rgb_THWC.shape[1:3]
        native_wh = np.array([self._clip.width_px, self._clip.height_px], np.float32)
        self._native_per_seen_2 = native_wh / (width_px, height_px)
        for rgb_HWC, pts_s in zip(frames.rgb_THWC, frames.pts_s_T.tolist(), strict=True):
            self._watch.observe(rgb_HWC, pts_s)
        self._pts_s.extend(frames.pts_s_T.tolist())

    def finish(self, earlier: Mapping[str, Track]) -> BodyTrack:
        pts_s_T = np.array(self._pts_s, np.float64)
        kept = self._watch.kept(pts_s_T)
        P, T = max(1, len(kept)), len(pts_s_T)
        joints_px_PTJ2 = np.zeros((P, T, BODY_JOINTS, 2), np.float32)
        world_m_PTJ3 = np.zeros((P, T, BODY_JOINTS, 3), np.float32)
        conf_PTJ = np.zeros((P, T, BODY_JOINTS), np.float32)
        present_PT, filled_PT = np.zeros((P, T), np.bool_), np.zeros((P, T), np.bool_)
        frame_s = float(np.median(np.diff(pts_s_T))) if T > 1 else 1.0 / max(self._clip.fps, 1.0)
        for p, person in enumerate(kept):
            for t, pose in person.reads.items():
                joints_px_PTJ2[p, t] = pose.points_J4[:, :2] * self._native_per_seen_2
                world_m_PTJ3[p, t] = pose.world_m_J3
                conf_PTJ[p, t] = np.clip(pose.points_J4[:, 3], 0, 1)
                present_PT[p, t] = True
            measured_T = present_PT[p].copy()
            read_T = measured_T.copy()
            read_T[list(person.copied)] = False
            for chain_N in _chains(measured_T, pts_s_T):
                exchanged_TJ = exchanged_sides(joints_px_PTJ2[p], chain_N)
                for values_TJX in (joints_px_PTJ2[p], world_m_PTJ3[p], conf_PTJ[p]):
                    values_TJX[...] = exchange(values_TJX, exchanged_TJ)
            for values_TJX in (joints_px_PTJ2[p], world_m_PTJ3[p], conf_PTJ[p]):
                values_TJX[...] = between_reads(values_TJX, measured_T, read_T, pts_s_T)
                values_TJX[...], filled_PT[p] = fill_short_gaps(values_TJX, measured_T, pts_s_T, FILL_S)
            present_PT[p] |= filled_PT[p]
            joints_px_PTJ2[p] = smooth_present(joints_px_PTJ2[p], present_PT[p], frame_s, read_T)
            steady_m_TJ3 = steady_limbs(world_m_PTJ3[p], conf_PTJ[p], present_PT[p])
            # Smoothed directions shorten bones a little: once more.
            smoothed_m_TJ3 = smooth_present(steady_m_TJ3, present_PT[p], frame_s, read_T)
            world_m_PTJ3[p] = steady_limbs(smoothed_m_TJ3, conf_PTJ[p], present_PT[p])
        return BodyTrack(joints_px_PTJ2, world_m_PTJ3, conf_PTJ, present_PT, pts_s_T, filled_PT)


def _chains(measured_T: NDArray[np.bool_], pts_s_T: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Measured frames, parted where the next one is further away than what is filled."""
    at_N = np.flatnonzero(measured_T)
    return np.split(at_N, np.flatnonzero(np.diff(pts_s_T[at_N]) > FILL_S + 1e-3) + 1)


def visible_joints(track: BodyTrack, clip: ClipFrame, at_least: float = 0.5) -> NDArray[np.bool_]:
    """Which joints of the main subject are seen: inside the frame, with that confidence, in a present frame.

    Returns: (T, J) bool; (T, J) of False when the track has no person.
    """
    if track.present_PT.shape[0] == 0:
        return np.zeros((len(track.pts_s_T), BODY_JOINTS), np.bool_)
    px_TJ2 = track.joints_px_PTJ2[0]
    inside_TJ = ((px_TJ2 >= 0) & (px_TJ2 <= (clip.width_px, clip.height_px))).all(axis=2)
    return np.asarray(inside_TJ & (track.conf_PTJ[0] >= at_least) & track.present_PT[0][:, None])
