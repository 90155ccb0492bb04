"""Where the body track is one body: bones do not change their length.

A pose network that has lost the person (head out of the picture, somebody else in front, a toy, a sleeve) goes on
drawing skeletons with high visibility, but of another build in every frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotation.base import ClipFrame
from annotation.body import visible_joints
from annotation.ops.skeleton import BONES, from_usual, log_bone_lengths
from annotation.ops.smoothing import moving_mean
from schemas.tracks import BodyTrack

# Mean over the bones seen, natural logarithm: of a bone's length in metres against its median over the clip, and of its
# length in the picture against what that length predicts at the person's distance. The second is left where lengths in
# metres were made steady. On 17 real shots the median of the second over the clip is 0.01-0.09 where the skeleton is on
# the person most of the time, 0.13 where it mostly is not. (The upper quartile, 0.15 of somebody who ends on the floor,
# speaks for a few frames: those are left out one by one.)
_FRAME_AT_MOST, _CLIP_AT_MOST = 0.17, 0.11
_WINDOW_S = 0.3
# A bone that points at the camera says nothing in the picture; to tell build from distance takes so many bones.
_ACROSS, _FEWEST = 0.5, 3


def bones_hold(body: BodyTrack, clip: ClipFrame) -> NDArray[np.bool_]:
    """(T,) False where the main subject's bones have other lengths than usual, and everywhere if that is usual.

    True without depth, or where no bone is seen: there is no evidence against the body then.
    """
    T = len(body.pts_s_T)
    in_space_TB, in_picture_TB = bone_changes(body, clip)
    step_s = float(np.median(np.diff(body.pts_s_T))) if T > 1 else 1.0
    hold_T = np.ones(T, np.bool_)
    for change_TB in (in_space_TB, in_picture_TB):
        known_T = np.isfinite(change_TB).any(axis=1)
        # A few frames with enough bones in the picture do not speak for a clip of close-ups.
        if known_T.sum() < max(1.0, 0.5 * float(body.present_PT[0].sum())):
            continue
        change_T = np.nansum(np.abs(change_TB), axis=1) / np.maximum(np.isfinite(change_TB).sum(axis=1), 1)
        if float(np.median(change_T[known_T])) > _CLIP_AT_MOST:
            return np.zeros(T, np.bool_)
        smooth_T = moving_mean(change_T, known_T.astype(np.float64), round(_WINDOW_S / step_s))
        hold_T &= smooth_T <= _FRAME_AT_MOST
    return hold_T


def bone_changes(body: BodyTrack, clip: ClipFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far the main subject's bones are from their usual length, as natural logarithms; columns as in BONES.

    Returns: in_space_TB, of lengths in metres against each one's median over the clip; in_picture_TB, of lengths in px
    against what the metres across the picture predict, the person's distance and each bone's median taken out. NaN
    where a bone's ends are not both seen, and in the picture where it points at the camera or fewer than three do not.
    """
    T = len(body.pts_s_T)
    space_m_TJ3 = body.joints_world_m_PTJ3[0].astype(np.float64)
    px_TJ2 = body.joints_px_PTJ2[0].astype(np.float64)
    seen_TJ = visible_joints(body, clip)
    in_picture_TB = np.full((T, len(BONES)), np.nan)
    for n, (a, b) in enumerate(BONES):
        along_T3 = space_m_TJ3[:, a] - space_m_TJ3[:, b]
        length_T, across_T = np.linalg.norm(along_T3, axis=1), np.linalg.norm(along_T3[:, :2], axis=1)
        length_px_T = np.linalg.norm(px_TJ2[:, a] - px_TJ2[:, b], axis=1)
        seen_T = seen_TJ[:, a] & seen_TJ[:, b] & (length_T > 1e-3)
        seen_T &= (across_T > _ACROSS * length_T) & (length_px_T > 1)
        in_picture_TB[seen_T, n] = np.log(length_px_T[seen_T] / across_T[seen_T])
    in_space_TB = from_usual(log_bone_lengths(space_m_TJ3, seen_TJ), axis=0)
    in_picture_TB = from_usual(from_usual(in_picture_TB, axis=0), axis=1)
    in_picture_TB[np.isfinite(in_picture_TB).sum(axis=1) < _FEWEST] = np.nan
    return in_space_TB, in_picture_TB
