"""The subject's motion in units that do not depend on the picture: body heights and seconds.

Axes as in schemas/tracks. `bh` is the subject's standing height: lengths of limbs are known shares of it (Drillis and
Contini 1966), so thresholds on them hold for every size of person and picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotation import body as joints
from annotation.actions.plausible import bones_hold
from annotation.base import ClipFrame
from annotation.body import visible_joints
from annotation.ops.smoothing import moving_mean
from schemas.tracks import BodyTrack, CameraTrack

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Shoulder to hip is about 0.3 of a standing person's height (Drillis and Contini 1966: 0.288), shoulder width 0.26.
_TORSO_PER_HEIGHT = 0.29
_SHOULDERS_PER_HEIGHT = 0.22
# Noise of single frames is averaged out of directions in space over this time; posture does not change faster.
_SPACE_WINDOW_S = 0.2
# Over which a joint's steps are averaged before their length is taken.
_STEP_WINDOW_S = 0.2
_UP = np.array([0.0, -1.0, 0.0])


@dataclass(frozen=True, slots=True)
class BodyMotion:
    """The main subject over T frames.

    at_bh_TJ2:     joints in the picture, x right, y down, in heights at the person's distance of that moment.
    still_bh_TJ2:  joints with the camera's motion since frame 0 taken out, in heights of the clip's median.
    space_bh_TJ3:  joints about the middle of the hips, x right, y down, z away; zeros when `in_space` is False.
    frame_T33:     rows: the person's left, up, forward (up is the picture's).
    height_px_T2:  the size at which the person is seen, by the shoulders' width and by lengths along the body.
    """

    pts_s_T: Values
    step_s: float
    height_px: float
    height_px_T2: Values
    seen_TJ: Mask
    conf_TJ: Values
    at_bh_TJ2: Values
    still_bh_TJ2: Values
    in_space: bool
    space_bh_TJ3: Values
    frame_T33: Values

    def frames(self, seconds: float) -> int:
        return max(1, round(seconds / self.step_s))

    def sees(self, *which: int) -> Mask:
        return np.asarray(self.seen_TJ[:, list(which)].all(axis=1))

    def conf(self, *which: int) -> Values:
        return np.asarray(self.conf_TJ[:, list(which)].mean(axis=1))

    def middle(self, *which: int) -> Values:
        """(T, 2) mean of joints in the picture, bh."""
        return np.asarray(self.at_bh_TJ2[:, list(which)].mean(axis=1))

    def own(self, vector_T3: Values) -> Values:
        """(T, 3) of a vector in space: to the person's left, up, forward."""
        return np.asarray(np.einsum("tij,tj->ti", self.frame_T33, vector_T3))

    def from_to(self, start: int, end: int) -> Values:
        """(T, 3) from joint to joint in the person's own axes, bh."""
        return self.own(self.space_bh_TJ3[:, end] - self.space_bh_TJ3[:, start])

    def angle(self, a: int, at: int, b: int) -> Values:
        """(T,) angle at a joint, rad: pi for a straight limb. From space where it was measured, else the picture."""
        points = self.space_bh_TJ3 if self.in_space else self.at_bh_TJ2
        one, other = points[:, a] - points[:, at], points[:, b] - points[:, at]
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        return np.asarray(np.arccos(np.clip((one * other).sum(axis=1) / np.maximum(lengths, 1e-9), -1, 1)))

    def upright(self) -> Mask:
        """(T,) the trunk, where its hips are seen, is less than 60 degrees from upright: "above" means raised."""
        shoulders, hips = (joints.LEFT_SHOULDER, joints.RIGHT_SHOULDER), (joints.LEFT_HIP, joints.RIGHT_HIP)
        trunk_T2 = self.middle(*shoulders) - self.middle(*hips)
        tilted_T = np.abs(np.arctan2(trunk_T2[:, 0], -trunk_T2[:, 1])) > np.radians(60)
        return np.asarray(~(tilted_T & self.sees(*hips)))

    def speed(self, path_TX: Values) -> Values:
        """(T,) length of the change of a path per second, over about a fifth of a second."""
        half = max(1, self.frames(0.1))
        before = np.clip(np.arange(len(path_TX)) - half, 0, None)
        after = np.clip(np.arange(len(path_TX)) + half, None, len(path_TX) - 1)
        dt_s = np.maximum(self.pts_s_T[after] - self.pts_s_T[before], self.step_s)
        return np.asarray(np.linalg.norm(path_TX[after] - path_TX[before], axis=-1) / dt_s)


