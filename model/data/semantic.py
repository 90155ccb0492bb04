"""What a motion is, rather than where: bone directions at a few moments around the window, without place and length.

Axis legend: S moments, F features (bones x 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.motion_inputs import nearest_entries
from schemas.tracks import BodyTrack

MOMENTS = 16
SPAN_S = 3.0
"""Seconds around the window's middle that the moments cover; less where the clip is shorter."""
BONES: tuple[tuple[int, int], ...] = (
    (11, 13), (13, 15), (12, 14), (14, 16), (23, 25), (25, 27), (24, 26), (26, 28), (11, 12), (23, 24), (11, 23),
    (12, 24), (0, 7), (0, 8),
)  # fmt: skip
SEMANTIC_FEATURES = 3 * len(BONES)


@dataclass(frozen=True, slots=True)
class SemanticMotion:
    """directions_SF: unit vectors of the bones in the body's axes (camera axes of the world joints); 0 unseen."""

    directions_SF: NDArray[np.float32]


def semantic_motion(body: BodyTrack, middle_s: float) -> SemanticMotion:
    """Bone directions of the main subject around `middle_s` (clip seconds)."""
    out_SF = np.zeros((MOMENTS, SEMANTIC_FEATURES), np.float32)
    if body.present_PT.shape[0] == 0 or len(body.pts_s_T) == 0:
        return SemanticMotion(out_SF)
    first, last = float(body.pts_s_T[0]), float(body.pts_s_T[-1])
    span = min(SPAN_S, last - first)
    start = min(max(middle_s - span / 2, first), last - span)
    index_S, near_S = nearest_entries(np.linspace(start, start + span, MOMENTS), body.pts_s_T)
    joints_SJ3, conf_SJ = body.joints_world_m_PTJ3[0][index_S], body.conf_PTJ[0][index_S]
    near_S = near_S & body.present_PT[0][index_S]
    for place, (start_joint, end_joint) in enumerate(BONES):
        vector_S3 = joints_SJ3[:, end_joint] - joints_SJ3[:, start_joint]
        length_S1 = np.linalg.norm(vector_S3, axis=1, keepdims=True).clip(1e-4)
        seen_S = near_S & (np.minimum(conf_SJ[:, start_joint], conf_SJ[:, end_joint]) >= 0.3)
        out_SF[:, 3 * place : 3 * place + 3] = np.where(seen_S[:, None], vector_S3 / length_S1, 0)
    return SemanticMotion(out_SF)
