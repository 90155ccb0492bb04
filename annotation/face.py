"""The main subject's face: landmarks, head rotation, gaze, expression coefficients. Axes as in schemas/tracks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from annotation.backends.blendshapes import BlendshapeNetwork, find_face_task
from annotation.backends.far_faces import FarFaceNetwork
from annotation.backends.mediapipe_solutions import NETWORKS_VERSION, FaceNetwork
from annotation.base import DENSE, ClipFrame
from annotation.body import NOSE
from annotation.ops.expression import EXPRESSION_NAMES, expression_coefficients
from annotation.ops.face_search import FaceSearch, Sight
from annotation.ops.focal import estimate_focal_px
from annotation.ops.gaze import gaze
from annotation.ops.head import fit_head
from schemas.frames import FrameBatch, FrameRequest
from schemas.tracks import FACE_LANDMARKS, BodyTrack, FaceTrack, Track

# A face whose centre is further than this from the subject's nose, in face widths (the longer side), is somebody
# else's: a nose that is clearly seen lies within its face, in profile at its edge. Two heads side by side are one width
# apart.
_NOSE_IN_FACE_WIDTHS, _NOSE_GUESSED_WIDTHS = 0.6, 1.5
_NOSE_VISIBLE = 0.8


class FaceAnnotator:
    """One face. Coefficients come from the blendshape network where its weights are, else from geometry.

    Raises: ResourceError naming the weights file when it is damaged.
    """

    name: ClassVar[str] = "face"
    suffix: ClassVar[str] = "face.npz"
    needs: ClassVar[FrameRequest] = DENSE
    after: ClassVar[tuple[str, ...]] = ("body",)

    def __init__(self) -> None:
        task = find_face_task()
        self._near, self._far = FaceNetwork(), FarFaceNetwork(faces=1)
        self._blendshapes = None if task is None else BlendshapeNetwork(task)

    @property
    def version(self) -> str:
        source = "geometry" if self._blendshapes is None else self._blendshapes.version
        return f"4+{NETWORKS_VERSION}+{source}"

    def open(self, clip: ClipFrame) -> FaceSession:
        self._near.reset()
        self._far.reset()
        return FaceSession(FaceSearch(self._near, self._far), self._blendshapes, clip)


class FaceSession:
    def __init__(self, search: FaceSearch, blendshapes: BlendshapeNetwork | None, clip: ClipFrame) -> None:
        self._search = search
        self._blendshapes = blendshapes
        self._clip = clip
        # z has the scale of x
        self._to_px_3 = np.array([clip.width_px, clip.height_px, clip.width_px], np.float32)
        self._pts_s: list[float] = []

    def observe(self, frames: FrameBatch) -> None:
        for rgb_HWC, pts_s in zip(frames.rgb_THWC, frames.pts_s_T.tolist(), strict=True):
            self._search.look(rgb_HWC, pts_s)
            self._pts_s.append(pts_s)

    def finish(self, earlier: Mapping[str, Track]) -> FaceTrack:
        body = earlier.get("body")
        self._search.close()
        T = len(self._search.found)
        landmarks_3d_TL3 = np.zeros((T, FACE_LANDMARKS, 3), np.float32)
        present_T = np.zeros(T, np.bool_)
        for t, points_L3 in enumerate(self._search.found):
            doubted = points_L3 is None
            points_L3 = self._search.doubted.get(t) if points_L3 is None else points_L3
            if points_L3 is None or (doubted and not isinstance(body, BodyTrack)):
                continue
            points_px_L3 = points_L3 * self._to_px_3
            sight = "doubted" if doubted else self._search.sight_T[t]
            if isinstance(body, BodyTrack) and not _is_the_subject_s(points_px_L3, body, t, sight):
                continue
            landmarks_3d_TL3[t], present_T[t] = points_px_L3, True
        names = EXPRESSION_NAMES if self._blendshapes is None else self._blendshapes.names
        rotation_T33 = np.tile(np.eye(3, dtype=np.float32), (T, 1, 1))
        expression_TK = np.zeros((T, len(names)), np.float32)
        gaze_T2 = np.zeros((T, 2), np.float32)
        focal_px = 0.0
        if present_T.any():
            seen_TL3 = landmarks_3d_TL3[present_T].astype(np.float64)
            width_px, height_px = self._clip.width_px, self._clip.height_px
            focal_px = estimate_focal_px(seen_TL3, width_px, height_px)
            rotation_seen_T33, head_TL3 = fit_head(seen_TL3, focal_px, (width_px / 2, height_px / 2))
            rotation_T33[present_T] = rotation_seen_T33
            gaze_T2[present_T] = gaze(head_TL3)
            if self._blendshapes is None:
                expression_TK[present_T] = expression_coefficients(head_TL3)
            else:
                expression_TK[present_T] = self._blendshapes.coefficients(landmarks_3d_TL3[present_T])
        return FaceTrack(
            landmarks_px_TL2=np.ascontiguousarray(landmarks_3d_TL3[..., :2]),
            landmarks_3d_TL3=landmarks_3d_TL3,
            head_rotation_T33=rotation_T33,
            expression_TK=expression_TK,
            expression_names=names,
            gaze_T2=gaze_T2,
            present_T=present_T,
            pts_s_T=np.array(self._pts_s, np.float64),
            focal_px=np.array(focal_px, np.float32),
        )


def _is_the_subject_s(
    points_px_L3: NDArray[np.float32], body: BodyTrack, t: int, sight: Sight | Literal["doubted"]
) -> bool:
    """False when the subject's nose is clearly seen and this face is not around it.

    What one network alone takes for a face in a pattern is followed like a real one: where there is a body it needs its
    nose, seen or guessed, and the far network's needs a body. A small face that the far network did not confirm
    (doubted) needs a nose that is clearly seen.
    """
    if not body.present_PT[:1, t].any():
        return sight not in ("far", "doubted")
    low_2, high_2 = points_px_L3[:, :2].min(axis=0), points_px_L3[:, :2].max(axis=0)
    distance_px = float(np.linalg.norm((low_2 + high_2) / 2 - body.joints_px_PTJ2[0, t, NOSE]))
    guessed = bool(body.conf_PTJ[0, t, NOSE] < _NOSE_VISIBLE)
    if guessed and sight == "doubted":
        return False
    reach_widths = _NOSE_GUESSED_WIDTHS if guessed else _NOSE_IN_FACE_WIDTHS
    return distance_px <= reach_widths * float(max(high_2 - low_2)) or (sight == "confirmed" and guessed)
