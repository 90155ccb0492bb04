"""The main subject's body: 33 joints in pixels and metres. Axes as in schemas/tracks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_solutions import NETWORKS_VERSION, PoseFound, PoseNetwork
from annotation.base import DENSE, ClipFrame
from annotation.ops.smoothing import smooth_present
from schemas.frames import FrameBatch, FrameRequest
from schemas.tracks import BODY_JOINTS, BodyTrack, Track

NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR = 0, 2, 5, 7, 8
LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ELBOW, RIGHT_ELBOW, LEFT_WRIST, RIGHT_WRIST = 11, 12, 13, 14, 15, 16
LEFT_HIP, RIGHT_HIP, LEFT_KNEE, RIGHT_KNEE, LEFT_ANKLE, RIGHT_ANKLE = 23, 24, 25, 26, 27, 28
HEAD_JOINTS = tuple(range(11))


class BodyAnnotator:
    """One person (P is always 1: a clip without a person has P=1 and nothing present)."""

    name: ClassVar[str] = "body"
    version: ClassVar[str] = f"1+{NETWORKS_VERSION}"
    suffix: ClassVar[str] = "body.npz"
    needs: ClassVar[FrameRequest] = DENSE
    after: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._network = PoseNetwork()

    def open(self, clip: ClipFrame) -> BodySession:
        self._network.reset()
        return BodySession(self._network, clip)


class BodySession:
    def __init__(self, network: PoseNetwork, clip: ClipFrame) -> None:
        self._network = network
        self._clip = clip
        self._found: list[PoseFound | None] = []
        self._pts_s: list[float] = []

    def observe(self, frames: FrameBatch) -> None:
        self._found.extend(self._network.find(rgb_HWC) for rgb_HWC in frames.rgb_THWC)
        self._pts_s.extend(frames.pts_s_T.tolist())

    def finish(self, earlier: Mapping[str, Track]) -> BodyTrack:
        T = len(self._found)
        points_TJ4 = np.zeros((T, BODY_JOINTS, 4), np.float32)
        world_m_TJ3 = np.zeros((T, BODY_JOINTS, 3), np.float32)
        present_T = np.zeros(T, np.bool_)
        for t, found in enumerate(self._found):
            if found is not None and _in_frame(found.points_J4):
                points_TJ4[t], world_m_TJ3[t], present_T[t] = found.points_J4, found.world_m_J3, True
        joints_px_TJ2 = points_TJ4[..., :2] * np.array([self._clip.width_px, self._clip.height_px], np.float32)
        return BodyTrack(
            joints_px_PTJ2=smooth_present(joints_px_TJ2, present_T)[None],
            joints_world_m_PTJ3=smooth_present(world_m_TJ3, present_T)[None],
            conf_PTJ=np.clip(points_TJ4[None, ..., 3], 0, 1),
            present_PT=present_T[None],
            pts_s_T=np.array(self._pts_s, np.float64),
        )


def _in_frame(points_J4: NDArray[np.float32]) -> bool:
    """A pose whose joints all lie outside the picture is what the tracker keeps after the person has left."""
    inside_J2 = (points_J4[:, :2] >= 0) & (points_J4[:, :2] <= 1)
    return bool(inside_J2.all(axis=1).any())


def visible_joints(track: BodyTrack, clip: ClipFrame, at_least: float = 0.5) -> NDArray[np.bool_]:
    """Which joints of the main subject are seen: inside the frame, with that confidence, in a present frame.

    Returns: (T, J) bool; (T, J) of False when the track has no person.
    """
    if track.present_PT.shape[0] == 0:
        return np.zeros((len(track.pts_s_T), BODY_JOINTS), np.bool_)
    px_TJ2 = track.joints_px_PTJ2[0]
    inside_TJ = ((px_TJ2 >= 0) & (px_TJ2 <= (clip.width_px, clip.height_px))).all(axis=2)
    return np.asarray(inside_TJ & (track.conf_PTJ[0] >= at_least) & track.present_PT[0][:, None])
