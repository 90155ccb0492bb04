"""The main subject's face: landmarks, head rotation, gaze, expression coefficients. Axes as in schemas/tracks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_solutions import NETWORKS_VERSION, FaceNetwork
from annotation.base import DENSE, ClipFrame
from annotation.body import NOSE
from annotation.ops.expression import EXPRESSION_NAMES, expression_coefficients, gaze
from annotation.ops.head import fit_head
from schemas.frames import FrameBatch, FrameRequest
from schemas.tracks import FACE_LANDMARKS, BodyTrack, FaceTrack, Track

# A face whose centre is further than this from the subject's nose, in face widths, is somebody else's.
_NOSE_REACH_WIDTHS = 1.5
_NOSE_VISIBLE = 0.8


class FaceAnnotator:
    name: ClassVar[str] = "face"
    version: ClassVar[str] = f"1+{NETWORKS_VERSION}"
    suffix: ClassVar[str] = "face.npz"
    needs: ClassVar[FrameRequest] = DENSE
    after: ClassVar[tuple[str, ...]] = ("body",)

    def __init__(self) -> None:
        self._network = FaceNetwork()

    def open(self, clip: ClipFrame) -> FaceSession:
        self._network.reset()
        return FaceSession(self._network, clip)


class FaceSession:
    def __init__(self, network: FaceNetwork, clip: ClipFrame) -> None:
        self._network = network
        # z has the scale of x
        self._to_px_3 = np.array([clip.width_px, clip.height_px, clip.width_px], np.float32)
        self._found: list[NDArray[np.float32] | None] = []
        self._pts_s: list[float] = []

    def observe(self, frames: FrameBatch) -> None:
        self._found.extend(self._network.find(rgb_HWC) for rgb_HWC in frames.rgb_THWC)
        self._pts_s.extend(frames.pts_s_T.tolist())

    def finish(self, earlier: Mapping[str, Track]) -> FaceTrack:
        body = earlier.get("body")
        T = len(self._found)
        landmarks_3d_TL3 = np.zeros((T, FACE_LANDMARKS, 3), np.float32)
        present_T = np.zeros(T, np.bool_)
        for t, points_L3 in enumerate(self._found):
            if points_L3 is None:
                continue
            points_px_L3 = points_L3 * self._to_px_3
            if isinstance(body, BodyTrack) and _someone_elses(points_px_L3, body, t):
                continue
            landmarks_3d_TL3[t], present_T[t] = points_px_L3, True
        rotation_T33 = np.tile(np.eye(3, dtype=np.float32), (T, 1, 1))
        expression_TK = np.zeros((T, len(EXPRESSION_NAMES)), np.float32)
        gaze_T2 = np.zeros((T, 2), np.float32)
        if present_T.any():
            seen_TL3 = landmarks_3d_TL3[present_T].astype(np.float64)
            rotation_seen_T33, head_TL3 = fit_head(seen_TL3)
            rotation_T33[present_T] = rotation_seen_T33
            expression_TK[present_T] = expression_coefficients(head_TL3)
            gaze_T2[present_T] = gaze(head_TL3)
        return FaceTrack(
            landmarks_px_TL2=np.ascontiguousarray(landmarks_3d_TL3[..., :2]),
            landmarks_3d_TL3=landmarks_3d_TL3,
            head_rotation_T33=rotation_T33,
            expression_TK=expression_TK,
            expression_names=EXPRESSION_NAMES,
            gaze_T2=gaze_T2,
            present_T=present_T,
            pts_s_T=np.array(self._pts_s, np.float64),
        )


def _someone_elses(points_px_L3: NDArray[np.float32], body: BodyTrack, t: int) -> bool:
    """True when the subject's nose is clearly seen and this face is not around it."""
    if not body.present_PT[:1, t].any() or body.conf_PTJ[0, t, NOSE] < _NOSE_VISIBLE:
        return False
    low_2, high_2 = points_px_L3[:, :2].min(axis=0), points_px_L3[:, :2].max(axis=0)
    distance_px = float(np.linalg.norm((low_2 + high_2) / 2 - body.joints_px_PTJ2[0, t, NOSE]))
    return distance_px > _NOSE_REACH_WIDTHS * float(max(high_2 - low_2))
