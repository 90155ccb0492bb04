"""Labels over intervals of clip time, read off the tracks: actions. docs/annotation lists them all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotation import body as joints
from annotation.base import ClipFrame
from annotation.body import visible_joints
from annotation.camera_moves import Interval, interval
from annotation.ops.smoothing import moving_mean, runs
from schemas.tracks import BodyTrack, CameraTrack

# Typical speed of the visible joints against the background, in body heights per second.
_MOVING_BODY_PER_S = 0.10
_SHORTEST_ACTION_S = 0.3
_SPEED_WINDOW_S = 0.4
# Shoulder to hip is about 0.3 of a standing person's height (Drillis and Contini 1966: 0.288), shoulder width 0.26.
_TORSO_PER_HEIGHT = 0.29
_SHOULDERS_PER_HEIGHT = 0.22


def actions(body: BodyTrack, camera: CameraTrack | None, clip: ClipFrame) -> list[Interval]:
    """still, moving, raise_left_hand, raise_right_hand, each 0.3 s or longer.

    still/moving: median speed of the visible joints against the background, in body heights per second.
    raise_*_hand: the wrist is seen above the nose.
    """
    if body.present_PT.shape[0] == 0 or len(body.pts_s_T) < 2:
        return []
    visible_TJ = visible_joints(body, clip)
    px_TJ2 = body.joints_px_PTJ2[0].astype(np.float64)
    found: list[Interval] = []
    for label, wrist in (("raise_left_hand", joints.LEFT_WRIST), ("raise_right_hand", joints.RIGHT_WRIST)):
        seen_T = visible_TJ[:, wrist] & visible_TJ[:, joints.NOSE]
        raised_T = seen_T & (px_TJ2[:, wrist, 1] < px_TJ2[:, joints.NOSE, 1])
        found += _long_enough(label, raised_T, body.conf_PTJ[0, :, wrist].astype(np.float64), body.pts_s_T)
    speed_T, measured_T = subject_speed_body_per_s(body, camera, clip)
    step_s = float(np.median(np.diff(body.pts_s_T)))
    smooth_T = moving_mean(speed_T, measured_T.astype(np.float64), round(_SPEED_WINDOW_S / step_s))
    sure_T = np.abs(smooth_T - _MOVING_BODY_PER_S) / (smooth_T + _MOVING_BODY_PER_S)
    confidence_T = 0.5 + 0.5 * sure_T
    found += _long_enough("moving", measured_T & (smooth_T >= _MOVING_BODY_PER_S), confidence_T, body.pts_s_T)
    found += _long_enough("still", measured_T & (smooth_T < _MOVING_BODY_PER_S), confidence_T, body.pts_s_T)
    return sorted(found, key=lambda each: (each.start_s, each.end_s, each.label))


def _long_enough(
    label: str, active_T: NDArray[np.bool_], confidence_T: NDArray[np.float64], pts_s_T: NDArray[np.float64]
) -> list[Interval]:
    found = [
        interval(label, pts_s_T, start, stop, float(confidence_T[start:stop].mean())) for start, stop in runs(active_T)
    ]
    return [each for each in found if each.end_s - each.start_s >= _SHORTEST_ACTION_S]


def subject_speed_body_per_s(
    body: BodyTrack, camera: CameraTrack | None, clip: ClipFrame
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """90th percentile of the visible joints' speed against the background per frame (T,), and where it was measured.

    The camera's own motion is taken out with its homography. Height comes from the torso, or from the shoulders when
    the hips are not seen. Frame 0 and frames with fewer than five joints seen in both frames are not measured.
    """
    T = len(body.pts_s_T)
    visible_TJ = visible_joints(body, clip)
    px_TJ2 = body.joints_px_PTJ2[0].astype(np.float64)
    height_px = body_height_px(body, clip)
    speed_T, measured_T = np.zeros(T), np.zeros(T, np.bool_)
    if height_px is None:
        return speed_T, measured_T
    for t in range(1, T):
        both_J = visible_TJ[t] & visible_TJ[t - 1]
        if both_J.sum() < 5:
            continue
        before_J2 = px_TJ2[t - 1, both_J]
        if camera is not None:
            homography_33 = camera.frame_from_previous_T33[t].astype(np.float64)
            moved_J3 = np.c_[before_J2, np.ones(len(before_J2))] @ homography_33.T
            before_J2 = moved_J3[:, :2] / moved_J3[:, 2:]
        step_px = float(np.percentile(np.linalg.norm(px_TJ2[t, both_J] - before_J2, axis=1), 90))
        speed_T[t] = step_px / (height_px * float(body.pts_s_T[t] - body.pts_s_T[t - 1]))
        measured_T[t] = True
    return speed_T, measured_T


def body_height_px(body: BodyTrack, clip: ClipFrame) -> float | None:
    """What the subject's standing height would be in px, median over the clip; None when no shoulders are seen."""
    visible_TJ = visible_joints(body, clip)
    px_TJ2 = body.joints_px_PTJ2[0].astype(np.float64)
    shoulders_T = visible_TJ[:, joints.LEFT_SHOULDER] & visible_TJ[:, joints.RIGHT_SHOULDER]
    if not shoulders_T.any():
        return None
    left_T2, right_T2 = px_TJ2[:, joints.LEFT_SHOULDER], px_TJ2[:, joints.RIGHT_SHOULDER]
    heights = [np.linalg.norm(left_T2 - right_T2, axis=1)[shoulders_T] / _SHOULDERS_PER_HEIGHT]
    hips_T = shoulders_T & visible_TJ[:, joints.LEFT_HIP] & visible_TJ[:, joints.RIGHT_HIP]
    if hips_T.any():
        hips_T2 = (px_TJ2[:, joints.LEFT_HIP] + px_TJ2[:, joints.RIGHT_HIP]) / 2
        heights.append(np.linalg.norm((left_T2 + right_T2) / 2 - hips_T2, axis=1)[hips_T] / _TORSO_PER_HEIGHT)
    # Turning sideways shortens the shoulders, bending the torso: the larger of the two is nearer the truth.
    return max(1.0, *(float(np.median(each)) for each in heights))
