"""From which side and how close a subject is seen, read from tracks. Axes as in schemas/tracks.

Yaw is in degrees: 0 towards the camera, positive to the picture's right, ±180 from behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas.tracks import BodyTrack, FaceTrack, HandsTrack

Kind = Literal["face", "half", "full"]
KINDS: tuple[Kind, ...] = ("face", "half", "full")
"""What a picture shows, from close to far; the order is the code of `kinds`."""
NOBODY = -1
SEEN = 0.5
_NOSE, _LEFT_SHOULDER, _RIGHT_SHOULDER, _HIPS, _ANKLES = 0, 11, 12, (23, 24), (27, 28)
_LIMBS = (13, 14, 15, 16, 25, 26, 27, 28)
# Weights in `descriptors`, against 1 for the direction of the view: twice the scale is worth a turn by 40 degrees, a
# nod less than a turn of the head.
_SCALE_WEIGHT, _PITCH_WEIGHT = 0.7, 0.5
# From landmark 10 (forehead) to 152 (chin) of MediaPipe's canonical face model.
_FACE_M = 0.177
_FEWEST_JOINTS = 4
# A face under a hand still says something of hair, build and clothes.
_HIDDEN_FACE_COSTS = 0.5


@dataclass(frozen=True, slots=True)
class View:
    """What one picture shows. yaw_deg is None where neither face nor shoulders say it."""

    kind: Kind
    yaw_deg: float | None


def yaws_deg(body: BodyTrack, face: FaceTrack) -> NDArray[np.float64]:
    """(T,) yaw of the main subject: the head's where the face was found, else the shoulders'; NaN without either."""
    yaw_T = np.full(len(face.present_T), np.nan)
    if len(body.present_PT):
        seen_T = body.present_PT[0] & (body.conf_PTJ[0][:, [_LEFT_SHOULDER, _RIGHT_SHOULDER]] >= SEEN).all(axis=1)
        across_T3 = body.joints_world_m_PTJ3[0, :, _LEFT_SHOULDER] - body.joints_world_m_PTJ3[0, :, _RIGHT_SHOULDER]
        # Who turns to the picture's right takes the left shoulder away from the camera.
        yaw_T[seen_T] = np.degrees(np.arctan2(across_T3[seen_T, 2], across_T3[seen_T, 0]))
    facing_T3 = -face.head_rotation_T33[:, :, 2].astype(np.float64)
    head_T = np.degrees(np.arctan2(facing_T3[:, 0], -facing_T3[:, 2]))
    return np.where(face.present_T, head_T, yaw_T)


def kinds(body: BodyTrack, face: FaceTrack, size_hw: tuple[int, int]) -> NDArray[np.int64]:
    """(T,) index into KINDS, NOBODY where nobody is seen.

    full: nose and an ankle are seen; half: hips are seen, or a body without a face; face: any other face. A joint is
    seen when it is confident and inside the picture. The rule is that of the score `shot_scale`.
    """
    frames = len(face.present_T)
    if len(body.present_PT) == 0:
        return np.where(face.present_T, 0, NOBODY)
    inside_TJ = ((body.joints_px_PTJ2[0] >= 0) & (body.joints_px_PTJ2[0] <= (size_hw[1], size_hw[0]))).all(axis=2)
    seen_TJ = body.present_PT[0][:, None] & (body.conf_PTJ[0] >= SEEN) & inside_TJ
    left_T, right_T = seen_TJ[:, _LEFT_SHOULDER], seen_TJ[:, _RIGHT_SHOULDER]
    hips_T = seen_TJ[:, list(_HIPS)].any(axis=1)
    body_T = (left_T & right_T) | (left_T & seen_TJ[:, _HIPS[0]]) | (right_T & seen_TJ[:, _HIPS[1]])
    full_T = body_T & seen_TJ[:, _NOSE] & seen_TJ[:, list(_ANKLES)].any(axis=1)
    kind_T = np.full(frames, NOBODY)
    kind_T[body_T] = 1
    kind_T[face.present_T & ~(body_T & hips_T)] = 0
    kind_T[full_T] = 2
    return kind_T


def descriptors(body: BodyTrack, face: FaceTrack, size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """(T, D): frames that lie far apart show the subject differently: from another side, at another scale, in another
    pose. An unknown direction is 0, a limb that is not seen is where it is on average: what is guessed tells nothing.

    Direction of the view (two numbers on the unit circle), pitch of the head, logarithm of how many metres the picture
    spans, and elbows, wrists, knees and ankles in metres from the hips, by the root of their number: a body that moved
    by 1 m everywhere counts 1. The kind is no part of it: it flickers where hips are at the picture's edge.
    """
    frames = len(face.present_T)
    yaw_T = np.radians(yaws_deg(body, face))
    known_T = np.isfinite(yaw_T)
    view_T2 = np.where(known_T[:, None], np.stack([np.cos(yaw_T), np.sin(yaw_T)], axis=1), 0.0)
    pitch_T = np.where(face.present_T, face.head_rotation_T33[:, 1, 2], 0.0) * _PITCH_WEIGHT
    limbs_TL3 = np.zeros((frames, len(_LIMBS), 3))
    if len(body.present_PT):
        limbs_TL3[:] = body.joints_world_m_PTJ3[0][:, list(_LIMBS)]
        seen_TL1 = (body.present_PT[0][:, None] & (body.conf_PTJ[0][:, list(_LIMBS)] >= SEEN))[..., None]
        mean_L3 = (limbs_TL3 * seen_TL1).sum(axis=0) / np.maximum(seen_TL1.sum(axis=0), 1)
        limbs_TL3 = np.where(seen_TL1, limbs_TL3, mean_L3)
    limbs_TF = limbs_TL3.reshape(frames, -1) / np.sqrt(len(_LIMBS))
    scale_T = np.log2(spans_m(body, face, size_hw)) * _SCALE_WEIGHT
    return np.concatenate([view_T2, pitch_T[:, None], scale_T[:, None], limbs_TF], axis=1)


def spans_m(body: BodyTrack, face: FaceTrack, size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """(T,) metres that the picture's shorter side spans at the subject; 1 where nobody is seen.

    From the spread of the joints seen, in px against metres across the view; else from the face's height.
    """
    short_px = float(min(size_hw))
    span_T = np.ones(len(face.present_T))
    for t in range(len(span_T)):
        joints_J = np.zeros(0, dtype=np.intp)
        if len(body.present_PT) and body.present_PT[0, t]:
            joints_J = np.flatnonzero(body.conf_PTJ[0, t] >= SEEN)
        px, metres = 0.0, 0.0
        if len(joints_J) >= _FEWEST_JOINTS:
            px = float(np.sqrt(body.joints_px_PTJ2[0, t, joints_J].var(axis=0).sum()))
            metres = float(np.sqrt(body.joints_world_m_PTJ3[0, t, joints_J, :2].var(axis=0).sum()))
        elif face.present_T[t]:
            px, metres = float(np.ptp(face.landmarks_px_TL2[t, :, 1])), _FACE_M
        if px > 0 and metres > 0:
            span_T[t] = short_px * metres / px
    return span_T


def openness(body: BodyTrack, face: FaceTrack, hands: HandsTrack, size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """(T,) 0-1: how little stands in front of the subject. 0 where nobody is seen.

    Mean confidence of the joints inside the picture (1 for a face without a body), times 1 - h/2 where a share h of the
    face's box lies under the boxes of the subject's hands.
    """
    frames = len(face.present_T)
    sure_T = face.present_T.astype(np.float64)
    if len(body.present_PT):
        inside_TJ = ((body.joints_px_PTJ2[0] >= 0) & (body.joints_px_PTJ2[0] <= (size_hw[1], size_hw[0]))).all(axis=2)
        counted_T = np.maximum(inside_TJ.sum(axis=1), 1)
        mean_T = np.where(inside_TJ, body.conf_PTJ[0], 0.0).sum(axis=1) / counted_T
        sure_T = np.where(body.present_PT[0], mean_T, sure_T)
    hidden_T = np.zeros(frames)
    for t in np.flatnonzero(face.present_T):
        low_2, high_2 = face.landmarks_px_TL2[t].min(axis=0), face.landmarks_px_TL2[t].max(axis=0)
        area = float(np.prod(high_2 - low_2))
        for side in np.flatnonzero(hands.present_T2[t]):
            joints_J2 = hands.joints_px_T2J2[t, side]
            shared_2 = np.minimum(high_2, joints_J2.max(axis=0)) - np.maximum(low_2, joints_J2.min(axis=0))
            if area > 0 and bool((shared_2 > 0).all()):
                hidden_T[t] += float(np.prod(shared_2)) / area
    return np.clip(sure_T, 0, 1) * (1 - _HIDDEN_FACE_COSTS * np.minimum(hidden_T, 1))