def body_motion(body: BodyTrack, camera: CameraTrack | None, clip: ClipFrame) -> BodyMotion | None:
    """None without a person whose size can be told and whose bones hold, or under two frames."""
    if body.present_PT.shape[0] == 0 or len(body.pts_s_T) < 2:
        return None
    height_px = body_height_px(body, clip)
    if height_px is None:
        return None
    px_TJ2 = body.joints_px_PTJ2[0].astype(np.float64)
    step_s = float(np.median(np.diff(body.pts_s_T)))
    present_T = body.present_PT[0]
    seen_TJ = visible_joints(body, clip) & bones_hold(body, clip)[:, None]
    if not seen_TJ.any():
        return None
    space_m_TJ3 = _smoothed(body.joints_world_m_PTJ3[0].astype(np.float64), present_T, round(_SPACE_WINDOW_S / step_s))
    shoulders, hips = [joints.LEFT_SHOULDER, joints.RIGHT_SHOULDER], [joints.LEFT_HIP, joints.RIGHT_HIP]
    torso_m_T = np.linalg.norm(space_m_TJ3[:, shoulders].mean(axis=1) - space_m_TJ3[:, hips].mean(axis=1), axis=1)
    torso_m = float(np.median(torso_m_T[present_T])) if present_T.any() else 0.0
    in_space = torso_m > 0.05
    space_bh_TJ3 = space_m_TJ3 * (_TORSO_PER_HEIGHT / torso_m) if in_space else np.zeros_like(space_m_TJ3)
    sizes_px_T2 = _size_over_time(px_TJ2, seen_TJ, height_px, round(1.0 / step_s))
    return BodyMotion(
        pts_s_T=body.pts_s_T,
        step_s=step_s,
        height_px=height_px,
        height_px_T2=sizes_px_T2,
        seen_TJ=seen_TJ,
        conf_TJ=body.conf_PTJ[0].astype(np.float64),
        at_bh_TJ2=px_TJ2 / sizes_px_T2.max(axis=1)[:, None, None],
        still_bh_TJ2=_without_camera(px_TJ2, camera) / height_px,
        in_space=in_space,
        space_bh_TJ3=space_bh_TJ3,
        frame_T33=_own_axes(space_bh_TJ3, in_space),
    )


def _smoothed(values_TJ3: Values, present_T: Mask, width: int) -> Values:
    weights_T = present_T.astype(np.float64)
    flat = values_TJ3.reshape(len(values_TJ3), -1)
    smooth = np.stack([moving_mean(column, weights_T, width) for column in flat.T], axis=1)
    return smooth.reshape(values_TJ3.shape)


def _own_axes(space_bh_TJ3: Values, in_space: bool) -> Values:
    T = len(space_bh_TJ3)
    if not in_space:
        # Without depth the person is taken to face the camera.
        return np.tile(np.array([[1.0, 0, 0], [0, -1.0, 0], [0, 0, -1.0]]), (T, 1, 1))
    across = space_bh_TJ3[:, joints.LEFT_SHOULDER] - space_bh_TJ3[:, joints.RIGHT_SHOULDER]
    across = across + space_bh_TJ3[:, joints.LEFT_HIP] - space_bh_TJ3[:, joints.RIGHT_HIP]
    across[:, 1] = 0
    left_T3 = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    return np.stack([left_T3, np.tile(_UP, (T, 1)), np.cross(left_T3, _UP)], axis=1)


def _without_camera(px_TJ2: Values, camera: CameraTrack | None) -> Values:
    """Joints with the motion that the camera gave to the middle of the hips, summed from frame 0, taken out."""
    if camera is None:
        return px_TJ2
    root_T2 = px_TJ2[:, [joints.LEFT_HIP, joints.RIGHT_HIP]].mean(axis=1)
    before_T3 = np.c_[np.concatenate([root_T2[:1], root_T2[:-1]]), np.ones(len(root_T2))]
    moved_T3 = np.einsum("tij,tj->ti", camera.frame_from_previous_T33.astype(np.float64), before_T3)
    by_camera_T2 = moved_T3[:, :2] / moved_T3[:, 2:] - before_T3[:, :2]
    by_camera_T2[0] = 0
    return np.asarray(px_TJ2 - np.cumsum(by_camera_T2, axis=0)[:, None])


