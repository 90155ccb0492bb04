"""Where the body track is one body: bones do not change their length.

A pose network that has lost the person (head out of the picture, somebody else in front, a toy, a sleeve) goes on
drawing skeletons with high visibility, but of another build in every frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotation import body as joints
from annotation.base import ClipFrame
from annotation.body import visible_joints
from annotation.ops.smoothing import moving_mean
from schemas.tracks import BodyTrack

_BONES = (
    (joints.LEFT_SHOULDER, joints.RIGHT_SHOULDER), (joints.LEFT_SHOULDER, joints.LEFT_HIP),
    (joints.RIGHT_SHOULDER, joints.RIGHT_HIP), (joints.LEFT_SHOULDER, joints.LEFT_ELBOW),
    (joints.RIGHT_SHOULDER, joints.RIGHT_ELBOW), (joints.LEFT_ELBOW, joints.LEFT_WRIST),
    (joints.RIGHT_ELBOW, joints.RIGHT_WRIST), (joints.LEFT_HIP, joints.LEFT_KNEE),
    (joints.RIGHT_HIP, joints.RIGHT_KNEE), (joints.LEFT_KNEE, joints.LEFT_ANKLE),
    (joints.RIGHT_KNEE, joints.RIGHT_ANKLE),
)  # fmt: skip
# Natural logarithm of a bone's length against its median over the clip, mean over the bones seen. On 29 real shots, the
# upper quartile is 0.02-0.13 where the skeleton is on the person and 0.16-0.36 where it mostly is not.
_FRAME_AT_MOST, _CLIP_AT_MOST = 0.17, 0.15
_WINDOW_S = 0.3


def bones_hold(body: BodyTrack, clip: ClipFrame) -> NDArray[np.bool_]:
    """(T,) False where the main subject's bones have other lengths than usual, and everywhere if that is usual.

    True without depth, or where no bone is seen: there is no evidence against the body then.
    """
    T = len(body.pts_s_T)
    space_m_TJ3 = body.joints_world_m_PTJ3[0].astype(np.float64)
    seen_TJ = visible_joints(body, clip)
    total_T, count_T = np.zeros(T), np.zeros(T)
    for a, b in _BONES:
        both_T = seen_TJ[:, a] & seen_TJ[:, b]
        length_T = np.linalg.norm(space_m_TJ3[:, a] - space_m_TJ3[:, b], axis=1)
        usual = float(np.median(length_T[both_T])) if both_T.any() else 0.0
        if usual <= 1e-3:
            continue
        total_T[both_T] += np.abs(np.log(np.maximum(length_T[both_T], 1e-3) / usual))
        count_T[both_T] += 1
    if not count_T.any():
        return np.ones(T, np.bool_)
    change_T = total_T / np.maximum(count_T, 1)
    if float(np.percentile(change_T[count_T > 0], 75)) > _CLIP_AT_MOST:
        return np.zeros(T, np.bool_)
    step_s = float(np.median(np.diff(body.pts_s_T))) if T > 1 else 1.0
    smooth_T = moving_mean(change_T, (count_T > 0).astype(np.float64), round(_WINDOW_S / step_s))
    return np.asarray(smooth_T <= _FRAME_AT_MOST)