def _size_over_time(px_TJ2: Values, seen_TJ: Mask, height_px: float, width: int) -> Values:
    """(T, 2): the size by the shoulders' width and by lengths along the body, px; held where unseen.

    Turning changes the first and nodding or bending the second: only a size that both agree on is distance.
    """
    shoulders, hips = [joints.LEFT_SHOULDER, joints.RIGHT_SHOULDER], [joints.LEFT_HIP, joints.RIGHT_HIP]
    neck_T2 = px_TJ2[:, shoulders].mean(axis=1)
    across_T = np.linalg.norm(px_TJ2[:, shoulders[0]] - px_TJ2[:, shoulders[1]], axis=1)
    along_T = np.linalg.norm(px_TJ2[:, joints.NOSE] - neck_T2, axis=1)
    seen_T = seen_TJ[:, [*shoulders, joints.NOSE]].all(axis=1)
    with_hips_T = seen_T & seen_TJ[:, hips].all(axis=1)
    if with_hips_T.sum() > 0.8 * seen_T.sum():
        along_T, seen_T = np.linalg.norm(neck_T2 - px_TJ2[:, hips].mean(axis=1), axis=1), with_hips_T
    if seen_T.sum() < 2:
        return np.full((len(px_TJ2), 2), height_px)
    index_T = np.arange(len(px_TJ2))
    sizes = []
    for length_T in (across_T, along_T):
        smooth_T = moving_mean(np.interp(index_T, index_T[seen_T], length_T[seen_T]), np.ones(len(index_T)), width)
        sizes.append(height_px * smooth_T / max(float(np.median(smooth_T)), 1e-9))
    return np.stack(sizes, axis=1)


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


def joints_speed_bh_per_s(body: BodyTrack, camera: CameraTrack | None, clip: ClipFrame) -> tuple[Values, Mask]:
    """90th percentile of the visible joints' speed against the background per frame (T,), and where it was measured.

    A joint's steps are averaged over a fifth of a second before their length is taken: trembling is no motion. The
    camera's own motion is taken out with its homography. Height comes from the torso, or from the shoulders when the
    hips are not seen. Frame 0 and frames with fewer than five joints seen in both frames are not measured.
    """
    T = len(body.pts_s_T)
    visible_TJ = visible_joints(body, clip) & bones_hold(body, clip)[:, None]
    px_TJ2 = body.joints_px_PTJ2[0].astype(np.float64)
    height_px = body_height_px(body, clip)
    speed_T, measured_T = np.zeros(T), np.zeros(T, np.bool_)
    if height_px is None or T < 2:
        return speed_T, measured_T
    before_TJ2 = px_TJ2[:-1]
    if camera is not None:
        homography_T33 = camera.frame_from_previous_T33[1:].astype(np.float64)
        ones_TJ1 = np.ones((*before_TJ2.shape[:2], 1))
        moved_TJ3 = np.einsum("tij,tkj->tki", homography_T33, np.concatenate([before_TJ2, ones_TJ1], axis=2))
        before_TJ2 = moved_TJ3[..., :2] / moved_TJ3[..., 2:]
    both_TJ = visible_TJ[1:] & visible_TJ[:-1]
    dt_s_T = np.diff(body.pts_s_T)
    rate_TJ2 = np.where(both_TJ[..., None], (px_TJ2[1:] - before_TJ2) / dt_s_T[:, None, None], 0.0)
    width = max(1, round(_STEP_WINDOW_S / float(np.median(dt_s_T)))) | 1
    shared_TJ = _sum_over(both_TJ[..., None].astype(np.float64), width)
    mean_TJ2 = _sum_over(rate_TJ2, width) / np.maximum(shared_TJ, 1)
    lengths_TJ = np.where(both_TJ, np.linalg.norm(mean_TJ2, axis=2), np.nan)
    measured_T[1:] = both_TJ.sum(axis=1) >= 5
    for t in np.flatnonzero(measured_T):
        speed_T[t] = float(np.nanpercentile(lengths_TJ[t - 1], 90)) / height_px
    return speed_T, measured_T


def _sum_over(values_TJX: Values, width: int) -> Values:
    """Sums of `width` frames about each one, fewer at the ends."""
    half = width // 2
    padded = np.pad(values_TJX, ((half + 1, half), (0, 0), (0, 0)))
    total = np.cumsum(padded, axis=0)
    return np.asarray(total[width:] - total[:-width])
